"""The layer Conv1d, the partner of ConvTranspose1d."""

from collections.abc import Sequence

import equinox as eqx
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact, PRNGKeyArray

from convt1d import _trilinear
from convt1d._conv_transpose import conv1d, precision_name
from convt1d._geometry import (
    PADDING_MODES,
    Padding,
    check_groups,
    check_signal,
    checked_conv_length,
    choice,
    conv_padding,
    kernel_extent,
    padding_pair,
    single,
)
from convt1d._parameters import Initial, Sizes, cast, dtype_name, first_values
from convt1d._trilinear import Lowering


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
        padding_mode: what the padding holds: ``'zeros'``, or the signal continued by
            ``'circular'`` (periodic), ``'reflect'`` (mirrored about the end samples) or
            ``'replicate'`` (the end samples repeated).
        w_init: as for `ConvTranspose1d`, for ``(K, in / groups, out)``, and without ``'icnr'``.
        b_init: the same for ``(out,)``; None for no bias.
        lowering: how it is computed, as for `ConvTranspose1d`.
        precision: of the products: a `jax.lax.Precision` or its name, such as ``'highest'``.
        dtype: what the layer computes and returns in, as for `ConvTranspose1d`.
        param_dtype: what weight and bias are kept in.
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
    padding_mode: str = eqx.field(static=True)
    lowering: Lowering = eqx.field(static=True)
    precision: str | None = eqx.field(static=True)
    dtype: str | None = eqx.field(static=True)

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
        padding_mode: str = "zeros",
        w_init: Initial | None = None,
        b_init: Initial | None = 0.0,
        lowering: Lowering = "auto",
        precision: lax.Precision | str | None = None,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike | None = None,
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
        self.padding_mode = choice("padding_mode", padding_mode, PADDING_MODES)
        self.lowering = choice("lowering", lowering, _trilinear.LOWERINGS)
        self.precision = precision_name(precision)
        self.dtype = dtype_name("dtype", dtype)

        sizes = Sizes(
            kernel_size=self.kernel_size[0],
            in_channels=self.in_channels,
            out_channels=self.out_channels,
            groups=self.groups,
            stride=self.stride,
            dilation=self.dilation,
            transposed=False,
        )
        self.weight, self.bias = first_values(sizes, w_init, b_init, dtype=param_dtype, key=key)

    def out_length(self, length: int) -> int:
        """Output frames for an input of ``length`` samples.

        Raises:
            ValueError: if there would be none.
        """
        extent = kernel_extent(self.kernel_size[0], self.dilation)
        pads = conv_padding(self.padding, length=length, stride=self.stride, extent=extent)
        return checked_conv_length(length, stride=self.stride, extent=extent, padding=pads)

    def __call__(self, x: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        """Filter a batch ``(B, L, C)`` or one signal ``(L, C)``.

        Raises:
            ValueError: if the rank or the channels are wrong, or the input is too short.
        """
        check_signal("Conv1d", x.shape, self.in_channels)
        weight = self.weight
        if self.dtype is not None:
            x, weight = cast("x", x, self.dtype), cast("weight", weight, self.dtype)
        return conv1d(
            x,
            weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            padding_mode=self.padding_mode,
            lowering=self.lowering,
            precision=self.precision,
        )
