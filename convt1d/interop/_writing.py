"""From our layers to the arrays of other libraries."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from convt1d._layers import ConvTranspose1d
from convt1d._weight_norm import WeightNorm
from convt1d.interop import _norms
from convt1d.interop._libraries import (
    Layer,
    Library,
    Slot,
    WeightForm,
    array_of,
    bare,
    check_form,
    rows_of_ours,
    slots,
)


def write(
    layer: Layer, *, library: Library, name: str = "", form: WeightForm = "folded"
) -> dict[str, np.ndarray]:
    """The arrays of ``layer`` as ``library`` keeps them, by their names there.

    They have the layer's dtype. Products of weight normalisation are taken in double precision
    and rounded once. What a ``w_mask`` hides is written as zeros, since the others have no masks.

    Args:
        layer: a `convt1d.ConvTranspose1d` or `convt1d.Conv1d`, or a `convt1d.WeightNorm` of one.
        library: whose names and layout; see `convt1d.interop`.
        name: of the layer in the other model, such as ``"decoder.up"``; empty for a layer alone.
        form: ``'folded'``, the weight itself; of PyTorch also ``'weight_norm'``, for
            ``torch.nn.utils.weight_norm``, and ``'parametrizations'``, for
            ``torch.nn.utils.parametrizations.weight_norm``. A plain layer's direction is then its
            weight and its gain the norm, as they are when PyTorch wraps it.

    Returns:
        The weight, or gain and direction, and then the bias if there is one.

    Raises:
        ValueError: naming the argument, if the library has no such layer or form, or if a
            direction is zero.

    Example:
        >>> import numpy as np, convt1d
        >>> layer = convt1d.ConvTranspose1d((28, 16), 8, 4, stride=2, b_init=0.0)
        >>> arrays = convt1d.interop.write(layer, library="torch", name="decoder.up")
        >>> {name: array.shape for name, array in arrays.items()}
        {'decoder.up.weight': (16, 8, 4), 'decoder.up.bias': (8,)}
        >>> arrays = convt1d.interop.write(layer, library="torch", form="weight_norm")
        >>> {name: array.shape for name, array in arrays.items()}
        {'weight_g': (16, 1, 1), 'weight_v': (16, 8, 4), 'bias': (8,)}
    """
    inner = bare(layer)
    check_form(form, library)
    found = slots(layer, library, name)[form]
    weight = rows_of_ours(numbers(inner.weight), layer)
    mask = inner.w_mask if isinstance(inner, ConvTranspose1d) else None
    rows = {} if inner.bias is None else {"bias": numbers(inner.bias)}
    if isinstance(layer, WeightNorm) and form != "folded":
        if mask is not None:
            raise ValueError(
                f"`form` (={form!r}) cannot hold a WeightNorm with a `w_mask`, which changes the "
                "norms after they were taken: write it 'folded'."
            )
        return _named(rows | {"direction": weight, "gain": numbers(layer.gain)}, layer, found)
    if isinstance(layer, WeightNorm):
        if zeros := _norms.zero_rows(weight):
            raise ValueError(
                f"`layer` has a direction of zeros in the rows {zeros}, where it computes NaN."
            )
        weight = _norms.folded(weight, numbers(layer.gain)).astype(weight.dtype)
    if mask is not None:
        whole = np.broadcast_to(mask.array, parameter(inner.weight).shape)
        weight = weight * rows_of_ours(whole, layer).astype(weight.dtype)
    if form == "folded":
        return _named(rows | {"weight": weight}, layer, found)
    direction, gain = _norms.unfolded(weight, weight.dtype, jnp.finfo(weight.dtype))
    rows |= {"direction": direction, "gain": gain.astype(weight.dtype)}
    return _named(rows, layer, found)


def _named(rows: dict[str, np.ndarray], layer: Layer, found: list[Slot]) -> dict[str, np.ndarray]:
    """The arrays in the layout and by the names of their slots."""
    return {
        slot.name: np.ascontiguousarray(array_of(rows[slot.role], slot, layer))
        for slot in found
        if slot.role in rows
    }


def parameter(value: Any) -> Any:
    """The array of a parameter, taken out of what wraps it."""
    leaves = jax.tree.leaves(value)
    if len(leaves) != 1:
        raise ValueError(
            f"`layer` has a parameter of type {type(value).__name__} with {len(leaves)} arrays "
            "instead of one."
        )
    return leaves[0]


def numbers(value: Any) -> np.ndarray:
    """The same on the host."""
    array = parameter(value)
    if isinstance(array, jax.ShapeDtypeStruct):
        raise ValueError(  # noqa: TRY004  as every wrong argument of the library
            "`layer` has shapes instead of arrays: read or make it first."
        )
    return np.asarray(array)
