r"""The transposed convolution, the convolution and their weight gradient as three JAX primitives.

The three maps of `convt1d._lowerings` are one another's transpositions, so three primitives that
name each other are closed under every transformation: reverse and forward mode, any number of
times, `vmap` (a batched weight is folded into groups), `scan`, `jit` and `shard_map`. A
`jax.custom_vjp` would give up forward mode; plain autodiff of either lowering would leave the
gradient's algorithm to chance, which on CPU means XLA's naive convolution loop.
"""

import functools
from collections.abc import Callable
from typing import Any, Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array

from convt1d._choice import WAYS, Operation, choose
from convt1d._form import Form

Lowering: TypeAlias = Literal["auto", "gemm", "subpixel", "lax", "shifted"]
LOWERINGS = get_args(Lowering)


def refine(x: Array, w: Array, *, form: Form, lowering: Lowering = "auto") -> Array:
    """Transposed convolution: ``(B, L, I), (K, O, I/g) -> (B, M, O)``."""
    return _bind(_refine, x, w, form, lowering)


def coarsen(y: Array, w: Array, *, form: Form, lowering: Lowering = "auto") -> Array:
    """Convolution: ``(B, M, O), (K, O, I/g) -> (B, L, I)``."""
    return _bind(_coarsen, y, w, form, lowering)


def weigh(x: Array, y: Array, *, form: Form, lowering: Lowering = "auto") -> Array:
    """Weight gradient of both: ``(B, L, I), (B, M, O) -> (K, O, I/g)``."""
    return _bind(_weigh, x, y, form, lowering)


# ----------------------------------------------------------------------------------- the primitives


def _bind(primitive: Primitive, a: Array, b: Array, form: Form, lowering: Lowering) -> Array:
    a, b = _vary_alike(a, b)
    return primitive.bind(a, b, form=form, lowering=lowering)


def _vary_alike(a: Array, b: Array) -> tuple[Array, Array]:
    """Inside `shard_map`, mark both as varying over the same axes: the transposition then sums."""
    over = [_varying(v) for v in (a, b)]
    a, b = (
        lax.pcast(v, tuple(missing), to="varying") if (missing := over[1 - i] - over[i]) else v
        for i, v in enumerate((a, b))
    )
    return a, b


def _varying(array: Array) -> frozenset[str]:
    """The axes of `shard_map` over which ``array`` differs; JAX renamed the attribute in 0.10."""
    aval = jax.typeof(array)
    manual = getattr(aval, "manual_axis_type", None)
    return frozenset(getattr(aval, "vma", ()) if manual is None else manual.varying)


def _define(operation: Operation) -> Primitive:
    """A primitive that runs a lowering by name, or the one that is fastest where it runs."""
    primitive = Primitive(f"convt1d_{operation}")

    def compute(a: Array, b: Array, *, form: Form, lowering: Lowering, platform: str) -> Array:
        way = choose(operation, a, b, form, platform) if lowering == "auto" else lowering
        return WAYS[operation][way](a, b, form).astype(a.dtype)

    def on(platform: str) -> Any:
        return functools.partial(compute, platform=platform)

    bound = functools.partial(jax.jit, static_argnames=("form", "lowering"))
    primitive.def_impl(bound(primitive.bind))
    primitive.def_abstract_eval(
        lambda a, b, **p: _abstract(functools.partial(on("cpu"), **p), a, b)
    )
    mlir.register_lowering(primitive, mlir.lower_fun(on("other"), multiple_results=False))
    mlir.register_lowering(
        primitive, mlir.lower_fun(on("cpu"), multiple_results=False), platform="cpu"
    )
    return primitive


def _abstract(compute: Callable[..., Array], a: Any, b: Any) -> Any:
    """Shape, dtype and placement of the result, from JAX's own rules for the plain operations."""
    jaxpr = jax.make_jaxpr(compute)(a, b)
    return jaxpr.out_avals[0]


_refine, _coarsen, _weigh = _define("refine"), _define("coarsen"), _define("weigh")

# Each rule gets the cotangent and both operands, of which the one it differentiates is unknown.
ad.defbilinear(
    _refine,
    lambda ct, x, w, **p: coarsen(ct, w, **p),
    lambda ct, x, w, **p: weigh(x, ct, **p),
)
ad.defbilinear(
    _coarsen,
    lambda ct, y, w, **p: refine(ct, w, **p),
    lambda ct, y, w, **p: weigh(ct, y, **p),
)
ad.defbilinear(
    _weigh,
    lambda ct, x, y, **p: coarsen(y, ct, **p),
    lambda ct, x, y, **p: refine(x, ct, **p),
)


# ------------------------------------------------------------------------------------------- vmap


def _batch_signal(primitive, operands, axes, *, form, lowering):
    """`vmap` of refine and coarsen: more examples, or more groups when each has its own weight."""
    (signal, w), (signal_axis, w_axis) = operands, axes
    if w_axis is None:
        signal = jnp.moveaxis(signal, signal_axis, 0)
        size, batch = signal.shape[:2]
        out = _bind(primitive, signal.reshape(-1, *signal.shape[2:]), w, form, lowering)
        return out.reshape(size, batch, *out.shape[1:]), 0
    size = w.shape[w_axis]
    form = _more_groups(form, size)
    out = _bind(
        primitive, _channels_in(signal, signal_axis, size), _rows_in(w, w_axis), form, lowering
    )
    return _channels_out(out, size), 0


def _batch_weigh(operands, axes, *, form, lowering):
    """`vmap` of the weight gradient: examples stay apart, so each is a group of its own."""
    (x, y), (x_axis, y_axis) = operands, axes
    size = (x if x_axis is not None else y).shape[x_axis if x_axis is not None else y_axis]
    x, y = _channels_in(x, x_axis, size), _channels_in(y, y_axis, size)
    w = weigh(x, y, form=_more_groups(form, size), lowering=lowering)  # (K, n O, I/g)
    w = w.reshape(w.shape[0], size, -1, w.shape[2])
    return jnp.moveaxis(w, 1, 0), 0


def _more_groups(form: Form, size: int) -> Form:
    return Form(**{**vars(form), "groups": form.groups * size})


def _channels_in(signal: Array, axis, size: int) -> Array:
    """A batched (or shared) signal as ``(B, L, n C)``."""
    if axis is None:
        signal = jnp.broadcast_to(signal[:, :, None], (*signal.shape[:2], size, signal.shape[2]))
    else:
        signal = jnp.moveaxis(signal, axis, 2)
    return signal.reshape(*signal.shape[:2], -1)


def _channels_out(signal: Array, size: int) -> Array:
    """``(B, L, n C) -> (n, B, L, C)``."""
    signal = signal.reshape(*signal.shape[:2], size, -1)
    return jnp.moveaxis(signal, 2, 0)


def _rows_in(w: Array, axis: int) -> Array:
    """A batched weight as ``(K, n O, I/g)``."""
    w = jnp.moveaxis(w, axis, 1)
    return w.reshape(w.shape[0], -1, w.shape[3])


batching.primitive_batchers[_refine] = functools.partial(_batch_signal, _refine)
batching.primitive_batchers[_coarsen] = functools.partial(_batch_signal, _coarsen)
batching.primitive_batchers[_weigh] = _batch_weigh
