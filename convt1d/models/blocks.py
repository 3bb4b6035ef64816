"""What decoders and encoders are built from."""

import functools
from collections.abc import Callable, Iterator
from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from convt1d._activations import Snake, SnakeBeta
from convt1d._conv_transpose import conv1d
from convt1d._convolution import Conv1d
from convt1d._geometry import conv_padding, kernel_extent
from convt1d._layers import ConvTranspose1d
from convt1d._stream_parts import stream_chain, stream_sum
from convt1d._stream_samples import stream_pointwise
from convt1d._streaming import Stream, stream
from convt1d._weight_norm import WeightNorm
from convt1d.models.layout import Layout

Layer: TypeAlias = Conv1d | ConvTranspose1d | WeightNorm
Activation: TypeAlias = Callable[[Array], Array]

QUIET = 0.1
"""Variance at which a residual unit, or the signal before its tanh, begins: each unit near the
identity, so that a stack of them neither grows nor clips."""


class LeakyReLU(eqx.Module):
    """``max(x, slope·x)``."""

    slope: float = eqx.field(static=True)

    def __call__(self, x: Array) -> Array:
        """Activate ``x``."""
        return jax.nn.leaky_relu(x, self.slope)


class Share(eqx.Module):
    """``share·x``."""

    share: float = eqx.field(static=True)

    def __call__(self, x: Array) -> Array:
        """Scale ``x``."""
        return self.share * x


def modulated(x: Float[Array, "batch length twice"]) -> Float[Array, "batch length signal"]:
    """``tanh(a·sigmoid(b))`` of the two halves of the channels: RAVE v2's output."""
    wave, amplitude = jnp.split(x, 2, axis=-1)
    return jnp.tanh(wave * jax.nn.sigmoid(amplitude))


def unchanged(x: Array) -> Array:
    """The identity, which may be anything."""
    return x


OUTPUTS: dict[str, Activation] = {
    "none": unchanged,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "modulated": modulated,
    "features": unchanged,
}


def activation(layout: Layout, channels: int, *, closing: bool = False) -> Activation:
    """The activation of a layout; ``closing`` for the one before the last convolution."""
    match layout.activation:
        case "snake":
            return Snake(channels)
        case "snake_beta":
            return SnakeBeta(channels)
        case "leaky_relu":
            other = layout.closing_slope if closing else None
            return LeakyReLU(layout.slope if other is None else other)
        case name:
            return eqx.nn.Lambda(jax.nn.elu if name == "elu" else jax.nn.relu)


class ResidualUnit(eqx.Module):
    """``x + mixing(act(dilated(act(x))))``, or less: see `Layout`.

    Source: SoundStream (arXiv:2107.03312) and DAC (arXiv:2306.06546) for ``'pointwise'``, with
    ``compress`` and ``shortcut`` SEANet (arXiv:2009.02095); HiFi-GAN (arXiv:2010.05646) for
    ``'twice'`` and ``'single'``.
    """

    first: Activation
    dilated: Layer
    second: Activation | None
    mixing: Layer | None
    skip: Layer | None

    def __init__(
        self, channels: int, layout: Layout, *, taps: int, dilation: int, key: PRNGKeyArray
    ) -> None:
        keys = jax.random.split(key, 3)
        single = layout.residual == "single"
        hidden = channels if single else max(1, channels // layout.compress)
        self.first = activation(layout, channels)
        self.dilated = convolution(
            channels, hidden, taps, layout,
            dilation=dilation, variance=QUIET if single else 1.0, key=keys[0]
        )  # fmt: skip
        self.second = None if single else activation(layout, hidden)
        after = 1 if layout.residual == "pointwise" else taps
        self.mixing = (
            None
            if single
            else convolution(hidden, channels, after, layout, variance=QUIET, key=keys[1])
        )
        self.skip = (
            convolution(channels, channels, 1, layout, key=keys[2]) if layout.shortcut else None
        )

    def __call__(
        self, x: Float[Array, "batch length channels"]
    ) -> Float[Array, "batch length channels"]:
        """Add to the signal what the unit makes of it."""
        y = through(self.dilated, self.first(x))
        if self.second is not None and self.mixing is not None:
            y = through(self.mixing, self.second(y))
        return y + (x if self.skip is None else self.skip(x))


Branches: TypeAlias = tuple[tuple[ResidualUnit, ...], ...]


def branches(channels: int, layout: Layout, *, stage: int, key: PRNGKeyArray) -> Branches:
    """The residual units of a stage: one for each dilation of each branch."""
    made, number = [], 0
    for taps, dilations in zip(layout.residual_kernels, layout.dilations_at(stage), strict=False):
        units = []
        for dilation in dilations:
            unit_key = jax.random.fold_in(key, number)
            units.append(ResidualUnit(channels, layout, taps=taps, dilation=dilation, key=unit_key))
            number += 1
        made.append(tuple(units))
    return tuple(made) if number else ()


def averaged(
    branches: Branches, x: Float[Array, "batch length channels"]
) -> Float[Array, "batch length channels"]:
    """The mean of what each branch makes of ``x``; ``x`` itself if there is none."""
    ends = [functools.reduce(lambda y, unit: unit(y), units, x) for units in branches]
    if len(ends) < 2:
        return ends[0] if ends else x
    return sum(ends[1:], ends[0]) * (1 / len(ends))


def convolution(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    layout: Layout,
    *,
    stride: int = 1,
    dilation: int = 1,
    variance: float = 1.0,
    closing: bool = False,
    key: PRNGKeyArray,
) -> Layer:
    """A convolution whose output has ``variance`` times its input's."""
    symmetric = layout.padding == "symmetric"
    if symmetric and stride > 1:
        padding = max(0, -(-(kernel_size - stride) // 2))
    else:
        padding = "SAME" if symmetric else layout.padding.upper()
    layer = Conv1d(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        dilation=dilation,
        padding=padding,
        padding_mode=layout.padding_mode,
        w_init=jax.nn.initializers.variance_scaling(variance, "fan_in", "truncated_normal"),
        b_init=_first_bias(layout, closing=closing),
        key=key,
    )
    return WeightNorm(layer) if layout.weight_norm else layer


def upsampling(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    layout: Layout,
    *,
    stride: int,
    closing: bool = False,
    key: PRNGKeyArray,
) -> Layer:
    """A transposed convolution that keeps the variance of its input, whatever its stride."""
    symmetric = layout.padding == "symmetric"
    layer = ConvTranspose1d(
        (1, in_channels),
        out_channels,
        kernel_size,
        stride,
        "SAME" if symmetric else layout.padding.upper(),
        w_init="unit_variance",
        b_init=_first_bias(layout, closing=closing),
        crop=-(-(kernel_size - stride) // 2) if symmetric else None,
        key=key,
    )
    return WeightNorm(layer) if layout.weight_norm else layer


def _first_bias(layout: Layout, *, closing: bool) -> float | None:
    other = layout.closing_bias if closing else None
    return 0.0 if (layout.bias if other is None else other) else None


def through(layer: Layer, x: Float[Array, "batch length channels"]) -> Array:
    """``layer(x)``; what is too short to be mirrored is continued by zeros first, as in EnCodec.

    Source: ``pad1d`` of EnCodec's convolutions (arXiv:2210.13438).
    """
    inner = plain(layer)
    if not isinstance(inner, Conv1d) or inner.padding_mode != "reflect":
        return layer(x)
    extent = kernel_extent(inner.kernel_size[0], inner.dilation)
    pads = conv_padding(inner.padding, length=x.shape[1], stride=inner.stride, extent=extent)
    missing = max(pads) + 1 - x.shape[1]
    if missing <= 0:
        return layer(x)
    x = jnp.pad(x, ((0, 0), (0, missing), (0, 0)))
    x = jnp.pad(x, ((0, 0), pads, (0, 0)), mode="reflect")[:, :-missing]
    folded = layer.folded() if isinstance(layer, WeightNorm) else inner
    return conv1d(
        x,
        folded.weight,
        folded.bias,
        stride=inner.stride,
        dilation=inner.dilation,
        padding="VALID",
    )


def plain(layer: Layer) -> Conv1d | ConvTranspose1d:
    """The convolution inside a weight norm, for its sizes."""
    return layer.layer if isinstance(layer, WeightNorm) else layer


def branch_layers(name: str, branches: Branches) -> Iterator[tuple[str, Layer]]:
    """The convolutions of residual units in order, by name."""
    for i, units in enumerate(branches):
        for j, unit in enumerate(units):
            yield f"{name}.{i}.{j}.dilated", unit.dilated
            if unit.mixing is not None:
                yield f"{name}.{i}.{j}.mixing", unit.mixing
            if unit.skip is not None:
                yield f"{name}.{i}.{j}.skip", unit.skip


stream.register(LeakyReLU, stream_pointwise)
stream.register(Share, stream_pointwise)


@stream.register
def _(unit: ResidualUnit) -> Stream:
    rest = () if unit.mixing is None else (unit.second, unit.mixing)
    skip = () if unit.skip is None else (unit.skip,)
    return stream_sum(stream_chain(*skip), stream_chain(unit.first, unit.dilated, *rest))


def stream_average(branches: Branches) -> Stream:
    """The stream of `averaged`."""
    if len(branches) < 2:
        return stream_chain(*(unit for units in branches for unit in units))
    mean = Share(1 / len(branches))
    return stream_chain(stream_sum(*(stream_chain(*units) for units in branches)), mean)
