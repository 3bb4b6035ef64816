"""The layers whose weights travel, and the libraries that they come from."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import convt1d
from convt1d.interop._libraries import Library, WeightForm


class Case(NamedTuple):
    """A layer without padding; a transposed one's kernel covers its stride."""

    transposed: bool
    channels: tuple[int, int]
    kernel_size: int
    stride: int = 1
    dilation: int = 1
    groups: int = 1
    bias: bool = True

    def __str__(self) -> str:
        return "-".join(f"{k[0]}{v}" for k, v in self._asdict().items()).replace(" ", "")

    def layer(self) -> convt1d.ConvTranspose1d | convt1d.Conv1d:
        """Ours, of the same arguments."""
        inputs, outputs = self.channels
        bias = 0.0 if self.bias else None
        if self.transposed:
            return convt1d.ConvTranspose1d(
                (LENGTH, inputs), outputs, self.kernel_size, self.stride, padding="VALID",
                rhs_dilation=self.dilation, groups=self.groups, b_init=bias,
            )  # fmt: skip
        return convt1d.Conv1d(
            inputs, outputs, self.kernel_size, stride=self.stride, padding="VALID",
            dilation=self.dilation, groups=self.groups, b_init=bias,
        )  # fmt: skip

    @property
    def tolerance(self) -> float:
        """Of two sums of K·I products in float32 whose factors are below 2.5 and 1."""
        terms = self.kernel_size * self.channels[0] + 1
        return 2 * 2.5 * terms * (terms + 2) * float(np.finfo(np.float32).eps)


LENGTH = 7
CASES = [
    Case(True, (4, 6), 5, 2),
    Case(True, (3, 2), 4, 4, bias=False),
    Case(True, (4, 3), 3, dilation=3),
    Case(True, (4, 6), 5, 3, groups=2),
    Case(True, (4, 4), 4, 2, groups=4),
    Case(True, (4, 6), 3, 2, 2, groups=2, bias=False),
    Case(False, (4, 6), 5, 2),
    Case(False, (3, 2), 4, dilation=2, bias=False),
    Case(False, (4, 6), 3, dilation=3, groups=2),
    Case(False, (4, 8), 4, 3, groups=4),
]


class Origin(NamedTuple):
    """Where weights come from: a package, the library's name in `convt1d.interop`, ours there."""

    package: str
    library: Library
    name: str = ""
    form: WeightForm = "folded"


ORIGINS = {
    "torch": Origin("torch", "torch"),
    "torch.weight_norm": Origin("torch", "torch", form="weight_norm"),
    "torch.parametrizations": Origin("torch", "torch", form="parametrizations"),
    "equinox": Origin("equinox", "equinox"),
    "linen": Origin("flax", "flax"),
    "linen.transpose_kernel": Origin("flax", "flax_transpose_kernel"),
    "nnx": Origin("flax", "flax"),
    "nnx.transpose_kernel": Origin("flax", "flax_transpose_kernel"),
    "haiku": Origin("haiku", "haiku", "up"),
    "keras": Origin("keras", "keras", "up"),
    "brainstate": Origin("brainstate", "brainstate", "weight"),
    "brainstate<0.5": Origin("brainstate", "brainstate<0.5", "weight"),
}


def has(origin: str, case: Case) -> bool:
    """Whether the library has such a layer."""
    library = ORIGINS[origin].library
    if library == "keras" and case.dilation > 1 and case.stride > 1:
        return False
    if not case.transposed:
        return "transpose_kernel" not in library
    if library.startswith("flax") or library in ("haiku", "keras"):
        return case.groups == 1 and not (library == "haiku" and case.dilation > 1)
    return True


PAIRS = [(origin, i) for origin in ORIGINS for i, case in enumerate(CASES) if has(origin, case)]


def numbers(shape: tuple[int, ...], phase: int) -> NDArray[np.float32]:
    """Deterministic, irregular and of size one."""
    return np.sin(np.arange(np.prod(shape)) * 0.7 + phase).reshape(shape).astype(np.float32)


def filled(shapes: Mapping[str, Sequence[int]]) -> dict[str, NDArray[np.float32]]:
    """Arrays of those shapes, with numbers in them."""
    return {name: numbers(tuple(shapes[name]), i) for i, name in enumerate(sorted(shapes))}


def signal(case: Case) -> NDArray[np.float32]:
    """The input, (batch, length, channels)."""
    return numbers((1, LENGTH, case.channels[0]), 4)
