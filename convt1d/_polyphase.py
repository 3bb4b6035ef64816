"""Resampling by a whole factor: the frozen filters, and the two ways through them."""

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray

from convt1d._conv_transpose import conv1d
from convt1d._geometry import single

REACH = 10
"""Samples of the low rate that SciPy's filter reaches to each side."""
SHARP_REACH = 32
"""The same of a filter that has to be done within a 30th of the kept band (Kaiser's formula)."""
BETA = 5.0  # of Kaiser's window: 53 dB, SciPy's default


@functools.lru_cache(maxsize=64)
def low_pass(factor: int, *, reach: int = REACH) -> NDArray[np.float64]:
    r"""A windowed sinc that keeps what a rate ``factor`` times lower can hold.

    $$h[n] = \frac{w[n]}{c}\,\operatorname{sinc}\frac{n}{F}, \qquad |n| \le F \cdot \text{reach}$$

    with Kaiser's window $w$, and $c$ such that the taps add up to one.

    Args:
        factor: F, of the two rates.
        reach: samples of the low rate to each side.

    Returns:
        ``2·factor·reach + 1`` taps, symmetric.

    Source: `scipy.signal.resample_poly`, whose filter it is with the default reach.
    """
    half = factor * reach
    taps = np.sinc(np.arange(-half, half + 1) / factor) * np.kaiser(2 * half + 1, BETA)
    return taps / taps.sum()


def high_pass(factor: int) -> NDArray[np.float64]:
    """What the sharpest `low_pass` leaves over: one at the middle tap, less its taps."""
    taps = -low_pass(factor, reach=SHARP_REACH)
    taps[len(taps) // 2] += 1.0
    return taps


def decimate(
    signal: Float[Array, "batch length channels"], factor: int
) -> Float[Array, "batch low channels"]:
    """A signal at a rate ``factor`` times lower, of ``ceil(length / factor)`` samples.

    Args:
        signal: at the high rate; each channel by itself.
        factor: of the rates, a whole number.

    Raises:
        ValueError: if ``factor`` is no positive int.

    Source: `scipy.signal.resample_poly(x, 1, factor)`, which it equals.
    """
    single("factor", factor)
    batch, length, channels = signal.shape
    half = factor * REACH
    rows = signal.swapaxes(1, 2).reshape(batch * channels, length, 1)
    dtype = np.promote_types(signal.dtype, np.float32)  # a half type would leave 40 dB of spectrum
    low = conv1d(
        rows.astype(dtype),
        jnp.asarray(low_pass(factor)[:, None, None], dtype),
        None,
        stride=factor,
        padding=(half, half),
        precision="highest",
    )
    return low.reshape(batch, channels, -1).swapaxes(1, 2).astype(signal.dtype)
