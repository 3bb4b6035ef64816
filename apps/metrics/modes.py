"""Whether a set of tones holds all the frequencies it should, and no others.

The answer is known without a model: the frequencies are, and a tone's own is read off its spectrum.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Signals = NDArray[np.floating[Any]]  # (signals, length)

_PADDING = 16  # times the length: the spectrum between the bins, so that the peak can be found


def nearest_modes(
    signals: Signals, frequencies: Sequence[float], *, tolerance: float, purity: float = 0.0
) -> NDArray[np.int64]:
    """The frequency that each tone has, as its place among `frequencies`; -1 if it has none.

    A tone has a frequency if the largest magnitude of its spectrum (periodic Hann window) is no
    farther than the tolerance from it, and if so much of its energy lies in that peak.

    Args:
        signals: One tone in each row.
        frequencies: In cycles per sample, in rising order.
        tolerance: In cycles per sample; below half of the least distance between frequencies.
        purity: Share of the energy that has to lie within the peak: two bins to either side.

    Returns:
        One number per signal.

    Raises:
        ValueError: If a tolerance would let one tone have two frequencies.
    """
    wanted = np.asarray(frequencies, np.float64)
    if len(wanted) > 1 and not 0 < 2 * tolerance < np.diff(wanted).min():
        raise ValueError(
            f"tolerance={tolerance:g} must be above 0 and below half of the least distance of two "
            f"frequencies, {np.diff(wanted).min():g}"
        )
    length = signals.shape[1]
    window = np.hanning(length + 1)[:-1]
    spectrum = np.abs(np.fft.rfft(signals * window, _PADDING * length))  # [signals, frequencies]
    peak = spectrum.argmax(axis=1)
    found = peak / (_PADDING * length)
    distance = np.abs(found[:, None] - wanted)
    mode = distance.argmin(axis=1)
    near = distance.min(axis=1) <= tolerance
    bins = np.arange(spectrum.shape[1])
    inside = np.abs(bins - peak[:, None]) <= 2 * _PADDING
    energy = np.square(spectrum)
    total = energy.sum(axis=1)
    share = (energy * inside).sum(axis=1) / np.where(total > 0, total, 1.0)
    return np.where(near & (share >= purity) & (total > 0), mode, -1)


def precision(modes: NDArray[np.int64]) -> float:
    """Share of the signals that have one of the frequencies.

    Args:
        modes: From `nearest_modes`.
    """
    return float(np.mean(modes >= 0))


def coverage(modes: NDArray[np.int64], count: int, *, least: float = 0.25) -> float:
    """Share of the frequencies that occur often enough.

    Args:
        modes: From `nearest_modes`.
        count: How many frequencies there are.
        least: The share of signals that counts as occurring, as a part of an even share 1/count:
            one tone among thousands by chance would cover nothing.
    """
    found = np.bincount(modes[modes >= 0], minlength=count)
    return float(np.mean(found >= least * len(modes) / count))


def followed(
    signals: Signals, frequencies: Sequence[float], courses: Signals
) -> NDArray[np.float64]:
    """Share of each tone's energy that a sine of its frequency and course of amplitude explains.

    1 of a tone that is what was asked for, whatever its phase and its loudness as a whole.

    Args:
        signals: One tone in each row.
        frequencies: Of each, in cycles per sample.
        courses: The amplitude of each at every sample, up to a factor.

    Returns:
        One number per signal; 0 of silence.
    """
    shares = []
    for signal, frequency, course in zip(signals, frequencies, courses, strict=True):
        angle = 2 * np.pi * frequency * np.arange(len(signal))
        basis = course[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
        fit = basis @ np.linalg.lstsq(basis, signal, rcond=None)[0]
        shares.append(np.square(fit).sum() / max(np.square(signal).sum(), 1e-12))
    return np.asarray(shares, np.float64)
