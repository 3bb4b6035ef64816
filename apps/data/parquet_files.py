"""Tables of parquet: columns of numbers by name, and perhaps one of dates."""

import os
from typing import Any

import numpy as np

from apps.data.checks import FileError, why
from apps.data.csv_files import AUTO, dates_of
from apps.data.dates import Dates, is_date, written
from apps.data.memory import memory
from apps.data.table import Table

_INDEX = "__index_level_"  # what pandas calls an index without a name


def read_parquet(path: str | os.PathLike[str], *, date_column: str | None = AUTO) -> Table:
    """Read a file whole; a null is missing, which is NaN.

    Args:
        path: The file.
        date_column: The name of the column of dates; 'auto' takes the only one of a type of dates,
            or the first one if it holds dates as text; None has none.

    Raises:
        FileError: If it cannot be read, pyarrow is not there, or a column (named) holds no numbers.
    """
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError as error:
        raise FileError(
            path, 'needs pyarrow, which is not installed: pip install -e ".[parquet]"'
        ) from error
    try:
        with parquet.ParquetFile(path) as file:
            _check_size(path, file.metadata.num_rows * file.metadata.num_columns)
            found = file.read()
    except (arrow.ArrowException, OSError) as error:
        raise FileError(path, f"cannot be read: {why(error)}") from error
    names = found.column_names
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise FileError(path, f"has two columns {twice!r}: give each a name of its own")
    date = _date_place(path, found, date_column)
    dates = None if date is None else _dates(path, found.column(date), names[date], date)
    chosen = [
        place
        for place, name in enumerate(names)
        if place != date and not (name.startswith(_INDEX) and len(names) > 1)
    ]
    if not chosen:
        raise FileError(path, "holds dates and no values")
    values = [_numbers(path, found.column(place), names[place], place) for place in chosen]
    rows = np.arange(1, found.num_rows + 1)
    return Table(
        np.stack(values, axis=1), tuple(names[place] for place in chosen), rows, dates, "row"
    )


def _check_size(path: str | os.PathLike[str], count: int) -> None:
    if 8 * count > memory():
        raise FileError(
            path, f"unpacks to {8 * count / 2**30:.3g} GiB, more than the memory of this machine "
            f"({memory() / 2**30:.3g} GiB)"
        )  # fmt: skip


def _date_place(path: str | os.PathLike[str], found: Any, wanted: str | None) -> int | None:
    import pyarrow as arrow

    names = found.column_names
    if wanted is None:
        return None
    if wanted != AUTO:
        if wanted not in names:
            listing = ", ".join(map(repr, names))
            raise FileError(path, f"data.date_column={wanted} is not among its columns, {listing}")
        return names.index(wanted)
    typed = [
        place
        for place, field in enumerate(found.schema)
        if arrow.types.is_timestamp(field.type) or arrow.types.is_date(field.type)
    ]
    if len(typed) == 1:  # pandas keeps its index behind the columns
        return typed[0]
    if typed:
        listing = " and ".join(repr(names[place]) for place in typed)
        raise FileError(
            path, f"holds dates in {listing}: choose with data.date_column=, and leave the others "
            "out of the file"
        )  # fmt: skip
    first = found.column(0)
    text = arrow.types.is_string(first.type) or arrow.types.is_large_string(first.type)
    return 0 if text and len(first) and is_date(first[0].as_py() or "") else None


def _dates(path: str | os.PathLike[str], column: Any, name: str, place: int) -> Dates:
    import pyarrow as arrow

    if column.null_count:
        row = int(np.flatnonzero(np.asarray(column.is_null()))[0]) + 1
        raise FileError(path, f"row {row}: column {place + 1} ({name}) has no date")
    if arrow.types.is_timestamp(column.type) or arrow.types.is_date(column.type):
        stamps = column.cast(arrow.timestamp("us"), safe=False).to_numpy().astype("M8[us]")
        return Dates(tuple(written(stamps)), stamps, name, place)
    return dates_of(path, [str(cell) for cell in column.to_pylist()], name=name, place=place)


def _numbers(path: str | os.PathLike[str], column: Any, name: str, place: int) -> np.ndarray:
    import pyarrow as arrow

    is_a = arrow.types
    kind = column.type
    if not (is_a.is_integer(kind) or is_a.is_floating(kind) or is_a.is_decimal(kind)
            or is_a.is_boolean(kind) or is_a.is_null(kind)):  # fmt: skip
        hint = ""
        if is_a.is_timestamp(kind) or is_a.is_date(kind):
            hint = "; data.date_column names the column of dates"
        raise FileError(path, f"column {place + 1} ({name}) holds {kind}, not numbers{hint}")
    if is_a.is_boolean(kind):
        column = column.cast(arrow.int8())
    return column.cast(arrow.float64(), safe=False).to_numpy().astype(np.float64)
