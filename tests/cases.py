"""The table of layers that every law runs over, and the plainest possible reference."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from numpy.typing import NDArray


class Case(NamedTuple):
    """A transposed convolution: sizes, and the crop of its full result."""

    length: int
    kernel_size: int
    stride: int = 1
    dilation: int = 1
    groups: int = 1
    channels: tuple[int, int] = (2, 4)
    low: int = 0
    high: int = 0
    batch: int = 2

    @property
    def full(self) -> int:
        return (self.length - 1) * self.stride + (self.kernel_size - 1) * self.dilation + 1

    @property
    def crop(self) -> tuple[int, int]:
        return self.low, self.high

    def __str__(self) -> str:
        return "-".join(f"{k[0]}{v}" for k, v in self._asdict().items()).replace(" ", "")

    def signals(self, *, seed: int = 0) -> dict[str, NDArray[np.float64]]:
        """A signal ``x``, a weight ``w`` and a cotangent ``y`` of the case's shapes."""
        rng = np.random.default_rng(seed)
        inputs, outputs = self.channels
        return {
            "x": rng.standard_normal((self.batch, self.length, inputs)),
            "w": rng.standard_normal((self.kernel_size, outputs, inputs // self.groups)),
            "y": rng.standard_normal((self.batch, self.full - self.low - self.high, outputs)),
        }


SMALL = [
    Case(length=5, kernel_size=4, stride=2, low=1, high=1),
    Case(length=1, kernel_size=1),
    Case(length=1, kernel_size=7, stride=3, low=2, high=1),
    Case(length=7, kernel_size=1, stride=4, high=-3),  # gaps of zeros
    Case(length=3, kernel_size=16, stride=8, low=4, high=4),
    Case(length=20, kernel_size=7, low=3, high=3),  # long enough for a convolution of XLA's
    Case(length=20, kernel_size=7, dilation=3, low=9, high=9),
    Case(length=12, kernel_size=5, stride=2, dilation=3, low=-2, high=5),
    Case(length=4, kernel_size=3, stride=6, low=-1, high=-5),
    Case(length=6, kernel_size=4, stride=2, groups=2, channels=(4, 6)),
    Case(length=6, kernel_size=5, stride=3, groups=4, channels=(4, 4), low=1, high=1),
    Case(length=6, kernel_size=5, stride=3, groups=4, channels=(4, 8), low=1, high=1),
    Case(length=9, kernel_size=3, dilation=2, groups=2, channels=(2, 2), low=2, high=2),
    Case(length=30, kernel_size=25, stride=4, channels=(3, 1), low=10, high=11, batch=1),
    Case(length=9, kernel_size=4, low=6, high=0),  # a crop longer than the kernel
]

GRID = [
    Case(length, kernel_size, stride, dilation, low=low, high=high)
    for length, kernel_size, stride, dilation, (low, high) in itertools.product(
        (1, 6), (1, 3, 8), (1, 2, 5), (1, 2), ((0, 0), (2, -1))
    )
    if (length - 1) * stride + (kernel_size - 1) * dilation + 1 - low - high > 0
]


def scatter(case: Case, x: NDArray[Any], w: NDArray[Any]) -> NDArray[Any]:
    """``full[n S + k d] += x[n] w[k]``, written out."""
    full = np.zeros((x.shape[0], case.full, w.shape[1]), np.result_type(x, w))
    inputs, outputs = w.shape[2], w.shape[1] // case.groups
    for n, k, g in itertools.product(
        range(case.length), range(case.kernel_size), range(case.groups)
    ):
        into, of = slice(g * outputs, (g + 1) * outputs), slice(g * inputs, (g + 1) * inputs)
        full[:, n * case.stride + k * case.dilation, into] += x[:, n, of] @ w[k, into].T
    before, after = max(-case.low, 0), max(-case.high, 0)
    padded = np.pad(full, ((0, 0), (before, after), (0, 0)))
    return padded[:, max(case.low, 0) : padded.shape[1] - max(case.high, 0)]


def gradients(
    case: Case, x: NDArray[Any], w: NDArray[Any], y: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """What a cotangent ``y`` of `scatter` means for ``x`` and ``w``, written out."""
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    inputs, outputs = w.shape[2], w.shape[1] // case.groups
    for n, k, g in itertools.product(
        range(case.length), range(case.kernel_size), range(case.groups)
    ):
        into, of = slice(g * outputs, (g + 1) * outputs), slice(g * inputs, (g + 1) * inputs)
        t = n * case.stride + k * case.dilation - case.low
        if 0 <= t < y.shape[1]:
            dx[:, n, of] += y[:, t, into] @ w[k, into]
            dw[k, into] += y[:, t, into].T @ x[:, n, of]
    return dx, dw


def drawn(make: Callable[[], Any], *, seed: int = 0) -> Any:
    """The model that ``make`` makes, with numbers of numpy's: no initialiser need be compiled."""
    rng = np.random.default_rng(seed)

    def draw(leaf: Any) -> ArrayLike:
        if not isinstance(leaf, jax.ShapeDtypeStruct):
            return leaf
        return jnp.asarray(0.2 * rng.standard_normal(leaf.shape), leaf.dtype)

    return jax.tree.map(draw, eqx.filter_eval_shape(make))
