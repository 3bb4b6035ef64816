"""Time Snake and SnakeBeta, forward and with both gradients, against plain jnp and PyTorch.

The command line is that of `bench_layers.py`. `exact` is ours with the sine of the C library.
"""

import functools
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from timing import Bench, main


class Case(NamedTuple):
    """An activation and the signal it is given."""

    kind: str
    batch: int
    length: int
    channels: int

    def numbers(self) -> list[NDArray]:
        """Input, parameters and cotangent."""
        rng = np.random.default_rng(0)
        x, y = rng.standard_normal((2, self.batch, self.length, self.channels))
        parameters = rng.uniform(0.5, 2.0, (2 if self.kind == "snakebeta" else 1, self.channels))
        return [array.astype(np.float32) for array in (x, *parameters, y)]


SHAPES = [
    (16, 2048, 8),
    (16, 1024, 16),
    (16, 256, 32),
    (1, 8192, 96),
    (1, 4096, 192),
    (4, 512, 768),
]
CASES = {
    f"{kind} {','.join(map(str, shape))}": Case(kind, *shape)
    for kind in ("snake", "snakebeta")
    for shape in SHAPES
}
CASES |= {f"tiny {kind}": Case(kind, 2, 5, 3) for kind in ("snake", "snakebeta")}


def plain(x: Any, alpha: Any, beta: Any | None = None) -> Any:
    """The formula, differentiated by JAX."""
    import jax.numpy as jnp

    return x + jnp.sin(alpha * x) ** 2 / ((alpha if beta is None else beta) + 1e-9)


def ours(kind: str, *, exact: bool) -> Callable[..., Any]:
    """`convt1d.snake` or `convt1d.snake_beta`."""
    import convt1d

    function = convt1d.snake if kind == "snake" else convt1d.snake_beta
    return functools.partial(function, exact=exact)


def in_jax(side: str, case: Case) -> tuple[Callable[..., Any], Callable[..., Any], list[Any]]:
    """Forward, forward and backward, and their arguments; the last one is the cotangent."""
    import jax
    import jax.numpy as jnp

    apply = plain if side == "jnp" else ours(case.kind, exact=side == "exact")

    def both(*arguments: Any) -> Any:
        out, pull = jax.vjp(apply, *arguments[:-1])
        return out, *pull(arguments[-1])

    return jax.jit(apply), jax.jit(both), [jnp.asarray(array) for array in case.numbers()]


def in_torch(case: Case, backend: str) -> tuple[Callable[..., Any], Callable[..., Any], list[Any]]:
    """The same of PyTorch, channels first as its models have it."""
    import torch  # pyright: ignore[reportMissingImports]

    device = "cpu" if backend == "cpu" else "cuda"
    x, *parameters, y = (torch.from_numpy(array).to(device) for array in case.numbers())
    x, y = (array.swapaxes(1, 2).contiguous() for array in (x, y))
    inputs = [x.requires_grad_(), *(array[:, None].requires_grad_() for array in parameters)]

    def apply(x: Any, alpha: Any, beta: Any | None = None) -> Any:
        return x + torch.sin(alpha * x) ** 2 / ((alpha if beta is None else beta) + 1e-9)

    def forward(*inputs: Any) -> Any:
        with torch.no_grad():
            return apply(*inputs)

    def both(*arguments: Any) -> Any:
        out = apply(*arguments[:-1])
        return out, *torch.autograd.grad(out, arguments[:-1], arguments[-1])

    return forward, both, [*inputs, y]


def prepare(side: str, case: Case, backend: str) -> Mapping[str, Callable[[], object]]:
    """The two passes of a side, each of which waits for its result."""
    if side == "torch":
        import torch  # pyright: ignore[reportMissingImports]

        wait: Any = torch.cuda.synchronize if backend != "cpu" else lambda: None
        forward, both, arguments = in_torch(case, backend)
        return {
            "forward": lambda: (forward(*arguments[:-1]), wait()),
            "forward + backward": lambda: (both(*arguments), wait()),
        }
    import jax

    forward, both, arguments = in_jax(side, case)
    return {
        "forward": lambda: jax.block_until_ready(forward(*arguments[:-1])),
        "forward + backward": lambda: jax.block_until_ready(both(*arguments)),
    }


def results(side: str, case: Case) -> list[NDArray]:
    """Output and gradients, channels last, for comparison."""
    if side == "torch":
        _, both, arguments = in_torch(case, "cpu")
        out, dx, *parameters = (array.detach().numpy() for array in both(*arguments))
        return [out.swapaxes(1, 2), dx.swapaxes(1, 2), *(array[:, 0] for array in parameters)]
    _, both, arguments = in_jax(side, case)
    return [np.asarray(array) for array in both(*arguments)]


BENCH = Bench(
    name="activations",
    script=Path(__file__).resolve(),
    about="Snake and SnakeBeta: ours, with the C library's sine, in plain jnp, and PyTorch's",
    sides={
        "ours": ("jax", "equinox", "convt1d"),
        "exact": ("jax", "equinox", "convt1d"),
        "jnp": ("jax",),
        "torch": ("torch",),
    },
    cases=CASES,
    prepare=prepare,
    passes=("forward", "forward + backward"),
)

if __name__ == "__main__":
    sys.exit(main(BENCH))
