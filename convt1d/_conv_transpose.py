"""The operations: transposed convolution and convolution of signals in time."""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Inexact

from convt1d import _trilinear
from convt1d._channels import add_bias
from convt1d._form import Form
from convt1d._geometry import (
    PADDING_MODES,
    Padding,
    check_groups,
    check_signal,
    checked_conv_length,
    checked_transpose_length,
    choice,
    conv_padding,
    crop_for_size,
    frames_beyond,
    kernel_extent,
    resolve_crop,
    single,
)
from convt1d._parameters import cast
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
    output_size: int | Sequence[int] | None = None,
    padding_mode: str = "zeros",
    lowering: Lowering = "auto",
    precision: lax.Precision | str | None = None,
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
        bias: ``(O,)``, added to every output sample in the dtype of the product.
        stride: output samples from one input sample to the next.
        padding: ``'SAME'``, ``'SAME_LOWER'``, ``'VALID'``, ``'CAUSAL'``, an int or a pair: see
            `convt1d.ConvTranspose1d`.
        dilation: output samples from one tap to the next.
        groups: blocks of channels that do not meet.
        crop: samples off both ends of the full result, an int or ``(low, high)``: what PyTorch
            and Equinox call padding. Exclusive with ``padding``.
        output_padding: samples that ``crop`` takes less off the end; PyTorch's rule.
        output_size: the output's length instead, up to ``stride - 1`` samples more than without;
            PyTorch's rule.
        padding_mode: how the signal goes on beyond its ends, ``'zeros'``, ``'circular'``,
            ``'reflect'`` or ``'replicate'``: see `convt1d.ConvTranspose1d`.
        lowering: ``'gemm'``, ``'subpixel'``, ``'lax'``, ``'shifted'``, or the fastest of them that
            is safe: ``'auto'``.
        precision: of the products, a `jax.lax.Precision` or one of its names, as ``'highest'``.

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
    stride, dilation = single("stride", stride), single("dilation", dilation)
    groups = single("groups", groups)
    axes = "(kernel_size, out_channels, in_channels / groups)"
    _check_operands(x, weight, groups, inputs=2, axes=axes)
    extent = kernel_extent(weight.shape[0], dilation)
    low, high = resolve_crop(
        padding, crop, output_padding, spacing=stride, dilation=dilation, extent=extent
    )
    sizes = {"spacing": stride, "extent": extent}
    if output_size is not None:
        if output_padding != 0:
            raise ValueError(
                f"`output_size` (={output_size!r}) and `output_padding` (={output_padding!r}) both "
                "lengthen the output: give one of them."
            )
        low, high = crop_for_size(output_size, length=x.shape[-2], crop=(low, high), **sizes)
    length = checked_transpose_length(x.shape[-2], crop=(low, high), **sizes)
    signal, weight = _alike(x if x.ndim == 3 else x[None], weight)
    if choice("padding_mode", padding_mode, PADDING_MODES) != "zeros":
        beyond = frames_beyond(x.shape[-2], length, low=low, **sizes)
        signal = _continued(signal, beyond, padding_mode)
        low += beyond[0] * stride
    form = Form(
        coarse=signal.shape[1],
        fine=length,
        kernel_size=weight.shape[0],
        stride=stride,
        dilation=dilation,
        low=low,
        groups=groups,
        precision=_precision(precision),
    )
    choice("lowering", lowering, _trilinear.LOWERINGS)
    y = _biased(_trilinear.refine(signal, weight, form=form, lowering=lowering), bias)
    return y if x.ndim == 3 else y[0]


def conv1d(
    x: Inexact[Array, "batch length in_channels"],
    weight: Inexact[Array, "kernel_size in_per_group out_channels"],
    bias: Inexact[Array, " out_channels"] | None = None,
    *,
    stride: int = 1,
    padding: Padding = "SAME",
    dilation: int = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
    lowering: Lowering = "auto",
    precision: lax.Precision | str | None = None,
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
        padding_mode: what the padding holds: ``'zeros'``, or the signal continued by
            ``'circular'``, ``'reflect'`` or ``'replicate'``, as `torch.nn.Conv1d` does it.
        lowering: as for `conv_transpose1d`.
        precision: of the products, a `jax.lax.Precision` or one of its names, as ``'highest'``.

    Raises:
        ValueError: if an argument or a shape is wrong, or nothing would be left of the output.

    Source: agrees with `torch.nn.functional.conv1d`.

    Example:
        >>> import jax.numpy as jnp, convt1d
        >>> convt1d.conv1d(jnp.ones((2, 56, 8)), jnp.ones((4, 8, 16)), stride=2).shape
        (2, 28, 16)
    """
    stride, dilation = single("stride", stride), single("dilation", dilation)
    groups = single("groups", groups)
    axes = "(kernel_size, in_channels / groups, out_channels)"
    _check_operands(x, weight, groups, inputs=1, axes=axes)
    extent = kernel_extent(weight.shape[0], dilation)
    pads = conv_padding(padding, length=x.shape[-2], stride=stride, extent=extent)
    length = checked_conv_length(x.shape[-2], stride=stride, extent=extent, padding=pads)
    signal, rows = _alike(x if x.ndim == 3 else x[None], ungroup(weight, groups))
    low = pads[0]
    if choice("padding_mode", padding_mode, PADDING_MODES) != "zeros":
        beyond = max(pads[0], 0), max(pads[1], 0)
        signal = _continued(signal, beyond, padding_mode)
        low -= beyond[0]
    form = Form(
        coarse=length,
        fine=signal.shape[1],
        kernel_size=weight.shape[0],
        stride=stride,
        dilation=dilation,
        low=low,
        groups=groups,
        precision=_precision(precision),
    )
    choice("lowering", lowering, _trilinear.LOWERINGS)
    y = _biased(_trilinear.coarsen(signal, rows, form=form, lowering=lowering), bias)
    return y if x.ndim == 3 else y[0]


def precision_name(precision: lax.Precision | str | None) -> str | None:
    """The one name of a precision that JAX may know by several; None stays None.

    Raises:
        ValueError: if it is none of them.
    """
    if precision is None:
        return None
    try:
        return lax.Precision(precision).name.lower()
    except ValueError:
        raise ValueError(
            f"`precision` (={precision!r}) must be a jax.lax.Precision or one of its names: "
            "'default', 'high', 'highest', 'bfloat16', 'tensorfloat32', 'float32'."
        ) from None


def _precision(precision: lax.Precision | str | None) -> lax.Precision | None:
    name = precision_name(precision)
    return None if name is None else lax.Precision(name)


def _check_operands(x: Array, weight: Array, groups: int, *, inputs: int, axes: str) -> None:
    """Refuse a signal and a weight that do not meet; ``inputs`` is the weight's axis of inputs."""
    if weight.ndim != 3:
        raise ValueError(f"`weight` has shape {weight.shape}, but must have three axes: {axes}.")
    channels = weight.shape[inputs] * groups
    check_signal(f"`weight` of shape {weight.shape} with groups={groups}", x.shape, channels)
    check_groups(groups, channels, weight.shape[3 - inputs])


def _continued(signal: Array, beyond: tuple[int, int], mode: str) -> Array:
    """The signal with so many frames more before and after it; modes as in PyTorch."""
    modes = {"circular": "wrap", "reflect": "reflect", "replicate": "edge"}
    return jnp.pad(signal, ((0, 0), beyond, (0, 0)), mode=modes[mode])


def _biased(signal: Array, bias: Array | None) -> Array:
    """The bias added in the signal's dtype, which it does not widen."""
    return signal if bias is None else add_bias(signal, cast("bias", bias, signal.dtype))


def _alike(x: Array, weight: Array) -> tuple[Array, Array]:
    dtype = jnp.result_type(x, weight)
    return x.astype(dtype), weight.astype(dtype)


def ungroup(weight: Array, groups: int) -> Array:
    """``(K, I/g, O) -> (K, I, O/g)``: the layout in which both operations share one gradient."""
    if groups == 1:
        return weight
    taps, per_group, out = weight.shape
    weight = weight.reshape(taps, per_group, groups, out // groups)
    return weight.swapaxes(1, 2).reshape(taps, per_group * groups, out // groups)
