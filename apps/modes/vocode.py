"""Sound from mel spectra, or from the spectra of sound: any length, at constant memory."""

import functools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

import convt1d
from apps import pictures
from apps.build import Trained
from apps.data.audio import AUDIO_SUFFIXES
from apps.data.stream_files import Opened, open_file, open_writer
from apps.modes import inputs, made
from apps.modes.blocks import PORTIONS, Beginning, Block, filled, portions
from apps.modes.wanted import Generate
from apps.schema import ConfigError
from convt1d.models import MelFrontEnd, Vocoder

SPECTRA = ".npy"


def write(wanted: Generate, run: Trained, folder: Path, console: Console) -> list[Path]:
    """Vocode a file, or every sound and npy file of a folder, file to file.

    Sound of any rate and number of channels is brought to the run's rate and level, its spectra are
    taken, and sound as long and loud is made of these alone, channel by channel. An npy file holds
    log-mel spectra, [frames, bands], as the run's own front end makes them.

    Raises:
        ConfigError: If a file holds other spectra than the run's.
    """
    assert wanted.input is not None
    suffixes = {*AUDIO_SUFFIXES, SPECTRA}
    paths = inputs.files(wanted.input, suffixes=suffixes, kind="sound or npy")
    if len(paths) > wanted.count:
        console.print(f"the first {wanted.count} of {len(paths)} files (count= takes more)")
    paths = paths[: wanted.count]
    root = wanted.input if wanted.input.is_dir() else wanted.input.parent
    names = [path.relative_to(root).as_posix() for path in paths]
    opened = [_checked(open_file(path), run.model.mel) for path in paths]
    files, rows = [], []
    bar = Progress(
        TextColumn("vocoding {task.description}"), BarColumn(), TimeRemainingColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip
    with bar:
        task = bar.add_task("", total=sum(_samples(each, run) for each in opened))
        for name, stem, each in zip(names, made.stems(names), opened, strict=True):
            bar.update(task, description=name)
            files.append(folder / f"{stem}.wav")
            advance = functools.partial(bar.advance, task)
            rows.append(_vocode_file(name, each, files[-1], run, advance))
    overview = pictures.save(pictures.grid(rows, rate=run.signal.rate), folder / "overview.png")
    return [overview, *files, made.note(folder, run=run, wanted=wanted, names=names)]


def vocode(
    model: Vocoder, blocks: Iterable[Block], *, channels: int, spectra: bool
) -> Iterator[Block]:
    """Make sound of blocks of sound or of spectra; all of it equals what the model makes at once.

    Args:
        model: The vocoder.
        blocks: [samples, channels] of sound at the model's rate, or [frames, bands] of log-mels.
        channels: Of the sound.
        spectra: Which of the two they are.

    Yields:
        Sound, [samples, channels], a hop for every frame: sound is filled up with zeros to whole
        hops, and to what the front end's reflection needs.
    """
    front_end = model.mel
    if not spectra:
        whole = filled(blocks, hop=front_end.hop, least=max(front_end.reach) + 1)
        blocks = _reflected(whole, front_end.reach)
    stream = convt1d.stream(model)
    state = stream.init(batch=channels, dtype=jnp.float32)
    due = stream.latency  # samples at the beginning that belong to no output

    made_by = None if spectra else front_end
    hop, overlap = (1, 0) if spectra else (front_end.hop, front_end.n_fft - front_end.hop)
    for window in portions(blocks, PORTIONS, hop=hop, overlap=overlap):
        given = window[None] if spectra else window.T[..., None]
        state, sound = _step(stream, made_by, state, jnp.asarray(given, jnp.float32))
        yield np.asarray(sound)[:, due:, 0].T
        due = max(due - sound.shape[1], 0)
    yield np.asarray(_flush(stream, state))[:, due:, 0].T


@eqx.filter_jit  # here, and not in `vocode`: compiled once for all files
def _step(
    stream: convt1d.Stream,
    front_end: MelFrontEnd | None,
    state: Any,
    window: Float[Array, "channels length values"],
) -> tuple[Any, Float[Array, "channels samples 1"]]:
    return stream.step(state, window if front_end is None else front_end.frames(window))


@eqx.filter_jit
def _flush(stream: convt1d.Stream, state: Any) -> Float[Array, "channels samples 1"]:
    return stream.flush(state)


def _vocode_file(
    name: str, opened: Opened, path: Path, run: Trained, advance: Any
) -> pictures.Comparison:
    """Vocode one file to another; the beginnings of both, to be seen."""
    spectra, rate = _is_spectra(opened), run.signal.rate
    channels = 1 if spectra else opened.channels
    length = _samples(opened, run)
    level = _level(opened, run)
    before, after = Beginning(), Beginning()

    def blocks() -> Iterator[Block]:
        size = PORTIONS[0] * (1 if spectra else run.model.hop)
        for block in opened.blocks(rate=None if spectra else rate, size=size):
            yield (block if spectra else before.passed(block)) / np.float32(level)

    left = length
    with open_writer(path, channels=channels, rate=rate, samples=length) as file:
        for sound in vocode(run.model, blocks(), channels=channels, spectra=spectra):
            kept = after.passed((sound * np.float32(level))[:left])
            file.write(kept)
            left -= len(kept)
            advance(len(kept))
    return pictures.Comparison(name, after.samples, None if spectra else before.samples)


def _checked(opened: Opened, front_end: MelFrontEnd) -> Opened:
    if _is_spectra(opened) and opened.channels != front_end.bands:
        raise ConfigError(
            f"{opened.path} holds {opened.channels} values a frame, but this run vocodes "
            f"[frames, {front_end.bands}]: log-mels as its own front end makes them"
        )
    return opened


def _is_spectra(opened: Opened) -> bool:
    return opened.path.suffix.lower() == SPECTRA


def _samples(opened: Opened, run: Trained) -> int:
    """Samples of what is made of a file."""
    if _is_spectra(opened):
        return opened.samples * run.model.hop
    return opened.length(run.signal.rate)


def _level(opened: Opened, run: Trained) -> float:
    """How much louder sound is than that which the model was trained on."""
    peak = getattr(run.config.data, "peak", None)
    return opened.peak / peak if peak and opened.peak and not _is_spectra(opened) else 1.0


def _reflected(blocks: Iterable[Block], reach: tuple[int, int]) -> Iterator[Block]:
    """The blocks, with as many samples reflected at the beginning and at the end."""
    before, after = reach
    waiting: list[Block] = []
    begun, last = False, None
    for block in blocks:
        last = block if last is None else np.concatenate([last, block])
        last = last[-max(before, after) - 1 :] if begun else last
        waiting.append(block)
        if not begun and len(last) > max(before, after):
            begun = True
            yield last[1 : before + 1][::-1]
        if begun:
            yield from waiting
            waiting = []
    assert last is not None
    yield last[-after - 1 : -1][::-1]
