"""Arrays and tables on disk (npy, npz, csv): numbers only, never a pickle."""

import math
import os
import zipfile
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy_format

from apps.data.checks import FileError, why
from apps.data.csv_files import read_csv
from apps.data.table import Table

ARRAY_SUFFIXES = (".npy", ".npz", ".csv")
# Version 3 is for names of fields, which arrays of numbers have none of.
_READ_HEADER = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
}


def read_table(
    path: str | os.PathLike[str], *, key: str | None = None, keep_missing: bool = False
) -> Table:
    """Read a file whole; integers become floats, any byte order will do.

    Args:
        path: `.npy`, `.npz` or `.csv` (commas; a first line that is not all numbers is the
            columns' names; every other line is one row). Missing is what is NaN, and in a csv
            also an empty cell, `NA`, `N/A`, `null`, `none` and `?`.
        key: Which array of an npz; None takes the only one.
        keep_missing: Leave NaN where values are missing; otherwise they are refused.

    Raises:
        FileError: If it cannot be read, holds objects, text, infinities, missing values, nothing
            at all, or rows of different lengths. Names the place.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in ARRAY_SUFFIXES:
        raise FileError(path, f"{suffix or 'no ending'} is not one of {', '.join(ARRAY_SUFFIXES)}")
    if not os.path.exists(path):
        raise FileError(path, "no such file")
    if not os.path.isfile(path):
        raise FileError(path, "is a folder or a device, not a file")
    table = read_csv(path) if suffix == ".csv" else Table(_read_array(path, key))
    if table.values.size == 0:
        raise FileError(path, f"is empty (shape {table.values.shape})")
    infinite = np.isinf(table.values)
    if infinite.any():
        at = np.argwhere(infinite)[0].tolist()
        raise FileError(path, f"{table.place(at)} is {table.values[tuple(at)]}, not finite")
    if not keep_missing and (what := table.missing()):
        raise FileError(path, f"{what}: fill in what is missing first")
    return table


def _read_array(path: str | os.PathLike[str], key: str | None) -> np.ndarray:
    try:
        with open(path, "rb") as file:  # ours to close, also when numpy finds fault with it
            begins_as_zip = file.read(2) == b"PK"
            file.seek(0)
            if begins_as_zip:
                with zipfile.ZipFile(file) as archive:
                    values = _read_member(path, archive, key)
            else:
                values = _read_npy(path, file, os.fstat(file.fileno()).st_size)
    except FileError:
        raise
    except Exception as error:  # zip, zlib, lzma and numpy have a dozen kinds, all meaning this
        raise FileError(path, f"cannot be read: {why(error)}") from error
    return values.astype(np.float64)


def _read_member(
    path: str | os.PathLike[str], archive: zipfile.ZipFile, key: str | None
) -> np.ndarray:
    names = {name.removesuffix(".npy"): name for name in archive.namelist()}
    chosen = names[_choose_key(path, list(names), key)]
    with archive.open(chosen) as member:
        return _read_npy(path, member, archive.getinfo(chosen).file_size)


def _read_npy(path: str | os.PathLike[str], file: IO[bytes], size: int) -> np.ndarray:
    """Read an array of real numbers, if what its header says is true and can be held."""
    version = _version(path, file)
    shape, _, dtype = _READ_HEADER[version](file)
    if dtype.hasobject:
        raise FileError(
            path,
            "holds Python objects, which are never loaded, since a pickle can run code: save it "
            "again as an array of numbers",
        )
    if dtype.kind not in "fiub":
        raise FileError(path, f"holds {dtype} and not real numbers")
    if min(shape, default=0) < 0:
        raise FileError(path, f"has the shape {shape}")
    count = math.prod(shape)
    promised, held = count * dtype.itemsize, size - file.tell()
    if promised > held:
        raise FileError(path, f"is cut off: {promised} bytes are promised and {held} are there")
    if 8 * count > (memory := _memory()):
        raise FileError(
            path, f"unpacks to {8 * count / 2**30:.3g} GiB, more than the memory of this machine "
            f"({memory / 2**30:.3g} GiB)"
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


def _memory() -> float:
    """Bytes of memory in this machine; infinity where the system does not say."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return math.inf


def _choose_key(path: str | os.PathLike[str], keys: list[str], key: str | None) -> str:
    if key is None and len(keys) == 1:
        return keys[0]
    listing = ", ".join(map(repr, keys)) or "nothing"
    if key is None:
        raise FileError(path, f"holds {listing}: choose one with key=")
    if key not in keys:
        raise FileError(path, f"key={key!r} is not in it; it holds {listing}")
    return key
