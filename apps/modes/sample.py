"""New signals, drawn at random."""

from pathlib import Path

from rich.console import Console

from apps.build import Trained
from apps.modes import made
from apps.modes.decoded import decode, new_length
from apps.modes.made import Made
from apps.modes.wanted import Generate
from apps.objectives import autoencoding


def write(wanted: Generate, run: Trained, folder: Path, console: Console) -> list[Path]:
    """Decode draws from the prior."""
    length = new_length(wanted, run)
    latents = autoencoding.prior(run.model, wanted.count, length=length, seed=wanted.seed)
    signals = decode(run, latents, length=length, console=console)
    rows = [Made(f"sample-{index + 1:02d}", signal) for index, signal in enumerate(signals)]
    return made.write(folder, rows, run=run, wanted=wanted)
