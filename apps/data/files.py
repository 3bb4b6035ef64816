"""Signals a person hands in and takes away: one file, one signal."""

import csv
import logging
import os
from pathlib import Path

import numpy as np
import soundfile
from jaxtyping import Float32

from apps.data.array_files import ARRAY_SUFFIXES, WRITTEN_SUFFIXES, read_table
from apps.data.audio import examine, read_frames, resample
from apps.data.checks import FileError, check_positive, check_whole
from apps.data.columns import picked
from apps.data.csv_files import AUTO
from apps.data.dates import Dates
from apps.data.table import Table

# How sound is written, by ending: libsndfile's format, and the encoding if none is asked for.
_WRITTEN = {
    ".wav": ("WAV", "PCM_16"),
    ".w64": ("W64", "PCM_16"),
    ".rf64": ("RF64", "PCM_16"),
    ".aiff": ("AIFF", "PCM_16"),
    ".aif": ("AIFF", "PCM_16"),
    ".au": ("AU", "PCM_16"),
    ".caf": ("CAF", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}
_MOST_DIGITS = "%.9g"  # brings every float32 back exactly
_LOG = logging.getLogger(__name__)


def read_signal(
    path: str | os.PathLike[str],
    *,
    rate: int | None,
    channels: int | None,
    peak: float | None = None,
    columns: tuple[str, ...] = (),
) -> Float32[np.ndarray, "samples channels"]:
    """A whole signal from a sound file, or from an array file of one series.

    Args:
        path: Sound in any format libsndfile reads; or `.npy`, `.npz` (one array), `.csv`,
            `.parquet` with a series [time, channels] or [time], in its own units.
        rate: Sound is resampled to it; None keeps the file's. A series has none: not used.
        channels: 1 mixes sound; otherwise, and for a series, the file must have as many. None
            takes what is there.
        columns: The channels of a series by name: a file that names them may have others besides.
        peak: Sound is scaled to this largest magnitude, as in `AudioFolder`; None leaves it.

    Raises:
        FileError: If the file cannot be used; says why.
        ValueError: If an argument is out of range.
    """
    for name, value in (("rate", rate), ("channels", channels)):
        if value is not None:
            check_whole(name, value)
    if peak is not None:
        check_positive("peak", peak)
    if Path(path).suffix.lower() in ARRAY_SUFFIXES:
        return read_series(path, channels=channels, columns=columns).values.astype(np.float32)
    info = examine(path)
    sound = read_frames(path, start=0, count=info.frames, channels=channels)
    sound = resample(sound, info.rate, rate or info.rate)
    own_peak = info.peak_of(channels)
    if peak is not None and own_peak > 0:
        sound = sound * np.float32(peak / own_peak)
    return sound


def write_signal(
    path: str | os.PathLike[str],
    array: np.ndarray,
    rate: int | None = None,
    *,
    subtype: str | None = None,
    columns: tuple[str, ...] = (),
    dates: Dates | None = None,
    exact: bool = False,
) -> None:
    """Write sound or a series; the ending says which, and missing folders are made.

    Args:
        path: `.wav`, `.flac`, `.ogg`, `.opus`, `.mp3`, `.aiff`, `.au`, `.caf`, `.w64`, `.rf64`
            for sound; `.csv`, `.npy`, `.npz` (key `data`) for series.
        array: [samples, channels] or [samples]; npy and npz take any shape.
        rate: Samples a second, for sound.
        subtype: How sound is encoded, in libsndfile's words, such as 'PCM_24' or 'FLOAT'; None
            means 16 bits where the format has them. Sound beyond ±1 is clipped by all but
            'FLOAT' and 'DOUBLE', with a warning in the log.
        columns: The first line of a csv.
        dates: The first column of a csv, one for each row.
        exact: Whether a csv brings every float64 back, and not only every float32.

    Raises:
        FileError: If the ending is not one of these, the format does not take the rate, the
            channels or the subtype, or the file cannot be written.
        ValueError: If the array is not finite or of the wrong rank.
    """
    array = np.asarray(array)
    suffix = Path(path).suffix.lower()
    if suffix not in _WRITTEN and suffix not in WRITTEN_SUFFIXES:
        known = ", ".join([*_WRITTEN, *WRITTEN_SUFFIXES])
        raise FileError(path, f"{suffix or 'no ending'} cannot be written; choose one of {known}")
    if not np.isfinite(array).all():
        raise ValueError(f"the signal for {os.fspath(path)} has NaN or infinite values")
    if suffix not in (".npy", ".npz") and array.ndim not in (1, 2):
        raise ValueError(
            f"a {suffix} takes [samples, channels] or [samples], got the shape {array.shape}"
        )
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    if suffix == ".npy":
        np.save(path, array, allow_pickle=False)
    elif suffix == ".npz":
        np.savez(path, data=array)
    elif suffix == ".csv":
        _write_csv(path, array, columns, dates, exact=exact)
    else:
        _write_sound(path, array, rate, subtype, *_WRITTEN[suffix])


def read_series(
    path: str | os.PathLike[str],
    *,
    channels: int | None,
    columns: tuple[str, ...] = (),
    date_column: str | None = AUTO,
    newest_first: bool = False,
    keep_missing: bool = False,
) -> Table:
    """One series [time, channels] in time order, with its dates; see `read_table`.

    Raises:
        FileError: If the file cannot be used, or has another number of channels.
    """
    table = read_table(
        path, keep_missing=keep_missing, date_column=date_column, newest_first=newest_first
    )
    return picked(path, table, channels, columns)


def _write_csv(
    path: str | os.PathLike[str],
    array: np.ndarray,
    columns: tuple[str, ...],
    dates: Dates | None,
    *,
    exact: bool,
) -> None:
    table = array.reshape(len(array), -1)
    if columns and len(columns) != table.shape[1]:
        raise ValueError(f"{len(columns)} columns are named and the signal has {table.shape[1]}")
    if dates is not None and len(dates) != len(table):
        raise ValueError(f"{len(dates)} dates are given and the signal has {len(table)} rows")
    with open(path, "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        if columns:
            rows.writerow(columns if dates is None else (dates.name, *columns))
        if dates is None and not exact:
            np.savetxt(file, table, delimiter=",", fmt=_MOST_DIGITS)
            return
        for place, values in enumerate(table.tolist()):
            date = () if dates is None else (dates.texts[place],)
            rows.writerow((*date, *(repr(v) if exact else _MOST_DIGITS % v for v in values)))


def _write_sound(
    path: str | os.PathLike[str],
    array: np.ndarray,
    rate: int | None,
    subtype: str | None,
    kind: str,
    usual: str,
) -> None:
    if rate is None:
        raise ValueError(f"{os.fspath(path)} is sound and needs a rate")
    check_whole("rate", rate)
    subtype = (subtype or usual).upper()
    known = soundfile.available_subtypes(kind)
    if subtype not in known:
        raise FileError(path, f"subtype={subtype!r} is not one of {', '.join(known)}")
    peak = float(np.abs(array).max(initial=0.0))
    if peak > 1 and subtype not in ("FLOAT", "DOUBLE"):
        _LOG.warning("%s: the peak %.3g is above 1 and was clipped", os.fspath(path), peak)
    try:
        soundfile.write(os.fspath(path), array, rate, subtype=subtype, format=kind)
    except (OSError, soundfile.LibsndfileError) as error:
        raise FileError(
            path, f"cannot be written with {array.shape} samples at {rate} Hz as {subtype}: {error}"
        ) from error
