"""New signals, drawn at random."""

from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from apps import pictures
from apps.build import Trained
from apps.data.stream_files import open_writer
from apps.modes import inputs, made, streamed
from apps.modes.blocks import Beginning, limited
from apps.modes.decoded import decode, new_length
from apps.modes.made import Made
from apps.modes.wanted import Generate
from apps.objectives import autoencoding, gan
from apps.objectives.draws import normal
from apps.schema import ConfigError, nearest


def write(wanted: Generate, run: Trained, folder: Path, console: Console) -> list[Path]:
    """Decode draws from the prior."""
    length, count = new_length(wanted, run), wanted.count
    label = _label(wanted, run)
    names = [f"sample-{index + 1:02d}" for index in range(count)]
    if label is not None:
        names = [f"{name}-{run.signal.labels[at]}" for name, at in zip(names, label, strict=True)]
    if inputs.window(run) is None and streamed.is_long(length, run):
        labels = repeat(None, count) if label is None else label.tolist()
        given = dict[str, int | None](zip(names, labels, strict=True))
        return _long(given, wanted, run, folder, console, length=length)
    if run.config.objective.kind == "gan":
        steps = gan.latent_length(run.model, length)
        latents = normal(count, steps=steps, latent=run.model.latent, seed=wanted.seed)
    else:
        latents = autoencoding.prior(run.model, count, length=length, seed=wanted.seed)
    signals = decode(run, latents, length=length, console=console, label=label)
    rows = [Made(name, signal) for name, signal in zip(names, signals, strict=True)]
    return made.write(folder, rows, run=run, wanted=wanted)


def _long(
    given: dict[str, int | None],
    wanted: Generate,
    run: Trained,
    folder: Path,
    console: Console,
    *,
    length: int,
) -> list[Path]:
    """Write signals too long to be held, each with its label, block by block.

    Their latents are drawn block by block too, and are others than those of short signals.
    """
    signal = run.signal
    suffix = "wav" if signal.kind == "audio" else "csv"
    rows, files = [], []
    bar = Progress(console=console, transient=True, disable=not console.is_terminal)
    with bar:
        stems = made.stems(list(given))
        for index, (stem, (name, label)) in enumerate(zip(stems, given.items(), strict=True)):
            files.append(folder / f"{stem}.{suffix}")
            blocks = streamed.sampled(run, index, length=length, seed=wanted.seed, label=label)
            beginning, task = Beginning(), bar.add_task(name, total=length)
            writer = open_writer(
                files[-1], channels=signal.channels, rate=signal.rate, columns=signal.columns,
                samples=length,
            )  # fmt: skip
            with writer as file:
                for block in limited(blocks, length):
                    file.write(beginning.passed(signal.unscale(block)))
                    bar.advance(task, len(block))
            rows.append(pictures.Comparison(name, beginning.samples))
    overview = pictures.save(pictures.grid(rows, rate=signal.rate), folder / "overview.png")
    return [overview, *files, made.note(folder, run=run, wanted=wanted, names=list(given))]


def _label(wanted: Generate, run: Trained) -> NDArray[np.integer[Any]] | None:
    """The class of each new signal: the one asked for, or all in turn."""
    labels = run.signal.labels
    if not labels:
        return None
    if wanted.label is None:
        return np.arange(wanted.count) % len(labels)
    if wanted.label not in labels:
        raise ConfigError(
            f"label={wanted.label} is not one of {', '.join(labels)}, which "
            f"run={wanted.run} was trained with{nearest(wanted.label, labels)}"
        )
    return np.full(wanted.count, labels.index(wanted.label))
