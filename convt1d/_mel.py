"""The mel scale: triangles from frequencies to bands, by numpy in float64."""

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray


@functools.lru_cache(maxsize=64)
def mel_filterbank(
    rate: float,
    n_fft: int,
    bands: int,
    *,
    low: float = 0.0,
    high: float | None = None,
    scale: str = "htk",
    norm: str | None = None,
) -> NDArray[np.float64]:
    """Triangles equally wide on the mel scale, as a matrix from frequencies to bands.

    Args:
        rate: Samples per second.
        n_fft: Length of a frame in samples.
        bands: Number of triangles.
        low: Where the lowest triangle begins, in Hz.
        high: Where the highest triangle ends, in Hz; default half the rate.
        scale: "htk", m = 2595 log10(1 + f / 700), or "slaney", which is linear up to 1 kHz and
            logarithmic above (Slaney, Auditory Toolbox, 1998).
        norm: None leaves every triangle's peak at one; "slaney" gives every triangle the area one.

    Returns:
        Shape (n_fft / 2 + 1, bands), read-only.

    Raises:
        ValueError: If an argument is out of range or not among its choices.

    Example:
        >>> from convt1d._mel import mel_filterbank
        >>> mel_filterbank(8000, 256, 40).shape
        (129, 40)
    """
    high = rate / 2 if high is None else high
    if bands < 1:
        raise ValueError(f"bands is {bands}; give at least 1")
    if not 0 <= low < high <= rate / 2:
        raise ValueError(
            f"low is {low} and high is {high}; they must be 0 <= low < high <= {rate / 2}, "
            "half the rate"
        )
    if scale not in ("htk", "slaney"):
        raise ValueError(f"scale is {scale!r}; choose htk or slaney")
    if norm not in (None, "slaney"):
        raise ValueError(f"norm is {norm!r}; choose None or slaney")
    to_mel, from_mel = (_htk_mel, _htk_hertz) if scale == "htk" else (_slaney_mel, _slaney_hertz)
    edges = from_mel(np.linspace(to_mel(np.float64(low)), to_mel(np.float64(high)), bands + 2))
    frequencies = np.arange(n_fft // 2 + 1) * (rate / n_fft)
    width = np.diff(edges)
    distance = frequencies[:, None] - edges[None, :]  # (frequencies, bands + 2)
    rising = distance[:, :-2] / width[:-1]
    falling = -distance[:, 2:] / width[1:]
    filters = np.maximum(0.0, np.minimum(rising, falling))
    if norm == "slaney":
        filters = filters * (2.0 / (edges[2:] - edges[:-2]))
    filters.flags.writeable = False  # it is cached: a caller's change would be everybody's
    return filters


def _htk_mel(hertz: Any) -> Any:
    return 2595.0 * np.log10(1.0 + hertz / 700.0)


def _htk_hertz(mels: Any) -> Any:
    return 700.0 * (10.0 ** (mels / 2595.0) - 1.0)


_SLANEY_BREAK = 1000.0  # Hz: linear below, logarithmic above
_SLANEY_LINEAR = 200.0 / 3.0  # Hz per mel below the break
_SLANEY_STEP = np.log(6.4) / 27.0  # logarithm of the ratio of neighbouring mels above it


def _slaney_mel(hertz: Any) -> Any:
    above = np.log(np.maximum(hertz, _SLANEY_BREAK) / _SLANEY_BREAK) / _SLANEY_STEP
    return np.minimum(hertz, _SLANEY_BREAK) / _SLANEY_LINEAR + above


def _slaney_hertz(mels: Any) -> Any:
    mel_break = _SLANEY_BREAK / _SLANEY_LINEAR
    above = np.exp(_SLANEY_STEP * np.maximum(mels - mel_break, 0.0))
    return np.minimum(mels, mel_break) * _SLANEY_LINEAR * above
