r"""A signal as a few slower ones, its bands, and back: a pseudo quadrature mirror filter bank.

$$h_k[t] = 2\,h[t] \cos\!\Bigl(\frac{(2k+1)\pi}{2M}\,t + (-1)^k \frac{\pi}{4}\Bigr)$$

The prototype $h$ is a low-pass windowed by Kaiser's window. Its cut-off is the one at which $h$
convolved with its mirror image is nearest to zero at every $2M$-th sample: the bands' responses
then add up to one, and the phases $\pm\pi/4$ cancel what neighbouring bands fold into each other.

Both directions are one bank: analysis is a convolution with stride $M$, synthesis $M$ times its
adjoint, the transposed convolution with the same weight.
"""

import functools
import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray

from convt1d._convolution import Conv1d
from convt1d._geometry import single
from convt1d._layers import ConvTranspose1d
from convt1d._parameters import Frozen
from convt1d._stream_parts import stream_chain
from convt1d._stream_samples import WholeHops, _Samples
from convt1d._streaming import Stream, stream

SOFTEST = 50.0
"""Attenuation in dB below which Kaiser's formula for his window is another one."""


class PQMF(eqx.Module):
    r"""A bank of ``bands`` filters, each a slower signal: near-perfect, exact in length, frozen.

    ``analysis`` makes of ``(B, L, channels)`` as many frames as there are whole or begun strides
    of ``bands`` samples, ``(B, ceil(L / bands), channels·bands)``, the bands of a channel side by
    side and the lowest first. ``synthesis`` makes of them ``frames·bands`` samples, in time with
    the signal. Both stream, in float32: ``convt1d.stream(pqmf.analysis)``.

    Every other sample of the odd bands changes its sign, so that in each of them the frequency
    rises as it does in the signal.

    The filters are kept in float32, and computed with in float32 or, for signals of float64, in
    float64, whatever the precision of the model around them. With the default attenuation, a signal
    that was taken apart and put together again differs from itself by -60 dB, whatever the number
    of bands; within ``taps`` samples of its ends by more, since no bands were made beyond them.

    Args:
        bands: number of filters M, at least 2.
        channels: of the signal.
        attenuation: of what is outside of a band and its neighbours, in dB, at least 50. More of it
            makes the filters longer: 100 dB are 411 taps for 16 bands.

    Attributes:
        filters: ``(bands, taps)``, zeros around them until ``taps`` is a power of two, as RAVE
            saves them.

    Raises:
        ValueError: naming the argument that is wrong.

    Source: the bank in Nguyen 1994 (IEEE Trans. Signal Processing 42), the cut-off in Lin and
    Vaidyanathan 1998 (doi:10.1109/97.681427), the signs of the odd bands in RAVE
    (arXiv:2111.05011), whose published streaming form of the synthesis is ``bands`` samples late.

    Example:
        >>> import jax.numpy as jnp, convt1d
        >>> pqmf = convt1d.PQMF(16)
        >>> bands = pqmf.analysis(jnp.ones((2, 4096, 1)))
        >>> bands.shape, pqmf.synthesis(bands).shape
        ((2, 256, 16), (2, 4096, 1))
    """

    filters: Frozen
    bands: int = eqx.field(static=True)
    channels: int = eqx.field(static=True)
    attenuation: float = eqx.field(static=True)

    def __init__(self, bands: int, *, channels: int = 1, attenuation: float = 100.0) -> None:
        self.bands = single("bands", bands)
        self.channels = single("channels", channels)
        self.attenuation = float(attenuation)
        if self.bands < 2:
            raise ValueError(f"`bands` (={bands}) must be at least 2: one band is the signal.")
        if not SOFTEST <= self.attenuation < math.inf:
            raise ValueError(f"`attenuation` (={attenuation}) must be at least {SOFTEST:g} dB.")
        self.filters = Frozen(jnp.asarray(_bank(self.bands, self.attenuation), jnp.float32))

    @property
    def analysis(self) -> "Analysis":
        """From the signal to its bands."""
        return Analysis(self.filters, self.channels)

    @property
    def synthesis(self) -> "Synthesis":
        """From the bands to the signal."""
        return Synthesis(self.filters, self.channels)


class Analysis(eqx.Module):
    """From a signal to its bands."""

    filters: Frozen
    channels: int = eqx.field(static=True)

    def layer(self, dtype: np.dtype) -> Conv1d:
        """The convolution that it is, in ``dtype`` or better."""
        weight, dtype = _weight(self.filters, self.channels, dtype)
        bands, taps = self.filters.array.shape
        return Conv1d(
            self.channels,
            self.channels * bands,
            taps,
            stride=bands,
            padding=(taps // 2, taps - taps // 2 - bands),
            groups=self.channels,
            w_init=weight[:, None],
            b_init=None,
            precision="highest",
            dtype=dtype,
        )

    def __call__(self, x: Float[Array, "batch length channels"]) -> Float[Array, "batch frames c"]:
        """Take ``x`` apart, zeros after its end."""
        bands = self.filters.array.shape[0]
        missing = -x.shape[1] % bands
        padded = jnp.pad(x, ((0, 0), (0, missing), (0, 0))) if missing else x
        y = self.layer(x.dtype)(padded)
        return (y * _signs(y, bands)).astype(x.dtype)


class Synthesis(eqx.Module):
    """From bands to their signal."""

    filters: Frozen
    channels: int = eqx.field(static=True)

    def layer(self, dtype: np.dtype) -> ConvTranspose1d:
        """The transposed convolution that it is, in ``dtype`` or better."""
        weight, dtype = _weight(self.filters, self.channels, dtype)
        bands, taps = self.filters.array.shape
        by_channel = weight.reshape(taps, self.channels, bands)
        return ConvTranspose1d(
            (1, self.channels * bands),
            self.channels,
            taps,
            bands,
            groups=self.channels,
            w_init=by_channel * bands,
            crop=(taps // 2, taps - taps // 2 - bands),
            precision="highest",
            dtype=dtype,
        )

    def __call__(self, x: Float[Array, "batch frames c"]) -> Float[Array, "batch length channels"]:
        """Put the bands together."""
        layer = self.layer(x.dtype)
        y = x.astype(layer.dtype)
        return layer(y * _signs(y, self.filters.array.shape[0])).astype(x.dtype)


def _weight(filters: Frozen, channels: int, dtype: np.dtype) -> tuple[Array, np.dtype]:
    """``(taps, channels·bands)``, each channel's bands side by side, and what to compute in."""
    better = np.promote_types(dtype, filters.array.dtype)
    weight = filters.value.astype(better).T
    return jnp.tile(weight, (1, channels)), better


def _signs(x: Array, bands: int, *, even: Array | None = None) -> Array:
    """-1 at the even samples of odd bands, 1 elsewhere."""
    even = jnp.arange(x.shape[1])[None] % 2 == 0 if even is None else even
    odd = jnp.arange(x.shape[2]) % bands % 2 == 1
    return jnp.where(even[:, :, None] & odd[None, None, :], -1, 1).astype(x.dtype)


class _Alternating(_Samples):
    """The signs of the odd bands. Its parts are whether the samples so far are even in number."""

    bands: int = eqx.field(static=True)

    @property
    def hop(self) -> int:
        return 1

    @property
    def channels(self) -> int | None:
        return None

    @property
    def _warm(self) -> int:
        return self.late

    def _begin(self, empty: Array) -> tuple[Array, Array]:
        return jnp.zeros(empty.shape[0], jnp.int32), empty

    def _advance(self, parts: Array, x: Array, position: Array) -> tuple[Array, Array]:
        at = parts[:, None] + jnp.arange(x.shape[1], dtype=jnp.int32)[None]
        y = x * _signs(x, self.bands, even=(at - self.late) % 2 == 0)
        return (parts + x.shape[1]) % 2, y

    def _finish(self, parts: Array, x: Array, position: Array) -> Array:
        return self._advance(parts, x, position)[1]

    def _whole(self, parts: Array) -> bool:
        return True

    def _count(self, position: Array) -> Array:
        return position

    def _length(self, length: int) -> int:
        return length


@stream.register
def _(analysis: Analysis) -> Stream:
    bands, dtype = analysis.filters.array.shape[0], analysis.filters.array.dtype
    return stream_chain(WholeHops(bands), analysis.layer(dtype), _Alternating(bands))


@stream.register
def _(synthesis: Synthesis) -> Stream:
    bands, dtype = synthesis.filters.array.shape[0], synthesis.filters.array.dtype
    return stream_chain(_Alternating(bands), synthesis.layer(dtype))


@functools.lru_cache
def _bank(bands: int, attenuation: float) -> NDArray[np.float64]:
    """The filters, a row each, with zeros around them up to a power of two."""
    prototype = _prototype(bands, attenuation)
    half = len(prototype) // 2
    t, k = np.arange(-half, half + 1), np.arange(bands)[:, None]
    phase = np.where(k % 2 == 0, 1, -1) * np.pi / 4
    bank = 2 * prototype * np.cos((2 * k + 1) * np.pi / (2 * bands) * t + phase)
    missing = 2 ** math.ceil(math.log2(len(prototype))) - len(prototype)
    return np.pad(bank, ((0, 0), (missing // 2, missing - missing // 2)))


def _prototype(bands: int, attenuation: float) -> NDArray[np.float64]:
    """The low-pass, of odd length, whose cut-off is the best for reconstruction.

    Source: length and shape of the window by Kaiser's formulas (1974), for a transition of half
    a band.
    """
    width = np.pi / (2 * bands)
    taps = math.ceil((attenuation - 7.95) / (2.285 * width)) // 2 * 2 + 1
    window = np.kaiser(taps, 0.1102 * (attenuation - 8.7))
    t = np.arange(taps) - taps // 2

    def lowpass(cutoff: float) -> NDArray[np.float64]:
        return cutoff / np.pi * np.sinc(cutoff / np.pi * t) * window

    def error(cutoff: float) -> float:
        prototype = lowpass(cutoff)
        return np.abs(np.convolve(prototype, prototype)[taps - 1 :: 2 * bands][1:]).max()

    grid = np.linspace(1.0, 1.5, 81) * width  # fine enough to hold one minimum in a step
    best = int(np.argmin([error(cutoff) for cutoff in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    while high - low > 1e-12 * width:
        third = (high - low) / 3
        low, high = (
            (low, high - third) if error(low + third) < error(high - third) else (low + third, high)
        )
    return lowpass((low + high) / 2)
