"""Learnable arrays: how they begin, what may wrap them, which of them are trained."""

from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, PyTree

Initial: TypeAlias = Any
"""A function ``(key, shape, dtype) -> array``, an array of that shape, a scalar, or a quantity."""


class Frozen(eqx.Module):
    """An array that is used but not trained: no gradient, and `trainable` says so.

    Pass it as ``param_type`` of a layer, or put it around any array of a module.

    Example:
        >>> import jax.numpy as jnp, convt1d
        >>> layer = convt1d.ConvTranspose1d((28, 16), 8, 4, stride=2, param_type=convt1d.Frozen)
        >>> layer(jnp.ones((28, 16))).shape, convt1d.trainable(layer).weight.array
        ((56, 8), False)
    """

    array: Array

    @property
    def value(self) -> Array:
        """The array, as a constant for differentiation."""
        return lax.stop_gradient(self.array)


def trainable(model: PyTree) -> PyTree[bool]:
    """Which leaves of ``model`` training may change: inexact arrays outside of `Frozen`.

    The result fits `equinox.partition` and `optax.masked`.

    Example:
        >>> import equinox as eqx, convt1d
        >>> layer = convt1d.ConvTranspose1d((28, 16), 8, 4, b_init=0.0)
        >>> weights, rest = eqx.partition(layer, convt1d.trainable(layer))
        >>> weights.bias.shape
        (8,)
    """

    def decide(node: Any) -> Any:
        if isinstance(node, Frozen):
            return jax.tree.map(lambda _: False, node)
        shape_only = isinstance(node, jax.ShapeDtypeStruct)
        return jnp.issubdtype(node.dtype, jnp.inexact) if shape_only else eqx.is_inexact_array(node)

    return jax.tree.map(decide, model, is_leaf=lambda node: isinstance(node, Frozen))


def value_of(parameter: Any) -> Any:
    """What is inside a wrapped parameter, or the bare array itself."""
    return parameter.value if hasattr(parameter, "value") else parameter


def initialise(
    name: str, initial: Initial, shape: tuple[int, ...], *, key: Array, axes: str
) -> Any:
    """The first value of a parameter.

    Raises:
        ValueError: naming ``name``, if an array or a function's result has another shape.
    """
    dtype = jnp.zeros(()).dtype
    if callable(initial):
        value = initial(key, shape, dtype)
    elif hasattr(initial, "mantissa"):  # a brainunit quantity
        return type(initial)(
            initialise(name, initial.mantissa, shape, key=key, axes=axes), unit=initial.unit
        )
    else:
        value = initial
    value = jnp.asarray(value)
    if not jnp.issubdtype(value.dtype, jnp.inexact):
        value = value.astype(dtype)
    if not callable(initial) and value.ndim == 0:
        value = jnp.full(shape, value, value.dtype)  # without a dtype it would be weakly typed
    if value.shape != shape:
        raise ValueError(
            f"`{name}` gives an array of shape {value.shape}, but {axes} is {shape}: give an array "
            "of that shape, a scalar, or a function of (key, shape, dtype)."
        )
    return value


class Constant:
    """An array that is part of a module's structure: hashable, and no leaf to be trained."""

    def __init__(self, array: ArrayLike) -> None:
        self.array = np.asarray(array)
        self._identity = (self.array.shape, self.array.dtype.str, self.array.tobytes())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Constant) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __repr__(self) -> str:
        return f"Constant({self.array.dtype}{list(self.array.shape)})"


def mask_of(mask: Initial, shape: tuple[int, ...]) -> Constant:
    """A weight's mask from an array or a function of the shape, checked against the shape.

    Raises:
        ValueError: if the mask does not broadcast to the weight.
    """
    value = np.asarray(mask(shape) if callable(mask) else getattr(mask, "mantissa", mask))
    try:
        fits = np.broadcast_shapes(value.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"`w_mask` has shape {value.shape}, which does not broadcast to the weight's "
            f"(kernel_size, out_channels, in_channels / groups) = {shape}."
        )
    return Constant(value)
