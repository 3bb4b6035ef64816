"""From latents to signals, chunk by chunk."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from apps.build import Trained
from apps.modes import inputs
from apps.modes.wanted import Generate
from apps.objectives import autoencoding
from apps.schema import ConfigError

Array = NDArray[np.floating[Any]]

CHUNK = 16  # signals decoded at once: memory stays flat for any count


def new_length(wanted: Generate, run: Trained) -> int:
    """Samples of each new signal.

    Raises:
        ConfigError: If the run makes signals of another length only.
    """
    window = inputs.window(run)
    if window is not None and wanted.length not in (None, window):
        raise ConfigError(
            f"length={wanted.length} cannot be: this run makes signals of {window} samples; "
            f"leave length out"
        )
    return wanted.length or run.signal.length


def decode(
    run: Trained, latents: Array, *, length: int, console: Console, level: Array | None = None
) -> Array:
    """Decode latents to the units of the data."""
    starts = range(0, len(latents), CHUNK)
    quiet = len(starts) == 1 or not console.is_terminal
    chunks = [
        autoencoding.decode(run.model, latents[at : at + CHUNK], length=length)
        for at in track(starts, "decoding", console=console, transient=True, disable=quiet)
    ]
    signals = np.concatenate(chunks)
    return run.signal.unscale(signals if level is None else signals * level)
