"""The encoder: the decoder's mirror image."""

from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from convt1d._stream_parts import stream_chain
from convt1d._stream_samples import WholeHops
from convt1d._streaming import Stream, stream
from convt1d.models.blocks import (
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
)
from convt1d.models.decoders import check_length
from convt1d.models.layout import Layout
from convt1d.models.recurrent import LSTM, Recurrence


class DownStage(eqx.Module):
    """Residual units, activation, strided convolution."""

    branches: Branches
    activation: Activation | None
    down: Layer

    def __call__(self, x: Array) -> Array:
        """Shorten ``x`` by the stride."""
        x = averaged(self.branches, x)
        return through(self.down, x if self.activation is None else self.activation(x))


class Encoder(eqx.Module):
    """Strided convolutions from a signal to features at the latent's rate.

    It is the mirror image of the `Decoder` of the same layout, computes in the dtype of its weights
    and returns the dtype of its input.

    Args:
        signal: channels of the signal.
        features: channels of what is made.
        layout: what it is made of, in the decoder's order.
        length: of the signals, if one step of features is to stand for a whole one. None for
            features for every hop, and signals of any length.
        key: of the weights.

    Raises:
        ValueError: naming the argument that is wrong.

    Source: Kumar et al. 2023 (arXiv:2306.06546).

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from convt1d.models import Encoder, Layout
        >>> layout = Layout(strides=(4, 2), channels=(8, 4), dilations=())
        >>> encoder = Encoder(1, 32, layout, key=jax.random.key(0))
        >>> encoder(jnp.ones((3, 80, 1))).shape
        (3, 10, 32)
    """

    first: Layer | None
    stages: tuple[DownStage, ...]
    recurrence: Recurrence | None
    closing: Activation
    last: Layer
    signal: int = eqx.field(static=True)
    features: int = eqx.field(static=True)
    layout: Layout = eqx.field(static=True)
    length: int | None = eqx.field(static=True)

    def __init__(
        self,
        signal: int,
        features: int,
        layout: Layout,
        *,
        length: int | None = None,
        key: PRNGKeyArray,
    ) -> None:
        self.signal, self.features, self.layout, self.length = signal, features, layout, length
        check_length(length, layout)
        first_key, last_key, *keys = jax.random.split(key, 2 + len(layout.strides))
        widths = layout.channels if layout.closes else (*layout.channels, signal)
        self.first = (
            convolution(signal, widths[-1], layout.kernel_size, layout, key=first_key)
            if layout.closes
            else None
        )
        self.stages = tuple(
            _stage(layout, i, widths, key=k) for i, k in reversed(list(enumerate(keys)))
        )
        lstm_key = jax.random.fold_in(last_key, 1)
        self.recurrence = Recurrence(widths[0], layout.lstm, key=lstm_key) if layout.lstm else None
        self.closing = activation(layout, widths[0], closing=True)
        frames = 1 if length is None else -(-length // self.hop)
        self.last = convolution(
            frames * widths[0],
            features,
            layout.latent_kernel_size if length is None else 1,
            layout,
            closing=True,
            key=last_key,
        )

    @property
    def hop(self) -> int:
        """Samples of the signal for one step of the coarsest layer."""
        return self.layout.hop

    def __call__(
        self, signal: Float[Array, "batch length signal"]
    ) -> Float[Array, "batch frames features"]:
        """Encode: ``ceil(length / hop)`` frames, or 1 of a fixed length; zeros after the end.

        Raises:
            ValueError: if the length is fixed, and the signal's is another.
        """
        if self.length is not None and signal.shape[1] != self.length:
            raise ValueError(
                f"an encoder with length={self.length} takes {self.length} samples, but got "
                f"{signal.shape[1]}."
            )
        missing = -signal.shape[1] % self.hop
        x = jnp.pad(signal, ((0, 0), (0, missing), (0, 0))) if missing else signal
        x = x.astype(plain(self.last).weight.dtype)
        x = x if self.first is None else through(self.first, x)
        for stage in self.stages:
            x = eqx.filter_checkpoint(stage)(x) if self.layout.rematerialise else stage(x)
        if self.recurrence is not None:
            x = self.recurrence(x)
        x = self.closing(x)
        x = through(self.last, x if self.length is None else x.reshape(x.shape[0], 1, -1))
        return x.astype(signal.dtype)

    def layers(self) -> Iterator[tuple[str, Layer | LSTM]]:
        """The layers that mix samples, in the order in which a signal passes them, by name."""
        if self.first is not None:
            yield "first", self.first
        for i, stage in enumerate(self.stages):
            yield from branch_layers(f"stages.{i}.branches", stage.branches)
            yield f"stages.{i}.down", stage.down
        if self.recurrence is not None:
            yield from self.recurrence.named("recurrence")
        yield "last", self.last


def _stage(layout: Layout, i: int, widths: tuple[int, ...], *, key: PRNGKeyArray) -> DownStage:
    down_key, units_key = jax.random.split(key)
    takes_the_signal = i + 1 == len(layout.channels)
    return DownStage(
        branches=branches(widths[i + 1], layout, stage=i, key=units_key),
        activation=None if takes_the_signal else activation(layout, widths[i + 1]),
        down=convolution(
            widths[i + 1],
            widths[i],
            layout.stride_kernels[i],
            layout,
            stride=layout.strides[i],
            key=down_key,
        ),
    )


@stream.register
def _(stage: DownStage) -> Stream:
    activation = () if stage.activation is None else (stage.activation,)
    return stream_chain(stream_average(stage.branches), *activation, stage.down)


@stream.register
def _(encoder: Encoder) -> Stream:
    if encoder.length is not None:
        raise ValueError(
            f"`module` is an Encoder with length={encoder.length}, which makes one latent of a "
            "whole signal: only one with length=None can be streamed."
        )
    first = () if encoder.first is None else (encoder.first,)
    recurrence = () if encoder.recurrence is None else (encoder.recurrence,)
    return stream_chain(
        WholeHops(encoder.hop), *first, *encoder.stages, *recurrence, encoder.closing, encoder.last
    )
