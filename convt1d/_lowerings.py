r"""The ways to compute a strided, dilated convolution and its two transpositions.

The three maps are the three partial contractions of one trilinear form in a *coarse* signal ``x``
``(B, L, I)``, a *fine* signal ``y`` ``(B, M, O)`` and a weight ``w`` ``(K, O, I/g)``,

$$\sum_{b,n,k,o,i} x[b,n,i]\, w[k,o,i]\, y[b,\, nS + kd - \text{low},\, o],$$

so that ``refine(x, w) -> y`` is the transposed convolution, ``coarsen(y, w) -> x`` the convolution,
and ``weigh(x, y) -> w`` the gradient of both with respect to the weight. Each is here in two ways:

- ``gemm``: one matrix product, and shifts that XLA fuses into one pass over memory. It holds for
  every shape and dtype, under ``scan``, and never meets XLA:CPU's naive convolution loop.
- ``lax``: ``conv_general_dilated`` with the labels ``b0f_0io->b0f``, the only ones that XLA:CPU's
  fast convolution takes inside a loop body too. It saves the patches' memory where it may be used.

Depthwise weights (``I/g == 1``) skip the matrix product: the same shifts around a multiplication.
"""

import dataclasses

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

_CANONICAL = lax.ConvDimensionNumbers((0, 2, 1), (2, 1, 0), (0, 2, 1))  # b0f, 0io -> b0f


@dataclasses.dataclass(frozen=True)
class Form:
    """The integers of the trilinear form; hashable, so that it can parametrise a primitive.

    Attributes:
        coarse: length L of the coarse signal.
        fine: length M of the fine signal.
        kernel_size: taps K.
        stride: fine samples S from one coarse sample to the next.
        dilation: fine samples d from one tap to the next.
        low: samples of the full result before the fine signal begins; may be negative.
        groups: independent blocks of channels.
        precision: of the products, as `jax.lax.Precision`.
    """

    coarse: int
    fine: int
    kernel_size: int
    stride: int
    dilation: int
    low: int
    groups: int
    precision: lax.Precision | None = None

    @property
    def extent(self) -> int:
        return (self.kernel_size - 1) * self.dilation + 1

    @property
    def blocks(self) -> int:
        """Strides that the kernel reaches over."""
        return -(-self.extent // self.stride)

    @property
    def full(self) -> int:
        """Length of the full result, rounded up to whole strides."""
        return (self.coarse + self.blocks - 1) * self.stride

    @property
    def padding(self) -> tuple[int, int]:
        """Zeros (negative: crops) around the fine signal that make it the exact full result."""
        exact = (self.coarse - 1) * self.stride + self.extent
        return self.low, exact - self.low - self.fine


# ------------------------------------------------------------------------------------------- gemm


def refine_gemm(x: Array, w: Array, form: Form) -> Array:
    """Transposed convolution: all taps of all frames by one product, then overlap-add."""
    batch, stride = x.shape[0], form.stride
    out = w.shape[1]
    if form.dilation == 1 and form.kernel_size > stride:
        # Taps in whole strides: padding the small weight makes every shift below contiguous.
        w = _pad_axis(w, 0, 0, form.blocks * stride - form.kernel_size)
    taps = _taps(x, w, form)  # (B, L, K, O)
    if form.dilation == 1:
        taps = _pad_axis(taps, 2, 0, form.blocks * stride - taps.shape[2])
        taps = taps.reshape(batch, form.coarse, form.blocks, stride * out)
        pieces = [_place(taps[:, :, j], j, form.blocks - 1 - j) for j in range(form.blocks)]
        full = sum(pieces[1:], start=pieces[0])  # (B, L + P - 1, S O)
    else:
        full = jnp.stack([_phase(taps, phase, form) for phase in range(stride)], axis=2)
    full = full.reshape(batch, form.full, out)
    return window(full, form.low, form.fine)


def coarsen_gemm(y: Array, w: Array, form: Form) -> Array:
    """Convolution: the patches that each frame sees, times the weight, in one product."""
    groups = form.groups
    patches = _patches(y, form)  # (B, L, K, O)
    taps, out, per_group = w.shape
    if per_group == 1:
        products = (patches * w[None, None, :, :, 0]).reshape(
            *patches.shape[:3], groups, out // groups
        )
        return products.sum(axis=(2, 4))
    if groups == 1:
        return _matmul(
            patches.reshape(-1, taps * out), w.reshape(taps * out, per_group), form
        ).reshape(*patches.shape[:2], per_group)
    patches = patches.reshape(*patches.shape[:3], groups, out // groups)
    w = w.reshape(taps, groups, out // groups, per_group)
    frames = jnp.einsum("blkgo,kgoi->blgi", patches, w, precision=form.precision)
    return frames.reshape(*frames.shape[:2], groups * per_group)


def weigh_gemm(x: Array, y: Array, form: Form) -> Array:
    """Gradient of the weight: the patches of the fine signal against the coarse one."""
    groups, channels = form.groups, x.shape[2]
    patches = _patches(y, form)  # (B, L, K, O)
    taps, out = patches.shape[2:]
    if channels == groups:
        products = patches.reshape(*patches.shape[:3], groups, out // groups)
        products = products * x[:, :, None, :, None]
        return products.sum(axis=(0, 1)).reshape(taps, out, 1)
    if groups == 1:
        rows = patches.reshape(-1, taps * out)
        return _matmul(rows.T, x.reshape(-1, channels), form).reshape(taps, out, channels)
    patches = patches.reshape(*patches.shape[:3], groups, out // groups)
    x = x.reshape(*x.shape[:2], groups, channels // groups)
    w = jnp.einsum("blkgo,blgi->kgoi", patches, x, precision=form.precision)
    return w.reshape(taps, out, channels // groups)


def _taps(x: Array, w: Array, form: Form) -> Array:
    """Every frame times every tap: ``(B, L, I), (K, O, I/g) -> (B, L, K, O)``."""
    (batch, length, channels), (taps, out, per_group) = x.shape, w.shape
    groups = form.groups
    if per_group == 1:
        spread = jnp.broadcast_to(x[..., None], (*x.shape, out // groups))
        return spread.reshape(batch, length, 1, out) * w[None, None, :, :, 0]
    if groups == 1:
        rows = _matmul(x.reshape(-1, channels), w.reshape(taps * out, channels).T, form)
        return rows.reshape(batch, length, taps, out)
    x = x.reshape(batch, length, groups, per_group)
    w = w.reshape(taps, groups, out // groups, per_group)
    products = jnp.einsum("blgi,kgoi->blkgo", x, w, precision=form.precision)
    return products.reshape(batch, length, taps, out)


def _patches(y: Array, form: Form) -> Array:
    """What each frame sees of the fine signal: ``(B, M, O) -> (B, L, K, O)``."""
    batch, out = y.shape[0], y.shape[2]
    y = window(y, -form.low, form.full)
    if form.dilation == 1:
        strides = y.reshape(batch, -1, form.stride * out)
        shifted = [strides[:, j : j + form.coarse] for j in range(form.blocks)]
        rows = shifted[0] if form.blocks == 1 else jnp.concatenate(shifted, axis=2)
        return rows[:, :, : form.kernel_size * out].reshape(
            batch, form.coarse, form.kernel_size, out
        )
    span = (form.coarse - 1) * form.stride + 1
    starts = range(0, form.extent, form.dilation)
    return jnp.stack([y[:, k : k + span : form.stride] for k in starts], axis=2)


def _phase(taps: Array, phase: int, form: Form) -> Array:
    """The samples ``phase, phase + S, ...`` of the full result of a dilated kernel."""
    frames = form.coarse + form.blocks - 1
    pieces = [
        _place(taps[:, :, k], offset // form.stride, frames - form.coarse - offset // form.stride)
        for k in range(form.kernel_size)
        if (offset := k * form.dilation) % form.stride == phase
    ]
    if not pieces:
        return jnp.zeros((taps.shape[0], frames, taps.shape[3]), taps.dtype)
    return sum(pieces[1:], start=pieces[0])


def _matmul(a: Array, b: Array, form: Form) -> Array:
    return jnp.matmul(a, b, precision=form.precision)


# -------------------------------------------------------------------------------------------- lax


def refine_lax(x: Array, w: Array, form: Form) -> Array:
    """Transposed convolution as a convolution of the dilated input; stride 1 has no waste."""
    low, high = form.padding
    edges = (form.extent - 1 - max(low, 0), form.extent - 1 - max(high, 0))
    if min(edges) < 0:  # openxla/xla#48713: a crop beyond the kernel must be a slice
        return refine_gemm(x, w, form)
    y = lax.conv_general_dilated(
        x,
        jnp.flip(w, 0).swapaxes(1, 2),  # (K, I/g, O)
        window_strides=(1,),
        padding=(edges,),
        lhs_dilation=(form.stride,),
        rhs_dilation=(form.dilation,),
        dimension_numbers=_CANONICAL,
        feature_group_count=form.groups,
        precision=form.precision,
    )
    return window(y, min(low, 0), form.fine)


def coarsen_lax(y: Array, w: Array, form: Form) -> Array:
    """Convolution as XLA has it."""
    y, padding = _uncropped(y, form)
    return lax.conv_general_dilated(
        y,
        w if form.groups == 1 else _grouped_kernel(w, form.groups),
        window_strides=(form.stride,),
        padding=(padding,),
        rhs_dilation=(form.dilation,),
        dimension_numbers=_CANONICAL,
        feature_group_count=form.groups,
        precision=form.precision,
    )


def weigh_lax(x: Array, y: Array, form: Form) -> Array:
    """Gradient of the weight as a convolution in which the batch is what is summed over."""
    if form.groups > 1:  # XLA expands groups that are summed over the batch to a dense kernel
        return weigh_gemm(x, y, form)
    y, padding = _uncropped(y, form)
    w = lax.conv_general_dilated(
        y.transpose(2, 1, 0),  # (O, M, B)
        x.transpose(1, 0, 2),  # (L, B, I)
        window_strides=(form.dilation,),
        padding=(padding,),
        rhs_dilation=(form.stride,),
        dimension_numbers=_CANONICAL,
        precision=form.precision,
    )
    return w.swapaxes(0, 1)  # (O, K, I) -> (K, O, I)


def _uncropped(y: Array, form: Form) -> tuple[Array, tuple[int, int]]:
    """The fine signal without what no frame sees, and the zeros still to be put around it."""
    low, high = form.padding
    if low >= 0 and high >= 0:
        return y, (low, high)
    return window(y, -low, low + form.fine + high), (0, 0)


def _grouped_kernel(w: Array, groups: int) -> Array:
    """``(K, O, I/g) -> (K, O/g, I)``, the layout in which ``lax`` groups its input channels."""
    taps, out, per_group = w.shape
    w = w.reshape(taps, groups, out // groups, per_group)
    return w.transpose(0, 2, 1, 3).reshape(taps, out // groups, groups * per_group)


# ----------------------------------------------------------------------------------------- shifts


def window(signal: Array, start: int, length: int) -> Array:
    """``signal[:, start : start + length]``, with zeros where it does not reach.

    A crop is a slice, never a negative padding: XLA folds that into a neighbouring convolution
    and then reads out of bounds (openxla/xla#48713, #48715).
    """
    have = signal.shape[1]
    first, last = min(max(start, 0), have), min(max(start + length, 0), have)
    before = min(max(-start, 0), length)
    kept = signal[:, first:last]
    return _place(kept, before, length - before - kept.shape[1])


def _place(signal: Array, before: int, after: int) -> Array:
    return _pad_axis(signal, 1, before, after)


def _pad_axis(array: Array, axis: int, before: int, after: int) -> Array:
    if before == after == 0:
        return array
    return jnp.pad(array, [(before, after) if a == axis else (0, 0) for a in range(array.ndim)])
