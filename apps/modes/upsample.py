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
from apps.data.stream_files import BLOCK, Opened, open_file, open_writer
from apps.modes import inputs, made
from apps.modes.blocks import Beginning
from apps.modes.wanted import Generate
from apps.schema import ConfigError
from convt1d import Stream
from convt1d._streaming import StreamState

Array = NDArray[np.floating[Any]]

PICTURED = 1 << 15  # samples at the high rate: a few seconds, in which single harmonics are seen


def write(wanted: Generate, run: Trained, folder: Path, console: Console) -> list[Path]:
    """Raise the rate of files.

    Sound of any rate is first brought to the low rate of the run; csv and npy are taken to have it.
    Sound is written as wav, arrays as what they were.

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
        array = path.suffix.lower() in (".csv", ".npy")
        target = folder / f"{stem}{path.suffix.lower() if array else '.wav'}"
        picture = folder / f"{stem}.png"
        if target.resolve() == path.resolve():
            raise ConfigError(f"output={folder} holds the input {path}; choose another folder")
        files += [picture, _upsample(open_file(path), target, picture, run=run, console=console)]
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
    stream = convt1d.stream(run.model)
    state, late = stream.init(batch=channels), stream.latency  # a channel is an item of the batch
    for block in blocks:
        rows = jnp.asarray(np.ascontiguousarray(block.T[..., None]), jnp.float32)
        state, piece = _step(stream, state, rows)
        found = jax.device_get(piece)[..., 0].T
        yield found[late:]
        late = max(0, late - len(found))
    yield jax.device_get(_flush(stream, state))[..., 0].T[late:]


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
    if signal.scaling is not None and opened.channels != signal.channels:
        raise ConfigError(
            f"{opened.path} has {opened.channels} channels, and the run's are scaled one by one, "
            f"{signal.channels} of them"
        )
    level = _level(opened, run)
    length = opened.length(low_rate)
    size = max(1, min(BLOCK // opened.channels, length))
    columns, samples = opened.columns, factor * length
    before, after, peak = Beginning(PICTURED // factor), Beginning(PICTURED), 0.0
    low = (
        before.passed(_to_model(block, run, level))
        for block in opened.blocks(rate=low_rate, size=size)
    )
    quiet = not console.is_terminal
    bar = Progress(console=console, transient=True, disable=quiet)
    writer = open_writer(
        target, channels=opened.channels, rate=signal.rate, columns=columns, samples=samples
    )
    with bar, writer:
        task = bar.add_task(f"upsampling {opened.path.name}", total=samples)
        for block in upsampled(low, run, channels=opened.channels):
            found = signal.unscale(after.passed(block) * np.float32(level))
            peak = max(peak, float(np.abs(found).max(initial=0.0)))
            writer.write(found)
            bar.advance(task, len(block))
    if target.suffix == ".wav" and peak > 1:
        console.print(f"{target.name}: the peak {peak:.3g} is above 1 and was clipped")
    _draw(before.samples[:, 0], after.samples[:, 0], picture, run=run, name=opened.path.name)
    return target


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
    arrays = (".csv", ".npy")
    suffixes = {*AUDIO_SUFFIXES, *arrays} if run.signal.kind == "audio" else set(arrays)
    kind = "sound, csv or npy" if run.signal.kind == "audio" else "csv or npy"
    paths = inputs.files(wanted.input, suffixes=suffixes, kind=kind)
    if run.signal.kind == "series" and paths[0].suffix.lower() not in arrays:
        raise ConfigError(f"{paths[0]} is no csv or npy, and the run was trained on series")
    if len(paths) > wanted.count:
        console.print(f"the first {wanted.count} of {len(paths)} files (count= takes more)")
    return paths[: wanted.count]
