"""How far the timbres of two sounds are apart, by the cepstra of their mel spectra."""

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from apps.metrics.audio import Clips, Scores, channels_first, fitting, htk_triangles, magnitudes

BANDS = 40
SHORTEST = 64
"""Clips have to be longer than so many samples."""
_SECONDS = 0.025  # what a window is to last: about two periods of a low voice


def mel_cepstral_distortion(
    signal: Clips, reference: Clips, *, rate: float, order: int = 13, floor: float = 1e-5
) -> Scores:
    r"""Distance of mel cepstra in dB, without the level; lower is better.

    $$ \frac{10}{\ln 10} \Bigl\langle \sqrt{2 \textstyle\sum_{d=1}^{K} (\Delta c_d)^2}
       \Bigr\rangle_t, \qquad
       c_d = \frac{2}{N} \sum_{n=0}^{N-1} \ln S_n \cos \frac{\pi d (n + 1/2)}{N} $$

    S are the magnitudes in N = 40 mel triangles of frames as in `apps.metrics.audio.mel_distance`,
    of a power of two of samples, the nearest to 25 ms. These are the cepstra of
    ln S = c₀/2 + Σ c_d cos, so that the sum is in dB of power: at K = N - 1 it is the root mean
    square over the triangles of the difference in level, less its mean. Nothing is aligned in time.

    Args:
        signal: What was made.
        reference: What it should be.
        rate: Samples per second.
        order: K, how many cepstra are compared: what is finer than timbre is not.
        floor: Mel magnitudes below it count as it.

    Returns:
        One distance per clip.

    Raises:
        ValueError: If the shapes differ, there are not so many cepstra, or a clip is too short.

    Source:
        Kubichek, Mel-cepstral distance measure for objective speech quality assessment (1993), with
        cepstra of the scale of Fukada et al., An adaptive algorithm for mel-cepstral analysis of
        speech (1992), taken from triangles in place of an all-pass warp.
    """
    made, wanted = channels_first(signal, reference)
    n_fft = window_length(rate, made.shape[2])
    bands = min(BANDS, n_fft * BANDS // 256)  # of a short window, as many as it can tell apart
    if not 0 < order < bands:
        raise ValueError(
            f"order is {order}; of {bands} mel bands there are cepstra 1 to {bands - 1}"
        )
    triangles = htk_triangles(rate, n_fft, bands)
    first, second = (_cepstra(rows, triangles, floor=floor) for rows in (made, wanted))
    difference = (first - second)[..., 1 : order + 1, :]  # (clips, channels, cepstra, frames)
    distance = np.sqrt(2.0 * np.square(difference).sum(axis=2))
    return 10.0 / np.log(10.0) * distance.mean(axis=(1, 2))


def window_length(rate: float, length: int) -> int:
    """The power of two nearest to 25 ms, less if clips are shorter; at least 128 samples."""
    return max(fitting(2 ** round(np.log2(_SECONDS * rate)), length), 2 * SHORTEST)


def _cepstra(rows: Clips, triangles: NDArray[np.float64], *, floor: float) -> NDArray[np.float64]:
    n_fft = 2 * (len(triangles) - 1)
    levels = np.log(np.maximum(triangles.T @ magnitudes(rows, n_fft), floor))
    return dct(levels, type=2, axis=2) / levels.shape[2]
