"""The upsampler: what resampling gives, and what it cannot know."""

import dataclasses

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from numpy.typing import NDArray

from convt1d._convolution import Conv1d
from convt1d._geometry import single
from convt1d._layers import ConvTranspose1d
from convt1d._parameters import Frozen
from convt1d._polyphase import REACH, decimate, high_pass, low_pass
from convt1d._stream_parts import stream_chain, stream_sum
from convt1d._streaming import Stream, stream
from convt1d.models.decoders import Decoder
from convt1d.models.layout import Layout


class Upsampler(eqx.Module):
    r"""From a signal to the same at ``factor`` times its rate, channel by channel.

    $$y = \text{base}(x) + h * \text{detail}(x)$$

    The base is resampling, a frozen transposed convolution: all that the low rate holds, and
    nothing above. The detail is learned, and passes a sharp frozen high-pass $h$, so that what the
    low rate holds stays as it is. With ``activation='leaky_relu'`` or ``'relu'`` and ``bias=False``
    the whole is as loud as its input: `upsampler(a·x) = a·upsampler(x)` for positive a.

    It computes the detail in the dtype of the detail's weights, the filters in that of theirs,
    float32, and returns the dtype of its input. Its stream takes one channel; to stream several,
    make them items of a batch.

    Args:
        factor: of the rates, at least 2.
        layout: of the `Decoder` that makes the detail; its strides multiply to ``factor``. A
            stride of 1 puts residual units at the low rate, where they are cheap.
        key: of the weights.

    Attributes:
        base: the frozen resampler, of signals with one channel.
        detail: the decoder.
        sieve: the frozen high-pass.

    Raises:
        ValueError: naming the argument that is wrong.

    Source: the base is `scipy.signal.resample_poly(x, factor, 1)` with its default filter.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from convt1d.models import Layout, Upsampler
        >>> layout = Layout(strides=(1, 2, 2), channels=(16, 16, 8, 8), dilations=(1, 3))
        >>> upsampler = Upsampler(4, layout, key=jax.random.key(0))
        >>> upsampler(jnp.ones((3, 100, 2))).shape
        (3, 400, 2)
    """

    base: ConvTranspose1d
    detail: Decoder
    sieve: ConvTranspose1d
    factor: int = eqx.field(static=True)

    def __init__(self, factor: int, layout: Layout, *, key: PRNGKeyArray) -> None:
        self.factor = single("factor", factor)
        if self.factor < 2:
            raise ValueError(f"`factor` (={factor}) must be at least 2: with 1 nothing is missing.")
        if layout.hop != self.factor:
            raise ValueError(
                f"`layout` has strides {layout.strides}, whose product is {layout.hop}: it must be "
                f"the `factor` of the rates, {self.factor}."
            )
        half = self.factor * REACH
        self.base = _filter(
            self.factor * low_pass(self.factor),
            stride=self.factor,
            crop=(half, half - self.factor + 1),
        )
        self.detail = Decoder(1, 1, layout, output="none", key=key)
        taps = high_pass(self.factor)
        self.sieve = _filter(taps, stride=1, crop=(len(taps) // 2, len(taps) // 2))

    @property
    def layout(self) -> Layout:
        """Of the decoder that makes the detail."""
        return self.detail.layout

    @property
    def hop(self) -> int:
        """Samples of the signal for one sample of its input: the factor."""
        return self.factor

    @property
    def offset(self) -> float:
        """Where a sample at the low rate stands, in samples of the high one."""
        return 0.0

    def __call__(
        self, low: Float[Array, "batch length channels"]
    ) -> Float[Array, "batch samples channels"]:
        """Upsample: ``factor·length`` samples."""
        batch, _, channels = low.shape
        rows = low.swapaxes(1, 2).reshape(batch * channels, -1, 1)
        rows = rows.astype(self.base.weight.value.dtype)
        high = self.base(rows) + self.sieve(self.detail(rows))
        return high.reshape(batch, channels, -1).swapaxes(1, 2).astype(low.dtype)

    def plain(
        self, low: Float[Array, "batch length channels"]
    ) -> Float[Array, "batch samples channels"]:
        """What resampling alone makes of it, for comparison."""
        each = [self.base(low[..., i : i + 1]) for i in range(low.shape[2])]
        return jnp.concatenate(each, axis=2)

    def low(
        self, high: Float[Array, "batch samples channels"]
    ) -> Float[Array, "batch length channels"]:
        """The signal at the low rate that a signal at the high rate is to be made from.

        ``ceil(samples / factor)`` samples of it, by `scipy.signal.resample_poly(x, 1, factor)`.
        """
        return decimate(high, self.factor)


def _filter(taps: NDArray[np.float64], *, stride: int, crop: tuple[int, int]) -> ConvTranspose1d:
    return ConvTranspose1d(
        (1, 1),
        1,
        len(taps),
        stride,
        crop=crop,
        w_init=jnp.asarray(taps[:, None, None], jnp.float32),
        param_type=Frozen,
        precision="highest",
    )


@stream.register
def _(upsampler: Upsampler) -> Stream:
    taps = upsampler.sieve.weight.value
    half = len(taps) // 2
    # The same filter, being symmetric. As one product per tap, XLA compiles it for minutes.
    sieve = Conv1d(1, 1, len(taps), padding=(half, half), w_init=taps, b_init=None)
    sieved = dataclasses.replace(stream(sieve), lowering="lax")  # pyright: ignore[reportCallIssue]
    return stream_sum(upsampler.base, stream_chain(upsampler.detail, sieved))
