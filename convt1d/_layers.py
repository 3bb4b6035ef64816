"""The layer ConvTranspose1d, as its reference page has it."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact, PRNGKeyArray

from convt1d import _trilinear
from convt1d._conv_transpose import conv_transpose1d, precision_name
from convt1d._geometry import (
    PADDING_MODES,
    Crop,
    Padding,
    check_groups,
    check_signal,
    checked_transpose_length,
    choice,
    is_integer,
    kernel_extent,
    resolve_crop,
    single,
)
from convt1d._parameters import (
    Constant,
    Initial,
    Sizes,
    cast,
    dtype_name,
    first_values,
    mask_of,
    value_of,
)
from convt1d._trilinear import Lowering


class ConvTranspose1d(eqx.Module):
    r"""Transposed 1-D convolution, for upsampling signals.

    $$\text{full}[n S + k d] \mathrel{+}= x[n]\, w[k]$$

    with spacing $S$ = ``stride · lhs_dilation`` and dilation $d$ = ``rhs_dilation``; the output is
    ``full`` less a crop. The kernel's extent is $E = (K-1) d + 1$:

    ===========================  =============================  ==================================
    ``padding``                  output length                  crop off the beginning
    ===========================  =============================  ==================================
    ``'SAME'``                   ``L S``                        ``max(0, floor((E - S) / 2))``
    ``'SAME_LOWER'``             ``L S``                        ``max(0, ceil((E - S) / 2))``
    ``'CAUSAL'``                 ``L S``                        ``0``
    ``'VALID'``                  ``(L - 1) S + max(E, S)``      ``0``
    ``p``, ``(before, after)``   of the dilated input padded    ``E - 1 - before``
    ``crop=p``, ``(low, high)``  ``(L - 1) S + E - low - high   ``low``
                                 + output_padding``
    ===========================  =============================  ==================================

    Args:
        in_size: shape of one input, ``(L, C)``, or ``(C, L)`` if ``channel_first``.
        out_channels: channels of the output.
        kernel_size: taps K, an int or a sequence of one.
        stride: output samples from one input sample to the next.
        padding: a word, an int, ``(before, after)`` or ``[(before, after)]``.
        lhs_dilation: multiplies the stride; with stride 1 it is the stride.
        rhs_dilation: output samples from one tap to the next.
        groups: blocks of channels that do not meet; divides both channel counts.
        w_init: a function ``(key, shape, dtype)`` as in `jax.nn.initializers`, an array of shape
            ``(K, out, in / groups)``, a scalar, a `brainunit` quantity, whose unit multiplies
            the input's, or a name: ``'glorot_normal'`` (the default), ``'torch'``,
            ``'equinox'``, ``'unit_variance'`` or ``'icnr'``, see `convt1d.initializers`.
        b_init: the same for the bias of shape ``(out,)``, with the names ``'torch'`` and
            ``'equinox'``; None for no bias.
        w_mask: an array, or a function of the weight's shape, that multiplies the weight in the
            forward pass and therefore its gradient; never trained.
        channel_first: whether signals are ``(B, C, L)`` instead of ``(B, L, C)``. The weight's
            layout is the same.
        name: appears in profiles, as a `jax.named_scope`.
        param_type: wraps weight and bias: a type whose instances hold the array as ``.value``,
            such as `convt1d.Frozen`. None leaves them bare arrays.
        crop: samples off both ends of the full result, an int or ``(low, high)``: what PyTorch
            and Equinox call padding. Leave ``padding`` at its default with it.
        output_padding: with ``crop``: samples that it takes less off the end; smaller than the
            stride or the dilation, as in PyTorch.
        padding_mode: how the input goes on beyond its ends, as far as the output can see:
            ``'zeros'``, ``'circular'`` (periodic), ``'reflect'`` (mirrored about the end samples)
            or ``'replicate'`` (the end samples repeated).
        lowering: how it is computed: ``'gemm'``, ``'subpixel'``, ``'lax'``, ``'shifted'``, or by
            the fastest of them that is safe: ``'auto'``.
        precision: of the products: a `jax.lax.Precision` or its name, such as ``'highest'``.
        dtype: what the layer computes and returns in; weight and input are cast to it. None
            promotes the two by JAX's rules. Half types are summed in float32.
        param_dtype: what weight and bias are kept in. None leaves it to the initialiser, which is
            asked for JAX's default.
        key: of the weight's initialiser; None means ``jax.random.key(0)``, so that two layers
            without a key are equal.

    Attributes:
        in_size: as given. Other lengths are accepted at call.
        out_size: shape of the output for ``in_size``.
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: ``(K,)``.
        weight: ``(K, out_channels, in_channels / groups)``.
        bias: ``(out_channels,)`` or None.
        crop: ``(low, high)`` that ``padding``, or ``crop`` less ``output_padding``, came to.

    Raises:
        ValueError: naming the argument, its value and the rule it breaks.

    Source: the reference page of `brainstate.nn.ConvTranspose1d`; PyTorch's order of taps and rule
    of output sizes; ``padding_mode='circular'`` as in Equinox and Flax.

    Example:
        >>> import jax.numpy as jnp, convt1d
        >>> layer = convt1d.ConvTranspose1d(
        ...     in_size=(28, 16), out_channels=8, kernel_size=4, stride=2
        ... )
        >>> layer(jnp.ones((2, 28, 16))).shape, layer(jnp.ones((28, 16))).shape
        ((2, 56, 8), (56, 8))
    """

    weight: Any
    bias: Any
    in_size: tuple[int, int] = eqx.field(static=True)
    out_size: tuple[int, int] = eqx.field(static=True)
    in_channels: int = eqx.field(static=True)
    out_channels: int = eqx.field(static=True)
    kernel_size: tuple[int] = eqx.field(static=True)
    stride: int = eqx.field(static=True)
    lhs_dilation: int = eqx.field(static=True)
    rhs_dilation: int = eqx.field(static=True)
    groups: int = eqx.field(static=True)
    crop: Crop = eqx.field(static=True)
    output_padding: int = eqx.field(static=True)
    padding_mode: str = eqx.field(static=True)
    w_mask: Constant | None = eqx.field(static=True)
    channel_first: bool = eqx.field(static=True)
    lowering: Lowering = eqx.field(static=True)
    precision: str | None = eqx.field(static=True)
    dtype: str | None = eqx.field(static=True)
    name: str | None = eqx.field(static=True)

    def __init__(
        self,
        in_size: Sequence[int],
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: Padding = "SAME",
        lhs_dilation: int | Sequence[int] = 1,
        rhs_dilation: int | Sequence[int] = 1,
        groups: int = 1,
        w_init: Initial | None = None,
        b_init: Initial | None = None,
        w_mask: Initial | None = None,
        channel_first: bool = False,  # noqa: FBT001, FBT002  the reference page's order
        name: str | None = None,
        param_type: Callable[[Array], Any] | None = None,
        *,
        crop: int | Sequence[int] | None = None,
        output_padding: int = 0,
        padding_mode: str = "zeros",
        lowering: Lowering = "auto",
        precision: lax.Precision | str | None = None,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike | None = None,
        key: PRNGKeyArray | None = None,
    ) -> None:
        self.in_size = _pair_of_sizes(in_size)
        self.channel_first = bool(channel_first)
        length, self.in_channels = self.in_size[::-1] if self.channel_first else self.in_size
        self.out_channels = single("out_channels", out_channels)
        self.kernel_size = (single("kernel_size", kernel_size),)
        self.stride = single("stride", stride)
        self.lhs_dilation = single("lhs_dilation", lhs_dilation)
        self.rhs_dilation = single("rhs_dilation", rhs_dilation)
        self.groups = check_groups(groups, self.in_channels, self.out_channels)
        self.crop = resolve_crop(
            padding,
            crop,
            output_padding,
            spacing=self.spacing,
            dilation=self.rhs_dilation,
            extent=self.extent,
        )
        self.output_padding = int(output_padding)
        self.padding_mode = choice("padding_mode", padding_mode, PADDING_MODES)
        self.lowering = choice("lowering", lowering, _trilinear.LOWERINGS)
        self.precision = precision_name(precision)
        self.dtype = dtype_name("dtype", dtype)
        self.name = name
        out_length = self.out_length(length)
        self.out_size = (
            (self.out_channels, out_length)
            if self.channel_first
            else (out_length, self.out_channels)
        )

        sizes = Sizes(
            kernel_size=self.kernel_size[0],
            in_channels=self.in_channels,
            out_channels=self.out_channels,
            groups=self.groups,
            stride=self.spacing,
            dilation=self.rhs_dilation,
            transposed=True,
        )
        weight, bias = first_values(sizes, w_init, b_init, dtype=param_dtype, key=key)
        wrap = (lambda array: array) if param_type is None else param_type
        self.weight = wrap(weight)
        self.bias = None if bias is None else wrap(bias)
        self.w_mask = None if w_mask is None else mask_of(w_mask, sizes.shape)

    @property
    def spacing(self) -> int:
        """Output samples from one input sample to the next: ``stride · lhs_dilation``."""
        return self.stride * self.lhs_dilation

    @property
    def extent(self) -> int:
        """Output samples that one input sample reaches: ``(K - 1)·rhs_dilation + 1``."""
        return kernel_extent(self.kernel_size[0], self.rhs_dilation)

    def out_length(self, length: int) -> int:
        """Output length for an input of ``length`` samples.

        Raises:
            ValueError: if nothing would be left.
        """
        return checked_transpose_length(
            length, spacing=self.spacing, extent=self.extent, crop=self.crop
        )

    def __call__(
        self, x: Inexact[Array, "..."], *, output_size: int | Sequence[int] | None = None
    ) -> Inexact[Array, "..."]:
        """Upsample a batch ``(B, L, C)`` or one signal ``(L, C)``; the channels first if so made.

        Args:
            x: the signal.
            output_size: length of the output, from `out_length` (less ``output_padding``, which
                it replaces) to ``stride - 1`` samples more: PyTorch's rule.

        Raises:
            ValueError: if the rank or the channels are wrong, the input is too short, or
                ``output_size`` is out of its range.
        """
        with jax.named_scope(self.name or "convt1d.ConvTranspose1d"):
            x, unit = _unitless(x)
            check_signal("ConvTranspose1d", x.shape, self.in_channels, first=self.channel_first)
            weight, weight_unit = _unitless(value_of(self.weight))
            if self.dtype is not None:
                x, weight = cast("x", x, self.dtype), cast("weight", weight, self.dtype)
            if self.w_mask is not None:
                mask = jnp.asarray(self.w_mask.array, weight.dtype)
                weight = weight * jnp.broadcast_to(mask, weight.shape)
            bias = value_of(self.bias)
            quantities = [q for q in (unit, weight_unit, _unitless(bias)[1]) if q is not None]
            low, high = self.crop
            y = conv_transpose1d(
                x.swapaxes(-1, -2) if self.channel_first else x,
                weight,
                None if quantities else bias,
                stride=self.spacing,
                dilation=self.rhs_dilation,
                groups=self.groups,
                crop=(low, high if output_size is None else high + self.output_padding),
                output_size=output_size,
                padding_mode=self.padding_mode,
                lowering=self.lowering,
                precision=self.precision,
            )
            if quantities:
                y = _with_units(y, unit, weight_unit)
                y = y if bias is None else y + bias.reshape((1,) * (y.ndim - 1) + bias.shape)
            return y.swapaxes(-1, -2) if self.channel_first else y


def _pair_of_sizes(in_size: Sequence[int]) -> tuple[int, int]:
    sizes = tuple(in_size) if isinstance(in_size, Sequence) else (in_size,)
    if len(sizes) != 2 or not all(is_integer(size) and int(size) > 0 for size in sizes):
        raise ValueError(
            f"`in_size` (={in_size!r}) must be two positive ints: (length, channels), or "
            "(channels, length) with channel_first=True."
        )
    return int(sizes[0]), int(sizes[1])


def _unitless(value: Any) -> tuple[Array, Any]:
    """An array, and the unit that it had if it is a `brainunit` quantity."""
    if hasattr(value, "mantissa") and hasattr(value, "unit"):
        return value.mantissa, type(value)(1.0, unit=value.unit)
    return value, None


def _with_units(array: Array, *units: Any) -> Any:
    """The array times the units that its factors had."""
    result: Any = array
    for unit in units:
        if unit is not None:
            result = result * unit
    return result
