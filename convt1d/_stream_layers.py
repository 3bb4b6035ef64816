r"""The streams of the two layers.

A transposed convolution adds each chunk's full result to the tail that the last one left over; the
tail, ``max(E - S, 0)`` samples without the bias, is all it keeps. Keeping ``ceil(E / S) - 1`` input
frames instead would double the product of a chunk of one frame. A convolution keeps the inputs that
its next frame will see.
"""

import dataclasses
from fractions import Fraction
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from convt1d import _trilinear
from convt1d._channels import add_bias
from convt1d._convolution import Conv1d
from convt1d._geometry import Crop, conv_padding, kernel_extent, transpose_length
from convt1d._layers import ConvTranspose1d
from convt1d._lowerings import Form, window
from convt1d._parameters import cast, value_of
from convt1d._streaming import Span, Stream, joined, silenced, stream
from convt1d._weight_norm import WeightNorm


@stream.register
def _(layer: WeightNorm) -> Stream:
    return stream(layer.folded())


@stream.register
def _(layer: ConvTranspose1d) -> Stream:
    _check_mode(layer)
    weight, bias = _bare(layer.weight, layer.dtype), _bare(layer.bias, layer.dtype)
    if layer.w_mask is not None:
        mask = jnp.asarray(layer.w_mask.array, weight.dtype)
        weight = weight * jnp.broadcast_to(mask, weight.shape)
    taps, out, per_group = weight.shape
    if layer.rhs_dilation == 1 and taps > layer.spacing:  # in whole strides, as the product has it
        weight = jnp.pad(weight, ((0, -taps % layer.spacing), (0, 0), (0, 0)))
    blocks = weight.reshape(-1, layer.groups, out // layer.groups, per_group)
    return _Upsampling(
        weight=blocks.transpose(1, 3, 0, 2),
        bias=bias,
        stride=layer.spacing,
        dilation=layer.rhs_dilation,
        extent=layer.extent,
        crop=layer.crop,
        layout=layer.channel_first,
        dtype=layer.dtype,
        precision=None if layer.precision is None else lax.Precision(layer.precision),
        late=0,
    )


@stream.register
def _(layer: Conv1d) -> Stream:
    _check_mode(layer)
    weight, bias = _bare(layer.weight, layer.dtype), _bare(layer.bias, layer.dtype)
    taps, per_group, out = weight.shape
    blocks = weight.reshape(taps, per_group, layer.groups, out // layer.groups)
    extent = kernel_extent(taps, layer.dilation)
    whole = conv_padding(layer.padding, length=layer.stride, stride=layer.stride, extent=extent)
    return _Downsampling(
        weight=blocks.transpose(2, 0, 1, 3),
        bias=bias,
        stride=layer.stride,
        dilation=layer.dilation,
        padding=layer.padding if isinstance(layer.padding, str) else None,
        pads=whole,
        dtype=layer.dtype,
        precision=None if layer.precision is None else lax.Precision(layer.precision),
        late=0,
    )


class _Upsampling(Stream):
    """A transposed convolution, whose parts are the samples that are not out yet.

    Out of the ``waiting + overhang`` samples after those that are out, the first are complete and
    the others still lack what the next frames add.
    """

    weight: Array  # (groups, in_per_group, taps, out_per_group), as the product reads it
    bias: Array | None
    stride: int = eqx.field(static=True)
    dilation: int = eqx.field(static=True)
    extent: int = eqx.field(static=True)
    crop: Crop = eqx.field(static=True)
    layout: bool = eqx.field(static=True)
    dtype: str | None = eqx.field(static=True)
    precision: lax.Precision | None = eqx.field(static=True)
    late: int = eqx.field(static=True)

    @property
    def latency(self) -> int:
        low, high = self.crop
        return max(0, self.stride * self.late + low + max(0, high + self.stride - self.extent))

    @property
    def ratio(self) -> Fraction:
        return Fraction(self.stride)

    @property
    def hop(self) -> int:
        return 1

    @property
    def channels(self) -> int:
        return self.weight.shape[0] * self.weight.shape[1]

    @property
    def waiting(self) -> int:
        """Complete samples that are held back: the latency beyond what the crop takes."""
        return self.latency - self.crop[0] - self.stride * self.late

    @property
    def overhang(self) -> int:
        """Samples that a frame reaches beyond its own stride."""
        return max(0, self.extent - self.stride)

    @property
    def _layout(self) -> bool:
        return self.layout

    @property
    def _warm(self) -> int:
        return max(self.late, -(-self.latency // self.stride))

    def _after(self, late: int) -> Stream:
        return dataclasses.replace(self, late=late)

    def _begin(self, empty: Array) -> tuple[Array, Array]:
        groups, _, _, out = self.weight.shape
        dtype = _computed(self, empty)
        return (
            jnp.zeros((empty.shape[0], self.waiting + self.overhang, groups * out), dtype),
            jnp.zeros((empty.shape[0], 0, groups * out), dtype),
        )

    def _advance(self, parts: Array, x: Array, position: Array) -> tuple[Array, Array]:
        groups, per_group, taps, out = self.weight.shape
        dtype = _computed(self, x)
        due = x.shape[1] * self.stride
        if not due:
            return parts, jnp.zeros((x.shape[0], 0, groups * out), dtype)
        if self.extent > 1 or self.crop[0] < 0:  # a single tap mixes nothing
            x = silenced(x, position, self.late)
        form = Form(
            coarse=x.shape[1],
            fine=due + self.waiting + self.overhang,
            kernel_size=taps,
            stride=self.stride,
            dilation=self.dilation,
            low=-self.waiting,
            groups=groups,
            precision=self.precision,
        )
        weight = self.weight.transpose(2, 0, 3, 1).reshape(taps, groups * out, per_group)
        y = _trilinear.refine(cast("x", x, dtype), weight.astype(dtype), form=form, lowering="gemm")
        y = y + window(parts, 0, y.shape[1])
        return y[:, due:], self._biased(y[:, :due])

    def _finish(self, parts: Array, position: Array) -> Array:
        due = self.extent - self.stride - self.crop[1] + self.waiting
        return self._biased(window(parts, 0, due))

    def _biased(self, y: Array) -> Array:
        return y if self.bias is None else add_bias(y, self.bias.astype(y.dtype))

    def _whole(self, parts: Array) -> bool:
        return True

    def _count(self, position: Array) -> Array:
        return position * self.stride

    def _length(self, length: int) -> int:
        return transpose_length(length, spacing=self.stride, extent=self.extent, crop=self.crop)

    def _seen(self, span: Span) -> Span:
        (first, last), (low, high) = span, self.crop
        exists = -(-(last + low + high - self.extent) // self.stride) + 1
        return (
            -(-(first + low - self.extent + 1) // self.stride),
            max((last - 1 + low) // self.stride + 1, exists),
        )


class _Downsampling(Stream):
    """A convolution, whose parts are the inputs that its next frames will see."""

    weight: Array  # (groups, taps, in_per_group, out_per_group)
    bias: Array | None
    stride: int = eqx.field(static=True)
    dilation: int = eqx.field(static=True)
    padding: str | None = eqx.field(static=True)  # None: numbers, the pads
    pads: Crop = eqx.field(static=True)
    dtype: str | None = eqx.field(static=True)
    precision: lax.Precision | None = eqx.field(static=True)
    late: int = eqx.field(static=True)

    @property
    def extent(self) -> int:
        return kernel_extent(self.weight.shape[1], self.dilation)

    @property
    def latency(self) -> int:
        ahead = self.extent - self.stride - self.pads[0] + self.late
        return max(0, -(-ahead // self.stride))

    @property
    def ratio(self) -> Fraction:
        return Fraction(1, self.stride)

    @property
    def hop(self) -> int:
        return self.stride

    @property
    def channels(self) -> int:
        return self.weight.shape[0] * self.weight.shape[2]

    @property
    def behind(self) -> int:
        """Samples from the first that a frame sees to the first of the stride in which it leaves.

        Negative if it sees only the last samples of that stride.
        """
        return self.latency * self.stride + self.pads[0] - self.late

    @property
    def _layout(self) -> bool:
        return False

    @property
    def _warm(self) -> int:
        return -(-max(self.late, self.latency * self.stride) // self.stride) * self.stride

    def _after(self, late: int) -> Stream:
        return dataclasses.replace(self, late=late)

    def _begin(self, empty: Array) -> tuple[Array, Array]:
        dtype = _computed(self, empty)
        return (
            jnp.zeros((empty.shape[0], max(0, self.behind), self.channels), dtype),
            self._frames(empty.astype(dtype), 0),
        )

    def _advance(self, parts: Array, x: Array, position: Array) -> tuple[Array, Array]:
        if self.extent > 1 or self.pads[0]:  # a single tap mixes nothing
            x = silenced(x, position, self.late)
        x = cast("x", x, _computed(self, x))
        seen = joined(parts, x)
        ready = (seen.shape[1] - max(0, self.behind)) // self.stride
        return seen[:, ready * self.stride :], self._frames(seen, ready)

    def _finish(self, parts: Array, position: Array) -> Array:
        rest = self._rest(parts)
        due = self._length(rest - self.late) + self.latency
        return self._frames(parts, due)

    def _frames(self, seen: Array, ready: int) -> Array:
        """The next ``ready`` frames, with zeros where ``seen`` ends."""
        groups, taps, per_group, out = self.weight.shape
        if ready == 0:
            return jnp.zeros((seen.shape[0], 0, groups * out), seen.dtype)
        form = Form(
            coarse=ready,
            fine=seen.shape[1],
            kernel_size=taps,
            stride=self.stride,
            dilation=self.dilation,
            low=min(0, self.behind),
            groups=groups,
            precision=self.precision,
        )
        weight = self.weight.transpose(1, 0, 2, 3).reshape(taps, groups * per_group, out)
        y = _trilinear.coarsen(seen, weight.astype(seen.dtype), form=form, lowering="gemm")
        return y if self.bias is None else add_bias(y, self.bias.astype(y.dtype))

    def _rest(self, parts: Array) -> int:
        """Samples of an unfinished stride."""
        return parts.shape[1] - max(0, self.behind)

    def _whole(self, parts: Array) -> bool:
        return self._rest(parts) == 0

    def _count(self, position: Array) -> Array:
        return position // self.stride

    def _length(self, length: int) -> int:
        if self.padding is None or self.padding == "VALID":
            before, after = self.pads
            return (length + before + after - self.extent) // self.stride + 1
        if self.padding != "CAUSAL" and length % self.stride:
            raise ValueError(
                f"a Conv1d with stride {self.stride} and padding={self.padding!r} pads by the "
                f"length of its whole input, which is no multiple of the stride: end it with "
                f"{-length % self.stride} more samples, or choose 'CAUSAL' or numbers."
            )
        return -(-length // self.stride)

    def _seen(self, span: Span) -> Span:
        first, last = span
        before = self.pads[0]
        return first * self.stride - before, (last - 1) * self.stride + self.extent - before


def _bare(parameter: Any, dtype: str | None) -> Any:
    """The array of a parameter, in the dtype in which its layer computes."""
    value = value_of(parameter)
    if hasattr(value, "mantissa"):
        raise ValueError(
            f"`module` has a parameter with the unit {value.unit}, but a stream's chunks have "
            "none: put its mantissa in its place."
        )
    return value if value is None or dtype is None else cast("module", value, dtype)


def _check_mode(layer: Conv1d | ConvTranspose1d) -> None:
    if layer.padding_mode != "zeros":
        raise ValueError(
            f"`module` is a {type(layer).__name__} with padding_mode={layer.padding_mode!r}, which "
            "continues the signal from samples that are gone or yet to come: only 'zeros' streams."
        )


def _computed(layer: _Upsampling | _Downsampling, x: Array) -> Any:
    """The dtype in which the layer computes."""
    return jnp.dtype(layer.dtype or jnp.result_type(x.dtype, layer.weight.dtype))
