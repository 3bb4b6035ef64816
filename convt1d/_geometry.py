r"""Lengths, paddings and crops: integer functions, no jax.

One convention serves the whole library. A transposed convolution of ``L`` frames with kernel
size ``K``, dilation ``d`` and spacing ``S`` (stride) writes

$$\text{full}[n S + k d] \mathrel{+}= x[n]\, w[k], \qquad 0 \le n < L,\ 0 \le k < K,$$

whose length is $(L-1) S + E$ with the kernel's *extent* $E = (K-1) d + 1$. Every padding word is a
*crop* ``(low, high)`` of that full result; a negative crop appends zeros.
"""

from collections.abc import Collection, Sequence
from typing import TypeAlias, TypeVar

Crop: TypeAlias = tuple[int, int]
Padding: TypeAlias = str | int | Sequence[int] | Sequence[Sequence[int]]

Word = TypeVar("Word", bound=str)

PADDING_WORDS = ("SAME", "SAME_LOWER", "VALID", "CAUSAL")
PADDING_MODES = ("zeros", "circular", "reflect", "replicate")


def kernel_extent(kernel_size: int, dilation: int) -> int:
    """Samples from the first to the last tap of a dilated kernel, both counted."""
    return (kernel_size - 1) * dilation + 1


def transpose_length(length: int, *, spacing: int, extent: int, crop: Crop) -> int:
    """Output length of a transposed convolution: $(L-1) S + E$ less the crops."""
    return (length - 1) * spacing + extent - crop[0] - crop[1]


def checked_transpose_length(length: int, *, spacing: int, extent: int, crop: Crop) -> int:
    """`transpose_length`, if there is a signal before and after.

    Raises:
        ValueError: if nothing would be left.
    """
    out = transpose_length(length, spacing=spacing, extent=extent, crop=crop)
    if length < 1 or out < 1:
        raise ValueError(
            f"an input of length {length} would give an output of length {out} = (L - 1)·S + E - "
            f"low - high = ({length} - 1)·{spacing} + {extent} - {crop[0]} - {crop[1]}: lengthen "
            "the input or crop less."
        )
    return out


def transpose_crop(padding: Padding, *, spacing: int, extent: int) -> Crop:
    """The crop of the full result that a padding of the reference page means.

    ========================  =======================================================
    ``'SAME'``                ``L S`` samples; the larger half of ``E - S`` off the end
    ``'SAME_LOWER'``          ``L S`` samples; the larger half off the beginning
    ``'CAUSAL'``              ``L S`` samples; all of ``E - S`` off the end
    ``'VALID'``               nothing lost: ``(L-1) S + max(E, S)`` samples
    ``p``, ``(a, b)``         zeros around the dilated input, as in ``jax.lax``
    ========================  =======================================================

    Source: ``jax.lax.conv_transpose`` for SAME, VALID and numbers; Equinox for SAME_LOWER.

    Raises:
        ValueError: if ``padding`` is none of these.
    """
    excess = extent - spacing
    numbers = padding_pair("padding", padding)
    if not isinstance(numbers, str):
        return extent - 1 - numbers[0], extent - 1 - numbers[1]
    if numbers == "VALID":
        return 0, min(0, excess)
    low = {
        "SAME": max(0, excess // 2),
        "SAME_LOWER": max(0, -(-excess // 2)),
        "CAUSAL": 0,
    }[numbers]
    return low, excess - low


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


def crop_for_size(
    output_size: int | Sequence[int], *, length: int, spacing: int, extent: int, crop: Crop
) -> Crop:
    """The crop that makes an input of ``length`` give ``output_size`` samples.

    It takes up to ``spacing - 1`` samples less off the end than ``crop`` does.

    Source: `torch.nn.ConvTranspose1d`, whose inputs of ``spacing`` lengths give one output length.

    Raises:
        ValueError: if ``output_size`` is outside of that range.
    """
    shortest = transpose_length(length, spacing=spacing, extent=extent, crop=crop)
    more = single("output_size", output_size) - shortest
    if not 0 <= more < spacing:
        raise ValueError(
            f"`output_size` (={output_size!r}) must be from {shortest} to "
            f"{shortest + spacing - 1} for an input of length {length}."
        )
    return crop[0], crop[1] - more


def frames_beyond(
    length: int, fine: int, *, spacing: int, extent: int, low: int
) -> tuple[int, int]:
    """Frames before the first and after the last that reach into the window of the full result.

    The window begins at sample ``low`` and has ``fine`` samples; frame ``n`` reaches from ``n S``
    to ``n S + E - 1``.
    """
    first = -((extent - 1 - low) // spacing)
    last = (low + fine - 1) // spacing
    return max(0, -first), max(0, last - length + 1)


def conv_padding(padding: Padding, *, length: int, stride: int, extent: int) -> Crop:
    """Zeros before and after the input of a convolution.

    ``'SAME'``, ``'SAME_LOWER'`` and ``'CAUSAL'`` give ``ceil(L / stride)`` frames, ``'VALID'`` adds
    nothing. A causal frame ``n`` sees no sample after ``(n+1) stride - 1``, the last one it stands
    for, as in EnCodec: with stride 1 that is strict causality.

    Source: ``jax.lax.padtype_to_pads``; Défossez et al. 2022 (arXiv:2210.13438) for CAUSAL.

    Raises:
        ValueError: if ``padding`` is none of the accepted forms.
    """
    numbers = padding_pair("padding", padding)
    if not isinstance(numbers, str):
        return numbers
    if numbers == "VALID":
        return 0, 0
    frames = -(-length // stride)
    total = max(0, (frames - 1) * stride + extent - length)
    low = {
        "SAME": total // 2,
        "SAME_LOWER": -(-total // 2),
        "CAUSAL": max(0, extent - stride),
    }[numbers]
    return low, max(0, total - low)


def conv_length(length: int, *, stride: int, extent: int, padding: Crop) -> int:
    """Output length of a convolution: whole frames that fit into the padded input."""
    return (length + padding[0] + padding[1] - extent) // stride + 1


def checked_conv_length(length: int, *, stride: int, extent: int, padding: Crop) -> int:
    """`conv_length`, if there is a signal before and after.

    Raises:
        ValueError: if the input is shorter than the kernel.
    """
    frames = conv_length(length, stride=stride, extent=extent, padding=padding)
    if length < 1 or frames < 1:
        raise ValueError(
            f"an input of length {length} with padding {padding} is shorter than the kernel's "
            f"extent (K - 1)·dilation + 1 = {extent}: lengthen the input or pad more."
        )
    return frames


def padding_pair(name: str, padding: Padding) -> str | tuple[int, int]:
    """A padding word, or (before, after), from any form that the reference page accepts."""
    if not isinstance(padding, str):
        return number_pair(name, padding)
    word = padding.upper()
    if word not in PADDING_WORDS:
        raise ValueError(
            f"`{name}` (={padding!r}) is not a padding word: use one of "
            f"{', '.join(map(repr, PADDING_WORDS))}, an int or a pair of ints."
        )
    return word


def number_pair(name: str, value: object) -> tuple[int, int]:
    """Two ints from ``p``, ``(before, after)`` or ``[(before, after)]``."""
    pair = value
    while isinstance(pair, Sequence) and not isinstance(pair, str) and len(pair) == 1:
        pair = pair[0]
    if is_integer(pair):
        return int(pair), int(pair)  # pyright: ignore[reportArgumentType]
    if isinstance(pair, Sequence) and len(pair) == 2 and all(map(is_integer, pair)):
        return int(pair[0]), int(pair[1])
    raise ValueError(
        f"`{name}` (={value!r}) must be an int, a pair of ints for both ends, or a sequence "
        "holding one such pair."
    )


def is_integer(value: object) -> bool:
    """Whether ``value`` is an integer of Python's or NumPy's, and no bool."""
    return not isinstance(value, bool) and hasattr(value, "__index__")


def single(name: str, value: int | Sequence[int], *, minimum: int = 1) -> int:
    """The one integer of ``value``, which may come as an int or a sequence of one.

    Raises:
        ValueError: naming ``name``, if there is not exactly one integer of at least ``minimum``.
    """
    item = value[0] if isinstance(value, Sequence) and len(value) == 1 else value
    if not is_integer(item):
        raise ValueError(f"`{name}` (={value!r}) must be an int or a sequence of one int.")
    number = int(item)  # pyright: ignore[reportArgumentType]
    if number < minimum:
        raise ValueError(f"`{name}` (={value!r}) must be at least {minimum}.")
    return number


def choice(name: str, value: Word, choices: Collection[str]) -> Word:
    """``value``, if it is among ``choices``."""
    if value not in choices:
        raise ValueError(f"`{name}` (={value!r}) must be one of {', '.join(map(repr, choices))}.")
    return value


def check_signal(taker: str, shape: tuple[int, ...], channels: int, *, first: bool = False) -> None:
    """Refuse an input of the wrong rank or channel count, whose ``taker`` the message names."""
    batched = f"(batch, {channels}, length)" if first else f"(batch, length, {channels})"
    one = f"({channels}, length)" if first else f"(length, {channels})"
    if len(shape) not in (2, 3) or shape[-2 if first else -1] != channels:
        raise ValueError(f"`x` has shape {shape}, but {taker} takes {batched} or {one}.")


def check_groups(groups: int, in_channels: int, out_channels: int) -> int:
    """``groups``, if it divides both channel counts."""
    groups = single("groups", groups)
    if in_channels % groups or out_channels % groups:
        raise ValueError(
            f"`groups` (={groups}) must divide the input's {in_channels} and the output's "
            f"{out_channels} channels."
        )
    return groups
