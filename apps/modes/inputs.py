"""Files and signals as a run's model takes them."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.build import Trained
from apps.data import Table, read_series, read_signal
from apps.data.array_files import ARRAY_SUFFIXES
from apps.data.audio import AUDIO_SUFFIXES
from apps.data.csv_files import AUTO
from apps.schema import ConfigError

Array = NDArray[np.floating[Any]]


def files(path: Path, *, suffixes: Collection[str], kind: str) -> list[Path]:
    """The file, or the files of the right kind in the folder and below, in order.

    Raises:
        ConfigError: If the folder holds none.
    """
    if not path.is_dir():
        return [path]
    found = sorted(each for each in path.rglob("*") if each.suffix.lower() in suffixes)
    if not found:
        raise ConfigError(f"input={path} holds no {kind} file")
    return found


def signal_files(path: Path, run: Trained) -> list[Path]:
    """The sounds, or the tables, at a path."""
    if run.signal.kind == "audio":
        return files(path, suffixes=AUDIO_SUFFIXES, kind="sound")
    return files(path, suffixes=ARRAY_SUFFIXES, kind="csv, parquet, npy or npz")


def read(path: Path, run: Trained) -> Array:
    """Read a signal at the run's rate and of its channels."""
    signal = run.signal
    if signal.kind == "series":
        return rows(path, run).values.astype(np.float32)
    return read_signal(path, rate=signal.rate, channels=signal.channels, columns=signal.columns)


def rows(path: Path, run: Trained, *, keep_missing: bool = False) -> Table:
    """Read a series of the run's variables, in time order, with its dates if it has some."""
    data, signal = run.config.data, run.signal
    return read_series(
        path,
        channels=signal.channels,
        columns=signal.columns,
        date_column=getattr(data, "date_column", AUTO),
        newest_first=getattr(data, "newest_first", False),
        keep_missing=keep_missing,
    )


def to_model(signal: Array, run: Trained) -> tuple[Array, float]:
    """Bring a signal to what the model was trained on; sound also says how far its level moved."""
    peak = getattr(run.config.data, "peak", None)
    if run.signal.scaling is not None:
        signal = run.signal.scaling.scale(signal)
    level = float(np.abs(signal).max()) / peak if peak else 1.0
    return np.asarray(signal / (level or 1.0), np.float32), level


def window(run: Trained) -> int | None:
    """The one length a model of whole records takes; None if it takes any."""
    return run.signal.length if run.config.model.entry == "dense" else None
