"""New signals, drawn at random."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from apps.build import Trained
from apps.modes import made
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
    if run.config.objective.kind == "gan":
        steps = gan.latent_length(run.model, length)
        latents = normal(count, steps=steps, latent=run.model.latent, seed=wanted.seed)
    else:
        latents = autoencoding.prior(run.model, count, length=length, seed=wanted.seed)
    signals = decode(run, latents, length=length, console=console, label=label)
    names = [f"sample-{index + 1:02d}" for index in range(count)]
    if label is not None:
        names = [f"{name}-{run.signal.labels[at]}" for name, at in zip(names, label, strict=True)]
    rows = [Made(name, signal) for name, signal in zip(names, signals, strict=True)]
    return made.write(folder, rows, run=run, wanted=wanted)


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
