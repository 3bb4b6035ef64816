"""Windows, shifts and sums of signals, which every lowering is made of."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array

from convt1d._form import Form


def window(signal: Array, start: int, length: int) -> Array:
    """``signal[:, start : start + length]``, with zeros where it does not reach.

    A crop is a slice, never a negative padding: XLA folds that into a neighbouring convolution
    and then reads out of bounds (openxla/xla#48713, #48715).
    """
    have = signal.shape[1]
    first, last = min(max(start, 0), have), min(max(start + length, 0), have)
    before = min(max(-start, 0), length)
    kept = signal[:, first:last]
    return place(kept, before, length - before - kept.shape[1])


def add(terms: Sequence[Array]) -> Array:
    """The sum of one or more arrays."""
    return sum(terms[1:], start=terms[0])


def place(signal: Array, before: int, after: int) -> Array:
    """``signal`` with zeros before and after it in time."""
    return pad_axis(signal, 1, before, after)


def pad_axis(array: Array, axis: int, before: int, after: int) -> Array:
    """``array`` with zeros around one axis."""
    if before == after == 0:
        return array
    return jnp.pad(array, [(before, after) if a == axis else (0, 0) for a in range(array.ndim)])


def overlap_add(taps: Array, form: Form) -> Array:
    """The sum of every frame's taps where they fall: ``(B, L, K, O) -> (B, M, O)``."""
    batch, frames, count, out = taps.shape
    if form.dilation > 1:
        return gather([taps[:, :, k] for k in range(count)], form)
    taps = pad_axis(taps, 2, 0, form.blocks * form.stride - count)
    taps = taps.reshape(batch, frames, form.blocks, form.stride * out)
    full = add([place(taps[:, :, j], j, form.blocks - 1 - j) for j in range(form.blocks)])
    return window(full.reshape(batch, form.full, out), form.low, form.fine)


def gather(taps: Sequence[Array], form: Form) -> Array:
    """`overlap_add` of one signal ``(B, L, O)`` for each tap, sample by sample of a stride."""
    batch, frames, out = taps[0].shape
    phases = []
    for phase in range(form.stride):
        pieces = [
            place(tap, strides, form.blocks - 1 - strides)
            for tap, (strides, samples) in zip(taps, form.places, strict=True)
            if samples == phase
        ]
        silence = jnp.zeros((batch, frames + form.blocks - 1, out), taps[0].dtype)
        phases.append(add(pieces) if pieces else silence)
    full = jnp.stack(phases, axis=2).reshape(batch, form.full, out)
    return window(full, form.low, form.fine)


def sum_type(array: Array) -> jnp.dtype:
    """The dtype in which to sum: float32 for the half types."""
    half = jnp.issubdtype(array.dtype, jnp.floating) and jnp.finfo(array.dtype).bits < 32
    return jnp.dtype(jnp.float32) if half else array.dtype
