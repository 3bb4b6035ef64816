"""Signals at a higher rate: from file to file, of any length, at constant memory."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

import convt1d
from apps import pictures
from apps.build import Trained
from apps.data.audio import AUDIO_SUFFIXES
from apps.data.csv_files import AUTO
from apps.data.stream_files import BLOCK, Opened, finer, open_file, open_writer
from apps.modes import inputs, made
from apps.modes.blocks import Beginning, extended, portions
from apps.modes.wanted import Generate
from apps.schema import ConfigError
from convt1d import Stream
from convt1d._streaming import StreamState
from convt1d.models import SeriesUpsampler

Array = NDArray[np.floating[Any]]

_WRITTEN = {".csv": ".csv", ".parquet": ".csv", ".npy": ".npy"}
_DRAWN = 240  # steps of a series, of which single ones are seen
PICTURED = 1 << 15  # samples at the high rate: a few seconds, in which single harmonics are seen


def write(wanted: Generate, run: Trained, folder: Path, console: Console) -> list[Path]:
    """Raise the rate of files.

    Sound of any rate is first brought to the low rate of the run; csv, parquet and npy are taken to
    have it. Sound is written as wav, npy as npy, tables as csv with the dates of the finer rows.

    Raises:
        ConfigError: If a file does not fit the run.
        FileError: If a file cannot be read or written.
    """
    paths = _paths(wanted, run, console)
    assert wanted.input is not None
    root = wanted.input if wanted.input.is_dir() else wanted.input.parent
    names = [path.relative_to(root).as_posix() for path in paths]
    files: list[Path] = []
    for stem, path in zip(made.stems(names), paths, strict=True):
        target = folder / f"{stem}{_WRITTEN.get(path.suffix.lower(), '.wav')}"
        picture = folder / f"{stem}.png"
        if target.resolve() == path.resolve():
            raise ConfigError(f"output={folder} holds the input {path}; choose another folder")
        opened = open_file(
            path,
            date_column=getattr(run.config.data, "date_column", AUTO),
            newest_first=getattr(run.config.data, "newest_first", False),
        )
        files += [picture, _upsample(opened, target, picture, run=run, console=console)]
    return [*files, made.note(folder, run=run, wanted=wanted, names=names)]


def upsampled(blocks: Iterable[Array], run: Trained, *, channels: int) -> Iterator[Array]:
    """What a run's model makes of a signal, block by block; together what it makes of the whole.

    Args:
        blocks: [samples, channels] each, in order, at the low rate and the model's level.
        run: The run.
        channels: Of every block.

    Yields:
        [samples, channels] at the high rate, the first ones fewer by the model's latency.
    """
    if isinstance(run.model, SeriesUpsampler):
        yield from _by_windows(blocks, run.model)
        return
    stream = convt1d.stream(run.model)
    state, late = stream.init(batch=channels), stream.latency  # a channel is an item of the batch
    for block in blocks:
        rows = jnp.asarray(np.ascontiguousarray(block.T[..., None]), jnp.float32)
        state, piece = _step(stream, state, rows)
        found = jax.device_get(piece)[..., 0].T
        yield found[late:]
        late = max(0, late - len(found))
    yield jax.device_get(_flush(stream, state))[..., 0].T[late:]


def _by_windows(blocks: Iterable[Array], model: SeriesUpsampler) -> Iterator[Array]:
    around = extended(blocks, model.margin)
    for window in portions(around, hop=1, overlap=2 * model.margin):
        yield jax.device_get(_inside(model, jnp.asarray(window[None], jnp.float32)))[0]


@eqx.filter_jit
def _inside(model: SeriesUpsampler, window: Any) -> Any:
    return model.inside(window)


@eqx.filter_jit  # once for all files whose blocks have one shape
def _step(stream: Stream, state: StreamState, rows: Any) -> tuple[StreamState, Any]:
    return stream.step(state, rows)


@eqx.filter_jit
def _flush(stream: Stream, state: StreamState) -> Any:
    return stream.flush(state)


def _upsample(
    opened: Opened, target: Path, picture: Path, *, run: Trained, console: Console
) -> Path:
    """Raise the rate of one file, and show its beginning before and after."""
    signal, factor = run.signal, run.model.factor
    low_rate = None if signal.rate is None else signal.rate // factor
    if opened.rate is not None and opened.rate != low_rate:
        console.print(f"{opened.path.name}: resampled from {opened.rate} to {low_rate} Hz first")
    together = signal.scaling is not None or isinstance(run.model, SeriesUpsampler)
    if together and opened.channels != signal.channels:
        raise ConfigError(
            f"{opened.path} has {opened.channels} channels, and the run's are scaled one by one, "
            f"{signal.channels} of them"
        )
    if signal.columns and opened.columns and signal.columns != opened.columns:
        raise ConfigError(
            f"{opened.path} has the columns {', '.join(opened.columns)}, and the run was trained "
            f"on {', '.join(signal.columns)}, in this order"
        )
    level = _level(opened, run)
    length = opened.length(low_rate)
    size = max(1, min(BLOCK // opened.channels, length))
    columns, samples = opened.columns, factor * length
    dates = None if opened.date_name is None else finer(opened.dates(), factor)
    before, after, peak = Beginning(PICTURED // factor), Beginning(PICTURED), 0.0
    low = (
        before.passed(_to_model(block, run, level))
        for block in opened.blocks(rate=low_rate, size=size)
    )
    quiet = not console.is_terminal
    bar = Progress(console=console, transient=True, disable=quiet)
    writer = open_writer(
        target, channels=opened.channels, rate=signal.rate, columns=columns, samples=samples,
        dates=dates, date_name=opened.date_name or "date",
    )  # fmt: skip
    with bar, writer:
        task = bar.add_task(f"upsampling {opened.path.name}", total=samples)
        for block in upsampled(low, run, channels=opened.channels):
            found = signal.unscale(after.passed(block) * np.float32(level))
            peak = max(peak, float(np.abs(found).max(initial=0.0)))
            writer.write(found)
            bar.advance(task, len(block))
    if target.suffix == ".wav" and peak > 1:
        console.print(f"{target.name}: the peak {peak:.3g} is above 1 and was clipped")
    if isinstance(run.model, SeriesUpsampler):
        _draw_lines(before.samples, after.samples, picture, run=run, name=opened.path.name)
    else:
        _draw(before.samples[:, 0], after.samples[:, 0], picture, run=run, name=opened.path.name)
    return target


def _draw_lines(low: Array, high: Array, path: Path, *, run: Trained, name: str) -> None:
    model, signal = run.model, run.signal
    low = low[: _DRAWN // model.factor]
    plain = jax.device_get(model.plain(jnp.asarray(low[None], jnp.float32)))[0]
    parts = (signal.unscale(each) for each in (low, plain, high[: len(plain)]))
    figure = pictures.finer(*parts, offset=model.offset, names=signal.columns, title=name)
    pictures.save(figure, path)


def _draw(low: Array, high: Array, path: Path, *, run: Trained, name: str) -> None:
    rows = jnp.asarray(low[None, :, None], jnp.float32)
    base = jax.device_get(run.model.base(rows))[0, : len(high), 0]
    figure = pictures.upsampling(low, base, high, rate=run.signal.rate, title=name)
    pictures.save(figure, path)


def _level(opened: Opened, run: Trained) -> float:
    """How far sound is from the peak that the model was trained at."""
    peak = getattr(run.config.data, "peak", None)
    return opened.peak / peak if peak and opened.peak else 1.0


def _to_model(block: Array, run: Trained, level: float) -> Array:
    if run.signal.scaling is not None:
        block = run.signal.scaling.scale(block)
    return np.asarray(block / level, np.float32)


def _paths(wanted: Generate, run: Trained, console: Console) -> list[Path]:
    assert wanted.input is not None
    arrays = tuple(_WRITTEN)
    suffixes = {*AUDIO_SUFFIXES, *arrays} if run.signal.kind == "audio" else set(arrays)
    kind = "sound, csv, parquet or npy" if run.signal.kind == "audio" else "csv, parquet or npy"
    paths = inputs.files(wanted.input, suffixes=suffixes, kind=kind)
    if run.signal.kind == "series" and paths[0].suffix.lower() not in arrays:
        raise ConfigError(
            f"{paths[0]} is no csv, parquet or npy, and the run was trained on series"
        )
    if len(paths) > wanted.count:
        console.print(f"the first {wanted.count} of {len(paths)} files (count= takes more)")
    return paths[: wanted.count]
