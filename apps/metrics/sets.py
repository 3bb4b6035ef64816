"""How alike two sets of signals are, no signal of one belonging to any of the other.

Arrays are (signals, length, channels).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import ShortTimeFFT
from scipy.signal.windows import hann

from apps.metrics.audio import htk_triangles

Signals = NDArray[np.floating[Any]]  # (signals, length, channels)
Features = NDArray[np.float64]  # (signals, features)

STRETCHES = 4
"""Into how many stretches of time a signal is divided: enough to tell an attack from an end."""
_BANDS, _N_FFT, _FLOOR = 20, 256, 1e-3


def features(signals: Signals, *, rate: float | None) -> Features:
    """What a signal is like, in few enough numbers that a set's covariance can be estimated.

    Of sound, the mean log10 mel magnitudes (20 bands, windows of 256 samples) in each quarter of
    the signal; of series, mean and standard deviation of each variable in each quarter.

    Args:
        signals: In the data's own units.
        rate: Samples per second; None for series.

    Returns:
        One row per signal; of sound the mean over channels.

    Raises:
        ValueError: If the signals are too short to be divided.
    """
    if np.ndim(signals) != 3 or signals.shape[1] < STRETCHES:
        raise ValueError(
            f"signals has shape {np.shape(signals)}; it must be (signals, length, channels) with "
            f"a length of {STRETCHES} or more"
        )
    signals = np.asarray(signals, np.float64)
    if rate is None:
        stretches = list(_stretches(signals))
        return np.concatenate(
            [np.mean(each, axis=1) for each in stretches]
            + [np.std(each, axis=1) for each in stretches],
            axis=1,
        )
    levels = _log_mels(signals, rate=rate)
    return np.concatenate([np.mean(each, axis=1) for each in _stretches(levels)], axis=1)


def frechet_distance(first: Features, second: Features) -> float:
    r"""Distance of two normal distributions with the sets' means and covariances; lower is better.

    $$ \lVert \mu_1 - \mu_2 \rVert^2
       + \operatorname{tr}(\Sigma_1 + \Sigma_2 - 2 (\Sigma_1 \Sigma_2)^{1/2}) $$

    Sets of the same distribution are not at 0 but nearer the larger they are: compare distances
    of sets of one size.

    Args:
        first: One row per signal.
        second: The same features of another set, which may be of another size.

    Returns:
        The squared distance.

    Raises:
        ValueError: If the features differ in number, or a set has fewer than two rows.

    Source:
        Dowson and Landau, The Fréchet distance between multivariate normal distributions (1982);
        of sets of signals, Heusel et al., GANs trained by a two time-scale update rule (2017).
    """
    if np.ndim(first) != 2 or np.ndim(second) != 2 or first.shape[1] != second.shape[1]:
        raise ValueError(
            f"first has shape {np.shape(first)} and second {np.shape(second)}; both must be "
            "(signals, features), with the same features"
        )
    if min(len(first), len(second)) < 2:
        raise ValueError(
            f"the sets have {len(first)} and {len(second)} signals; a covariance needs 2 or more"
        )
    shift = np.square(first.mean(axis=0) - second.mean(axis=0)).sum()
    left, right = (
        np.cov(rows, rowvar=False).reshape(2 * rows.shape[1:]) for rows in (first, second)
    )
    values, vectors = np.linalg.eigh(left)
    root = vectors * np.sqrt(np.maximum(values, 0.0))  # Σ₁ = root · rootᵀ
    # The eigenvalues of Σ₁Σ₂ are those of rootᵀ·Σ₂·root, which is symmetric.
    common = np.sqrt(np.maximum(np.linalg.eigvalsh(root.T @ right @ root), 0.0)).sum()
    return float(max(shift + np.trace(left) + np.trace(right) - 2.0 * common, 0.0))


def _stretches(frames: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """Equal parts along the second axis, of which all are at least one frame."""
    count = frames.shape[1]
    for part in range(STRETCHES):
        yield frames[:, part * count // STRETCHES : max((part + 1) * count // STRETCHES, 1)]


def _log_mels(signals: NDArray[np.float64], *, rate: float) -> NDArray[np.float64]:
    """(signals, frames, bands), the mean over channels."""
    size = min(_N_FFT, signals.shape[1] // STRETCHES * 2)
    transform = ShortTimeFFT(hann(size, sym=False), max(size // 4, 1), fs=1.0, phase_shift=None)
    frames = 1 + signals.shape[1] // transform.hop
    spectrum = np.abs(transform.stft(np.moveaxis(signals, 2, 1), p0=0, p1=frames, padding="even"))
    triangles = htk_triangles(rate, size, _BANDS)  # (frequencies, bands)
    levels = np.log10(np.maximum(np.einsum("ncft,fb->nctb", spectrum, triangles), _FLOOR))
    return levels.mean(axis=1)
