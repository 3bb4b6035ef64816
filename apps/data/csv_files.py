"""Tables of text: commas, one row for each line, perhaps the columns' names on the first."""

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from apps.data.checks import FileError, why
from apps.data.table import Table

_MISSING = frozenset(("", "?", "na", "n/a", "nan", "null", "none"))  # in any case of letters

_SHOWN = 40  # characters of a cell that a message quotes


def read_csv(path: str | os.PathLike[str]) -> Table:
    """Read a file whole; what is missing is NaN.

    Blank lines are passed over, except in a single column, where each is a missing value.

    Raises:
        FileError: If it cannot be read, has no rows, or a row (named by its line) has text or
            another number of values.
    """
    text = _text(path)
    begin, first = next(
        ((line, row) for line, row in rows_of(path, io.StringIO(text)) if not _is_blank(row)),
        (0, []),
    )
    if not first:
        raise FileError(path, "is empty")
    columns = columns_of(first)
    if not columns:
        begin -= 1  # the first row counts
    lines = text.split("\n")[begin:]
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise FileError(path, "holds the columns' names and no rows")
    width = len(first)
    table = _fast(lines, begin, columns, width)
    if table is None:
        table = _slow(path, "\n".join(lines), begin, columns, width)
    if table.values.shape[1] != width:
        raise FileError(path, f"names {width} columns and has {table.values.shape[1]}")
    return table


def columns_of(first: Sequence[str]) -> tuple[str, ...]:
    """The names on the first line of a file; none if it holds numbers, or gaps between them."""
    if all(number(cell) is not None for cell in first):
        return ()
    return tuple(" ".join(cell.split()) for cell in first)


def rows_of(path: str | os.PathLike[str], lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Every row, with the number of the line it ends on, from 1.

    Raises:
        FileError: If a line is no text or no csv.
    """
    rows = csv.reader(lines)
    try:
        for row in rows:
            yield rows.line_num, row
    except (csv.Error, UnicodeDecodeError) as error:
        raise FileError(path, f"after line {rows.line_num}: {why(error)}") from error


def number(cell: str) -> float | None:
    """The number that a cell holds, NaN if it is missing, None if it is text."""
    if cell.strip().casefold() in _MISSING:
        return np.nan
    try:
        return None if "_" in cell else float(cell)  # Python would read 1_0 as 10
    except ValueError:
        return None


def not_a_number(cell: str) -> str:
    """What is wrong with a cell of text."""
    hint = "; values are separated by commas" if {";", "\t"} & {*cell} else ""
    start = cell if len(cell) <= _SHOWN else f"{cell[:_SHOWN]}…"
    return f"holds {start!r}, not a number{hint}"


def _text(path: str | os.PathLike[str]) -> str:
    try:
        with open(path, encoding="utf-8-sig") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(path, f"cannot be read: {why(error)}") from error


def _is_blank(row: Sequence[str]) -> bool:
    return not row or (len(row) == 1 and not row[0].strip())


def _fast(lines: list[str], begin: int, columns: tuple[str, ...], width: int) -> Table | None:
    """Numpy's reader: ten times as fast, and of numbers only."""
    full = [place for place, line in enumerate(lines) if line.strip()]
    if width == 1 and len(full) < len(lines):
        return None
    try:
        values = np.loadtxt(lines, delimiter=",", ndmin=2, comments=None)
    except ValueError:
        return None
    return Table(values, columns, begin + 1 + np.array(full, np.int64))


def _slow(
    path: str | os.PathLike[str], text: str, begin: int, columns: tuple[str, ...], width: int
) -> Table:
    """Row by row, which finds what is missing and says where a fault is."""
    values: list[list[float]] = []
    lines: list[int] = []
    table = Table(np.empty(0), columns)
    for line, row in rows_of(path, io.StringIO(text)):
        if _is_blank(row) and width > 1:
            continue
        cells = row or [""]
        lines.append(begin + line)
        if len(cells) != width:
            raise FileError(
                path, f"line {lines[-1]} has {len(cells)} values where {width} are expected"
            )
        held = [number(cell) for cell in cells]
        if None in held:
            at = held.index(None)
            raise FileError(path, f"line {lines[-1]}: {table.column(at)} {not_a_number(cells[at])}")
        values.append([value for value in held if value is not None])
    return Table(np.array(values), columns, np.array(lines, np.int64))
