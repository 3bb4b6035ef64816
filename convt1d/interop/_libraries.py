"""How each library keeps the arrays of its layers: names, order of axes, direction of taps."""

import math
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from convt1d._convolution import Conv1d
from convt1d._geometry import choice
from convt1d._layers import ConvTranspose1d
from convt1d._weight_norm import WeightNorm

Layer: TypeAlias = ConvTranspose1d | Conv1d | WeightNorm
LAYERS = (ConvTranspose1d, Conv1d, WeightNorm)

Library: TypeAlias = Literal[
    "brainstate",
    "brainstate<0.5",
    "equinox",
    "flax",
    "flax_transpose_kernel",
    "haiku",
    "keras",
    "torch",
]
WeightForm: TypeAlias = Literal["folded", "weight_norm", "parametrizations"]
Role: TypeAlias = Literal["weight", "direction", "gain", "bias"]


class Convention(NamedTuple):
    """One library's. Axes are letters: ``k`` taps, ``g`` groups, ``i``, ``o`` channels of a group.

    ``"k go i"`` is ``(K, out, in / groups)``. ``flipped`` tells of the transposed convolution that
    its last tap comes first in the output; no convolution's taps are.
    """

    weight: str
    bias: str
    separator: str
    transposed: str
    convolution: str
    bias_axes: str = "go"
    flipped: bool = False
    grouped: bool = True


# Source: the layers of torch 2.13.0, equinox 0.13.8, flax 0.12.8 (linen and nnx), dm-haiku 0.0.17,
# keras 3.15.1, brainstate 0.5.4 and 0.4.2, by experiment; tests/reference holds what they computed.
_BRAINSTATE = Convention("weight", "bias", ".", "k go i", "k i go", bias_axes="1 go")
_FLAX = Convention("kernel", "bias", "/", "k gi o", "k i go", flipped=True, grouped=False)
CONVENTIONS: dict[str, Convention] = {
    "brainstate": _BRAINSTATE,
    "brainstate<0.5": _BRAINSTATE._replace(flipped=True),
    "equinox": Convention(
        "weight", "bias", ".", "go i k", "go i k", bias_axes="go 1", flipped=True
    ),
    "flax": _FLAX,
    "flax_transpose_kernel": _FLAX._replace(transposed="k o gi", flipped=False),
    "haiku": Convention("w", "b", "/", "k o gi", "k i go", flipped=True, grouped=False),
    "keras": Convention("kernel", "bias", "/", "k o gi", "k i go", grouped=False),
    "torch": Convention("weight", "bias", ".", "gi o k", "go i k"),
}
_TRANSPOSED, _CONVOLUTION = "k go i", "k i go"  # ours


class Slot(NamedTuple):
    """One array of one layer, as a library keeps it."""

    role: Role
    name: str
    axes: str
    shape: tuple[int, ...]
    flipped: bool = False


def check_library(library: str) -> Convention:
    """The convention of ``library``.

    Raises:
        ValueError: if there is none of that name.
    """
    return CONVENTIONS[choice("library", library, CONVENTIONS)]


def check_form(form: str, library: str) -> None:
    """Refuse a form that ``library`` does not know."""
    check_library(library)
    if choice("form", form, get_args(WeightForm)) != "folded" and library != "torch":
        raise ValueError(
            f"`form` (={form!r}) is PyTorch's way of weight normalisation: only 'folded' goes with "
            f"`library` (={library!r})."
        )


def bare(layer: Layer) -> ConvTranspose1d | Conv1d:
    """The convolution itself, taken out of its weight normalisation.

    Raises:
        ValueError: if it is none.
    """
    inner = layer.layer if isinstance(layer, WeightNorm) else layer
    if not isinstance(inner, ConvTranspose1d | Conv1d):
        raise ValueError(  # noqa: TRY004  as every wrong argument of the library
            f"`layer` (={type(layer).__name__}) must be a ConvTranspose1d, a Conv1d or a "
            "WeightNorm of one; arrays of a model's other parts are read by read_model."
        )
    return inner


def slots(layer: Layer, library: str, name: str) -> dict[str, list[Slot]]:
    """The arrays of the layer called ``name``, in each form that the library may keep them in.

    The bias comes last, whether the layer has one or not.

    Raises:
        ValueError: if the library has no such layer.
    """
    inner, convention = bare(layer), check_library(library)
    transposed = isinstance(inner, ConvTranspose1d)
    if transposed and inner.groups > 1 and not convention.grouped:
        able = ", ".join(repr(key) for key, value in CONVENTIONS.items() if value.grouped)
        raise ValueError(
            f"`library` (={library!r}) has no groups in its transposed convolution, but the layer "
            f"has {inner.groups}: use one of {able}."
        )
    name = name.removesuffix(convention.separator)
    prefix = f"{name}{convention.separator}" if name else ""
    sizes = _sizes(inner)
    axes = convention.transposed if transposed else convention.convolution

    def slot(role: Role, key: str, axes: str) -> Slot:
        flipped = transposed and convention.flipped and role in ("weight", "direction")
        return Slot(role, prefix + key, axes, _shape(axes, sizes), flipped)

    bias = slot("bias", convention.bias, convention.bias_axes)
    forms = {"folded": [slot("weight", convention.weight, axes), bias]}
    if library == "torch":
        rows = f"{axes.split()[0]} 1 1"
        for form, gain, direction in (
            ("weight_norm", "weight_g", "weight_v"),
            ("parametrizations", *(f"parametrizations.weight.original{n}" for n in (0, 1))),
        ):
            forms[form] = [slot("gain", gain, rows), slot("direction", direction, axes), bias]
    return forms


def rows_of(array: np.ndarray, slot: Slot, layer: Layer) -> np.ndarray:
    """A library's array in PyTorch's layout, whose first axis is the one that gains belong to."""
    if slot.role in ("bias", "gain"):
        return array.reshape(-1)
    return _moved(array, slot.axes, _rows(layer), layer, flip=slot.flipped)


def array_of(rows: np.ndarray, slot: Slot, layer: Layer) -> np.ndarray:
    """The inverse of `rows_of`."""
    if slot.role in ("bias", "gain"):
        return rows.reshape(slot.shape)
    return _moved(rows, _rows(layer), slot.axes, layer, flip=slot.flipped)


def rows_of_ours(weight: np.ndarray, layer: Layer) -> np.ndarray:
    """Our weight in PyTorch's layout."""
    return _moved(weight, _ours(layer), _rows(layer), layer)


def ours_of_rows(rows: np.ndarray, layer: Layer) -> np.ndarray:
    """The inverse of `rows_of_ours`."""
    return _moved(rows, _rows(layer), _ours(layer), layer)


def _rows(layer: Layer) -> str:
    torch = CONVENTIONS["torch"]
    return torch.transposed if isinstance(bare(layer), ConvTranspose1d) else torch.convolution


def _ours(layer: Layer) -> str:
    return _TRANSPOSED if isinstance(bare(layer), ConvTranspose1d) else _CONVOLUTION


def _moved(
    array: np.ndarray, source: str, target: str, layer: Layer, *, flip: bool = False
) -> np.ndarray:
    """``array`` with the axes ``source`` as one with the axes ``target``."""
    sizes = _sizes(bare(layer))
    letters = source.replace(" ", "")
    split = array.reshape([sizes[letter] for letter in letters])
    if flip:
        split = np.flip(split, letters.index("k"))
    order = [letters.index(letter) for letter in target.replace(" ", "")]
    return split.transpose(order).reshape(_shape(target, sizes))


def _sizes(layer: ConvTranspose1d | Conv1d) -> dict[str, int]:
    groups = layer.groups
    inputs, outputs = layer.in_channels // groups, layer.out_channels // groups
    return {"k": layer.kernel_size[0], "g": groups, "i": inputs, "o": outputs, "1": 1}


def _shape(axes: str, sizes: dict[str, int]) -> tuple[int, ...]:
    return tuple(math.prod(sizes[letter] for letter in axis) for axis in axes.split())
