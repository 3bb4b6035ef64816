"""Signals on the way from one to another."""

from pathlib import Path

import numpy as np
from rich.console import Console

from apps.build import Trained
from apps.modes import inputs, made
from apps.modes.decoded import decode, new_length
from apps.modes.made import Made
from apps.modes.wanted import Generate
from apps.objectives import autoencoding
from apps.schema import ConfigError


def write(wanted: Generate, run: Trained, folder: Path, console: Console) -> list[Path]:
    """Decode latents on the way from one to another.

    Between two files the way is straight. Between two draws from the prior it is an arc, cos θ and
    sin θ of them, on which every latent is as likely as its ends are.
    """
    share = np.linspace(0.0, 1.0, wanted.count, dtype=np.float32)[:, None, None]
    level = np.ones_like(share)
    if wanted.input is None or wanted.to is None:
        length = new_length(wanted, run)
        first, last = autoencoding.prior(run.model, 2, length=length, seed=wanted.seed)
        angle = share * np.float32(np.pi / 2)
        latents = np.cos(angle) * first + np.sin(angle) * last
    else:
        ends = [inputs.read(path, run) for path in (wanted.input, wanted.to)]
        window, length = inputs.window(run), max(map(len, ends))
        if window is not None and length > window:
            raise ConfigError(
                f"this run interpolates signals of at most {window} samples, got {length}"
            )
        padded = window or length + -length % run.model.hop
        pairs = [inputs.to_model(end, run) for end in ends]
        batch = [np.pad(values, ((0, padded - len(values)), (0, 0))) for values, _ in pairs]
        first, last = autoencoding.posterior(run.model, np.stack(batch))
        latents = (1 - share) * first + share * last
        level = (1 - share) * pairs[0][1] + share * pairs[1][1]
    signals = decode(run, latents, length=length, console=console, level=level)
    rows = [Made(f"interpolation-{index + 1:02d}", each) for index, each in enumerate(signals)]
    return made.write(folder, rows, run=run, wanted=wanted)
