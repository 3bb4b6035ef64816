"""The layer Conv1d, the partner of ConvTranspose1d."""

from collections.abc import Sequence

import equinox as eqx
import jax
from jaxtyping import Array, Inexact, PRNGKeyArray

from convt1d._conv_transpose import check_lowering, conv1d
from convt1d._geometry import (
    Padding,
    check_groups,
    check_signal,
    checked_conv_length,
    conv_padding,
    kernel_extent,
    padding_pair,
    single,
)
from convt1d._initializers import glorot_normal
from convt1d._parameters import Initial, initialise
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
        return checked_conv_length(length, stride=self.stride, extent=extent, padding=pads)

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
