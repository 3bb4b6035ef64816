"""From latents to signals, chunk by chunk."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from apps.build import Trained
from apps.modes import inputs
from apps.modes.wanted import Generate
from apps.objectives import autoencoding, gan
from apps.objectives.batches import Conditions, chosen
from apps.schema import ConfigError

Array = NDArray[np.floating[Any]]

CHUNK = 16  # signals decoded at once: memory stays flat for any count


def new_length(wanted: Generate, run: Trained, given: int | None = None) -> int:
    """Samples of each new signal.

    Args:
        wanted: The settings.
        run: The run.
        given: Samples of the covariates; None without.

    Raises:
        ConfigError: If the run makes signals of another length only.
    """
    window = inputs.window(run)
    if given is not None and wanted.length not in (None, given):
        raise ConfigError(
            f"length={wanted.length} cannot be: the covariates are of {given} samples; leave "
            "length out, or give covariates=FILE of as many"
        )
    if window is not None and given not in (None, window):
        raise ConfigError(
            f"covariates={wanted.covariates} has {given} rows: this run makes signals of {window} "
            "samples; give as many"
        )
    if window is not None and wanted.length not in (None, window):
        raise ConfigError(
            f"length={wanted.length} cannot be: this run makes signals of {window} samples; "
            f"leave length out"
        )
    return given or wanted.length or run.signal.length


def decode(
    run: Trained,
    latents: Array,
    *,
    length: int,
    console: Console,
    level: Array | None = None,
    given: Conditions = (),
) -> Array:
    """Decode latents to the units of the data.

    Args:
        run: The run.
        latents: Shape (count, steps, latent).
        length: Samples of each signal.
        console: Where to show the progress.
        level: By what to multiply each signal.
        given: The conditions of each, of a run that takes some.
    """
    starts = range(0, len(latents), CHUNK)
    quiet = len(starts) == 1 or not console.is_terminal
    chunks = []
    for at in track(starts, "decoding", console=console, transient=True, disable=quiet):
        some = slice(at, at + CHUNK)
        family = gan if run.config.objective.kind == "gan" else autoencoding
        known = chosen(given, some)
        chunks.append(family.decode(run.model, latents[some], length=length, given=known))
    signals = np.concatenate(chunks)
    return run.signal.unscale(signals if level is None else signals * level)
