"""Signals through the model and back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from apps import pictures
from apps.build import Trained
from apps.data import fixed_batch
from apps.data.audio import check_channels, mix
from apps.data.stream_files import Opened, open_file, open_writer
from apps.modes import inputs, known, made, streamed
from apps.modes.blocks import Beginning, limited
from apps.modes.inputs import Array
from apps.modes.made import Made
from apps.modes.wanted import Generate
from apps.objectives import autoencoding
from apps.objectives.batches import Conditions, chosen, conditions_of, signal_of


def write(wanted: Generate, run: Trained, folder: Path, console: Console) -> list[Path]:
    """Take files, or test records, through the model and back; sound of any length."""
    if wanted.input is not None and run.signal.kind == "audio":
        return _sounds(wanted, run, folder, console)
    given = _given(wanted, run, console)
    rows = [
        Made(name, reconstruct(run, each, about), each, *as_filed)
        for name, (each, about, *as_filed) in _shown(given, console)
    ]
    return made.write(folder, rows, run=run, wanted=wanted)


def reconstruct(run: Trained, signal: Array, given: Conditions = ()) -> Array:
    """Take a signal of any length through the model and back.

    It is padded with zeros to a multiple of the hop and cropped back; sound is brought to the
    level the model was trained at, and back. A model of records of one length takes it piece by
    piece.

    Args:
        run: The run.
        signal: Shape (length, channels), in the units of the data.
        given: The conditions, for a batch of one, of a run that takes some.

    Returns:
        The same shape and units.
    """
    length, channels = signal.shape
    piece = inputs.window(run) or length + -length % run.model.hop
    values, level = inputs.to_model(signal, run)
    pad = -length % piece
    pieces = np.pad(values, ((0, pad), (0, 0))).reshape(-1, piece, channels)
    batch = streamed.batch(pieces, given, pad=pad)
    back = autoencoding.reconstruct(run.model, batch).reshape(-1, channels)[:length]
    return run.signal.unscale(back * level)


def _sounds(wanted: Generate, run: Trained, folder: Path, console: Console) -> list[Path]:
    """Take recordings from file to file; in memory is a short one, or a piece of a long one."""
    paths = _paths(wanted, run, console)
    stems = dict(zip(made.stems(list(paths)), paths.items(), strict=True))
    rows, files = [], []
    for stem, (name, path) in _shown(stems, console):
        opened = open_file(path)
        check_channels(path, opened.channels, run.signal.channels)
        targets = [folder / f"{stem}-{what}.wav" for what in ("reconstruction", "reference")]
        files += targets
        length = opened.length(run.signal.rate)
        about = known.of_given(wanted, run, length)
        if streamed.is_long(length, run) and not run.signal.covariates:
            back, given = _long(opened, run, about), _blocks(opened, run)
        else:
            whole = inputs.read(path, run)
            back, given = iter([reconstruct(run, whole, about)]), iter([whole])
        rows.append(_write(name, back, given, targets, run))
    overview = pictures.save(pictures.grid(rows, rate=run.signal.rate), folder / "overview.png")
    return [overview, *files, made.note(folder, run=run, wanted=wanted, names=list(paths))]


def _long(opened: Opened, run: Trained, about: Conditions) -> Iterator[Array]:
    """What `reconstruct` makes of a recording, in blocks."""
    peak = getattr(run.config.data, "peak", None)
    # Of the sound as the model hears it: mixed and resampled.
    loudest = max(float(np.abs(each).max()) for each in _blocks(opened, run)) if peak else 0.0
    level = np.float32(loudest / peak if peak and loudest else 1.0)
    given = (each / level for each in _blocks(opened, run))
    back = limited(streamed.reconstructed(given, run, about), opened.length(run.signal.rate))
    return (each * level for each in back)


def _blocks(opened: Opened, run: Trained) -> Iterator[Array]:
    for block in opened.blocks(rate=run.signal.rate):
        yield mix(block, run.signal.channels, path=opened.path)


def _write(
    name: str,
    back: Iterator[Array],
    given: Iterator[Array],
    targets: list[Path],
    run: Trained,
) -> pictures.Comparison:
    """Write a reconstruction and what it is of; the beginnings of both, to be seen."""
    shown = []
    for blocks, target in zip((back, given), targets, strict=True):
        beginning = Beginning()
        with open_writer(target, channels=run.signal.channels, rate=run.signal.rate) as file:
            for block in blocks:
                file.write(beginning.passed(block))
        shown.append(beginning.samples)
    return pictures.Comparison(name, *shown)


def _shown(given: dict[str, Any], console: Console) -> Iterator[tuple[str, Any]]:
    quiet = len(given) == 1 or not console.is_terminal
    items = given.items()
    yield from track(items, "reconstructing", console=console, transient=True, disable=quiet)


def _given(wanted: Generate, run: Trained, console: Console) -> dict[str, Any]:
    """By name signals, each with its conditions, its dates, and its columns if a file has some."""
    if wanted.input is None:
        records = known.test_records(run, "input=FILE")
        batch = fixed_batch(records, wanted.count)
        signals, given = run.signal.unscale(np.asarray(signal_of(batch))), conditions_of(batch)
        names = known.record_names(records, len(signals))
        dates = known.record_dates(records, len(signals))
        return {
            name: (signals[at], chosen(given, slice(at, at + 1)), dates[at])
            for at, name in enumerate(names)
        }
    found = {}
    for name, path in _paths(wanted, run, console).items():
        table = inputs.rows(path, run)
        values = table.values.astype(np.float32)
        about = known.of_given(wanted, run, len(values))
        found[name] = (values, about, table.dates, table.columns)
    return found


def _paths(wanted: Generate, run: Trained, console: Console) -> dict[str, Path]:
    """The files asked for, by what they are called below the folder."""
    assert wanted.input is not None
    paths = inputs.signal_files(wanted.input, run)
    if len(paths) > wanted.count:
        console.print(f"the first {wanted.count} of {len(paths)} files (count= takes more)")
    root = wanted.input if wanted.input.is_dir() else wanted.input.parent
    return {path.relative_to(root).as_posix(): path for path in paths[: wanted.count]}
