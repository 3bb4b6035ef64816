"""The upsampler of series: what is known stays, and variables that belong together help."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from convt1d._geometry import choice, single
from convt1d._layers import ConvTranspose1d
from convt1d._streaming import stream
from convt1d.models.decoders import Decoder
from convt1d.models.layout import Layout

LOW_RATES = ("mean", "points")
_REACH = 4  # samples of the low rate that the learned interpolation reaches to each side
_NEARBY = 8  # samples of the low rate, to each side, over which the size of steps is measured
_SMALLEST = 1e-6  # step that counts: where nothing moves, the detail is nothing


class SeriesUpsampler(eqx.Module):
    r"""From a series to the same at ``factor`` times its rate, all variables together.

    $$y = P\bigl(\text{base}(x) + \sigma \cdot \text{detail}(\Delta x / \sigma)\bigr)$$

    The base is a transposed convolution of each variable by itself, which begins as linear
    interpolation and is learned. The detail is a `Decoder` of all variables' steps from one sample
    to the next, relative to how large they are nearby, $\sigma$. So a variable that is moved or
    multiplied comes out moved or multiplied, and a series may grow beyond what was trained on.
    The projection $P$ keeps what the low rate says: it moves each block of ``factor`` samples to
    its mean, or sets its first one. Beyond the ends the first and the last value go on.

    Args:
        factor: of the rates, at least 2.
        layout: of the `Decoder` that makes the detail; its strides multiply to ``factor``.
        channels: variables of the series.
        low_rate: what one sample at the low rate is: the ``'mean'`` of a block of samples, which
            stands at the middle of it, or ``'points'``, its first one.
        key: of the weights.

    Attributes:
        base: the learned interpolation.
        detail: the decoder.
        margin: samples of the low rate on each side that an output sample can depend on.

    Raises:
        ValueError: naming the argument that is wrong.

    Source: ours. The steps' size is Kim et al. 2022's reversible normalisation (RevIN), of the
    neighbourhood instead of the whole; the base is `numpy.interp` before it is trained.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from convt1d.models import Layout, SeriesUpsampler
        >>> layout = Layout(strides=(1, 4), channels=(16, 16, 8), dilations=(1,))
        >>> upsampler = SeriesUpsampler(4, layout, channels=5, key=jax.random.key(0))
        >>> upsampler(jnp.ones((3, 6, 5))).shape
        (3, 24, 5)
    """

    base: ConvTranspose1d
    detail: Decoder
    factor: int = eqx.field(static=True)
    channels: int = eqx.field(static=True)
    low_rate: str = eqx.field(static=True)
    margin: int = eqx.field(static=True)

    def __init__(
        self,
        factor: int,
        layout: Layout,
        *,
        channels: int,
        low_rate: str = "mean",
        key: PRNGKeyArray,
    ) -> None:
        self.factor, self.channels = single("factor", factor), single("channels", channels)
        self.low_rate = choice("low_rate", low_rate, LOW_RATES)
        if self.factor < 2:
            raise ValueError(f"`factor` (={factor}) must be at least 2: with 1 nothing is missing.")
        if layout.hop != self.factor:
            raise ValueError(
                f"`layout` has strides {layout.strides}, whose product is {layout.hop}: it must be "
                f"the `factor` of the rates, {self.factor}."
            )
        if layout.lstm:
            raise ValueError(
                f"`layout` has lstm={layout.lstm}, which sees the whole series: an upsampler of "
                "series of any length takes lstm=0."
            )
        half = _REACH * self.factor
        taps = np.arange(-half, half + self.factor)  # from a sample of the low rate, in high ones
        line = np.maximum(0.0, 1.0 - np.abs(taps - self.offset) / self.factor)
        self.base = ConvTranspose1d(
            (1, channels),
            channels,
            len(taps),
            self.factor,
            crop=(half, half),
            groups=channels,
            w_init=jnp.asarray(np.tile(line[:, None, None], (1, channels, 1)), jnp.float32),
        )
        self.detail = Decoder(channels, channels, layout, output="none", key=key)
        first, last = eqx.filter_eval_shape(stream, self.detail)._seen((0, self.factor))
        # A step takes two samples, and is divided by what is nearby.
        self.margin = max(_REACH, _NEARBY + 1 - first, _NEARBY + last - 1)

    @property
    def layout(self) -> Layout:
        """Of the decoder that makes the detail."""
        return self.detail.layout

    @property
    def hop(self) -> int:
        """Samples of the series for one sample of its input: the factor."""
        return self.factor

    @property
    def offset(self) -> float:
        """Where in its block a sample at the low rate stands, in samples of the high rate."""
        return (self.factor - 1) / 2 if self.low_rate == "mean" else 0.0

    def __call__(
        self, low: Float[Array, "batch length channels"]
    ) -> Float[Array, "batch samples channels"]:
        """Upsample: ``factor·length`` samples."""
        around = ((0, 0), (self.margin, self.margin), (0, 0))
        return self.inside(jnp.pad(low, around, mode="edge"))

    def inside(
        self, window: Float[Array, "batch window channels"]
    ) -> Float[Array, "batch samples channels"]:
        """Upsample a part of a series, without the ``margin`` samples on both sides of it."""
        margin, (batch, length, channels) = self.margin, window.shape
        x = window.astype(self.base.weight.dtype)
        steps = jnp.diff(x, axis=1, prepend=x[:, :1])
        size = _size_nearby(steps)
        detail = self.detail(steps / size) * jnp.repeat(size, self.factor, axis=1)
        made = (self.base(x) + detail).reshape(batch, length, self.factor, channels)
        blocks, low = (each[:, margin : length - margin] for each in (made, window))
        known = low.astype(blocks.dtype)
        if self.low_rate == "mean":
            blocks = blocks + (known - blocks.mean(axis=2))[:, :, None]
        else:
            blocks = blocks.at[:, :, 0].set(known)
        return blocks.reshape(batch, -1, channels).astype(window.dtype)

    def low(
        self, high: Float[Array, "batch samples channels"]
    ) -> Float[Array, "batch length channels"]:
        """The series at the low rate that one at the high rate is to be made from.

        ``ceil(samples / factor)`` samples of it; the last value goes on to the end of the last
        block.
        """
        batch, samples, channels = high.shape
        around = ((0, 0), (0, -samples % self.factor), (0, 0))
        blocks = jnp.pad(high, around, mode="edge").reshape(batch, -1, self.factor, channels)
        return blocks.mean(axis=2) if self.low_rate == "mean" else blocks[:, :, 0]

    def plain(
        self, low: Float[Array, "batch length channels"]
    ) -> Float[Array, "batch samples channels"]:
        """What interpolation on straight lines makes of it, for comparison."""
        length = low.shape[1]
        at = (np.arange(length * self.factor) - self.offset) / self.factor
        at = np.clip(at, 0, length - 1)
        before = np.floor(at).astype(int)
        after = np.minimum(before + 1, length - 1)
        share = jnp.asarray((at - before)[None, :, None], low.dtype)
        return (1 - share) * low[:, before] + share * low[:, after]


def _size_nearby(steps: Float[Array, "batch length channels"]) -> Array:
    """Root mean square of each variable's steps around each of them."""
    width = 2 * _NEARBY + 1
    total = jax.lax.reduce_window(
        jnp.square(steps),
        np.zeros((), steps.dtype),
        jax.lax.add,
        (1, width, 1),
        (1, 1, 1),
        ((0, 0), (_NEARBY, _NEARBY), (0, 0)),
    )
    return jnp.maximum(jnp.sqrt(total / width), jnp.asarray(_SMALLEST, steps.dtype))
