"""Measure an upsampler by definitions that share no line with the application.

    python scripts/measure_upsampler.py --data FOLDER --run runs/fsdd_upsampler

Of every test recording in FOLDER: scaled to a peak of 0.9, the first 2,048 samples, zeros after a
shorter one; brought to the low rate by `scipy.signal.resample_poly(x, 1, factor)`. The polyphase
base is `resample_poly` back; the run's model is loaded as it lies in its newest checkpoint. All
else is numpy in float64:

- LSD: mean over frames of the root mean square over frequency of the difference of log10 |STFT|²
  (n_fft 256, hop 64, periodic Hann, frames centred, ends reflected, powers of at least 1e-8);
- SNR in dB, of a clip; both as means over clips;
- both again below half the low rate: the band that the low rate keeps.
"""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

Array = NDArray[np.float64]
LENGTH, N_FFT, HOP, FLOOR, PEAK = 2048, 256, 64, 1e-8, 0.9


def clips(folder: Path, pattern: str) -> list[Array]:
    """The test recordings, as the definition has them."""
    found = []
    for path in sorted(folder.rglob("*.wav")):
        if re.search(pattern, path.name):
            sound = soundfile.read(path, dtype="float64", always_2d=True)[0].mean(axis=1)
            sound = sound * (PEAK / np.abs(sound).max())
            found.append(np.pad(sound[:LENGTH], (0, max(0, LENGTH - len(sound)))))
    return found


def log_power(sound: Array) -> Array:
    """log10 of the power of each frame (rows) and frequency (columns)."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)
    padded = np.pad(sound, N_FFT // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]
    return np.log10(np.maximum(np.abs(np.fft.rfft(frames * window)) ** 2, FLOOR))


def lsd(made: Array, real: Array, frequencies: int) -> float:
    """Log-spectral distance over the first frequencies."""
    difference = (log_power(made) - log_power(real))[:, :frequencies]
    return float(np.sqrt((difference**2).mean(axis=1)).mean())


def snr(made: Array, real: Array) -> float:
    """Signal-to-noise ratio in dB."""
    return float(10 * np.log10((real**2).sum() / ((made - real) ** 2).sum()))


def kept(sound: Array, factor: int) -> Array:
    """What is below half the low rate."""
    spectrum = np.fft.rfft(sound)
    spectrum[len(sound) // 2 // factor :] = 0
    return np.fft.irfft(spectrum, len(sound))


def measured(made: Sequence[Array], real: Sequence[Array], factor: int) -> dict[str, float]:
    """Means over the clips."""
    pairs = list(zip(made, real, strict=True))
    below = N_FFT // 2 // factor
    return {
        "LSD": float(np.mean([lsd(y, x, N_FFT // 2 + 1) for y, x in pairs])),
        "SNR": float(np.mean([snr(y, x) for y, x in pairs])),
        "LSD kept": float(np.mean([lsd(y, x, below) for y, x in pairs])),
        "SNR kept": float(np.mean([snr(kept(y, factor), kept(x, factor)) for y, x in pairs])),
    }


def trained(folder: Path) -> tuple[Callable[[Array], Array], int, int]:
    """What a run makes of a signal at the low rate; its factor; its learned numbers."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import equinox as eqx
    import jax

    import convt1d
    from apps import build

    model = build.trained(folder).model
    make = eqx.filter_jit(model)
    learned = jax.tree.leaves(eqx.filter(model, convt1d.trainable(model)))

    def upsample(low: Array) -> Array:
        made = make(np.asarray(low[None, :, None], np.float32))
        return np.asarray(made, np.float64)[0, :, 0]

    return upsample, model.factor, sum(leaf.size for leaf in learned)


def main() -> None:
    """Print one row for the base and one for the run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of recordings")
    parser.add_argument("--run", type=Path, help="folder of a trained run; none measures the base")
    parser.add_argument("--test", default=r"_[0-4]\.wav$", help="pattern of the test recordings")
    parser.add_argument("--factor", type=int, default=4, help="of the rates, without a run")
    wanted = parser.parse_args()
    make, factor, learned = (None, wanted.factor, 0) if wanted.run is None else trained(wanted.run)
    real = clips(wanted.data, wanted.test)
    if not real:
        parser.error(f"no recording in {wanted.data} matches {wanted.test}")
    low = [resample_poly(x, 1, factor) for x in real]
    rows = {"polyphase base": [resample_poly(x, factor, 1)[:LENGTH] for x in low]}
    if make is not None:
        rows[f"{wanted.run} ({learned:,} learned)"] = [make(x)[:LENGTH] for x in low]
    print(f"{len(real)} clips")
    for name, made in rows.items():
        figures = measured(made, real, factor)
        print(", ".join(f"{key} {value:.3f}" for key, value in figures.items()), name, sep="  ")


if __name__ == "__main__":
    main()
