"""Numbers from a file, and where in it each of them stands."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64


@dataclass(frozen=True)
class Table:
    """Numbers from a file.

    Attributes:
        values: float64; NaN where a value is missing.
        columns: The columns' names, where the file has them.
        lines: The line of the file that each row stands on, from 1, where it has lines.
    """

    values: np.ndarray
    columns: tuple[str, ...] = ()
    lines: Int64[np.ndarray, " rows"] | None = None

    def place(self, index: Sequence[int]) -> str:
        """What a person would look for to find the value at `index`."""
        if self.lines is None:
            return f"the value at {list(map(int, index))}"
        row, column = index
        return f"line {self.lines[row]}: {self.column(column)}"

    def column(self, number: int) -> str:
        """A column by its number, from 1, and its name if it has one."""
        name = f" ({self.columns[number]})" if self.columns else ""
        return f"column {number + 1}{name}"

    def missing(self) -> str | None:
        """What is missing, in words; None if nothing is."""
        gaps = np.isnan(self.values)
        count = int(gaps.sum())
        if count == 0:
            return None
        more = f", and {count - 1:,} more" if count > 1 else ""
        return f"{self.place(np.argwhere(gaps)[0].tolist())} is missing{more}"
