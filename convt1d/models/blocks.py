"""What decoders and encoders are built from."""

from collections.abc import Callable, Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from convt1d._activations import Snake, SnakeBeta
from convt1d._convolution import Conv1d
from convt1d._geometry import choice
from convt1d._layers import ConvTranspose1d
from convt1d._stream_parts import stream_chain, stream_sum
from convt1d._streaming import Stream, stream
from convt1d._weight_norm import WeightNorm

ACTIVATIONS: dict[str, Callable[[int], Callable[[Array], Array]]] = {
    "snake": Snake,
    "snake_beta": SnakeBeta,
    "elu": lambda channels: eqx.nn.Lambda(jax.nn.elu),
    "leaky_relu": lambda channels: eqx.nn.Lambda(leaky_relu),
    "relu": lambda channels: eqx.nn.Lambda(jax.nn.relu),
}
OUTPUTS: dict[str, Callable[[Array], Array]] = {
    "none": lambda x: x,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
}

Layer = Conv1d | ConvTranspose1d | WeightNorm

QUIET = 0.1
"""Variance at which a residual unit, or the signal before its tanh, begins: each unit near the
identity, so that a stack of them neither grows nor clips."""


def leaky_relu(x: Array) -> Array:
    """Slope 0.2 below zero, as in MelGAN and RAVE."""
    return jax.nn.leaky_relu(x, 0.2)


class ResidualUnit(eqx.Module):
    """``x + pointwise(act(dilated(act(x))))``: DAC's residual unit.

    Source: Kumar et al. 2023 (arXiv:2306.06546), after SoundStream's.
    """

    first: Callable[[Array], Array]
    dilated: Layer
    second: Callable[[Array], Array]
    pointwise: Layer

    def __init__(
        self,
        channels: int,
        *,
        kernel_size: int,
        dilation: int,
        activation: str,
        weight_norm: bool,
        key: PRNGKeyArray,
    ) -> None:
        dilated_key, pointwise_key = jax.random.split(key)
        self.first = ACTIVATIONS[activation](channels)
        self.dilated = convolution(
            channels,
            channels,
            kernel_size,
            dilation=dilation,
            weight_norm=weight_norm,
            key=dilated_key,
        )
        self.second = ACTIVATIONS[activation](channels)
        self.pointwise = convolution(
            channels,
            channels,
            1,
            variance=QUIET,
            weight_norm=weight_norm,
            key=pointwise_key,
        )

    def __call__(
        self, x: Float[Array, "batch length channels"]
    ) -> Float[Array, "batch length channels"]:
        """Add to the signal what the unit makes of it."""
        return x + self.pointwise(self.second(self.dilated(self.first(x))))


def residual_units(
    channels: int,
    *,
    kernel_size: int,
    dilations: tuple[int, ...],
    activation: str,
    weight_norm: bool,
    key: PRNGKeyArray,
) -> tuple[ResidualUnit, ...]:
    """One unit for each dilation."""
    return tuple(
        ResidualUnit(
            channels,
            kernel_size=kernel_size,
            dilation=dilation,
            activation=activation,
            weight_norm=weight_norm,
            key=jax.random.fold_in(key, i),
        )
        for i, dilation in enumerate(dilations)
    )


def convolution(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    variance: float = 1.0,
    weight_norm: bool,
    key: PRNGKeyArray,
) -> Layer:
    """A convolution whose output has ``variance`` times its input's, weight-normalised if asked."""
    layer = Conv1d(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        dilation=dilation,
        w_init=jax.nn.initializers.variance_scaling(variance, "fan_in", "truncated_normal"),
        key=key,
    )
    return WeightNorm(layer) if weight_norm else layer


def upsampling(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    stride: int,
    weight_norm: bool,
    key: PRNGKeyArray,
) -> Layer:
    """A transposed convolution that keeps the variance of its input, whatever its stride."""
    layer = ConvTranspose1d(
        (1, in_channels),
        out_channels,
        kernel_size,
        stride,
        w_init="unit_variance",
        b_init=0.0,
        key=key,
    )
    return WeightNorm(layer) if weight_norm else layer


def check_shape(
    *,
    strides: tuple[int, ...],
    channels: tuple[int, ...],
    stride_kernels: tuple[int, ...],
    kernel_size: int,
    activation: str,
    entry: str,
    length: int | None,
) -> None:
    """Refuse arguments of a decoder or encoder that do not fit one another."""
    if not strides or min(strides) < 1:
        raise ValueError(f"`strides` (={strides}) must be one or more ints of at least 1.")
    if len(channels) not in (len(strides), len(strides) + 1) or min(channels) < 1:
        raise ValueError(
            f"`channels` (={channels}) must hold one positive int for each of the {len(strides)} "
            "strides, and one more if a convolution is to make the signal after the last."
        )
    if len(stride_kernels) != len(strides) or min(stride_kernels) < 1:
        raise ValueError(
            f"`stride_kernels` (={stride_kernels}) must hold one positive int for each of the "
            f"{len(strides)} strides."
        )
    if kernel_size < 1:
        raise ValueError("`kernel_size` and `latent_kernel_size` must be at least 1.")
    choice("activation", activation, ACTIVATIONS)
    choice("entry", entry, ("conv", "dense"))
    if (entry == "dense") != (length is not None):
        raise ValueError(
            f"`length` (={length!r}) belongs to entry='dense', which makes signals of one length, "
            f"and to no other (entry={entry!r})."
        )


def plain(layer: Layer) -> Conv1d | ConvTranspose1d:
    """The convolution inside a weight norm, for its sizes."""
    return layer.layer if isinstance(layer, WeightNorm) else layer


def unit_layers(name: str, units: tuple[ResidualUnit, ...]) -> Iterator[tuple[str, Layer]]:
    """The convolutions of residual units in order, by name."""
    for i, unit in enumerate(units):
        yield f"{name}.{i}.dilated", unit.dilated
        yield f"{name}.{i}.pointwise", unit.pointwise


@stream.register
def _(unit: ResidualUnit) -> Stream:
    made = stream_chain(unit.first, unit.dilated, unit.second, unit.pointwise)
    return stream_sum(stream_chain(), made)
