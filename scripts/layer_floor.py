"""What no method can do without: the floor that `bench_layers.py` measures the layers against."""

import math
from collections.abc import Callable
from typing import Any

from layer_cases import STEPS, Case


def floor(case: Case) -> tuple[Callable[..., Any], Callable[..., Any], list[Any]]:
    """The bare matrix products that no method can do without; for depthwise, the memory's traffic.

    Depthwise: the input is read and the output written; backward, the cotangent is read twice,
    the input once, and the input's gradient written, with one multiplication for each number.
    """
    import jax
    import jax.numpy as jnp

    rows = case.frames // (STEPS if case.around == "scan" else 1)
    depthwise = case.groups > 1 and case.inputs == case.groups
    forward, both, shapes = (_traffic if depthwise else _products)(case, rows)
    x, w, y = (jnp.ones(shape, case.number_type) for shape in shapes)
    if case.around == "scan":
        x, y = (jnp.broadcast_to(array, (STEPS, *array.shape)) for array in (x, y))
        forward, both = _scanned(forward, both)
    return jax.jit(forward), jax.jit(both), [x, w, y]


def _products(case: Case, rows: int) -> tuple[Callable[..., Any], Callable[..., Any], list[Any]]:
    """One product forward and two backward, and the shapes of input, weight and output."""

    def both(x: Any, w: Any, y: Any) -> Any:
        return x @ w, y @ w.swapaxes(-1, -2), x.swapaxes(-1, -2) @ y

    groups = (case.groups,) * (case.groups > 1)
    ins, outs = case.inputs // case.groups, case.outputs // case.groups
    if case.transposed:
        outs *= case.kernel
    else:
        ins *= case.kernel
    return (
        (lambda x, w: x @ w),
        both,
        [(*groups, rows, ins), (*groups, ins, outs), (*groups, rows, outs)],
    )


def _traffic(case: Case, rows: int) -> tuple[Callable[..., Any], Callable[..., Any], list[Any]]:
    """The least that reads and writes what a depthwise layer must.

    Written out, because XLA:CPU sums over leading axes ten times slower than memory.
    """
    import jax
    import jax.numpy as jnp

    block = math.gcd(rows, 16)

    def up(coarse: Any, w: Any) -> Any:
        return coarse[:, None] * w

    def down(fine: Any, w: Any) -> Any:
        return sum(fine[:, phase] * w[phase] for phase in range(case.stride))

    def weigh(coarse: Any, fine: Any) -> Any:
        def one(number: Any, total: Any) -> Any:
            at = number * block
            x, y = (jax.lax.dynamic_slice_in_dim(array, at, block) for array in (coarse, fine))
            return total + x[:, None] * y

        zeros = jnp.zeros((block, *fine.shape[1:]), fine.dtype)
        return jax.lax.fori_loop(0, rows // block, one, zeros).sum(0)

    forward, backward = (up, down) if case.transposed else (down, up)

    def both(x: Any, w: Any, y: Any) -> Any:
        coarse, fine = (x, y) if case.transposed else (y, x)
        return forward(x, w), backward(y, w), weigh(coarse, fine)

    coarse, fine = (rows, case.inputs), (rows, case.stride, case.outputs)
    x, y = (coarse, fine) if case.transposed else (fine, coarse)
    return forward, both, [x, (case.stride, case.outputs), y]


def _scanned(
    forward: Callable[..., Any], both: Callable[..., Any]
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The products of every step in a loop, those of the weight summed."""
    import jax
    import jax.numpy as jnp

    def all_forward(x: Any, w: Any) -> Any:
        return jax.lax.scan(lambda _, step: (None, forward(step, w)), None, x)[1]

    def all_both(x: Any, w: Any, y: Any) -> Any:
        def one(total: Any, step: Any) -> Any:
            out, dx, dw = both(step[0], w, step[1])
            return total + dw, (out, dx)

        return jax.lax.scan(one, jnp.zeros_like(w), (x, y))

    return all_forward, all_both
