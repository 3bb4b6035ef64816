"""The lowering for groups of a few channels: multiply-adds of shifted signals, in one pass."""

import dataclasses

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from convt1d._form import Form
from convt1d._shifts import add, gather, sum_type, window


def refine_shifted(x: Array, w: Array, form: Form) -> Array:
    """Transposed convolution: every tap times the shifted input, in one pass."""
    x, w = x.astype(sum_type(x)), w.astype(sum_type(x))[:, None, None]
    inputs = _each_input(x, w.shape[3], form.groups)
    taps = [add([x * w[k, ..., i] for i, x in enumerate(inputs)]) for k in range(form.kernel_size)]
    return gather(taps, form)


def coarsen_shifted(y: Array, w: Array, form: Form) -> Array:
    """Convolution: every tap times the shifted fine signal, in one pass."""
    y, w = y.astype(sum_type(y)), w.astype(sum_type(y))[:, None, None]
    seen, out = _seen(y, form), y.shape[2]
    frames = []
    for i in range(w.shape[4]):
        x = add([seen[k] * w[k, ..., i] for k in range(form.kernel_size)])
        if out > form.groups:  # a group's outputs, summed by a product: as a sum it is slower
            members = jnp.repeat(jnp.eye(form.groups, dtype=x.dtype), out // form.groups, 0)
            x = jnp.matmul(lax.optimization_barrier(x), members, precision=lax.Precision.HIGHEST)
        frames.append(x)
    return jnp.stack(frames, axis=3).reshape(y.shape[0], form.coarse, -1)


def weigh_shifted(x: Array, y: Array, form: Form) -> Array:
    """Gradient of the weight: shifted products, summed over some rows in one pass, then over all.

    XLA:CPU would write out every product before it sums: it fuses neither `jnp.sum` nor a product
    with a row of ones. The first sum is therefore an elementwise one, of eight parts of the signal.
    """
    x, y = x.astype(sum_type(x)), y.astype(sum_type(x))
    parts = min(8, form.coarse)
    rows = -(-form.coarse // parts)
    longer = dataclasses.replace(form, coarse=parts * rows)
    seen = _seen(y, longer)
    weights = []
    for signal in _each_input(window(x, 0, parts * rows), y.shape[2], form.groups):
        taps = []
        for k in range(form.kernel_size):
            products = [
                (signal[:, p * rows : (p + 1) * rows] * seen[k][:, p * rows : (p + 1) * rows])
                for p in range(parts)
            ]
            taps.append(add(products).reshape(-1, y.shape[2]))
        taps = lax.optimization_barrier(jnp.concatenate(taps, axis=1))
        ones = jnp.ones((1, taps.shape[0]), taps.dtype)
        total = jnp.matmul(ones, taps, precision=lax.Precision.HIGHEST)
        weights.append(total.reshape(form.kernel_size, -1))
    return jnp.stack(weights, axis=2)


def _each_input(x: Array, out: int, groups: int) -> list[Array]:
    """For each input of a group, the signal ``(B, L, O)`` that its outputs see."""
    per_group = x.shape[2] // groups
    if per_group == 1 and out == groups:
        return [x]
    x = jnp.moveaxis(x.reshape(*x.shape[:2], groups, per_group), 3, 0)
    x = lax.optimization_barrier(jnp.repeat(x, out // groups, axis=3))
    return [x[i] for i in range(per_group)]


def _seen(y: Array, form: Form) -> list[Array]:
    """For each tap, the samples ``(B, L, O)`` that the frames see through it."""
    y = window(y, -form.low, form.full)
    y = y.reshape(y.shape[0], -1, form.stride, y.shape[2])
    return [y[:, strides : strides + form.coarse, samples] for strides, samples in form.places]
