r"""The ways to compute a strided, dilated convolution and its two transpositions.

The three maps are the three partial contractions of one trilinear form in a *coarse* signal ``x``
``(B, L, I)``, a *fine* signal ``y`` ``(B, M, O)`` and a weight ``w`` ``(K, O, I/g)``,

$$\sum_{b,n,k,o,i} x[b,n,i]\, w[k,o,i]\, y[b,\, nS + kd - \text{low},\, o],$$

so that ``refine(x, w) -> y`` is the transposed convolution, ``coarsen(y, w) -> x`` the plain one,
and ``weigh(x, y) -> w`` the gradient of both with respect to the weight; each in four ways:

- ``gemm``: one matrix product, and shifts that XLA fuses into one pass over memory. It holds for
  every shape and dtype, under ``scan``, and never meets XLA:CPU's naive convolution loop.
- ``shifted``: multiply-adds of shifted signals, fused into one pass: for groups of a few channels,
  of which a matrix product would be all overhead (`convt1d._shifted`).
- ``subpixel``: with the taps padded to whole strides, a plain convolution between ``x`` and ``y``
  whose samples of each stride are laid out as channels.
- ``lax``: the strided or dilated ``conv_general_dilated``.

The last two use the labels ``b0f_0io->b0f``, the only ones that XLA:CPU's fast convolution takes
inside a loop body too, and compute each group by itself. Half types are summed in float32, and
returned so.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import TypeAlias

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from convt1d._form import Form
from convt1d._shifts import overlap_add, pad_axis, sum_type, window

_CANONICAL = lax.ConvDimensionNumbers((0, 2, 1), (2, 1, 0), (0, 2, 1))  # b0f, 0io -> b0f

MOST_PATCHES = 2**20
"""Numbers of the fine signal that a weight gradient lays out at a time (4 MB of float32). A program
that holds more than 32 MB at once gets them from the system anew at every call, page by page:
glibc keeps no larger block."""

LEAST_CHUNKED = 2**12
"""Numbers of a weight whose gradient is worth that: of a smaller one, chunks fill no core."""


Way: TypeAlias = Callable[[Array, Array, Form], Array]
"""An operation by one lowering: two operands and the integers that relate them."""


# ------------------------------------------------------------------------------------------- gemm


def refine_gemm(x: Array, w: Array, form: Form) -> Array:
    """Transposed convolution: all taps of all frames by one product, then overlap-add."""
    w, form = _in_contiguous_shifts(w, form)
    return _refine(x, _rows(w, form.groups), "gni,gpi->gnp", form)


def rows_of(w: Array, form: Form) -> Array:
    """A weight as `refine_rows` takes it: ``(K, O, I/g) -> (g, I/g, K O/g)``, in whole strides."""
    w, form = _in_contiguous_shifts(w, form)
    return _rows(w, form.groups).swapaxes(1, 2)


def refine_rows(x: Array, rows: Array, form: Form) -> Array:
    """`refine_gemm` with a weight laid out in advance, which is faster for a few frames."""
    return _refine(x, rows, "gni,gip->gnp", form.in_contiguous_shifts())


def _refine(x: Array, rows: Array, subscripts: str, form: Form) -> Array:
    groups, batch = form.groups, x.shape[0]
    x = _split(x, groups).reshape(groups, -1, x.shape[2] // groups)
    taps = _product(subscripts, x, rows, form)
    taps = taps.reshape(groups * batch, form.coarse, form.kernel_size, -1)
    return _merge(overlap_add(taps, form), groups)


def coarsen_gemm(y: Array, w: Array, form: Form) -> Array:
    """Convolution: the patches that each frame sees, times the weight, in one product."""
    x = _product("gnp,gpi->gni", _patches(y, form), _rows(w, form.groups), form)
    return _merge(x.reshape(-1, form.coarse, w.shape[2]), form.groups)


def weigh_gemm(x: Array, y: Array, form: Form) -> Array:
    """Gradient of the weight: the patches of the fine signal against the coarse one."""
    groups, per_group = form.groups, x.shape[2] // form.groups
    taps = form.kernel_size * y.shape[2]
    chunk = max(1, MOST_PATCHES // (y.shape[0] * taps))
    rows = _split(x, groups).reshape(groups, -1, per_group)
    if groups == 1 and taps * per_group > x.size:  # spares the transposition of a large result
        w = _product("gnp,gni->gpi", _patches(y, form), rows, form)
    elif form.coarse <= 2 * chunk or taps * per_group < LEAST_CHUNKED:
        w = _product("gni,gnp->gip", rows, _patches(y, form), form).swapaxes(1, 2)
    else:
        w = _weigh_in_chunks(x, y, form, chunk).swapaxes(1, 2)
    w = w.reshape(groups, form.kernel_size, -1, per_group)
    return w.swapaxes(0, 1).reshape(form.kernel_size, -1, per_group)


def _weigh_in_chunks(x: Array, y: Array, form: Form, chunk: int) -> Array:
    """The products ``(g, I/g, K O/g)``, summed over ``chunk`` frames after another."""
    # Of few examples each counts as several: XLA:CPU works on one product of a batch per core.
    pieces = -(-8 // (form.groups * x.shape[0]))
    chunk = -(-chunk // pieces) * pieces
    count = -(-form.coarse // chunk)
    part = dataclasses.replace(form, coarse=chunk, low=0)
    part = dataclasses.replace(part, fine=part.full)
    x = window(x, 0, count * chunk)
    y = window(y, -form.low, (count - 1) * chunk * form.stride + part.fine)
    batch = form.groups * x.shape[0] * pieces

    def weigh(i: Array | int) -> Array:
        frames = _split(lax.dynamic_slice_in_dim(x, i * chunk, chunk, 1), form.groups)
        samples = lax.dynamic_slice_in_dim(y, i * chunk * form.stride, part.fine, 1)
        frames = frames.reshape(batch, -1, frames.shape[3])
        patches = _patches(samples, part).reshape(batch, frames.shape[1], -1)
        return _product("bni,bnp->bip", frames, patches, form)

    first = jnp.zeros_like(weigh(0))
    w = lax.scan(lambda total, i: (total + weigh(i), None), first, jnp.arange(count))[0]
    return w.reshape(form.groups, -1, *w.shape[1:]).sum(1)


def _patches(y: Array, form: Form) -> Array:
    """What each frame sees of the fine signal: ``(B, M, O) -> (g, B L, K O/g)``."""
    y = _split(window(y, -form.low, form.full), form.groups)
    y = y.reshape(-1, form.full, y.shape[3])
    if form.dilation == 1:
        strides = y.reshape(y.shape[0], -1, form.stride * y.shape[2])
        shifted = [strides[:, j : j + form.coarse] for j in range(form.blocks)]
        rows = jnp.concatenate(shifted, axis=2)[:, :, : form.kernel_size * y.shape[2]]
    else:
        span = (form.coarse - 1) * form.stride + 1
        starts = range(0, form.extent, form.dilation)
        rows = jnp.stack([y[:, k : k + span : form.stride] for k in starts], axis=2)
    return rows.reshape(form.groups, -1, form.kernel_size * y.shape[2])


def _group_by_group(*, split: tuple[int, int], join: int) -> Callable[[Way], Way]:
    """Give each group's channels to a way by themselves: XLA's own grouping is slow on CPU.

    Args:
        split: the axes of its two operands that hold the groups.
        join: the axis of the result.
    """

    def repeat(way: Way) -> Way:
        def repeated(a: Array, b: Array, form: Form) -> Array:
            if form.groups == 1:
                return way(a, b, form)
            alone = dataclasses.replace(form, groups=1)
            parts = zip(
                jnp.split(a, form.groups, split[0]),
                jnp.split(b, form.groups, split[1]),
                strict=True,
            )
            return jnp.concatenate([way(*part, alone) for part in parts], join)

        return functools.update_wrapper(repeated, way)

    return repeat


_signals_by_group = _group_by_group(split=(2, 1), join=2)
_weights_by_group = _group_by_group(split=(2, 2), join=1)


# --------------------------------------------------------------------------------------- subpixel


@_signals_by_group
def refine_subpixel(x: Array, w: Array, form: Form) -> Array:
    """Transposed convolution: ``S·O`` channels at the input's rate, then their interleaving."""
    if form.dilation > 1:
        return refine_gemm(x, w, form)
    w, form = _in_whole_strides(w, form)
    taps = w.reshape(form.blocks, -1, w.shape[2])  # (P, S O, I)
    edges = (form.blocks - 1, form.blocks - 1)
    full = _convolve(x, jnp.flip(taps, 0).swapaxes(1, 2), form, padding=edges)
    return window(full.reshape(x.shape[0], form.full, -1), form.low, form.fine)


@_signals_by_group
def coarsen_subpixel(y: Array, w: Array, form: Form) -> Array:
    """Convolution: each stride's samples as ``S·O`` channels, then a convolution of stride one."""
    if form.dilation > 1:
        return coarsen_gemm(y, w, form)
    w, form = _in_whole_strides(w, form)
    taps = w.reshape(form.blocks, -1, w.shape[2])
    strides = window(y, -form.low, form.full).reshape(y.shape[0], -1, taps.shape[1])
    return _convolve(strides, taps, form)


@_weights_by_group
def weigh_subpixel(x: Array, y: Array, form: Form) -> Array:
    """Gradient of the weight: one product for each stride that the kernel reaches.

    Beyond four, a convolution, which needs no copy of the signal for each.
    """
    if form.dilation > 1:
        return weigh_gemm(x, y, form)
    taps, channels = form.kernel_size, x.shape[2]
    form = form.of_whole_strides()
    strides = window(y, -form.low, form.full).reshape(y.shape[0], -1, form.stride * y.shape[2])
    if form.blocks > 4:
        lengths = {"fine": strides.shape[1], "kernel_size": form.blocks, "stride": 1, "low": 0}
        w = weigh_lax(x, strides, dataclasses.replace(form, **lengths))  # (P, S O, I)
    else:
        weights = [
            _product("bli,blp->ip", x, strides[:, j : j + form.coarse], form)
            for j in range(form.blocks)
        ]
        w = jnp.concatenate(weights, axis=1).T  # (P S O, I)
    return w.reshape(-1, y.shape[2], channels)[:taps]


# -------------------------------------------------------------------------------------------- lax


@_signals_by_group
def refine_lax(x: Array, w: Array, form: Form) -> Array:
    """Transposed convolution as a convolution of the dilated input; stride 1 has no waste."""
    low, high = form.padding
    edges = (form.extent - 1 - max(low, 0), form.extent - 1 - max(high, 0))
    if min(edges) < 0:  # openxla/xla#48713: a crop beyond the kernel must be a slice
        return refine_gemm(x, w, form)
    w = jnp.flip(w, 0).swapaxes(1, 2)
    y = _convolve(x, w, form, padding=edges, spacing=form.stride, dilation=form.dilation)
    return window(y, min(low, 0), form.fine)


@_signals_by_group
def coarsen_lax(y: Array, w: Array, form: Form) -> Array:
    """Convolution as XLA has it."""
    y, padding = _uncropped(y, form)
    return _convolve(y, w, form, padding=padding, stride=form.stride, dilation=form.dilation)


@_weights_by_group
def weigh_lax(x: Array, y: Array, form: Form) -> Array:
    """Gradient of the weight as a convolution in which the batch is what is summed over."""
    y, padding = _uncropped(y, form)
    w = _convolve(
        y.transpose(2, 1, 0),  # (O, M, B)
        x.transpose(1, 0, 2),  # (L, B, I)
        form,
        padding=padding,
        stride=form.dilation,
        dilation=form.stride,
    )
    return w.swapaxes(0, 1)  # (O, K, I) -> (K, O, I)


def _uncropped(y: Array, form: Form) -> tuple[Array, tuple[int, int]]:
    """The fine signal without what no frame sees, and the zeros still to be put around it."""
    low, high = form.padding
    if low >= 0 and high >= 0:
        return y, (low, high)
    return window(y, -low, low + form.fine + high), (0, 0)


# --------------------------------------------------------------------- products, groups and shifts


def _product(subscripts: str, a: Array, b: Array, form: Form) -> Array:
    if jnp.iscomplexobj(a):  # XLA:CPU multiplies complex matrices three times slower than four real
        real = _product(subscripts, a.real, b.real, form)
        real = real - _product(subscripts, a.imag, b.imag, form)
        imaginary = _product(subscripts, a.real, b.imag, form)
        return lax.complex(real, imaginary + _product(subscripts, a.imag, b.real, form))
    return jnp.einsum(
        subscripts, a, b, precision=form.precision, preferred_element_type=sum_type(a)
    )


def _convolve(
    signal: Array,
    kernel: Array,
    form: Form,
    *,
    padding: tuple[int, int] = (0, 0),
    stride: int = 1,
    spacing: int = 1,
    dilation: int = 1,
) -> Array:
    return lax.conv_general_dilated(
        signal,
        kernel,
        window_strides=(stride,),
        padding=(padding,),
        lhs_dilation=(spacing,),
        rhs_dilation=(dilation,),
        dimension_numbers=_CANONICAL,
        precision=form.precision,
        preferred_element_type=sum_type(signal),
    )


def _rows(w: Array, groups: int) -> Array:
    """``(K, O, I/g) -> (g, K O/g, I/g)``."""
    taps, _, per_group = w.shape
    w = w.reshape(taps, groups, -1, per_group).swapaxes(0, 1)
    return w.reshape(groups, -1, per_group)


def _split(signal: Array, groups: int) -> Array:
    """``(B, L, C) -> (g, B, L, C/g)``: the layout of a batched product, in one explicit copy."""
    return jnp.moveaxis(signal.reshape(*signal.shape[:2], groups, -1), 2, 0)


def _merge(signal: Array, groups: int) -> Array:
    """``(g B, L, C/g) -> (B, L, C)``."""
    signal = signal.reshape(groups, -1, *signal.shape[1:])
    return jnp.moveaxis(signal, 0, 2).reshape(*signal.shape[1:3], -1)


def _in_whole_strides(w: Array, form: Form) -> tuple[Array, Form]:
    """The weight with zeros after its last tap."""
    whole = form.of_whole_strides()
    return pad_axis(w, 0, 0, whole.kernel_size - form.kernel_size), whole


def _in_contiguous_shifts(w: Array, form: Form) -> tuple[Array, Form]:
    """The same where the small weight, padded, spares padding the taps of every frame."""
    padded = form.in_contiguous_shifts()
    return pad_axis(w, 0, 0, padded.kernel_size - form.kernel_size), padded
