"""Arrays and tables on disk (npy, npz, csv): numbers only, none missing, never a pickle."""

import csv
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from apps.data.checks import FileError

ARRAY_SUFFIXES = (".npy", ".npz", ".csv")


@dataclass(frozen=True)
class Table:
    """Numbers from a file: float64, with the columns' names where the file has them."""

    values: np.ndarray
    columns: tuple[str, ...] = ()


def read_table(path: str | os.PathLike[str], *, key: str | None = None) -> Table:
    """Read a file whole; integers become floats, any byte order will do.

    Args:
        path: `.npy`, `.npz` or `.csv` (commas; a first line that is not all numbers is the
            columns' names; every other line is one row).
        key: Which array of an npz; None takes the only one.

    Raises:
        FileError: If it cannot be read, holds objects, text, NaN or infinities, nothing at all,
            or rows of different lengths (named by line).
    """
    suffix = Path(path).suffix.lower()
    if suffix not in ARRAY_SUFFIXES:
        raise FileError(path, f"{suffix or 'no ending'} is not one of {', '.join(ARRAY_SUFFIXES)}")
    if not os.path.isfile(path):
        raise FileError(path, "no such file")
    table = _read_csv(path) if suffix == ".csv" else Table(_read_array(path, key))
    if table.values.size == 0:
        raise FileError(path, f"is empty (shape {table.values.shape})")
    finite = np.isfinite(table.values)
    if not finite.all():
        place = np.argwhere(~finite)[0].tolist()
        raise FileError(
            path,
            f"the value at {place} is {table.values[tuple(place)]}: missing values are not "
            "filled in, clean the file first",
        )
    return table


def _read_array(path: str | os.PathLike[str], key: str | None) -> np.ndarray:
    try:
        with open(path, "rb") as file:  # ours to close, also when numpy finds fault with it
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                values = loaded
            else:
                with loaded as archive:
                    values = archive[_choose_key(path, archive.files, key)]
    except FileError:
        raise
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        if "pickle" in str(error).lower():
            raise FileError(
                path,
                "holds Python objects (or is no npy file), which are never loaded, since a pickle "
                "can run code: save it again as an array of numbers",
            ) from error
        raise FileError(path, f"cannot be read: {error}") from error
    if values.dtype.kind not in "fiub":
        raise FileError(path, f"holds {values.dtype} and not real numbers")
    return values.astype(np.float64)


def _choose_key(path: str | os.PathLike[str], keys: list[str], key: str | None) -> str:
    if key is None and len(keys) == 1:
        return keys[0]
    listing = ", ".join(map(repr, keys)) or "nothing"
    if key is None:
        raise FileError(path, f"holds {listing}: choose one with key=")
    if key not in keys:
        raise FileError(path, f"key={key!r} is not in it; it holds {listing}")
    return key


def _read_csv(path: str | os.PathLike[str]) -> Table:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            first = next(csv.reader(file), None)
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(path, f"cannot be read: {error}") from error
    if first is None:
        raise FileError(path, "is empty")
    columns = () if all(map(_is_number, first)) else tuple(cell.strip() for cell in first)
    try:
        # numpy's reader is fast and strict; what it refuses is looked for again, by line.
        with open(path, encoding="utf-8-sig") as file:
            lines = file.readlines()[1 if columns else 0 :]
        if not any(line.strip() for line in lines):
            raise FileError(path, "holds the columns' names and no rows")
        values = np.loadtxt(lines, delimiter=",", ndmin=2, comments=None)
    except FileError:
        raise
    except ValueError as error:
        raise FileError(path, _first_fault(path, len(first), columns) or str(error)) from error
    if columns and len(columns) != values.shape[1]:
        raise FileError(path, f"names {len(columns)} columns and has {values.shape[1]}")
    return Table(values, columns)


def _first_fault(path: str | os.PathLike[str], width: int, columns: tuple[str, ...]) -> str | None:
    """The first line of a csv that is not `width` numbers, in words."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file)
        if columns:
            next(rows)
        for row in rows:
            if not row:
                continue
            if len(row) != width:
                return f"line {rows.line_num} has {len(row)} values where {width} are expected"
            for place, cell in enumerate(row):
                if not _is_number(cell):
                    name = f" ({columns[place]})" if columns else ""
                    what = f"holds {cell!r}, not a number" if cell.strip() else "is empty"
                    return f"line {rows.line_num}: column {place + 1}{name} {what}"
    return None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
