"""The layers: ConvTranspose1d, as its reference page has it, and Conv1d, its partner."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Inexact, PRNGKeyArray

from convt1d._conv_transpose import (
    check_lowering,
    conv1d,
    conv_transpose1d,
    resolve_crop,
)
from convt1d._geometry import (
    Crop,
    Padding,
    conv_length,
    conv_padding,
    is_integer,
    kernel_extent,
    padding_pair,
    single,
    transpose_length,
)
from convt1d._parameters import Constant, Initial, initialise, mask_of, value_of
from convt1d._trilinear import Lowering


def glorot_normal(key: PRNGKeyArray, shape: tuple[int, ...], dtype: Any, groups: int = 1) -> Array:
    """Truncated normal of variance ``2 / (fan_in + fan_out)`` for a weight ``(K, O, I / groups)``.

    Each output sees ``K·I / groups`` inputs and each input ``K·O / groups`` outputs; counted from
    the layout's last two axes as they stand, groups would be missing from the second.
    """
    taps, out, per_group = shape
    draw = jax.nn.initializers.variance_scaling(
        1.0, "fan_avg", "truncated_normal", in_axis=-1, out_axis=-2, batch_axis=1
    )
    return draw(key, (taps, groups, out // groups, per_group), dtype).reshape(shape)


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
            ``(K, out, in / groups)``, a scalar, or a `brainunit` quantity, whose unit multiplies
            the input's. Default: truncated Glorot normal.
        b_init: the same for the bias of shape ``(out,)``; None for no bias.
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
        lowering: how it is computed: ``'auto'``, ``'gemm'`` or ``'lax'``.
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

    Raises:
        ValueError: naming the argument, its value and the rule it breaks.

    Source: the reference page of `brainstate.nn.ConvTranspose1d`; PyTorch's order of taps.

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
    w_mask: Constant | None = eqx.field(static=True)
    channel_first: bool = eqx.field(static=True)
    lowering: Lowering = eqx.field(static=True)
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
        lowering: Lowering = "auto",
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
        self.lowering = check_lowering(lowering)
        self.name = name
        out_length = self.out_length(length)
        self.out_size = (
            (self.out_channels, out_length)
            if self.channel_first
            else (out_length, self.out_channels)
        )

        shape = (self.kernel_size[0], self.out_channels, self.in_channels // self.groups)
        if w_init is None:
            w_init = lambda k, s, d: glorot_normal(k, s, d, self.groups)  # noqa: E731
        w_key, b_key = jax.random.split(jax.random.key(0) if key is None else key)
        wrap = (lambda array: array) if param_type is None else param_type
        axes = "(kernel_size, out_channels, in_channels / groups)"
        self.weight = wrap(initialise("w_init", w_init, shape, key=w_key, axes=axes))
        self.bias = None
        if b_init is not None:
            bias = initialise(
                "b_init", b_init, (self.out_channels,), key=b_key, axes="(out_channels,)"
            )
            self.bias = wrap(bias)
        self.w_mask = None if w_mask is None else mask_of(w_mask, shape)

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
        out = transpose_length(length, spacing=self.spacing, extent=self.extent, crop=self.crop)
        if length < 1 or out < 1:
            raise ValueError(
                f"an input of length {length} would give an output of length {out} = (L - 1)·S + "
                f"E - low - high = ({length} - 1)·{self.spacing} + {self.extent} - {self.crop[0]} "
                f"- {self.crop[1]}: lengthen the input or crop less."
            )
        return out

    def __call__(self, x: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        """Upsample a batch ``(B, L, C)`` or one signal ``(L, C)``; the channels first if so made.

        Raises:
            ValueError: if the rank or the channels are wrong, or the input is too short.
        """
        with jax.named_scope(self.name or "convt1d.ConvTranspose1d"):
            x, unit = _unitless(x)
            check_signal("ConvTranspose1d", x.shape, self.in_channels, first=self.channel_first)
            weight, weight_unit = _unitless(value_of(self.weight))
            if self.w_mask is not None:
                mask = jnp.asarray(self.w_mask.array, weight.dtype)
                weight = weight * jnp.broadcast_to(mask, weight.shape)
            self.out_length(x.shape[-1 if self.channel_first else -2])
            bias = value_of(self.bias)
            quantities = [q for q in (unit, weight_unit, _unitless(bias)[1]) if q is not None]
            y = conv_transpose1d(
                x.swapaxes(-1, -2) if self.channel_first else x,
                weight,
                None if quantities else bias,
                stride=self.spacing,
                dilation=self.rhs_dilation,
                groups=self.groups,
                crop=self.crop,
                lowering=self.lowering,
            )
            if quantities:
                y = _with_units(y, unit, weight_unit)
                y = y if bias is None else y + bias.reshape((1,) * (y.ndim - 1) + bias.shape)
            return y.swapaxes(-1, -2) if self.channel_first else y


class Conv1d(eqx.Module):
    r"""1-D convolution of ``(B, L, C)`` or ``(L, C)``, the partner of `ConvTranspose1d`.

    $$y[n] = b + \sum_k w[k]^\top x[n S + k d - \text{before}]$$

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: taps K.
        stride: input samples from one output frame to the next.
        padding: ``'SAME'``, ``'SAME_LOWER'`` or ``'CAUSAL'`` (``ceil(L / stride)`` frames),
            ``'VALID'``, an int, or ``(before, after)``.
        dilation: input samples from one tap to the next.
        groups: blocks of channels that do not meet.
        w_init: as for `ConvTranspose1d`, for ``(K, in / groups, out)``.
        b_init: the same for ``(out,)``; None for no bias.
        lowering: ``'auto'``, ``'gemm'`` or ``'lax'``.
        key: of the weight's initialiser; None means ``jax.random.key(0)``.

    Attributes:
        weight: ``(K, in_channels / groups, out_channels)``.
        bias: ``(out_channels,)`` or None.

    Raises:
        ValueError: naming the argument, its value and the rule it breaks.

    Source: agrees with `torch.nn.Conv1d`.

    Example:
        >>> import jax.numpy as jnp, convt1d
        >>> convt1d.Conv1d(8, 16, 4, stride=2)(jnp.ones((2, 56, 8))).shape
        (2, 28, 16)
    """

    weight: Array
    bias: Array | None
    in_channels: int = eqx.field(static=True)
    out_channels: int = eqx.field(static=True)
    kernel_size: tuple[int] = eqx.field(static=True)
    stride: int = eqx.field(static=True)
    padding: str | tuple[int, int] = eqx.field(static=True)
    dilation: int = eqx.field(static=True)
    groups: int = eqx.field(static=True)
    lowering: Lowering = eqx.field(static=True)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        *,
        stride: int | Sequence[int] = 1,
        padding: Padding = "SAME",
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        w_init: Initial | None = None,
        b_init: Initial | None = 0.0,
        lowering: Lowering = "auto",
        key: PRNGKeyArray | None = None,
    ) -> None:
        self.in_channels = single("in_channels", in_channels)
        self.out_channels = single("out_channels", out_channels)
        self.kernel_size = (single("kernel_size", kernel_size),)
        self.stride = single("stride", stride)
        self.padding = padding_pair("padding", padding)
        if not isinstance(self.padding, str) and min(self.padding) < 0:
            raise ValueError(f"`padding` (={padding!r}) must not be negative: slice the input.")
        self.dilation = single("dilation", dilation)
        self.groups = check_groups(groups, self.in_channels, self.out_channels)
        self.lowering = check_lowering(lowering)

        shape = (self.kernel_size[0], self.in_channels // self.groups, self.out_channels)
        if w_init is None:
            # Seen from its adjoint, whose layout is (K, out, in / groups), the fans are the same.
            w_init = lambda k, s, d: glorot_normal(  # noqa: E731
                k, (s[0], s[2], s[1]), d, self.groups
            ).swapaxes(1, 2)
        w_key, b_key = jax.random.split(jax.random.key(0) if key is None else key)
        axes = "(kernel_size, in_channels / groups, out_channels)"
        self.weight = initialise("w_init", w_init, shape, key=w_key, axes=axes)
        self.bias = (
            None
            if b_init is None
            else initialise("b_init", b_init, shape[2:], key=b_key, axes="(out_channels,)")
        )

    def out_length(self, length: int) -> int:
        """Output frames for an input of ``length`` samples.

        Raises:
            ValueError: if there would be none.
        """
        extent = kernel_extent(self.kernel_size[0], self.dilation)
        pads = conv_padding(self.padding, length=length, stride=self.stride, extent=extent)
        frames = conv_length(length, stride=self.stride, extent=extent, padding=pads)
        if length < 1 or frames < 1:
            raise ValueError(
                f"an input of length {length} with padding {pads} is shorter than the kernel's "
                f"extent (K - 1)·dilation + 1 = {extent}: lengthen the input or pad more."
            )
        return frames

    def __call__(self, x: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        """Filter a batch ``(B, L, C)`` or one signal ``(L, C)``.

        Raises:
            ValueError: if the rank or the channels are wrong, or the input is too short.
        """
        check_signal("Conv1d", x.shape, self.in_channels, first=False)
        return conv1d(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            lowering=self.lowering,
        )


def check_signal(layer: str, shape: tuple[int, ...], channels: int, *, first: bool) -> None:
    """Refuse an input of the wrong rank or channel count."""
    batched = f"(batch, {channels}, length)" if first else f"(batch, length, {channels})"
    single_one = f"({channels}, length)" if first else f"(length, {channels})"
    if len(shape) not in (2, 3) or shape[-2 if first else -1] != channels:
        raise ValueError(
            f"{layer} takes an input of shape {batched} or {single_one}, but got {shape}."
        )


def check_groups(groups: int, in_channels: int, out_channels: int) -> int:
    """``groups``, if it divides both channel counts."""
    groups = single("groups", groups)
    if in_channels % groups or out_channels % groups:
        raise ValueError(
            f"`groups` (={groups}) must divide the input's {in_channels} and the output's "
            f"{out_channels} channels."
        )
    return groups


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
