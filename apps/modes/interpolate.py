"""Signals on the way from one to another."""

from pathlib import Path

import numpy as np
from rich.console import Console

from apps.build import Trained
from apps.modes import inputs, known, made, streamed
from apps.modes.decoded import decode, new_length
from apps.modes.made import Made
from apps.modes.wanted import Generate
from apps.objectives import autoencoding
from apps.objectives.batches import Conditions, chosen
from apps.schema import ConfigError


def write(wanted: Generate, run: Trained, folder: Path, console: Console) -> list[Path]:
    """Decode latents on the way from one to another.

    Between two files the way is straight. Between two draws from the prior it is an arc, cos θ and
    sin θ of their noise, on which every latent is as likely as its ends are. What is known of the
    signals, a label or covariates, is the same all the way.
    """
    given: Conditions = ()
    share = np.linspace(0.0, 1.0, wanted.count, dtype=np.float32)[:, None, None]
    level = np.ones_like(share)
    if wanted.input is None or wanted.to is None:
        about = known.of_new(wanted, run, 1)
        given, length = about.given, new_length(wanted, run, about.length)
        first, last = autoencoding.noise(run.model, 2, length=length, seed=wanted.seed)
        angle = share * np.float32(np.pi / 2)
        latents = autoencoding.carried(run.model, np.cos(angle) * first + np.sin(angle) * last)
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
        given = known.of_given(wanted, run, length)
        pad = padded - length
        both = (streamed.batch(each[None], given, pad=pad) for each in batch)
        first, last = (autoencoding.posterior(run.model, each)[0] for each in both)
        latents = (1 - share) * first + share * last
        level = (1 - share) * pairs[0][1] + share * pairs[1][1]
    every = chosen(given, np.zeros(wanted.count, int))
    signals = decode(run, latents, length=length, console=console, level=level, given=every)
    rows = [Made(f"interpolation-{index + 1:02d}", each) for index, each in enumerate(signals)]
    return made.write(folder, rows, run=run, wanted=wanted)
