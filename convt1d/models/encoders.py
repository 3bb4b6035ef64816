"""The encoder: the decoder's mirror image."""

import math
from collections.abc import Callable, Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from convt1d._stream_parts import stream_chain
from convt1d._stream_samples import WholeHops
from convt1d._streaming import Stream, stream
from convt1d.models.blocks import (
    ACTIVATIONS,
    Layer,
    ResidualUnit,
    check_shape,
    convolution,
    residual_units,
    unit_layers,
)


class DownStage(eqx.Module):
    """Residual units, activation, strided convolution."""

    units: tuple[ResidualUnit, ...]
    activation: Callable[[Array], Array] | None
    down: Layer

    def __call__(self, x: Array) -> Array:
        """Shorten ``x`` by the stride."""
        for unit in self.units:
            x = unit(x)
        return self.down(x if self.activation is None else self.activation(x))


class Encoder(eqx.Module):
    """Strided convolutions from a signal to features at the latent's rate.

    The arguments are those of the `Decoder` whose mirror image it is, in the decoder's order.

    Args:
        signal: channels of the signal.
        features: channels of what is made.
        strides: factors from latent to signal.
        channels: channels before each stride of the decoder and, if there is one more, after it.
        stride_kernels: taps of each strided convolution; ``2·stride`` if empty.
        kernel_size: taps of the convolution at the signal and of the dilated ones.
        latent_kernel_size: taps of the convolution at the latent.
        dilations: of the residual units before each stride; none if empty.
        activation: ``'snake'``, ``'snake_beta'``, ``'elu'``, ``'leaky_relu'`` or ``'relu'``.
        weight_norm: whether every layer is weight-normalised.
        entry: ``'conv'``, features for every hop; ``'dense'``, features of a whole signal.
        length: of the signal, for ``entry='dense'``.
        key: of the weights.

    Raises:
        ValueError: naming the argument that is wrong.

    Source: Kumar et al. 2023 (arXiv:2306.06546).

    Example:
        >>> import jax, jax.numpy as jnp, convt1d
        >>> encoder = convt1d.models.Encoder(
        ...     1, 32, strides=(4, 2), channels=(8, 4), dilations=(), key=jax.random.key(0)
        ... )
        >>> encoder(jnp.ones((3, 80, 1))).shape
        (3, 10, 32)
    """

    first: Layer | None
    stages: tuple[DownStage, ...]
    closing: Callable[[Array], Array]
    last: Layer
    signal: int = eqx.field(static=True)
    features: int = eqx.field(static=True)
    strides: tuple[int, ...] = eqx.field(static=True)
    channels: tuple[int, ...] = eqx.field(static=True)
    stride_kernels: tuple[int, ...] = eqx.field(static=True)
    kernel_size: int = eqx.field(static=True)
    latent_kernel_size: int = eqx.field(static=True)
    dilations: tuple[int, ...] = eqx.field(static=True)
    activation: str = eqx.field(static=True)
    weight_norm: bool = eqx.field(static=True)
    entry: str = eqx.field(static=True)
    length: int | None = eqx.field(static=True)

    def __init__(
        self,
        signal: int,
        features: int,
        *,
        strides: tuple[int, ...],
        channels: tuple[int, ...],
        stride_kernels: tuple[int, ...] = (),
        kernel_size: int = 7,
        latent_kernel_size: int = 3,
        dilations: tuple[int, ...] = (1, 3, 9),
        activation: str = "snake",
        weight_norm: bool = True,
        entry: str = "conv",
        length: int | None = None,
        key: PRNGKeyArray,
    ) -> None:
        self.signal, self.features = signal, features
        self.strides, self.channels = tuple(strides), tuple(channels)
        self.stride_kernels = tuple(stride_kernels) or tuple(2 * s for s in strides)
        self.kernel_size, self.latent_kernel_size = kernel_size, latent_kernel_size
        self.dilations = tuple(dilations)
        self.activation, self.weight_norm = activation, weight_norm
        self.entry, self.length = entry, length
        check_shape(
            strides=self.strides,
            channels=self.channels,
            stride_kernels=self.stride_kernels,
            kernel_size=min(kernel_size, latent_kernel_size),
            activation=activation,
            entry=entry,
            length=length,
        )
        first_key, last_key, *keys = jax.random.split(key, 2 + len(strides))
        opens = len(channels) > len(strides)
        widths = self.channels if opens else (*self.channels, signal)
        self.first = (
            convolution(signal, widths[-1], kernel_size, weight_norm=weight_norm, key=first_key)
            if opens
            else None
        )
        self.stages = tuple(
            self._stage(i, widths, key=k) for i, k in reversed(list(enumerate(keys)))
        )
        self.closing = ACTIVATIONS[activation](widths[0])
        frames = 1 if length is None else -(-length // self.hop)
        self.last = convolution(
            frames * widths[0],
            features,
            1 if length is not None else latent_kernel_size,
            weight_norm=weight_norm,
            key=last_key,
        )

    def _stage(self, i: int, widths: tuple[int, ...], *, key: PRNGKeyArray) -> DownStage:
        down_key, units_key = jax.random.split(key)
        takes_the_signal = i + 1 == len(self.channels)
        return DownStage(
            units=residual_units(
                widths[i + 1],
                kernel_size=self.kernel_size,
                dilations=() if takes_the_signal else self.dilations,
                activation=self.activation,
                weight_norm=self.weight_norm,
                key=units_key,
            ),
            activation=None if takes_the_signal else ACTIVATIONS[self.activation](widths[i + 1]),
            down=convolution(
                widths[i + 1],
                widths[i],
                self.stride_kernels[i],
                stride=self.strides[i],
                weight_norm=self.weight_norm,
                key=down_key,
            ),
        )

    @property
    def hop(self) -> int:
        """Samples of the signal for one step of the coarsest layer."""
        return math.prod(self.strides)

    def __call__(
        self, signal: Float[Array, "batch length signal"]
    ) -> Float[Array, "batch frames features"]:
        """Encode: ``ceil(length / hop)`` frames (1 with a dense entry), zeros after the end."""
        if self.length is not None and signal.shape[1] != self.length:
            raise ValueError(
                f"an encoder with entry='dense' takes {self.length} samples, but got "
                f"{signal.shape[1]}."
            )
        missing = -signal.shape[1] % self.hop
        x = jnp.pad(signal, ((0, 0), (0, missing), (0, 0))) if missing else signal
        x = x if self.first is None else self.first(x)
        for stage in self.stages:
            x = stage(x)
        x = self.closing(x)
        return self.last(x if self.length is None else x.reshape(x.shape[0], 1, -1))

    def layers(self) -> Iterator[tuple[str, Layer]]:
        """The convolutions in the order in which a signal passes them, by name."""
        if self.first is not None:
            yield "first", self.first
        for i, stage in enumerate(self.stages):
            yield from unit_layers(f"stages.{i}.units", stage.units)
            yield f"stages.{i}.down", stage.down
        yield "last", self.last


@stream.register
def _(stage: DownStage) -> Stream:
    activation = () if stage.activation is None else (stage.activation,)
    return stream_chain(*stage.units, *activation, stage.down)


@stream.register
def _(encoder: Encoder) -> Stream:
    if encoder.length is not None:
        raise ValueError(
            "`module` is an Encoder with entry='dense', which makes one latent of a whole signal: "
            "only entry='conv' can be streamed."
        )
    first = () if encoder.first is None else (encoder.first,)
    return stream_chain(
        WholeHops(encoder.hop), *first, *encoder.stages, encoder.closing, encoder.last
    )
