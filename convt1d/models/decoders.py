"""The decoder: from a short, wide latent to a long, narrow signal."""

from collections.abc import Iterator

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from convt1d._geometry import choice
from convt1d._stream_parts import stream_chain
from convt1d._streaming import Stream, stream
from convt1d.models.blocks import (
    OUTPUTS,
    QUIET,
    Activation,
    Branches,
    Layer,
    activation,
    averaged,
    branch_layers,
    branches,
    convolution,
    plain,
    stream_average,
    through,
    upsampling,
)
from convt1d.models.layout import Layout
from convt1d.models.recurrent import LSTM, Recurrence


class UpStage(eqx.Module):
    """Activation, transposed convolution, residual units."""

    activation: Activation
    up: Layer
    branches: Branches

    def __call__(self, x: Array) -> Array:
        """Lengthen ``x`` by the stride."""
        return averaged(self.branches, self.up(self.activation(x)))


class Decoder(eqx.Module):
    """Transposed convolutions between a latent and a signal; its layout tells the families apart.

    It computes in the dtype of its weights and returns the dtype of its input.

    Args:
        signal: channels of the signal.
        latent: channels of the latent.
        layout: what it is made of.
        length: of the signals, if one latent is to make a whole one: WaveGAN's dense entry. None
            for a latent for every hop and signals of any length.
        output: ``'tanh'``, ``'sigmoid'`` or ``'none'``: keeps the signal in its range;
            ``'modulated'``, ``tanh(a·sigmoid(b))`` of twice as many channels, as in RAVE v2;
            ``'features'``, what comes out of the last stage, for heads of one's own.
        key: of the weights.

    Raises:
        ValueError: naming the argument that is wrong.

    Source: Kumar et al. 2023 (arXiv:2306.06546); Donahue et al. 2018 (arXiv:1802.04208). Others at
    `Layout` and `convt1d.models.published`.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from convt1d.models import Decoder, Layout
        >>> layout = Layout(strides=(4, 2), channels=(8, 4), dilations=())
        >>> decoder = Decoder(1, 16, layout, key=jax.random.key(0))
        >>> decoder(jnp.ones((3, 10, 16))).shape, decoder.hop
        ((3, 80, 1), 8)
    """

    first: Layer
    recurrence: Recurrence | None
    stages: tuple[UpStage, ...]
    closing: Activation | None
    last: Layer | None
    signal: int = eqx.field(static=True)
    latent: int = eqx.field(static=True)
    layout: Layout = eqx.field(static=True)
    length: int | None = eqx.field(static=True)
    output: str = eqx.field(static=True)

    def __init__(
        self,
        signal: int,
        latent: int,
        layout: Layout,
        *,
        length: int | None = None,
        output: str = "tanh",
        key: PRNGKeyArray,
    ) -> None:
        self.signal, self.latent, self.layout = signal, latent, layout
        self.length, self.output = length, choice("output", output, OUTPUTS)
        check_length(length, layout)
        _check_features(signal, layout, output)
        first_key, last_key, *keys = jax.random.split(key, 2 + len(layout.strides))
        width = layout.channels[0]
        self.first = convolution(
            latent,
            width if length is None else self.frames * width,
            layout.latent_kernel_size if length is None else 1,
            layout,
            key=first_key,
        )
        lstm_key = jax.random.fold_in(first_key, 1)
        self.recurrence = Recurrence(width, layout.lstm, key=lstm_key) if layout.lstm else None
        made = 2 * signal if output == "modulated" else signal
        widths = layout.channels if layout.closes else (*layout.channels, made)
        self.stages = tuple(_stage(layout, i, widths, key=k) for i, k in enumerate(keys))
        closes = layout.closes and output != "features"
        self.closing = activation(layout, widths[-1], closing=True) if closes else None
        self.last = (
            convolution(
                widths[-1],
                made,
                layout.kernel_size,
                layout,
                variance=QUIET,
                closing=True,
                key=last_key,
            )
            if closes
            else None
        )

    @property
    def hop(self) -> int:
        """Samples of the signal for one step of the coarsest layer."""
        return self.layout.hop

    @property
    def frames(self) -> int:
        """Steps of the coarsest layer in a signal of fixed length."""
        return -(-(self.length or 0) // self.hop)

    def __call__(
        self, latent: Float[Array, "batch frames latent"]
    ) -> Float[Array, "batch length signal"]:
        """Decode: ``frames·hop`` samples, or the fixed ``length``, for which ``frames`` is 1."""
        x = through(self.first, latent.astype(plain(self.first).weight.dtype))
        if self.length is not None:
            x = x.reshape(x.shape[0], self.frames, self.layout.channels[0])
        if self.recurrence is not None:
            x = self.recurrence(x)
        for stage in self.stages:
            x = eqx.filter_checkpoint(stage)(x) if self.layout.rematerialise else stage(x)
        if self.last is not None and self.closing is not None:
            x = through(self.last, self.closing(x))
        return OUTPUTS[self.output](x[:, : self.length]).astype(latent.dtype)

    def layers(self) -> Iterator[tuple[str, Layer | LSTM]]:
        """The layers that mix samples, in the order in which a signal passes them, by name."""
        yield "first", self.first
        if self.recurrence is not None:
            yield from self.recurrence.named("recurrence")
        for i, stage in enumerate(self.stages):
            yield f"stages.{i}.up", stage.up
            yield from branch_layers(f"stages.{i}.branches", stage.branches)
        if self.last is not None:
            yield "last", self.last


def _stage(layout: Layout, i: int, widths: tuple[int, ...], *, key: PRNGKeyArray) -> UpStage:
    up_key, units_key = jax.random.split(key)
    return UpStage(
        activation=activation(layout, widths[i], closing=i + 1 == len(layout.channels)),
        up=upsampling(
            widths[i],
            widths[i + 1],
            layout.stride_kernels[i],
            layout,
            stride=layout.strides[i],
            closing=i + 1 == len(layout.channels),
            key=up_key,
        ),
        branches=branches(widths[i + 1], layout, stage=i, key=units_key),
    )


def check_length(length: int | None, layout: Layout) -> None:
    """Refuse a fixed length that there cannot be."""
    if length is None:
        return
    if length < 1:
        raise ValueError(f"`length` (={length}) must be at least 1, or None for any.")
    if layout.padding == "symmetric":
        raise ValueError(
            f"`length` (={length}) needs the exact lengths of padding='same', 'same_lower' or "
            "'causal': padding='symmetric' makes fewer samples of odd strides."
        )


def _check_features(signal: int, layout: Layout, output: str) -> None:
    if output == "features" and (not layout.closes or signal != layout.channels[-1]):
        raise ValueError(
            f"`signal` (={signal}) must be the last of `channels` (={layout.channels}), one more "
            "than the strides, for output='features', which ends there."
        )


@stream.register
def _(stage: UpStage) -> Stream:
    return stream_chain(stage.activation, stage.up, stream_average(stage.branches))


@stream.register
def _(decoder: Decoder) -> Stream:
    if decoder.length is not None:
        raise ValueError(
            f"`module` is a Decoder with length={decoder.length}, which makes a whole signal of "
            "one latent: only one with length=None can be streamed."
        )
    recurrence = () if decoder.recurrence is None else (decoder.recurrence,)
    closing = () if decoder.last is None else (decoder.closing, decoder.last)
    return stream_chain(
        decoder.first, *recurrence, *decoder.stages, *closing, OUTPUTS[decoder.output]
    )
