"""The operations: transposed convolution and convolution of signals in time."""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Inexact

from convt1d import _trilinear
from convt1d._channels import add_bias
from convt1d._geometry import (
    Crop,
    Padding,
    conv_length,
    conv_padding,
    is_integer,
    kernel_extent,
    number_pair,
    single,
    transpose_crop,
    transpose_length,
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
    _check_operands(x, weight, single("groups", groups))
    extent = kernel_extent(weight.shape[0], dilation)
    low_high = resolve_crop(
        padding,
        crop,
        output_padding,
        spacing=stride,
        dilation=dilation,
        extent=extent,
    )
    length = transpose_length(x.shape[1], spacing=stride, extent=extent, crop=low_high)
    if length <= 0:
        raise ValueError(
            f"an input of length {x.shape[1]} would give an output of length {length} = "
            f"(L - 1)·stride + extent - low - high = ({x.shape[1]} - 1)·{stride} + {extent} - "
            f"{low_high[0]} - {low_high[1]}: lengthen the input or crop less."
        )
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
    if weight.ndim != 3 or weight.shape[2] % single("groups", groups):
        raise ValueError(
            f"`weight` has shape {weight.shape}, but must be (kernel_size, in_channels / groups, "
            f"out_channels), whose last axis `groups` (={groups}) divides."
        )
    taps, per_group = weight.shape[:2]
    rows = _ungroup(weight, groups)  # (K, I, O / groups)
    if x.ndim != 3 or x.shape[2] != per_group * groups:
        raise ValueError(
            f"`x` has shape {x.shape}, but `weight` of shape {weight.shape} with groups={groups} "
            f"takes (batch, length, {per_group * groups}) or (length, {per_group * groups})."
        )
    extent = kernel_extent(taps, dilation)
    pads = conv_padding(padding, length=x.shape[1], stride=stride, extent=extent)
    length = conv_length(x.shape[1], stride=stride, extent=extent, padding=pads)
    if length <= 0:
        raise ValueError(
            f"an input of length {x.shape[1]} with padding {pads} is shorter than the kernel's "
            f"extent (K - 1)·dilation + 1 = {extent}: lengthen the input or pad more."
        )
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


def resolve_crop(
    padding: Padding,
    crop: int | Sequence[int] | None,
    output_padding: int,
    *,
    spacing: int,
    dilation: int,
    extent: int,
) -> Crop:
    """The crop that ``padding``, or else ``crop`` with ``output_padding``, stands for.

    Raises:
        ValueError: if both or an impossible ``output_padding`` are given.
    """
    if crop is None:
        if output_padding != 0:
            raise ValueError(
                f"`output_padding` (={output_padding!r}) belongs to `crop`; with `padding` say "
                "the number of samples after the signal: padding=(before, after)."
            )
        return transpose_crop(padding, spacing=spacing, extent=extent)
    if padding != "SAME":  # the default, which nobody need have written
        raise ValueError(
            f"`crop` (={crop!r}) and `padding` (={padding!r}) both set the output's length: "
            "give one of them."
        )
    pair = number_pair("crop", crop)
    limit = max(spacing, dilation)
    if not is_integer(output_padding) or not 0 <= output_padding < limit:
        raise ValueError(
            f"`output_padding` (={output_padding!r}) must be an int from 0 to {limit - 1}, "
            "smaller than the stride or the dilation."
        )
    return pair[0], pair[1] - output_padding


def check_lowering(lowering: Lowering) -> Lowering:
    """``lowering``, if there is one of that name."""
    if lowering not in _trilinear.LOWERINGS:
        raise ValueError(
            f"`lowering` (={lowering!r}) must be one of "
            f"{', '.join(map(repr, _trilinear.LOWERINGS))}."
        )
    return lowering


def _check_operands(x: Array, weight: Array, groups: int) -> None:
    if weight.ndim != 3:
        raise ValueError(
            f"`weight` has shape {weight.shape}, but must have three axes: "
            "(kernel_size, out_channels, in_channels / groups)."
        )
    channels = weight.shape[2] * groups
    if x.ndim != 3 or x.shape[2] != channels:
        raise ValueError(
            f"`x` has shape {x.shape}, but `weight` of shape {weight.shape} with groups={groups} "
            f"takes (batch, length, {channels}) or (length, {channels})."
        )
    if weight.shape[1] % groups:
        raise ValueError(
            f"`groups` (={groups}) must divide the weight's {weight.shape[1]} output channels."
        )


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
