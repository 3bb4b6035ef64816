"""Tables of text: commas, one row for each line, perhaps the columns' names on the first."""

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from apps.data.checks import FileError, why
from apps.data.dates import FORMS, Dates, forms_of, is_date, read
from apps.data.table import Table

_MISSING = frozenset(("", "?", "na", "n/a", "nan", "null", "none"))  # in any case of letters

_SHOWN = 40  # characters of a cell that a message quotes


AUTO = "auto"
"""Takes the first column for the dates if it holds dates."""


class Header(NamedTuple):
    """What the beginning of a file says.

    Attributes:
        columns: The names of all columns but that of the dates; none if there is no line of names.
        width: Values in a row, with the date.
        date: The place of the column of dates, if there is one.
        name: Its name.
        begin: Lines before the first row.
    """

    columns: tuple[str, ...]
    width: int
    date: int | None
    name: str
    begin: int


def read_csv(path: str | os.PathLike[str], *, date_column: str | None = AUTO) -> Table:
    """Read a file whole; what is missing is NaN.

    Blank lines are passed over, except in a single column, where each is a missing value.

    Args:
        path: The file.
        date_column: The name of the column of dates; 'auto' takes the first one if it holds
            dates, None has none.

    Raises:
        FileError: If it cannot be read, has no rows, or a row (named by its line) has text or
            another number of values, or no date where it should have one.
    """
    text = _text(path)
    header = header_of(path, io.StringIO(text), date_column=date_column)
    lines = text.split("\n")[header.begin :]
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise FileError(path, "holds the columns' names and no rows")
    table = _fast(path, lines, header)
    return _slow(path, "\n".join(lines), header) if table is None else table


def header_of(
    path: str | os.PathLike[str], lines: Iterable[str], *, date_column: str | None
) -> Header:
    """What the columns are, by the first two lines that are not blank.

    Raises:
        FileError: If there is no line, or no column of that name, or none but dates.
    """
    filled = ((line, row) for line, row in rows_of(path, lines) if not _is_blank(row))
    begin, first = next(filled, (0, []))
    if not first:
        raise FileError(path, "is empty")
    dated = is_date(first[0])
    if all(number(cell) is not None for cell in first[dated:]):
        names, second, begin = (), first, begin - 1  # the first row counts
    else:
        names = tuple(" ".join(cell.split()) for cell in first)
        _, second = next(filled, (0, [""]))
    if date_column in (None, AUTO):
        date = 0 if date_column and is_date(second[0]) else None
    else:
        date = _named(path, names, date_column)
    if date is not None and len(first) == 1:
        raise FileError(path, "holds dates and no values")
    columns = tuple(name for place, name in enumerate(names) if place != date)
    name = names[date] if names and date is not None else ""
    return Header(columns, len(first), date, name, begin)


def dates_of(
    path: str | os.PathLike[str],
    texts: Sequence[str],
    *,
    name: str,
    place: int,
    forms: Sequence[str] = FORMS,
) -> Dates:
    """The column of dates.

    Args:
        path: The file.
        texts: The cells.
        name: Of the column.
        place: Of the column, from 0.
        forms: In which the dates may be written.

    Raises:
        FileError: If they are not all dates, or may be read in two ways.
    """
    column = f"column {place + 1}{f' ({name})' if name else ''}"
    fitting = forms_of(texts, forms)
    if not fitting:
        first = forms_of(texts[:1], forms)
        odd = next((text for text in texts if not forms_of([text], first or forms)), texts[0])
        raise FileError(
            path,
            f"{column} holds {_quoted(odd)}, not a date of one form with the others: write dates "
            "as 2024-01-31 or 2024-01-31 12:30:00, or say data.date_column=null",
        )
    stamps, *others = (read(texts, form) for form in fitting)
    if any((stamps != other).any() for other in others):
        raise FileError(
            path,
            f"{column} holds {_quoted(texts[0])}, and day and month cannot be told apart: write "
            "dates as 2024-01-31",
        )
    return Dates(tuple(texts), stamps, name, place)


def _named(path: str | os.PathLike[str], names: Sequence[str], wanted: str | None) -> int:
    if wanted not in names:
        listing = ", ".join(map(repr, names)) or "no names"
        raise FileError(path, f"data.date_column={wanted} is not among its columns, {listing}")
    return names.index(wanted)


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
    if is_date(cell):
        hint = "; data.date_column names the column of dates"
    return f"holds {_quoted(cell)}, not a number{hint}"


def _quoted(cell: str) -> str:
    return repr(cell if len(cell) <= _SHOWN else f"{cell[:_SHOWN]}…")


def _text(path: str | os.PathLike[str]) -> str:
    try:
        with open(path, encoding="utf-8-sig") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(path, f"cannot be read: {why(error)}") from error


def _is_blank(row: Sequence[str]) -> bool:
    return not row or (len(row) == 1 and not row[0].strip())


def _fast(path: str | os.PathLike[str], lines: list[str], header: Header) -> Table | None:
    """Numpy's reader: ten times as fast, and of numbers only."""
    full = [place for place, line in enumerate(lines) if line.strip()]
    if header.width == 1 and len(full) < len(lines):
        return None
    texts: list[str] = []
    if header.date is not None:
        rows = [row for _, row in rows_of(path, (lines[place] for place in full))]
        # A cell may hold a line break, and numpy passes over the values of too long a row.
        if len(rows) != len(full) or any(len(row) != header.width for row in rows):
            return None
        texts = [row[header.date] for row in rows]
    chosen = [place for place in range(header.width) if place != header.date] if texts else None
    quote = '"' if texts else None  # of a date with a comma
    try:
        values = np.loadtxt(
            lines, delimiter=",", ndmin=2, comments=None, quotechar=quote, usecols=chosen
        )
    except ValueError:
        return None
    if values.shape[1] != header.width - bool(texts):
        raise FileError(path, f"names {header.width} columns and has {values.shape[1]}")
    return _table(path, values, header.begin + 1 + np.array(full, np.int64), texts, header)


def _slow(path: str | os.PathLike[str], text: str, header: Header) -> Table:
    """Row by row, which finds what is missing and says where a fault is."""
    values: list[list[float]] = []
    lines: list[int] = []
    texts: list[str] = []
    for line, row in rows_of(path, io.StringIO(text)):
        if _is_blank(row) and header.width > 1:
            continue
        lines.append(header.begin + line)
        date, numbers = numbers_of(path, row or [""], header, line=lines[-1])
        texts += [] if date is None else [date]
        values.append(numbers)
    return _table(path, np.array(values), np.array(lines, np.int64), texts, header)


def numbers_of(
    path: str | os.PathLike[str], row: Sequence[str], header: Header, *, line: int
) -> tuple[str | None, list[float]]:
    """The date of a row, if there is one, and its numbers, NaN where they are missing.

    Raises:
        FileError: If it has another number of values, or text; names the line.
    """
    if len(row) != header.width:
        raise FileError(
            path, f"line {line} has {len(row)} values where {header.width} are expected"
        )
    held = [number(cell) for place, cell in enumerate(row) if place != header.date]
    if None in held:
        at = held.index(None)
        place = at + (header.date is not None and header.date <= at)
        name = f" ({header.columns[at]})" if header.columns else ""
        raise FileError(path, f"line {line}: column {place + 1}{name} {not_a_number(row[place])}")
    date = None if header.date is None else row[header.date]
    return date, [value for value in held if value is not None]


def _table(
    path: str | os.PathLike[str],
    values: np.ndarray,
    lines: np.ndarray,
    texts: Sequence[str],
    header: Header,
) -> Table:
    dates = None
    if header.date is not None:
        dates = dates_of(path, texts, name=header.name, place=header.date)
    return Table(values, header.columns, lines, dates)
