"""Numbers from a file, and where in it each of them stands."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int64

from apps.data.dates import Dates


@dataclass(frozen=True)
class Table:
    """Numbers from a file.

    Attributes:
        values: float64; NaN where a value is missing.
        columns: The columns' names, where the file has them.
        lines: The line of the file that each row stands on, from 1, where it has lines.
        dates: When each row was, where a column says it; that column is not among the values.
        line: What a line is called: a row, where the file is no text.
    """

    values: np.ndarray
    columns: tuple[str, ...] = ()
    lines: Int64[np.ndarray, " rows"] | None = None
    dates: Dates | None = None
    line: str = "line"

    def place(self, index: Sequence[int]) -> str:
        """What a person would look for to find the value at `index`."""
        if self.lines is None:
            return f"the value at {list(map(int, index))}"
        row, column = index
        when = f" ({self.dates.texts[row]})" if self.dates else ""
        return f"{self.line} {self.lines[row]}{when}: {self.column(column)}"

    def column(self, number: int) -> str:
        """A column by its number in the file, from 1, and its name if it has one."""
        name = f" ({self.columns[number]})" if self.columns else ""
        aside = self.dates is not None and self.dates.place <= number
        return f"column {number + 1 + aside}{name}"

    def missing(self) -> str | None:
        """What is missing, in words; None if nothing is."""
        gaps = np.isnan(self.values)
        count = int(gaps.sum())
        if count == 0:
            return None
        more = f", and {count - 1:,} more" if count > 1 else ""
        return f"{self.place(np.argwhere(gaps)[0].tolist())} is missing{more}"

    def turned(self) -> "Table":
        """The last row first."""
        backwards = slice(None, None, -1)
        return replace(
            self,
            values=self.values[backwards].copy(),
            lines=None if self.lines is None else self.lines[backwards],
            dates=None if self.dates is None else self.dates.part(backwards),
        )
