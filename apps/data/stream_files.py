"""Files of any length at constant memory: read block by block, written block by block.

A file is looked through once when it is opened, so that a fault at its end is found before hours
of work, and its peak is known; then it is read again for its samples.
"""

import abc
import csv
import dataclasses
import itertools
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TextIO

import numpy as np
import soundfile
import soxr
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from apps.data.array_files import read_table
from apps.data.audio import Samples, examine, open_sound, resampled_length
from apps.data.checks import FileError, check_whole, why
from apps.data.csv_files import AUTO, Header, dates_of, header_of, numbers_of, rows_of
from apps.data.dates import FORMS, Dates, forms_of, order
from apps.data.table import Table

BLOCK = 1 << 16  # samples of one channel in memory at once
_LONGEST_WAV = 2**32 - 4096  # bytes: the header of a wav cannot say more; that of RF64 can
_MOST_DIGITS = "%.9g"  # brings every float32 back exactly


@dataclass(frozen=True)
class Opened:
    """A file that was looked through from end to end.

    Attributes:
        path: The file.
        samples: Of each channel, at its own rate.
        channels: How many.
        peak: The largest magnitude.
        rate: Samples per second; None for arrays, which have none.
        columns: The channels' names, where a csv or parquet has them.
        header: What the columns of a csv are.
        forms: In which its dates are written; empty if it has none.
        whole: What had to be read whole: a parquet, and rows that had to be turned around.
    """

    path: Path
    samples: int
    channels: int
    peak: float
    rate: int | None = None
    columns: tuple[str, ...] = ()
    header: Header | None = None
    forms: tuple[str, ...] = ()
    whole: Table | None = None

    @property
    def date_name(self) -> str | None:
        """What the column of dates is called, if there is one."""
        if self.whole is not None:
            return None if self.whole.dates is None else self.whole.dates.name
        return self.header.name if self.header and self.header.date is not None else None

    def dates(self, *, size: int = BLOCK) -> Iterator[Dates]:
        """The dates in order, in blocks; nothing if there are none.

        Raises:
            FileError: If the file is no longer what it was.
        """
        if self.whole is not None:
            yield from () if self.whole.dates is None else (self.whole.dates,)
            return
        header = self.header
        if header is None or header.date is None:
            return
        for texts, _ in _csv_rows(self, size):
            yield dates_of(self.path, texts, name=header.name, place=header.date, forms=self.forms)

    def length(self, rate: int | None) -> int:
        """Samples of each channel at another rate; arrays stay as long as they are."""
        if self.rate is None or rate is None:
            return self.samples
        return resampled_length(self.samples, self.rate, rate)

    def blocks(self, *, rate: int | None = None, size: int = BLOCK) -> Iterator[Samples]:
        """The samples in order, in blocks of at most `size`, the last perhaps shorter.

        Args:
            rate: To which sound is resampled (soxr, quality HQ, as `audio.resample`); None keeps
                its own. Arrays are given as they are.
            size: Samples of each channel in a block.

        Raises:
            FileError: If the file is no longer what it was.
            ValueError: If an argument is out of range.
        """
        check_whole("size", size)
        if rate is not None:
            check_whole("rate", rate)
        reader = _whole if self.whole else _READERS.get(self.path.suffix.lower(), _sound)
        pieces = reader(self, size)
        if rate is not None and self.rate not in (None, rate):
            pieces = _resampled(pieces, self, rate)
        return _regular(pieces, size)


def open_file(
    path: str | os.PathLike[str], *, date_column: str | None = AUTO, newest_first: bool = False
) -> Opened:
    """Look through a sound file, or one of a series, [time, channels] or [time].

    A csv and an npy are read in blocks, in time order; a parquet, and what has its newest row
    first, is read whole.

    Args:
        path: Sound, csv, npy or parquet.
        date_column: Of a csv or parquet, as in `read_table`.
        newest_first: Whether the first row of an array without dates is the newest.

    Raises:
        FileError: If it cannot be used; says why.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".npz":
        raise FileError(path, "is compressed as a whole and cannot be read in blocks: save an npy")
    if suffix not in (*_READERS, ".parquet"):
        info = examine(path)
        return Opened(path, info.frames, info.channels, info.peak, info.rate)
    found = None
    if suffix != ".parquet" and not newest_first:
        find = _look_into_csv if suffix == ".csv" else _look_into_npy
        found = find(path, date_column)
    if found is None:
        table = read_table(path, date_column=date_column, newest_first=newest_first)
        if table.values.ndim not in (1, 2):
            raise FileError(path, _no_series(table.values.shape))
        channels = table.values[:1].size
        found = Opened(path, 0, channels, 0.0, columns=table.columns, whole=table)
    samples, peak = 0, 0.0
    for block in found.blocks():
        finite = np.isfinite(block)
        if not finite.all():
            at = np.argwhere(~finite)[0]
            raise FileError(
                path,
                f"the value at {[samples + int(at[0]), int(at[1])]} is {block[tuple(at)]}: only "
                "finite values can be used",
            )
        samples += len(block)
        peak = max(peak, float(np.abs(block).max()))
    if samples == 0:
        raise FileError(path, "is empty (no samples)")
    return dataclasses.replace(found, samples=samples, peak=peak)


class Writer(abc.ABC):
    """A file that is written block by block, and closed at the end of a `with`.

    Attributes:
        path: The file.
        samples: Of each channel, written so far.
    """

    def __init__(self, path: Path, file: Any) -> None:
        self.path, self._file, self.samples = path, file, 0

    def write(self, block: NDArray[np.floating[Any]]) -> None:
        """Append [samples, channels].

        Raises:
            FileError: If the file cannot be written, or a value is not finite.
        """
        if not np.isfinite(block).all():
            raise FileError(self.path, f"NaN or infinite values after {self.samples} samples")
        try:
            self._append(np.asarray(block, np.float32))
        except (OSError, soundfile.LibsndfileError) as error:
            raise FileError(self.path, f"cannot be written: {error}") from error
        self.samples += len(block)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._finish()
        finally:
            self._file.close()

    @abc.abstractmethod
    def _append(self, block: Samples) -> None:
        """Write samples that are finite."""

    def _finish(self) -> None:  # noqa: B027  most formats need nothing
        """Write what is known at the end only."""


def open_writer(
    path: str | os.PathLike[str],
    *,
    channels: int,
    rate: int | None = None,
    columns: tuple[str, ...] = (),
    dates: Iterator[str] | None = None,
    date_name: str = "",
    samples: int = 0,
) -> Writer:
    """Begin a wav (16 bits), csv or npy (float32); missing folders are made.

    Args:
        path: The ending chooses the format.
        channels: Of every block to come.
        rate: Samples per second, for sound.
        columns: The first line of a csv.
        dates: The first column of a csv, as long as all blocks together.
        date_name: What that column is called.
        samples: About how many are to come, if known: a wav above 4 GB needs another header.

    Raises:
        FileError: If the ending is not one of these, or the file cannot be written.
        ValueError: If sound has no rate.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".wav", ".csv", ".npy"):
        raise FileError(path, f"{suffix or 'no ending'} is not written in blocks; choose wav, csv "
                        "or npy")  # fmt: skip
    check_whole("channels", channels)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".csv":
            return _CsvWriter(path, columns, dates, date_name)
        if suffix == ".npy":
            return _NpyWriter(path, channels)
    except OSError as error:
        raise FileError(path, f"cannot be written: {error.strerror}") from error
    if rate is None:
        raise ValueError(f"{path} is sound and needs a rate")
    check_whole("rate", rate)
    return _WavWriter(path, channels, rate, long=2 * channels * samples > _LONGEST_WAV)


class _WavWriter(Writer):
    def __init__(self, path: Path, channels: int, rate: int, *, long: bool) -> None:
        kind = "RF64" if long else "WAV"
        try:
            sound = soundfile.SoundFile(path, "w", rate, channels, subtype="PCM_16", format=kind)
        except (OSError, soundfile.LibsndfileError) as error:
            raise FileError(path, f"cannot be written: {error}") from error
        super().__init__(path, sound)

    def _append(self, block: Samples) -> None:
        self._file.write(block)  # clips beyond ±1


class _CsvWriter(Writer):
    def __init__(
        self, path: Path, columns: tuple[str, ...], dates: Iterator[str] | None, date_name: str
    ) -> None:
        file: TextIO = path.open("w", encoding="utf-8", newline="")
        super().__init__(path, file)
        self._dates, self._rows = dates, csv.writer(file, lineterminator="\n")
        if columns:
            self._rows.writerow(columns if dates is None else (date_name, *columns))

    def _append(self, block: Samples) -> None:
        if self._dates is None:
            np.savetxt(self._file, block, delimiter=",", fmt=_MOST_DIGITS)
            return
        for date, row in zip(itertools.islice(self._dates, len(block)), block, strict=True):
            self._rows.writerow((date, *(_MOST_DIGITS % value for value in row)))


class _NpyWriter(Writer):
    """The header says the length, which is known at the end: it is written again, over itself."""

    def __init__(self, path: Path, channels: int) -> None:
        file: BinaryIO = path.open("wb")
        super().__init__(path, file)
        self._channels = channels
        self._header()
        self._begin = file.tell()

    def _append(self, block: Samples) -> None:
        self._file.write(np.ascontiguousarray(block, "<f4").tobytes())

    def _finish(self) -> None:
        self._file.seek(0)
        self._header()
        # numpy leaves room for a first axis of any length, so that this is always so.
        assert self._file.tell() == self._begin

    def _header(self) -> None:
        shape = (self.samples, self._channels)
        about = {"descr": "<f4", "fortran_order": False, "shape": shape}
        npy_format.write_array_header_1_0(self._file, about)


def _sound(opened: Opened, size: int) -> Iterator[Samples]:
    with open_sound(opened.path) as sound:
        read = 0
        while len(block := sound.read(size, dtype="float32", always_2d=True)):
            read += len(block)
            yield block
    if read != opened.samples:
        raise FileError(opened.path, f"was changed: {opened.samples} frames were there, {read} are")


def _resampled(pieces: Iterable[Samples], opened: Opened, rate: int) -> Iterator[Samples]:
    assert opened.rate is not None
    resampler = soxr.ResampleStream(
        opened.rate, rate, opened.channels, dtype="float32", quality="HQ"
    )
    for piece in pieces:
        yield resampler.resample_chunk(piece).reshape(-1, opened.channels)
    nothing = np.zeros((0, opened.channels), np.float32)
    yield resampler.resample_chunk(nothing, last=True).reshape(-1, opened.channels)


def _regular(pieces: Iterable[Samples], size: int) -> Iterator[Samples]:
    """The same samples in blocks of one size, but for the last."""
    waiting: list[Samples] = []
    held = 0
    for piece in pieces:
        waiting.append(piece)
        held += len(piece)
        while held >= size:
            joined = np.concatenate(waiting)
            yield joined[:size]
            waiting, held = [joined[size:]], held - size
    if held:
        yield np.concatenate(waiting)


def _no_series(shape: tuple[int, ...]) -> str:
    return f"has the shape {shape}, where one series [time, channels] is meant"


def _look_into_npy(path: Path, date_column: str | None) -> Opened:
    del date_column  # it has no names
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise FileError(path, f"cannot be read: {why(error)}") from error
    if array.dtype.kind not in "fiub":
        raise FileError(path, f"holds {array.dtype} and not real numbers")
    if array.ndim not in (1, 2):
        raise FileError(path, _no_series(array.shape))
    return Opened(path, len(array), 1 if array.ndim == 1 else array.shape[1], 0.0)


def _npy(opened: Opened, size: int) -> Iterator[Samples]:
    array = np.load(opened.path, mmap_mode="r", allow_pickle=False)
    for at in range(0, len(array), size):
        yield np.asarray(array[at : at + size], np.float32).reshape(-1, opened.channels)


def _whole(opened: Opened, size: int) -> Iterator[Samples]:
    assert opened.whole is not None
    values = opened.whole.values.reshape(-1, opened.channels)
    for at in range(0, len(values), size):
        yield values[at : at + size].astype(np.float32)


def _look_into_csv(path: Path, date_column: str | None) -> Opened | None:
    """What its columns are; None if its dates fall, so that it has to be turned around."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = header_of(path, file, date_column=date_column)
    except OSError as error:
        raise FileError(path, f"cannot be read: {why(error)}") from error
    channels = header.width - (header.date is not None)
    opened = Opened(path, 0, channels, 0.0, columns=header.columns, header=header)
    if header.date is None:
        return opened
    forms = FORMS
    for texts, _ in _csv_rows(opened, BLOCK):
        forms = forms_of(texts, forms) or forms  # where none fits, `dates` says which does not
    opened = dataclasses.replace(opened, forms=forms)
    # A file in another order is read whole too: there what is wrong with it is said.
    last = None
    for dates in opened.dates():
        stamps = dates.stamps if last is None else np.concatenate([last, dates.stamps])
        falls, against = order(stamps)
        if falls or against is not None:
            return None
        last = stamps[-1:]
    return opened


def _csv(opened: Opened, size: int) -> Iterator[Samples]:
    for _, block in _csv_rows(opened, size):
        yield np.asarray(block, np.float32)


def _csv_rows(opened: Opened, size: int) -> Iterator[tuple[list[str], list[list[float]]]]:
    """Dates and numbers of the rows, in blocks."""
    header = opened.header
    assert header is not None
    with opened.path.open(encoding="utf-8-sig", newline="") as file:
        texts: list[str] = []
        block: list[list[float]] = []
        for line, row in rows_of(opened.path, file):
            if line <= header.begin or not row:
                continue
            date, numbers = numbers_of(opened.path, row, header, line=line)
            if any(map(math.isnan, numbers)):
                place = next(place for place, value in enumerate(numbers) if math.isnan(value))
                place += header.date is not None and header.date <= place
                raise FileError(
                    opened.path,
                    f"line {line}: column {place + 1} is missing: fill in what is missing first",
                )
            texts += [] if date is None else [date]
            block.append(numbers)
            if len(block) == size:
                yield texts, block
                texts, block = [], []
        if block:
            yield texts, block


def finer(blocks: Iterable[Dates], factor: int) -> Iterator[str]:
    """Dates at `factor` times the rate, as `Dates.finer` makes them of all blocks together.

    Raises:
        ValueError: If there is one date only.
    """
    last: Dates | None = None  # the two last rows: where the step is known only with the next block
    for dates in blocks:
        joined = dates if last is None else last.joined(dates)
        if len(joined) > 1:
            begun = 0 if last is None else (len(last) - 1) * factor
            yield from joined.finer(factor).texts[begun:-factor]
        last = joined.part(slice(-2, None))
    if last is not None:
        yield from last.finer(factor).texts[-factor:]


_READERS = {".csv": _csv, ".npy": _npy}
