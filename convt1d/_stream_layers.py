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
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from convt1d import _trilinear
from convt1d._channels import add_bias
from convt1d._choice import choose
from convt1d._conv_transpose import ungroup
from convt1d._convolution import Conv1d
from convt1d._form import Form
from convt1d._geometry import Crop, conv_length, conv_padding, transpose_length
from convt1d._layers import ConvTranspose1d
from convt1d._lowerings import refine_rows, rows_of
from convt1d._parameters import cast, value_of
from convt1d._shifted import refine_shifted
from convt1d._shifts import sum_type, window
from convt1d._streaming import Span, Stream, joined, silenced, stream
from convt1d._trilinear import Lowering
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
    form = _form(layer, stride=layer.spacing, dilation=layer.rhs_dilation)
    frame = jax.ShapeDtypeStruct((1, 1, layer.in_channels), weight.dtype)
    shifted = choose("refine", frame, weight, form, "other") == "shifted"
    return _Upsampling(
        weight=weight if shifted else rows_of(weight, form),
        bias=bias,
        shifted=shifted,
        form=form,
        sizes=(layer.in_channels, layer.out_channels),
        crop=layer.crop,
        layout=layer.channel_first,
        dtype=layer.dtype,
        late=0,
    )


@stream.register
def _(layer: Conv1d) -> Stream:
    _check_mode(layer)
    weight, bias = _bare(layer.weight, layer.dtype), _bare(layer.bias, layer.dtype)
    weight = ungroup(weight, layer.groups)
    form = _form(layer, stride=layer.stride, dilation=layer.dilation)
    chunk = jax.ShapeDtypeStruct((1, form.extent, layer.in_channels), weight.dtype)
    shifted = choose("coarsen", chunk, weight, form, "other") == "shifted"
    return _Downsampling(
        weight=weight,
        bias=bias,
        lowering="shifted" if shifted else "gemm",
        form=form,
        sizes=(layer.in_channels, layer.out_channels),
        padding=layer.padding if isinstance(layer.padding, str) else None,
        pads=conv_padding(
            layer.padding, length=layer.stride, stride=layer.stride, extent=form.extent
        ),
        dtype=layer.dtype,
        late=0,
    )


class _Upsampling(Stream):
    """A transposed convolution, whose parts are the samples that are not out yet.

    Out of the ``waiting + overhang`` samples after those that are out, the first are complete and
    the others still lack what the next frames add. Half types wait as float32.
    """

    weight: Array  # (taps, out, in / groups) if shifted, else as `refine_rows` takes it
    bias: Array | None
    shifted: bool = eqx.field(static=True)
    form: Form = eqx.field(static=True)  # of one frame
    sizes: tuple[int, int] = eqx.field(static=True)
    crop: Crop = eqx.field(static=True)
    layout: bool = eqx.field(static=True)
    dtype: str | None = eqx.field(static=True)
    late: int = eqx.field(static=True)

    @property
    def latency(self) -> int:
        low, high = self.crop
        late = self.form.stride * self.late
        return max(0, late + low + max(0, high + self.form.stride - self.form.extent))

    @property
    def ratio(self) -> Fraction:
        return Fraction(self.form.stride)

    @property
    def hop(self) -> int:
        return 1

    @property
    def channels(self) -> int:
        return self.sizes[0]

    @property
    def waiting(self) -> int:
        """Complete samples that are held back: the latency beyond what the crop takes."""
        return self.latency - self.crop[0] - self.form.stride * self.late

    @property
    def overhang(self) -> int:
        """Samples that a frame reaches beyond its own stride."""
        return max(0, self.form.extent - self.form.stride)

    @property
    def _layout(self) -> bool:
        return self.layout

    @property
    def _warm(self) -> int:
        return max(self.late, -(-self.latency // self.form.stride))

    def _after(self, late: int) -> Stream:
        return dataclasses.replace(self, late=late)

    def _begin(self, empty: Array) -> tuple[Array, Array]:
        nothing = jnp.zeros((empty.shape[0], 0, self.sizes[1]), _computed(self, empty))
        tail = (empty.shape[0], self.waiting + self.overhang, self.sizes[1])
        return jnp.zeros(tail, sum_type(nothing)), nothing

    def _advance(self, parts: Array, x: Array, position: Array) -> tuple[Array, Array]:
        dtype = _computed(self, x)
        if x.shape[1] == 0:
            return parts, jnp.zeros((x.shape[0], 0, self.sizes[1]), dtype)
        if self.form.extent > 1 or self.crop[0] < 0:  # a single tap mixes nothing
            x = silenced(x, position, self.late)
        due = x.shape[1] * self.form.stride
        form = dataclasses.replace(
            self.form, coarse=x.shape[1], fine=due + parts.shape[1], low=-self.waiting
        )
        x, weight = cast("x", x, dtype), self.weight.astype(dtype)
        y = (refine_shifted if self.shifted else refine_rows)(x, weight, form)
        y = y + window(parts, 0, y.shape[1])
        return y[:, due:], self._biased(y[:, :due].astype(dtype))

    def _finish(self, parts: Array, x: Array, position: Array) -> Array:
        tail, y = self._advance(parts, x, position)
        due = self.form.extent - self.form.stride - self.crop[1] + self.waiting
        return joined(y, self._biased(window(tail, 0, due).astype(y.dtype)))

    def _biased(self, y: Array) -> Array:
        return y if self.bias is None else add_bias(y, self.bias.astype(y.dtype))

    def _whole(self, parts: Array) -> bool:
        return True

    def _count(self, position: Array) -> Array:
        return position * self.form.stride

    def _length(self, length: int) -> int:
        stride, extent = self.form.stride, self.form.extent
        return transpose_length(length, spacing=stride, extent=extent, crop=self.crop)

    def _seen(self, span: Span) -> Span:
        (first, last), (low, high) = span, self.crop
        stride, extent = self.form.stride, self.form.extent
        exists = -(-(last + low + high - extent) // stride) + 1
        return -(-(first + low - extent + 1) // stride), max((last - 1 + low) // stride + 1, exists)


class _Downsampling(Stream):
    """A convolution, whose parts are the inputs that its next frames will see."""

    weight: Array  # (taps, in, out / groups)
    bias: Array | None
    lowering: Lowering = eqx.field(static=True)
    form: Form = eqx.field(static=True)  # of one frame
    sizes: tuple[int, int] = eqx.field(static=True)
    padding: str | None = eqx.field(static=True)  # None: numbers, the pads
    pads: Crop = eqx.field(static=True)
    dtype: str | None = eqx.field(static=True)
    late: int = eqx.field(static=True)

    @property
    def latency(self) -> int:
        ahead = self.form.extent - self.form.stride - self.pads[0] + self.late
        return max(0, -(-ahead // self.form.stride))

    @property
    def ratio(self) -> Fraction:
        return Fraction(1, self.form.stride)

    @property
    def hop(self) -> int:
        return self.form.stride

    @property
    def channels(self) -> int:
        return self.sizes[0]

    @property
    def behind(self) -> int:
        """Samples from the first that a frame sees to the first of the stride in which it leaves.

        Negative if it sees only the last samples of that stride.
        """
        return self.latency * self.form.stride + self.pads[0] - self.late

    @property
    def _layout(self) -> bool:
        return False

    @property
    def _warm(self) -> int:
        stride = self.form.stride
        return max(-(-self.late // stride), self.latency) * stride

    def _after(self, late: int) -> Stream:
        return dataclasses.replace(self, late=late)

    def _begin(self, empty: Array) -> tuple[Array, Array]:
        seen = (empty.shape[0], max(0, self.behind), self.sizes[0])
        parts = jnp.zeros(seen, _computed(self, empty))
        return parts, self._frames(parts, 0)

    def _advance(self, parts: Array, x: Array, position: Array) -> tuple[Array, Array]:
        if self.form.extent > 1 or self.pads[0]:  # a single tap mixes nothing
            x = silenced(x, position, self.late)
        seen = joined(parts, cast("x", x, parts.dtype))
        ready = (seen.shape[1] - max(0, self.behind)) // self.form.stride
        return seen[:, ready * self.form.stride :], self._frames(seen, ready)

    def _finish(self, parts: Array, x: Array, position: Array) -> Array:
        seen, y = self._advance(parts, x, position)
        due = self._length(self._rest(seen) - self.late) + self.latency
        return joined(y, self._frames(seen, due))

    def _frames(self, seen: Array, ready: int) -> Array:
        """The next ``ready`` frames, with zeros where ``seen`` ends."""
        if ready == 0:
            return jnp.zeros((seen.shape[0], 0, self.sizes[1]), seen.dtype)
        form = dataclasses.replace(
            self.form, coarse=ready, fine=seen.shape[1], low=min(0, self.behind)
        )
        weight = self.weight.astype(seen.dtype)
        y = _trilinear.coarsen(seen, weight, form=form, lowering=self.lowering)
        return y if self.bias is None else add_bias(y, self.bias.astype(y.dtype))

    def _rest(self, parts: Array) -> int:
        """Samples of an unfinished stride."""
        return parts.shape[1] - max(0, self.behind)

    def _whole(self, parts: Array) -> bool:
        return self._rest(parts) == 0

    def _count(self, position: Array) -> Array:
        return position // self.form.stride

    def _length(self, length: int) -> int:
        stride = self.form.stride
        if self.padding in (None, "VALID"):
            return conv_length(length, stride=stride, extent=self.form.extent, padding=self.pads)
        if self.padding != "CAUSAL" and length % stride:
            raise ValueError(
                f"a Conv1d with stride {stride} and padding={self.padding!r} pads by the length of "
                "its whole input, which is no multiple of the stride: end it with "
                f"{-length % stride} more samples, or choose 'CAUSAL' or numbers."
            )
        return -(-length // stride)

    def _seen(self, span: Span) -> Span:
        (first, last), stride, before = span, self.form.stride, self.pads[0]
        return first * stride - before, (last - 1) * stride + self.form.extent - before


def _bare(parameter: Any, dtype: str | None) -> Any:
    """The array of a parameter, in the dtype in which its layer computes."""
    value = value_of(parameter)
    if hasattr(value, "mantissa"):
        raise ValueError(
            f"`module` has a parameter with the unit {value.unit}, but a stream's chunks have "
            "none: put its mantissa in its place."
        )
    return value if value is None or dtype is None else cast("module", value, dtype)


def _form(layer: Conv1d | ConvTranspose1d, *, stride: int, dilation: int) -> Form:
    return Form(
        coarse=1,
        fine=1,
        kernel_size=layer.kernel_size[0],
        stride=stride,
        dilation=dilation,
        low=0,
        groups=layer.groups,
        precision=None if layer.precision is None else lax.Precision(layer.precision),
    )


def _check_mode(layer: Conv1d | ConvTranspose1d) -> None:
    if layer.padding_mode != "zeros":
        raise ValueError(
            f"`module` is a {type(layer).__name__} with padding_mode={layer.padding_mode!r}, which "
            "continues the signal from samples that are gone or yet to come: only 'zeros' streams."
        )


def _computed(layer: _Upsampling | _Downsampling, x: Array) -> Any:
    """The dtype in which the layer computes."""
    return jnp.dtype(layer.dtype or jnp.result_type(x.dtype, layer.weight.dtype))
