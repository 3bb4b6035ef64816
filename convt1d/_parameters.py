"""Learnable arrays: how they begin, what may wrap them, which of them are trained."""

import dataclasses
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, PRNGKeyArray, PyTree

from convt1d import initializers
from convt1d._geometry import choice

Initial: TypeAlias = Any
"""A function ``(key, shape, dtype) -> array``, an array of that shape, a scalar, a quantity, or a
name from `convt1d.initializers`."""


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


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What the first values of a layer's weight and bias depend on."""

    kernel_size: int
    in_channels: int
    out_channels: int
    groups: int
    stride: int
    dilation: int
    transposed: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the weight: ``(K, O, I / groups)`` if transposed, else ``(K, I / groups, O)``."""
        per_group = self.in_channels // self.groups
        if self.transposed:
            return self.kernel_size, self.out_channels, per_group
        return self.kernel_size, per_group, self.out_channels

    @property
    def axes(self) -> str:
        """The weight's axes in words."""
        if self.transposed:
            return "(kernel_size, out_channels, in_channels / groups)"
        return "(kernel_size, in_channels / groups, out_channels)"


def first_values(
    sizes: Sizes,
    w_init: Initial | None,
    b_init: Initial | None,
    *,
    dtype: DTypeLike | None,
    key: PRNGKeyArray | None,
) -> tuple[Any, Any]:
    """Weight and bias of a layer; no bias if there is no ``b_init``.

    Raises:
        ValueError: naming the argument that is wrong.
    """
    w_key, b_key = jax.random.split(jax.random.key(0) if key is None else key)
    kept = dtype_name("param_dtype", dtype)
    w_init = _by_name("w_init", "glorot_normal" if w_init is None else w_init, sizes)
    weight = initialise("w_init", w_init, sizes.shape, key=w_key, axes=sizes.axes, dtype=kept)
    if b_init is None:
        return weight, None
    b_init, shape = _by_name("b_init", b_init, sizes), (sizes.out_channels,)
    axes = "(out_channels,)"
    return weight, initialise("b_init", b_init, shape, key=b_key, axes=axes, dtype=kept)


def _by_name(argument: str, initial: Initial, sizes: Sizes) -> Initial:
    """The initialiser that a layer of these sizes has by a name; what is no name, as it is."""
    if not isinstance(initial, str):
        return initial
    uniform = ("torch", "equinox")
    if argument == "b_init":
        choice(argument, initial, uniform)
    if initial in uniform:
        fan_out = sizes.transposed and initial == "torch"  # which PyTorch takes for the fan-in
        channels = sizes.out_channels if fan_out else sizes.in_channels
        return initializers.fan_in_uniform(sizes.kernel_size * channels // sizes.groups)
    if not sizes.transposed:
        choice(argument, initial, ("glorot_normal", *uniform, "unit_variance"))
        if initial == "unit_variance":
            return jax.nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal")
        # Seen from its adjoint, whose layout is (K, out, in / groups), the fans are the same.
        adjoint = initializers.glorot_normal(groups=sizes.groups)
        return lambda k, s, d: adjoint(k, (s[0], s[2], s[1]), d).swapaxes(1, 2)
    choice(argument, initial, ("glorot_normal", *uniform, "unit_variance", "icnr"))
    if initial == "glorot_normal":
        return initializers.glorot_normal(groups=sizes.groups)
    if initial == "unit_variance":
        return initializers.unit_variance(stride=sizes.stride, dilation=sizes.dilation)
    if sizes.stride > 1 and sizes.dilation > 1:
        raise ValueError(
            f"`w_init` (='icnr') repeats adjacent taps, which a dilation (={sizes.dilation}) sets "
            "apart: use a dilation of 1."
        )
    return initializers.icnr(stride=sizes.stride)


def initialise(
    name: str,
    initial: Initial,
    shape: tuple[int, ...],
    *,
    key: Array,
    axes: str,
    dtype: DTypeLike | None = None,
) -> Any:
    """The first value of a parameter, kept in ``dtype`` if there is one.

    Raises:
        ValueError: naming ``name``, if an array or a function's result is none of numbers, has
            another shape, or is complex and ``dtype`` is not.
    """
    drawn = jnp.zeros(()).dtype if dtype is None else jnp.dtype(dtype)
    if callable(initial):
        value = initial(key, shape, drawn)
    elif hasattr(initial, "mantissa"):  # a brainunit quantity
        number = initialise(name, initial.mantissa, shape, key=key, axes=axes, dtype=dtype)
        return type(initial)(number, unit=initial.unit)
    else:
        value = initial
    try:
        value = jnp.asarray(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"`{name}` (={initial!r}) is no array of numbers: give one of shape {axes}, a scalar, "
            "a name, or a function of (key, shape, dtype)."
        ) from error
    if dtype is not None or not jnp.issubdtype(value.dtype, jnp.inexact):
        value = cast(name, value, drawn)
    if not callable(initial) and value.ndim == 0:
        value = jnp.full(shape, value, value.dtype)  # without a dtype it would be weakly typed
    if value.shape != shape:
        raise ValueError(
            f"`{name}` gives an array of shape {value.shape}, but {axes} is {shape}: give an array "
            "of that shape, a scalar, or a function of (key, shape, dtype)."
        )
    return value


def cast(name: str, array: Array, dtype: DTypeLike) -> Array:
    """``array`` as ``dtype``, unless its imaginary part would be lost.

    Raises:
        ValueError: naming ``name``, if it would.
    """
    if jnp.iscomplexobj(array) and not jnp.issubdtype(dtype, jnp.complexfloating):
        raise ValueError(
            f"`{name}` is {array.dtype}, whose imaginary part {jnp.dtype(dtype).name} cannot "
            "hold: use a complex dtype, or give its real part."
        )
    return array.astype(dtype)


def dtype_name(name: str, dtype: DTypeLike | None) -> str | None:
    """The name of a dtype that numbers may be computed or kept in; None stays None.

    Raises:
        ValueError: naming ``name``, if there is none such, or JAX's configuration forbids it.
    """
    if dtype is None:
        return None
    try:
        found = jnp.dtype(dtype)
    except TypeError:
        found = jnp.dtype(bool)
    if not jnp.issubdtype(found, jnp.inexact):
        raise ValueError(
            f"`{name}` (={dtype!r}) must be a floating or complex dtype, such as 'float32' or "
            "'bfloat16'."
        )
    if jax.dtypes.canonicalize_dtype(found) != found:
        raise ValueError(
            f"`{name}` (={dtype!r}) has 64 bits a number, which JAX must be told to keep: "
            "jax.config.update('jax_enable_x64', True)."
        )
    return found.name


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
