"""Signals through the model and back."""

from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from apps import build
from apps.build import Trained
from apps.data import fixed_batch
from apps.modes import inputs, made
from apps.modes.inputs import Array
from apps.modes.made import Made
from apps.modes.wanted import Generate
from apps.objectives import autoencoding
from apps.schema import ConfigError


def write(wanted: Generate, run: Trained, folder: Path, console: Console) -> list[Path]:
    """Take files, or test records, through the model and back."""
    given = _given(wanted, run, console)
    quiet = len(given) == 1 or not console.is_terminal
    steps = track(given.items(), "reconstructing", console=console, transient=True, disable=quiet)
    rows = [Made(name, reconstruct(run, each), each) for name, each in steps]
    return made.write(folder, rows, run=run, wanted=wanted)


def reconstruct(run: Trained, signal: Array) -> Array:
    """Take a signal of any length through the model and back.

    It is padded with zeros to a multiple of the hop and cropped back; sound is brought to the
    level the model was trained at, and back. A model of records of one length takes it piece by
    piece.

    Args:
        run: The run.
        signal: Shape (length, channels), in the units of the data.

    Returns:
        The same shape and units.
    """
    length, channels = signal.shape
    piece = inputs.window(run) or length + -length % run.model.hop
    values, level = inputs.to_model(signal, run)
    batch = np.pad(values, ((0, -length % piece), (0, 0))).reshape(-1, piece, channels)
    back = autoencoding.reconstruct(run.model, batch).reshape(-1, channels)[:length]
    return run.signal.unscale(back * level)


def _given(wanted: Generate, run: Trained, console: Console) -> dict[str, Array]:
    """Signals by name."""
    if wanted.input is None:
        try:
            records = build.source(run.config, "test")
        except (ValueError, OSError) as error:
            raise ConfigError(
                f"the run's own data cannot be read ({error}); give input=FILE"
            ) from error
        batch = fixed_batch(records, wanted.count)
        names = [records.name(index * len(records) // len(batch)) for index in range(len(batch))]
        return {n: run.signal.unscale(each) for n, each in zip(names, batch, strict=True)}
    paths = inputs.signal_files(wanted.input, run)
    if len(paths) > wanted.count:
        console.print(f"the first {wanted.count} of {len(paths)} files (count= takes more)")
    root = wanted.input if wanted.input.is_dir() else wanted.input.parent
    return {
        path.relative_to(root).as_posix(): inputs.read(path, run) for path in paths[: wanted.count]
    }
