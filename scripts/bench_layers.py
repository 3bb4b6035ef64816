"""Time the transposed convolution, forward and backward, against its floor and against PyTorch.

Every measurement is a process of its own, and the sides take turns, because the thread pools of two
libraries disturb each other inside one. `floor` is three bare matrix products of the layer's sizes.
PyTorch is timed where it is installed (`--torch PYTHON` names another interpreter that has it).
Measure on a quiet machine: PyTorch slows down tenfold when a core is taken.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]
# batch, in, out, kernel, stride, length
SHAPES = [
    (1, 512, 256, 16, 8, 64),
    (1, 256, 128, 16, 8, 512),
    (1, 128, 64, 4, 2, 4096),
    (1, 64, 32, 4, 2, 8192),
    (8, 512, 256, 16, 8, 32),
    (8, 64, 32, 4, 2, 4096),
    (4, 128, 64, 25, 4, 256),
    (16, 32, 1, 25, 4, 1024),
    (16, 128, 64, 3, 2, 12),
]


def ours(shape: tuple[int, ...]) -> Callable[[], object]:
    """Forward and both gradients of `convt1d.conv_transpose1d`."""
    sys.path.insert(0, str(HOME))
    import jax
    import jax.numpy as jnp

    import convt1d

    batch, inputs, outputs, kernel, stride, length = shape
    x = jax.random.normal(jax.random.key(0), (batch, length, inputs))
    w = jax.random.normal(jax.random.key(1), (kernel, outputs, inputs))
    y = jnp.ones((batch, (length - 1) * stride + kernel, outputs))

    @jax.jit
    def both(x, w, y):
        out, pull = jax.vjp(
            lambda x, w: convt1d.conv_transpose1d(x, w, stride=stride, crop=0), x, w
        )
        return out, pull(y)

    return lambda: jax.block_until_ready(both(x, w, y))


def floor(shape: tuple[int, ...]) -> Callable[[], object]:
    """The three matrix products that no method can do without."""
    import jax
    import jax.numpy as jnp

    batch, inputs, outputs, kernel, _, length = shape
    x = jnp.ones((batch * length, inputs))
    w = jnp.ones((inputs, kernel * outputs))
    y = jnp.ones((batch * length, kernel * outputs))
    three = jax.jit(lambda x, w, y: (x @ w, y @ w.T, x.T @ y))
    return lambda: jax.block_until_ready(three(x, w, y))


def torch(shape: tuple[int, ...]) -> Callable[[], object]:
    """The same of `torch.nn.functional.conv_transpose1d`."""
    import torch  # pyright: ignore[reportMissingImports]

    batch, inputs, outputs, kernel, stride, length = shape
    x = torch.randn(batch, inputs, length, requires_grad=True)
    w = torch.randn(inputs, outputs, kernel, requires_grad=True)
    g = torch.ones(batch, outputs, (length - 1) * stride + kernel)

    def both() -> object:
        y = torch.nn.functional.conv_transpose1d(x, w, stride=stride)
        return torch.autograd.grad(y, (x, w), g)

    return both


SIDES = {"ours": ours, "floor": floor, "torch": torch}


def measure(side: str) -> list[float]:
    """Median milliseconds of each shape."""
    found = []
    for shape in SHAPES:
        run = SIDES[side](shape)
        for _ in range(3):
            run()
        times = []
        for _ in range(25):
            start = time.perf_counter()
            run()
            times.append(1e3 * (time.perf_counter() - start))
        found.append(statistics.median(times))
    return found


def main() -> int:
    """Run the sides in turn and print their ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--torch", default=sys.executable, help="an interpreter that has torch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.side:
        print(json.dumps(measure(wanted.side)))
        return 0
    print(f"load before: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores; milliseconds, medians")
    rounds: dict[str, list[list[float]]] = {side: [] for side in SIDES}
    for _ in range(wanted.rounds):
        for side in SIDES:
            python = wanted.torch if side == "torch" else sys.executable
            command = [python, __file__, "--side", side]
            answer = subprocess.run(command, capture_output=True, text=True, check=False)
            if answer.returncode == 0:
                rounds[side].append(json.loads(answer.stdout.splitlines()[-1]))
            elif side != "torch":
                print(answer.stderr, file=sys.stderr)
                return answer.returncode
    report({side: list(zip(*found, strict=True)) for side, found in rounds.items() if found})
    return 0


def report(times: dict[str, list[tuple[float, ...]]]) -> None:
    """Print a row for each shape, and the geometric means of the ratios."""
    others = [side for side in ("floor", "torch") if side in times]
    print(f"{'B,I,O,K,s,L':<24}" + "".join(f"{s:>22}" for s in ["ours", *others]))
    ratios: dict[str, list[float]] = {side: [] for side in others}
    for i, shape in enumerate(SHAPES):
        middle = {side: statistics.median(rows[i]) for side, rows in times.items()}
        row = f"{','.join(map(str, shape)):<24}"
        row += f"{middle['ours']:8.2f} ({min(times['ours'][i]):.2f}-{max(times['ours'][i]):.2f})"
        for side in others:
            ratio = middle[side] / middle["ours"]
            ratios[side].append(ratio)
            row += f"{middle[side]:14.2f} ({ratio:.2f}x)"
        print(row)
    for side, values in ratios.items():
        mean = math.exp(statistics.fmean(map(math.log, values)))
        print(f"{side} / ours, geometric mean: {mean:.2f}")


if __name__ == "__main__":
    sys.exit(main())
