"""All that tells the families of decoders and encoders apart, as one value."""

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

from convt1d._geometry import choice, is_integer

ACTIVATIONS = ("snake", "snake_beta", "elu", "leaky_relu", "relu")
PADDINGS = ("same", "same_lower", "causal", "symmetric")
PADDING_MODES = ("zeros", "reflect")
RESIDUALS = ("pointwise", "twice", "single")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    r"""What a `Decoder` and the `Encoder` that is its mirror image are made of.

    A decoder is a convolution at the latent, then for each stride an activation, a transposed
    convolution and residual units, then an activation and a convolution at the signal. The encoder
    is the same backwards. `convt1d.models.published` has the layouts of the known families.

    Args:
        strides: factors from latent to signal, in the decoder's order; their product is the hop.
        channels: channels before each stride and, if there is one more, after the last, where a
            convolution then makes the signal.
        stride_kernels: taps of each strided layer; ``2·stride`` if empty.
        kernel_size: taps of the convolution at the signal.
        latent_kernel_size: taps of the convolution at the latent.
        residual_kernels: taps of the residual units' dilated convolution. Several make as many
            branches side by side, which are averaged: HiFi-GAN's multi-receptive-field fusion.
        dilations: of the residual units of a stage, one after the other; none if empty. With
            several branches, either for all of them or a tuple for each.
        residual: what follows the dilated convolution of a unit: ``'pointwise'``, an activation
            and a convolution of one tap; ``'twice'``, an activation and an undilated convolution
            of as many taps; ``'single'``, nothing.
        units: residual units of each stage, counted from the first dilation; all if empty.
        compress: by how much the channels inside of a unit are fewer.
        shortcut: whether a convolution of one tap lies beside each unit, instead of nothing.
        activation: ``'snake'``, ``'snake_beta'``, ``'elu'``, ``'leaky_relu'`` or ``'relu'``.
        slope: of ``'leaky_relu'`` below zero.
        closing_slope: the same before the last convolution; None for no difference.
        padding: ``'same'`` and ``'same_lower'`` make exactly ``stride · L`` samples of ``L``,
            looking both ways; they differ in where an odd excess of taps goes. ``'causal'`` looks
            back only. ``'symmetric'`` takes as much off both ends, as DAC does: one sample less
            per odd stride.
        padding_mode: what convolutions see beyond the ends: ``'zeros'``, or ``'reflect'``, the
            signal mirrored, as in EnCodec: a signal too short for that is first continued by zeros.
        lstm: recurrent layers at the latent, with their input added to their output.
        bias: whether convolutions have one.
        closing_bias: the same for the last convolution; None for no difference.
        weight_norm: whether every convolution is weight-normalised.
        rematerialise: whether what is inside of a stage is computed again for the gradient instead
            of kept: less memory, more time, the same numbers. XLA on CPUs, which by default orders
            a program for parallelism and not for memory, saves none.

    Raises:
        ValueError: naming the argument that is wrong.

    Example:
        >>> from convt1d.models import Layout
        >>> layout = Layout(strides=(4, 2), channels=(8, 4))
        >>> layout.hop, layout.stride_kernels
        (8, (8, 4))
    """

    strides: tuple[int, ...]
    channels: tuple[int, ...]
    stride_kernels: tuple[int, ...] = ()
    kernel_size: int = 7
    latent_kernel_size: int = 7
    residual_kernels: tuple[int, ...] = (7,)
    dilations: tuple[int, ...] | tuple[tuple[int, ...], ...] = (1, 3, 9)
    residual: str = "pointwise"
    units: tuple[int, ...] = ()
    compress: int = 1
    shortcut: bool = False
    activation: str = "snake"
    slope: float = 0.2
    closing_slope: float | None = None
    padding: str = "same"
    padding_mode: str = "zeros"
    lstm: int = 0
    bias: bool = True
    closing_bias: bool | None = None
    weight_norm: bool = True
    rematerialise: bool = False

    def __post_init__(self) -> None:
        for field in ("strides", "channels", "stride_kernels", "residual_kernels", "units"):
            self._set(field, tuple(getattr(self, field)))
        self._set("stride_kernels", self.stride_kernels or tuple(2 * s for s in self.strides))
        self._set("dilations", tuple(d if is_integer(d) else tuple(d) for d in self.dilations))  # pyright: ignore[reportArgumentType]
        for field, choices in (
            ("residual", RESIDUALS),
            ("activation", ACTIVATIONS),
            ("padding", PADDINGS),
            ("padding_mode", PADDING_MODES),
        ):
            choice(field, getattr(self, field), choices)
        self._check_stages()
        self._check_units()
        for field, least in (
            ("kernel_size", 1),
            ("latent_kernel_size", 1),
            ("compress", 1),
            ("lstm", 0),
        ):
            value = getattr(self, field)
            if not is_integer(value) or value < least:
                raise ValueError(f"`{field}` (={value!r}) must be an int of at least {least}.")

    def _set(self, field: str, value: Any) -> None:
        object.__setattr__(self, field, value)  # frozen from here on

    def _check_stages(self) -> None:
        strides, count = self.strides, len(self.strides)
        if not strides or not _positive(strides):
            raise ValueError(f"`strides` (={strides}) must be one or more ints of at least 1.")
        if len(self.channels) not in (count, count + 1) or not _positive(self.channels):
            raise ValueError(
                f"`channels` (={self.channels}) must hold one positive int for each of the {count} "
                "strides, and one more if a convolution is to make the signal after the last."
            )
        if len(self.stride_kernels) != count or not _positive(self.stride_kernels):
            raise ValueError(
                f"`stride_kernels` (={self.stride_kernels}) must hold one positive int for each of "
                f"the {count} strides."
            )

    def _check_units(self) -> None:
        if not self.residual_kernels or not _positive(self.residual_kernels):
            raise ValueError(
                f"`residual_kernels` (={self.residual_kernels}) must hold one positive int for "
                "each branch."
            )
        nested = [isinstance(dilations, tuple) for dilations in self.dilations]
        if any(nested) and not (all(nested) and len(nested) == len(self.residual_kernels)):
            raise ValueError(
                f"`dilations` (={self.dilations}) must be ints, or a tuple of ints for each of the "
                f"{len(self.residual_kernels)} `residual_kernels`."
            )
        if not all(map(_positive, self.branches)):
            raise ValueError(f"`dilations` (={self.dilations}) must be ints of at least 1.")
        most = min(map(len, self.branches))
        if self.units and (
            len(self.units) != len(self.strides)
            or not all(is_integer(n) and 0 <= n <= most for n in self.units)
        ):
            raise ValueError(
                f"`units` (={self.units}) must hold a number from 0 to {most}, of the dilations "
                f"used, for each of the {len(self.strides)} strides."
            )

    @property
    def hop(self) -> int:
        """Samples of the signal for one step of the latent."""
        return math.prod(self.strides)

    @property
    def closes(self) -> bool:
        """Whether a convolution stands at the signal, behind the last stride."""
        return len(self.channels) > len(self.strides)

    @property
    def branches(self) -> tuple[tuple[int, ...], ...]:
        """The dilations of each branch."""
        if all(isinstance(dilations, tuple) for dilations in self.dilations) and self.dilations:
            return self.dilations  # pyright: ignore[reportReturnType]
        return (self.dilations,) * len(self.residual_kernels)  # pyright: ignore[reportReturnType]

    def dilations_at(self, stage: int) -> tuple[tuple[int, ...], ...]:
        """The dilations of each branch behind a stride; none where the stride makes the signal."""
        if stage + 1 == len(self.channels):
            return ()
        count = self.units[stage] if self.units else None
        return tuple(dilations[:count] for dilations in self.branches)


def _positive(numbers: Iterable[Any]) -> bool:
    return all(is_integer(number) and number >= 1 for number in numbers)
