"""From the arrays of other libraries to our layers."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from convt1d._weight_norm import WeightNorm
from convt1d.interop import _norms
from convt1d.interop._libraries import (
    Layer,
    Library,
    Slot,
    bare,
    check_library,
    ours_of_rows,
    rows_of,
    slots,
)
from convt1d.interop._names import flat_arrays, is_layer, parts_of, path_of
from convt1d.interop._writing import parameter

SomeLayer = TypeVar("SomeLayer", bound=Layer)
Model = TypeVar("Model")


def read(layer: SomeLayer, arrays: Any, *, library: Library, name: str = "") -> SomeLayer:
    """``layer`` with the numbers that ``library`` keeps for its layer called ``name``.

    The layer keeps its type and its dtype. All three of PyTorch's forms are read: a `WeightNorm`
    takes gain and direction as they are, or the weight as direction and its norms as gain; a plain
    layer takes the weight, or the product of gain and direction, computed in double precision and
    rounded once. In a weight without gains a row of zeros has no direction: its gain is 0 and its
    direction constant, so that it stays zero and can still be trained.

    Args:
        layer: a `convt1d.ConvTranspose1d` or `convt1d.Conv1d`, or a `convt1d.WeightNorm` of one;
            its arrays may be shapes only, as `equinox.filter_eval_shape` gives them.
        arrays: names and arrays, flat or nested, of a layer or of a model that holds it: anything
            that numpy can read. Also an Equinox module, or Keras' list of a layer's weights.
        library: whose names and layout; see `convt1d.interop`.
        name: of the layer in ``arrays``, such as ``"decoder.up"``; empty for a layer alone.
            Whatever does not begin with it is not looked at.

    Returns:
        A new layer.

    Raises:
        ValueError: naming every array that is missing, unknown, of another shape than expected,
            of a dtype that the layer's does not hold exactly, or without a direction.

    Example:
        >>> import numpy as np, convt1d
        >>> layer = convt1d.ConvTranspose1d((28, 16), 8, 4, stride=2, b_init=0.0)
        >>> state = {"up.weight": np.ones((16, 8, 4), "f4"), "up.bias": np.ones(8, "f4")}
        >>> layer = convt1d.interop.read(layer, state, library="torch", name="up")
        >>> layer.weight.shape, float(layer.weight[0, 0, 0])
        ((4, 8, 16), 1.0)
    """
    convention = check_library(library)
    bare(layer)
    name = name.removesuffix(convention.separator)
    flat = flat_arrays(arrays, library)
    if name:
        flat = {k: v for k, v in flat.items() if k.startswith(name + convention.separator)}
    fit = _fit(layer, flat, library=library, name=name)
    unknown = [f"{k} {array.shape} is unknown" for k, array in flat.items() if k not in fit.used]
    _refuse([*fit.problems, *unknown], library)
    return fit.module


def read_model(
    model: Model,
    arrays: Any,
    *,
    library: Library,
    names: Mapping[str, str | None],
    ignore: Sequence[str] = (),
) -> Model:
    """``model`` with the numbers of another library's model, all of them or none.

    Args:
        model: any module; its arrays may be shapes only.
        arrays: as for `read`. Each of them must be used, once, or ignored.
        library: whose names and layout; see `convt1d.interop`.
        names: for each layer of the model, by its path such as ``"stages.0.up"``, the name it has
            in ``arrays``; and for each array outside of layers, such as
            ``"stages.0.activation.alpha"``, the array's full name. Such an array may have more or
            fewer axes of length one. None leaves a layer or an array as it is.
        ignore: names in ``arrays`` to be left unread, ``*`` standing for any letters.

    Returns:
        A new model.

    Raises:
        ValueError: naming everything that does not fit, as in `read`, and every path that is not
            the model's, is left out, or claims an array that another one has claimed.

    Example:
        >>> import numpy as np, convt1d
        >>> model = (convt1d.Conv1d(3, 4, 5), convt1d.Snake(4))
        >>> state = {
        ...     "net.0.weight": np.ones((4, 3, 5), "f4"),
        ...     "net.0.bias": np.ones(4, "f4"),
        ...     "net.1.alpha": np.full((1, 4, 1), 2, "f4"),
        ...     "steps": np.array(7),
        ... }
        >>> conv, snake = convt1d.interop.read_model(
        ...     model, state, library="torch",
        ...     names={"0": "net.0", "1.alpha": "net.1.alpha"}, ignore=["steps"],
        ... )
        >>> conv.weight.shape, snake.alpha.tolist()
        ((5, 3, 4), [2.0, 2.0, 2.0, 2.0])
    """
    check_library(library)
    flat = flat_arrays(arrays, library)
    problems = [
        f"`ignore` names {pattern!r}, which nothing is called"
        for pattern in ignore
        if not any(fnmatchcase(key, pattern) for key in flat)
    ]
    flat = {k: v for k, v in flat.items() if not any(fnmatchcase(k, p) for p in ignore)}
    parts = parts_of(model)
    problems += [
        f"`names` has {path!r}, which the model has not" for path in names if path not in parts
    ]
    problems += [
        f"`names` leaves out {path!r} ({type(part).__name__}): name it, or say None to keep it"
        for path, part in parts.items()
        if path not in names
    ]
    used: dict[str, str] = {}
    read_parts: dict[str, Any] = {}
    for path, part in parts.items():
        name = names.get(path)
        if name is None:
            continue
        fit = (
            _fit(part, flat, library=library, name=name)
            if is_layer(part)
            else _fit_array(part, flat, name)
        )
        problems += fit.problems
        problems += [
            f"{key} is claimed by {path!r} and by {used[key]!r}" for key in fit.used if key in used
        ]
        used |= dict.fromkeys(fit.used, path)
        read_parts[path] = fit.module
    problems += [f"{key} {flat[key].shape} is unknown" for key in flat if key not in used]
    _refuse(problems, library)
    return jax.tree_util.tree_map_with_path(
        lambda path, part: read_parts.get(path_of(path), part), model, is_leaf=is_layer
    )


class _Fit(NamedTuple):
    """What became of one part of a model: the part itself, unless there are problems."""

    module: Any
    used: list[str]
    problems: list[str]


def _fit(layer: Layer, flat: dict[str, np.ndarray], *, library: str, name: str) -> _Fit:
    """``layer`` with the numbers that ``flat`` has for it."""
    forms = slots(layer, library, name)
    present = [
        form for form, (*weights, _) in forms.items() if any(s.name in flat for s in weights)
    ]
    *weights, bias = forms[present[-1] if present else "folded"]
    problems = []
    if present:
        problems += [line for slot in weights for line in _mismatch(slot, flat, _leaf(layer, slot))]
    else:
        ways = [" and ".join(f"{s.name} {s.shape}" for s in form[:-1]) for form in forms.values()]
        problems.append(f"{', or '.join(ways)} is missing")
    has_bias = bare(layer).bias is not None
    if has_bias:
        problems += _mismatch(bias, flat, _leaf(layer, bias))
    elif bias.name in flat:
        problems.append(f"{bias.name} is there, but the layer has no bias: give it `b_init=0.0`")
    used = [slot.name for slot in (*weights, bias) if slot.name in flat]
    if problems:
        return _Fit(None, used, problems)
    expected = [*weights, bias] if has_bias else weights
    rows = {slot.role: rows_of(flat[slot.name], slot, layer) for slot in expected}
    return _Fit(_filled(layer, rows), used, [])


def _filled(layer: Layer, rows: dict[str, np.ndarray]) -> Layer:
    """``layer`` with other numbers, which fit."""
    inner = bare(layer)
    dtype = parameter(inner.weight).dtype
    if isinstance(layer, WeightNorm) and "weight" in rows:
        weight = rows.pop("weight").astype(dtype)
        rows["direction"], rows["gain"] = _norms.unfolded(weight, dtype, jnp.finfo(dtype))
    elif not isinstance(layer, WeightNorm) and "direction" in rows:
        rows["weight"] = _norms.folded(rows.pop("direction"), rows.pop("gain"))
    weight = rows["direction"] if isinstance(layer, WeightNorm) else rows["weight"]
    weight = ours_of_rows(weight, layer)
    filled = eqx.tree_at(lambda it: it.weight, inner, _replaced(inner.weight, weight))
    if inner.bias is not None:
        filled = eqx.tree_at(lambda it: it.bias, filled, _replaced(inner.bias, rows["bias"]))
    if not isinstance(layer, WeightNorm):
        return filled
    both = lambda it: (it.layer, it.gain)  # noqa: E731
    return eqx.tree_at(both, layer, (filled, _replaced(layer.gain, rows["gain"])))


def _fit_array(leaf: Any, flat: dict[str, np.ndarray], name: str) -> _Fit:
    """An array outside of layers."""
    slot = Slot("weight", name, "", leaf.shape)
    if name in flat and _without_ones(flat[name].shape) == _without_ones(leaf.shape):
        flat = {name: flat[name].reshape(leaf.shape)}
    problems = _mismatch(slot, flat, leaf)
    used = [name] if name in flat else []
    return _Fit(None if problems else _replaced(leaf, flat[name]), used, problems)


def _mismatch(slot: Slot, flat: dict[str, np.ndarray], leaf: Any) -> list[str]:
    """What is wrong with the array for ``slot``, which goes into ``leaf``."""
    if slot.name not in flat:
        return [f"{slot.name} {slot.shape} is missing"]
    array = flat[slot.name]
    if array.shape != slot.shape:
        return [f"{slot.name} has the shape {array.shape} instead of {slot.shape}"]
    counts = jnp.issubdtype(leaf.dtype, jnp.inexact) and not jnp.issubdtype(
        array.dtype, jnp.inexact
    )
    if counts or not np.can_cast(array.dtype, leaf.dtype):  # whole numbers are quantised weights
        return [
            f"{slot.name} is {array.dtype}, which {leaf.dtype} does not hold exactly: cast it "
            "first, or make the layer with another `param_dtype`"
        ]
    if slot.role == "direction" and (rows := _norms.zero_rows(array)):
        return [f"{slot.name} has only zeros in its rows {rows}, where the original computes NaN"]
    return []


def _leaf(layer: Layer, slot: Slot) -> Any:
    """The array of ours that a slot's numbers go into."""
    if slot.role == "bias":
        return parameter(bare(layer).bias)
    if slot.role == "gain" and isinstance(layer, WeightNorm):
        return layer.gain
    return parameter(bare(layer).weight)


def _replaced(value: Any, array: np.ndarray) -> Any:
    """``value``, an array or what wraps one, with other numbers of the same dtype."""
    (leaf,), structure = jax.tree.flatten(value)
    new: Array = jnp.asarray(array.astype(leaf.dtype))
    return jax.tree.unflatten(structure, [new])


def _without_ones(shape: tuple[int, ...]) -> list[int]:
    return [size for size in shape if size != 1]


def _refuse(problems: list[str], library: str) -> None:
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise ValueError(f"`arrays` do not fit, by the names of `library` (={library!r}):\n{lines}")
