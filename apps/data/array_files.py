"""Arrays and tables on disk (npy, npz, csv, parquet): numbers only, never a pickle."""

import logging
import math
import os
import zipfile
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy_format

from apps.data.checks import FileError, shown, why
from apps.data.csv_files import AUTO, read_csv
from apps.data.dates import order, spacing
from apps.data.memory import memory
from apps.data.notices import tell_once
from apps.data.parquet_files import read_parquet
from apps.data.table import Table

ARRAY_SUFFIXES = (".npy", ".npz", ".csv", ".parquet")
WRITTEN_SUFFIXES = (".npy", ".npz", ".csv")
_LOG = logging.getLogger(__name__)
# Version 3 is for names of fields, which arrays of numbers have none of.
_READ_HEADER = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
}


def read_table(
    path: str | os.PathLike[str],
    *,
    key: str | None = None,
    beside: str | None = None,
    keep_missing: bool = False,
    date_column: str | None = AUTO,
    newest_first: bool = False,
) -> Table:
    """Read a file whole; integers become floats, any byte order will do; rows are in time order.

    Args:
        path: `.npy`, `.npz`, `.parquet` or `.csv` (commas; a first line that is not all numbers
            is the columns' names; every other line is one row). Missing is what is NaN, in a
            parquet a null, and in a csv also an empty cell, `NA`, `N/A`, `null`, `none` and `?`.
        key: Which array of an npz; None takes the only one.
        beside: An array of an npz that holds something else, and is not counted.
        keep_missing: Leave NaN where values are missing; otherwise they are refused.
        date_column: The column of a csv or parquet that holds dates, which is kept aside; 'auto'
            takes the first one if it does, None none. Rows whose dates fall are turned around,
            which is told, as gaps in the dates are.
        newest_first: Turn the rows of a file without dates around.

    Raises:
        FileError: If it cannot be read, holds objects, text, infinities, missing values, nothing
            at all, rows of different lengths, or dates in no order. Names the place.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in ARRAY_SUFFIXES:
        raise FileError(path, f"{suffix or 'no ending'} is not one of {', '.join(ARRAY_SUFFIXES)}")
    if not os.path.exists(path):
        raise FileError(path, "no such file")
    if not os.path.isfile(path):
        raise FileError(path, "is a folder or a device, not a file")
    if suffix == ".csv":
        table = read_csv(path, date_column=date_column)
    elif suffix == ".parquet":
        table = read_parquet(path, date_column=date_column)
    else:
        table = Table(_read_array(path, key, beside))
    if table.values.size == 0:
        raise FileError(path, f"is empty (shape {table.values.shape})")
    infinite = np.isinf(table.values)
    if infinite.any():
        at = np.argwhere(infinite)[0].tolist()
        raise FileError(path, f"{table.place(at)} is {table.values[tuple(at)]}, not finite")
    if not keep_missing and (what := table.missing()):
        raise FileError(path, f"{what}: fill in what is missing first")
    return _in_time_order(path, table, newest_first=newest_first)


def _in_time_order(path: str | os.PathLike[str], table: Table, *, newest_first: bool) -> Table:
    """The table with its last row the newest one, after a word about its dates."""
    dates = table.dates
    if dates is None:
        if newest_first and table.values.ndim == 3:
            raise FileError(path, "holds ready-made windows, which data.newest_first cannot turn")
        return table.turned() if newest_first else table
    falls, against = order(dates.stamps)
    if against is not None:
        assert table.lines is not None
        way = "fall" if falls else "rise"
        raise FileError(
            path,
            f"{table.line} {table.lines[against]}: {dates.texts[against]} comes after "
            f"{dates.texts[against - 1]}, where dates {way} otherwise: sort the rows by date",
        )
    if newest_first and not falls:
        raise FileError(
            path, f"its dates rise, from {dates.texts[0]} to {dates.texts[-1]}: leave "
            "data.newest_first out"
        )  # fmt: skip
    table = table.turned() if falls else table
    assert table.dates is not None
    name = f" ({dates.name})" if dates.name else ""
    turned = ", newest first, and turned to time order" if falls else ""
    tell_once(
        _LOG,
        f"{shown(os.fspath(path))}: column {dates.place + 1}{name} holds dates and is kept "
        f"aside{turned}: {shown(spacing(table.dates))}",
    )
    return table


def read_labels(path: str | os.PathLike[str], *, key: str, count: int) -> tuple[str, ...]:
    """The class of each of so many windows, from a list in the npz that holds them.

    Args:
        path: `.npz`.
        key: Which of its arrays: one whole number or word for each window.
        count: How many windows there are.

    Raises:
        FileError: If it is no npz, has no such list, or that cannot be the windows' labels.
    """
    if Path(path).suffix.lower() != ".npz":
        raise FileError(path, f"labels={key!r} is an array of an npz beside the windows")
    try:
        with zipfile.ZipFile(path) as archive:
            values = _read_member(path, archive, key, name="labels", kinds="iubfUS")
    except FileError:
        raise
    except Exception as error:  # as below
        raise FileError(path, f"cannot be read: {why(error)}") from error
    if values.shape != (count,):
        raise FileError(
            path, f"labels={key!r} has the shape {values.shape}; one for each of the {count} "
            "windows is meant"
        )  # fmt: skip
    if values.dtype.kind == "f" and not (values == np.floor(values)).all():
        raise FileError(path, f"labels={key!r} holds numbers that are not whole")
    if values.dtype.kind in "iubf":
        return tuple(str(int(value)) for value in values.tolist())
    words = values.astype(np.str_).tolist()
    if not all(words):
        raise FileError(path, f"labels={key!r} holds an empty word, for window {words.index('')}")
    return tuple(words)


def _read_array(
    path: str | os.PathLike[str], key: str | None, beside: str | None = None
) -> np.ndarray:
    try:
        with open(path, "rb") as file:  # ours to close, also when numpy finds fault with it
            begins_as_zip = file.read(2) == b"PK"
            file.seek(0)
            if begins_as_zip:
                with zipfile.ZipFile(file) as archive:
                    values = _read_member(path, archive, key, beside=beside)
            else:
                values = _read_npy(path, file, os.fstat(file.fileno()).st_size)
    except FileError:
        raise
    except Exception as error:  # zip, zlib, lzma and numpy have a dozen kinds, all meaning this
        raise FileError(path, f"cannot be read: {why(error)}") from error
    return values.astype(np.float64)


def _read_member(
    path: str | os.PathLike[str],
    archive: zipfile.ZipFile,
    key: str | None,
    *,
    beside: str | None = None,
    name: str = "key",
    kinds: str = "fiub",
) -> np.ndarray:
    names = {each.removesuffix(".npy"): each for each in archive.namelist()}
    meant = [each for each in names if key is not None or each != beside]
    chosen = names[_choose_key(path, meant, key, name=name)]
    with archive.open(chosen) as member:
        return _read_npy(path, member, archive.getinfo(chosen).file_size, kinds=kinds)


def _read_npy(
    path: str | os.PathLike[str], file: IO[bytes], size: int, *, kinds: str = "fiub"
) -> np.ndarray:
    """Read an array of these kinds, if what its header says is true and can be held."""
    version = _version(path, file)
    shape, _, dtype = _READ_HEADER[version](file)
    if dtype.hasobject:
        raise FileError(
            path,
            "holds Python objects, which are never loaded, since a pickle can run code: save it "
            "again as an array of numbers",
        )
    if dtype.kind not in kinds:
        wanted = "whole numbers or words" if "U" in kinds else "real numbers"
        raise FileError(path, f"holds {dtype} and not {wanted}")
    if min(shape, default=0) < 0:
        raise FileError(path, f"has the shape {shape}")
    count = math.prod(shape)
    promised, held = count * dtype.itemsize, size - file.tell()
    if promised > held:
        raise FileError(path, f"is cut off: {promised} bytes are promised and {held} are there")
    if 8 * count > (there := memory()):
        raise FileError(
            path, f"unpacks to {8 * count / 2**30:.3g} GiB, more than the memory of this machine "
            f"({there / 2**30:.3g} GiB)"
        )  # fmt: skip
    file.seek(0)
    return npy_format.read_array(file, allow_pickle=False)


def _version(path: str | os.PathLike[str], file: IO[bytes]) -> tuple[int, int]:
    """The version of an npy, whose first bytes say what it is."""
    start = file.read(npy_format.MAGIC_LEN)
    if not start:
        raise FileError(path, "is empty (0 bytes)")
    version = (start[-2], start[-1]) if start.startswith(npy_format.MAGIC_PREFIX) else (0, 0)
    if len(start) < npy_format.MAGIC_LEN or version not in _READ_HEADER:
        raise FileError(
            path, "is not an array of numbers as numpy saves them; pickles are never loaded"
        )
    return version


def _choose_key(
    path: str | os.PathLike[str], keys: list[str], key: str | None, *, name: str = "key"
) -> str:
    if key is None and len(keys) == 1:
        return keys[0]
    listing = ", ".join(map(repr, keys)) or "nothing"
    if key is None:
        raise FileError(path, f"holds {listing}: choose one with key=")
    if key not in keys:
        raise FileError(path, f"{name}={key!r} is not in it; it holds {listing}")
    return key
