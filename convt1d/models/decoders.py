"""The decoder: from a short, wide latent to a long, narrow signal."""

import math
from collections.abc import Callable, Iterator

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from convt1d._geometry import choice
from convt1d._stream_parts import stream_chain
from convt1d._streaming import Stream, stream
from convt1d.models.blocks import (
    ACTIVATIONS,
    OUTPUTS,
    QUIET,
    Layer,
    ResidualUnit,
    check_shape,
    convolution,
    residual_units,
    unit_layers,
    upsampling,
)


class UpStage(eqx.Module):
    """Activation, transposed convolution, residual units."""

    activation: Callable[[Array], Array]
    up: Layer
    units: tuple[ResidualUnit, ...]

    def __call__(self, x: Array) -> Array:
        """Lengthen ``x`` by the stride."""
        x = self.up(self.activation(x))
        for unit in self.units:
            x = unit(x)
        return x


class Decoder(eqx.Module):
    """Transposed convolutions between a latent and a signal; its arguments tell the families apart.

    =====================  =======================================================================
    DAC-style              ``Decoder(1, 64, strides=(8, 8, 4, 2), channels=(1536, 768, 384, 192,
                           96))``: Snake, dilated residual units, weight norm
    WaveGAN-style          ``Decoder(1, 100, strides=(4,) * 5, channels=(1024, 512, 256, 128, 64),
                           stride_kernels=(25,) * 5, dilations=(), activation="relu",
                           weight_norm=False, entry="dense", length=16384)``
    =====================  =======================================================================

    Args:
        signal: channels of the signal.
        latent: channels of the latent.
        strides: factors from latent to signal, in order; their product is the hop.
        channels: channels before each stride and, if there is one more, after the last, where a
            convolution then makes the signal.
        stride_kernels: taps of each transposed convolution; ``2·stride`` if empty.
        kernel_size: taps of the convolution at the signal and of the dilated ones.
        latent_kernel_size: taps of the convolution at the latent.
        dilations: of the residual units after each stride; none if empty.
        activation: ``'snake'``, ``'snake_beta'``, ``'elu'``, ``'leaky_relu'`` or ``'relu'``.
        weight_norm: whether every layer is weight-normalised.
        entry: ``'conv'``, a latent for every hop and signals of any length; ``'dense'``, one latent
            for a whole signal of ``length`` samples.
        length: of the signal, for ``entry='dense'``.
        output: ``'tanh'``, ``'sigmoid'`` or ``'none'``: keeps the signal in its range.
        key: of the weights.

    Raises:
        ValueError: naming the argument that is wrong.

    Source: Kumar et al. 2023 (arXiv:2306.06546); Donahue et al. 2018 (arXiv:1802.04208).

    Example:
        >>> import jax, jax.numpy as jnp, convt1d
        >>> decoder = convt1d.models.Decoder(
        ...     1, 16, strides=(4, 2), channels=(8, 4), dilations=(), key=jax.random.key(0)
        ... )
        >>> decoder(jnp.ones((3, 10, 16))).shape, decoder.hop
        ((3, 80, 1), 8)
    """

    first: Layer
    stages: tuple[UpStage, ...]
    closing: Callable[[Array], Array] | None
    last: Layer | None
    signal: int = eqx.field(static=True)
    latent: int = eqx.field(static=True)
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
    output: str = eqx.field(static=True)

    def __init__(
        self,
        signal: int,
        latent: int,
        *,
        strides: tuple[int, ...],
        channels: tuple[int, ...],
        stride_kernels: tuple[int, ...] = (),
        kernel_size: int = 7,
        latent_kernel_size: int = 7,
        dilations: tuple[int, ...] = (1, 3, 9),
        activation: str = "snake",
        weight_norm: bool = True,
        entry: str = "conv",
        length: int | None = None,
        output: str = "tanh",
        key: PRNGKeyArray,
    ) -> None:
        self.signal, self.latent = signal, latent
        self.strides, self.channels = tuple(strides), tuple(channels)
        self.stride_kernels = tuple(stride_kernels) or tuple(2 * s for s in strides)
        self.kernel_size, self.latent_kernel_size = kernel_size, latent_kernel_size
        self.dilations = tuple(dilations)
        self.activation, self.weight_norm = activation, weight_norm
        self.entry, self.length, self.output = entry, length, output
        choice("output", output, OUTPUTS)
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
        if length is None:
            self.first = convolution(
                latent, channels[0], latent_kernel_size, weight_norm=weight_norm, key=first_key
            )
        else:
            self.first = convolution(
                latent, self.frames * channels[0], 1, weight_norm=weight_norm, key=first_key
            )
        closes = len(channels) > len(strides)
        widths = self.channels if closes else (*self.channels, signal)
        self.stages = tuple(self._stage(i, widths, key=k) for i, k in enumerate(keys))
        self.closing = ACTIVATIONS[activation](widths[-1]) if closes else None
        self.last = (
            convolution(
                widths[-1],
                signal,
                kernel_size,
                variance=QUIET,
                weight_norm=weight_norm,
                key=last_key,
            )
            if closes
            else None
        )

    def _stage(self, i: int, widths: tuple[int, ...], *, key: PRNGKeyArray) -> UpStage:
        up_key, units_key = jax.random.split(key)
        makes_the_signal = i + 1 == len(self.channels)
        return UpStage(
            activation=ACTIVATIONS[self.activation](widths[i]),
            up=upsampling(
                widths[i],
                widths[i + 1],
                self.stride_kernels[i],
                stride=self.strides[i],
                weight_norm=self.weight_norm,
                key=up_key,
            ),
            units=residual_units(
                widths[i + 1],
                kernel_size=self.kernel_size,
                dilations=() if makes_the_signal else self.dilations,
                activation=self.activation,
                weight_norm=self.weight_norm,
                key=units_key,
            ),
        )

    @property
    def hop(self) -> int:
        """Samples of the signal for one step of the coarsest layer."""
        return math.prod(self.strides)

    @property
    def frames(self) -> int:
        """Steps of the coarsest layer in a signal of fixed length."""
        return -(-(self.length or 0) // self.hop)

    def __call__(
        self, latent: Float[Array, "batch frames latent"]
    ) -> Float[Array, "batch length signal"]:
        """Decode: ``frames·hop`` samples, or ``length`` with a dense entry, whose frames is 1."""
        x = self.first(latent)
        if self.length is not None:
            x = x.reshape(x.shape[0], self.frames, self.channels[0])
        for stage in self.stages:
            x = stage(x)
        if self.last is not None and self.closing is not None:
            x = self.last(self.closing(x))
        return OUTPUTS[self.output](x[:, : self.length])

    def layers(self) -> Iterator[tuple[str, Layer]]:
        """The convolutions in the order in which a signal passes them, by name."""
        yield "first", self.first
        for i, stage in enumerate(self.stages):
            yield f"stages.{i}.up", stage.up
            yield from unit_layers(f"stages.{i}.units", stage.units)
        if self.last is not None:
            yield "last", self.last


@stream.register
def _(stage: UpStage) -> Stream:
    return stream_chain(stage.activation, stage.up, *stage.units)


@stream.register
def _(decoder: Decoder) -> Stream:
    if decoder.length is not None:
        raise ValueError(
            "`module` is a Decoder with entry='dense', which makes a whole signal of one latent: "
            "only entry='conv' can be streamed."
        )
    closing = () if decoder.last is None else (decoder.closing, decoder.last)
    return stream_chain(decoder.first, *decoder.stages, *closing, OUTPUTS[decoder.output])
