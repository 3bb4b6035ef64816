"""The operations: transposed convolution and convolution of signals in time."""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Inexact

from convt1d import _trilinear
from convt1d._channels import add_bias
from convt1d._geometry import (
    Padding,
    check_groups,
    check_signal,
    checked_conv_length,
    checked_transpose_length,
    conv_padding,
    kernel_extent,
    resolve_crop,
    single,
)
from convt1d._lowerings import Form
from convt1d._trilinear import Lowering


def conv_transpose1d(
    x: Inexact[Array, "batch length in_channels"],
    weight: Inexact[Array, "kernel_size out_channels in_per_group"],
    bias: Inexact[Array, " out_channels"] | None = None,
    *,
    stride: int = 1,
    padding: Padding = "SAME",
    dilation: int = 1,
    groups: int = 1,
    crop: int | Sequence[int] | None = None,
    output_padding: int = 0,
    lowering: Lowering = "auto",
    precision: lax.Precision | None = None,
) -> Inexact[Array, "batch out_length out_channels"]:
    r"""Transposed 1-D convolution at the speed of matrix products, forward and backward.

    $$\text{full}[n S + k d] \mathrel{+}= x[n]\, w[k], \qquad y = \text{full}[\text{low} : F -
    \text{high}]$$

    with stride $S$, dilation $d$ and $F = (L-1) S + (K-1) d + 1$: PyTorch's order of taps. The
    result is the same inside `jit`, `scan`, `vmap` and `shard_map`, and can be differentiated in
    forward and reverse mode any number of times.

    Args:
        x: the signal, channels last. An unbatched ``(length, in_channels)`` works too.
        weight: ``(K, O, I / groups)``.
        bias: ``(O,)``, added to every output sample.
        stride: output samples from one input sample to the next.
        padding: ``'SAME'``, ``'SAME_LOWER'``, ``'VALID'``, ``'CAUSAL'``, an int or a pair: see
            `convt1d.ConvTranspose1d`.
        dilation: output samples from one tap to the next.
        groups: blocks of channels that do not meet.
        crop: samples off both ends of the full result, an int or ``(low, high)``: what PyTorch
            and Equinox call padding. Exclusive with ``padding``.
        output_padding: samples that ``crop`` takes less off the end; PyTorch's rule.
        lowering: ``'gemm'``, ``'lax'`` or ``'auto'``, which picks the faster one that is safe.
        precision: of the products, as in `jax.lax.dot`.

    Returns:
        The upsampled signal, as `convt1d.ConvTranspose1d.out_length` counts.

    Raises:
        ValueError: if an argument or a shape is wrong, or nothing would be left of the output.

    Source: Dumoulin & Visin 2016 (arXiv:1603.07285); agrees with
    `torch.nn.functional.conv_transpose1d` where both can say it.

    Example:
        >>> import jax.numpy as jnp, convt1d
        >>> x = jnp.ones((2, 28, 16))
        >>> weight = jnp.ones((4, 8, 16))
        >>> convt1d.conv_transpose1d(x, weight, stride=2).shape
        (2, 56, 8)
    """
    if x.ndim == 2:
        y = conv_transpose1d(
            x[None], weight, bias,
            stride=stride, padding=padding, dilation=dilation, groups=groups, crop=crop,
            output_padding=output_padding, lowering=lowering, precision=precision,
        )  # fmt: skip
        return y[0]
    stride, dilation = single("stride", stride), single("dilation", dilation)
    axes = "(kernel_size, out_channels, in_channels / groups)"
    _check_operands(x, weight, groups, inputs=2, axes=axes)
    extent = kernel_extent(weight.shape[0], dilation)
    low_high = resolve_crop(
        padding,
        crop,
        output_padding,
        spacing=stride,
        dilation=dilation,
        extent=extent,
    )
    length = checked_transpose_length(x.shape[1], spacing=stride, extent=extent, crop=low_high)
    x, weight = _alike(x, weight)
    form = Form(
        coarse=x.shape[1],
        fine=length,
        kernel_size=weight.shape[0],
        stride=stride,
        dilation=dilation,
        low=low_high[0],
        groups=groups,
        precision=precision,
    )
    y = _trilinear.refine(x, weight, form=form, lowering=check_lowering(lowering))
    return y if bias is None else add_bias(y, bias.astype(y.dtype))


def conv1d(
    x: Inexact[Array, "batch length in_channels"],
    weight: Inexact[Array, "kernel_size in_per_group out_channels"],
    bias: Inexact[Array, " out_channels"] | None = None,
    *,
    stride: int = 1,
    padding: Padding = "SAME",
    dilation: int = 1,
    groups: int = 1,
    lowering: Lowering = "auto",
    precision: lax.Precision | None = None,
) -> Inexact[Array, "batch out_length out_channels"]:
    r"""1-D convolution (cross-correlation), the adjoint of `conv_transpose1d`.

    $$y[n] = \sum_k w[k]^\top x[n S + k d - \text{before}]$$

    Args:
        x: the signal, channels last. An unbatched ``(length, in_channels)`` works too.
        weight: ``(K, I / groups, O)``; ``conv1d(y, w)`` with a weight of `conv_transpose1d` is
            that operation's adjoint for ``groups=1``.
        bias: ``(O,)``.
        stride: input samples from one output frame to the next.
        padding: ``'SAME'``, ``'SAME_LOWER'`` or ``'CAUSAL'`` (``ceil(length / stride)`` frames),
            ``'VALID'``, an int or a pair (before, after) of zeros.
        dilation: input samples from one tap to the next.
        groups: blocks of channels that do not meet.
        lowering: ``'gemm'``, ``'lax'`` or ``'auto'``.
        precision: of the products, as in `jax.lax.dot`.

    Raises:
        ValueError: if an argument or a shape is wrong, or nothing would be left of the output.

    Source: agrees with `torch.nn.functional.conv1d`.

    Example:
        >>> import jax.numpy as jnp, convt1d
        >>> convt1d.conv1d(jnp.ones((2, 56, 8)), jnp.ones((4, 8, 16)), stride=2).shape
        (2, 28, 16)
    """
    if x.ndim == 2:
        y = conv1d(
            x[None], weight, bias,
            stride=stride, padding=padding, dilation=dilation, groups=groups,
            lowering=lowering, precision=precision,
        )  # fmt: skip
        return y[0]
    stride, dilation = single("stride", stride), single("dilation", dilation)
    axes = "(kernel_size, in_channels / groups, out_channels)"
    _check_operands(x, weight, groups, inputs=1, axes=axes)
    taps = weight.shape[0]
    rows = _ungroup(weight, groups)  # (K, I, O / groups)
    extent = kernel_extent(taps, dilation)
    pads = conv_padding(padding, length=x.shape[1], stride=stride, extent=extent)
    length = checked_conv_length(x.shape[1], stride=stride, extent=extent, padding=pads)
    x, rows = _alike(x, rows)
    form = Form(
        coarse=length,
        fine=x.shape[1],
        kernel_size=taps,
        stride=stride,
        dilation=dilation,
        low=pads[0],
        groups=groups,
        precision=precision,
    )
    y = _trilinear.coarsen(x, rows, form=form, lowering=check_lowering(lowering))
    return y if bias is None else add_bias(y, bias.astype(y.dtype))


def check_lowering(lowering: Lowering) -> Lowering:
    """``lowering``, if there is one of that name."""
    if lowering not in _trilinear.LOWERINGS:
        raise ValueError(
            f"`lowering` (={lowering!r}) must be one of "
            f"{', '.join(map(repr, _trilinear.LOWERINGS))}."
        )
    return lowering


def _check_operands(x: Array, weight: Array, groups: int, *, inputs: int, axes: str) -> None:
    """Refuse a signal and a weight that do not meet; ``inputs`` is the weight's axis of inputs."""
    groups = single("groups", groups)
    if weight.ndim != 3:
        raise ValueError(f"`weight` has shape {weight.shape}, but must have three axes: {axes}.")
    channels = weight.shape[inputs] * groups
    check_signal(f"`weight` of shape {weight.shape} with groups={groups}", x.shape, channels)
    check_groups(groups, channels, weight.shape[3 - inputs])


def _alike(x: Array, weight: Array) -> tuple[Array, Array]:
    dtype = jnp.result_type(x, weight)
    return x.astype(dtype), weight.astype(dtype)


def _ungroup(weight: Array, groups: int) -> Array:
    """``(K, I/g, O) -> (K, I, O/g)``: the layout in which both operations share one gradient."""
    if groups == 1:
        return weight
    taps, per_group, out = weight.shape
    weight = weight.reshape(taps, per_group, groups, out // groups)
    return weight.swapaxes(1, 2).reshape(taps, per_group * groups, out // groups)
