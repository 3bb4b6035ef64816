"""What arrays and parts of models are called: paths, joined to one name."""

from collections.abc import Iterator, Mapping
from typing import Any

import equinox as eqx
import jax
import numpy as np

from convt1d.interop._libraries import LAYERS, check_library


def flat_arrays(arrays: Any, library: str) -> dict[str, np.ndarray]:
    """All arrays by their full names."""
    convention = check_library(library)
    if library == "keras" and isinstance(arrays, list | tuple):
        names = (convention.weight, convention.bias)
        arrays = {names[i] if i < 2 else str(i): array for i, array in enumerate(arrays)}
    elif isinstance(arrays, eqx.Module):
        leaves = jax.tree_util.tree_leaves_with_path(arrays)
        arrays = {path_of(path): leaf for path, leaf in leaves if _is_array(leaf)}
    if not isinstance(arrays, Mapping):
        raise ValueError(  # noqa: TRY004  as every wrong argument of the library
            f"`arrays` (a {type(arrays).__name__}) must be a mapping from names to arrays, such as "
            "a state dict."
        )
    flat: dict[str, np.ndarray] = {}
    for path, value in _walk(arrays, ()):
        name = convention.separator.join(path)
        array = np.asarray(value)
        if name in flat or array.dtype == object:
            raise ValueError(
                f"`arrays` has {name!r} twice."
                if name in flat
                else f"`arrays` has {name!r} of type {type(value).__name__}, which is no array."
            )
        flat[name] = array
    return flat


def _walk(node: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The leaves of nested mappings; a key may itself be a path."""
    if not isinstance(node, Mapping):
        yield path, node
        return
    for key, value in node.items():
        keys = key if isinstance(key, tuple) else (key,)
        yield from _walk(value, (*path, *map(str, keys)))


def parts_of(model: Any) -> dict[str, Any]:
    """The layers of a model, and its arrays outside of them, by their paths."""
    leaves = jax.tree_util.tree_leaves_with_path(model, is_leaf=is_layer)
    return {path_of(path): leaf for path, leaf in leaves if is_layer(leaf) or _is_array(leaf)}


def is_layer(node: Any) -> bool:
    return isinstance(node, LAYERS)


def _is_array(leaf: Any) -> bool:
    return eqx.is_array(leaf) or isinstance(leaf, jax.ShapeDtypeStruct)


def path_of(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")
