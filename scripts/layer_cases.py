"""What `bench_layers.py` measures: shapes of transposed convolutions and convolutions, by group.

A name is its group and then batch, in, out, kernel, stride and length of the input, with groups
(g) and dilation (d) where they are not one, and the padding of a convolution that is not VALID.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

STEPS = 8  # of a scan


class Case(NamedTuple):
    """One layer and one input; `padding` is a convolution's, a transposed one keeps everything."""

    batch: int
    inputs: int
    outputs: int
    kernel: int
    stride: int
    length: int
    groups: int = 1
    dilation: int = 1
    dtype: str = "float32"  # or tf32: float32 whose products a GPU may round
    around: str = ""  # scan: a loop of the layer; vmap: one example at a time, mapped
    channels_first: bool = False
    padding: tuple[int, int] | None = None

    @property
    def transposed(self) -> bool:
        """Whether it is one, or else a convolution."""
        return self.padding is None

    @property
    def extent(self) -> int:
        """Length of the dilated kernel."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def out_length(self) -> int:
        """Samples of the output."""
        if self.padding is None:  # gaps after the last frame too, as everybody's VALID has them
            return (self.length - 1) * self.stride + max(self.extent, self.stride)
        return (self.length + sum(self.padding) - self.extent) // self.stride + 1

    @property
    def frames(self) -> int:
        """Rows of the matrix product: the coarse samples of the batch, over all steps."""
        length = self.length if self.transposed else self.out_length
        return self.batch * length * (STEPS if self.around == "scan" else 1)

    @property
    def number_type(self) -> str:
        """Of the arrays."""
        return "float32" if self.dtype == "tf32" else self.dtype

    def sizes(self) -> dict[str, float]:
        """GFLOP of the three products, two operations for each multiplication (complex: eight)."""
        each = 8 if self.dtype.startswith("complex") else 2
        taps = self.kernel * self.inputs * self.outputs // self.groups
        return {"gflop": 3e-9 * each * self.frames * taps}

    def numbers(self) -> tuple[NDArray, NDArray, NDArray]:
        """Input ``(B, L, I)``, weight and cotangent ``(B, M, O)``, in the order of our layers."""
        rng = np.random.default_rng(0)
        steps = (STEPS,) if self.around == "scan" else ()
        per_group = self.inputs // self.groups
        taps = (self.outputs, per_group) if self.transposed else (per_group, self.outputs)
        shapes = [
            (*steps, self.batch, self.length, self.inputs),
            (self.kernel, *taps),
            (*steps, self.batch, self.out_length, self.outputs),
        ]
        x, w, y = (rng.standard_normal(shape) for shape in shapes)
        if self.dtype.startswith("complex"):
            x, w, y = (part + 1j * rng.standard_normal(part.shape) for part in (x, w, y))
        return x, w / np.sqrt(w[..., 0].size), y


DENSE = [
    Case(1, 512, 256, 16, 8, 64),
    Case(1, 256, 128, 16, 8, 512),
    Case(1, 128, 64, 4, 2, 4096),
    Case(1, 64, 32, 4, 2, 8192),
    Case(8, 512, 256, 16, 8, 32),
    Case(8, 64, 32, 4, 2, 4096),
    Case(4, 128, 64, 25, 4, 256),
    Case(16, 32, 1, 25, 4, 1024),
    Case(16, 128, 64, 3, 2, 12),
]
# The upsampling layers of published decoders, at the batches they are trained with.
DECODERS = {
    "HiFi-GAN": [(512, 16, 8, 32), (256, 16, 8, 256), (128, 4, 2, 2048), (64, 4, 2, 4096)],
    "DAC": [(1536, 16, 8, 32), (768, 16, 8, 256), (384, 8, 4, 2048), (192, 4, 2, 8192)],
    "EnCodec": [(512, 16, 8, 75), (256, 10, 5, 600), (128, 8, 4, 3000), (64, 4, 2, 12000)],
    "RAVE": [(1536, 4, 2, 64), (768, 8, 4, 128), (384, 8, 4, 512), (192, 8, 4, 2048)],
}
DECODER = [
    Case(16, inputs, inputs // 2, kernel, stride, length)
    for layers in DECODERS.values()
    for inputs, kernel, stride, length in layers
]
FEW = [Case(1, 256, 128, 16, 8, 128), Case(8, 64, 32, 4, 2, 1024), Case(4, 64, 32, 7, 3, 256)]
CONVOLUTIONS = {
    "conv": [
        Case(1, 256, 256, 7, 1, 1024, padding=(3, 3)),
        Case(16, 8, 8, 7, 1, 2048, padding=(3, 3)),
        Case(1, 256, 256, 1, 1, 1024, padding=(0, 0)),
    ],
    "conv-strided": [
        Case(1, 64, 128, 4, 2, 8192, padding=(1, 1)),
        Case(1, 256, 512, 16, 8, 2048, padding=(4, 4)),
    ],
    "conv-dilated": [
        Case(1, 128, 128, 7, 1, 2048, dilation=9, padding=(27, 27)),
        Case(16, 8, 8, 7, 1, 2048, dilation=3, padding=(9, 9)),
    ],
    "conv-depthwise": [Case(4, 128, 128, 7, 1, 1024, groups=128, padding=(3, 3))],
    "conv-grouped": [
        Case(4, 128, 128, 7, 1, 512, groups=groups, padding=(3, 3)) for groups in (4, 32)
    ],
    "conv-padded": [  # by more than the input is long
        Case(4, 128, 128, 7, 1, 12, dilation=3, padding=(18, 0)),
        Case(1, 64, 64, 16, 1, 8, padding=(15, 0)),
    ],
    "conv-scan": [Case(1, 128, 128, 7, 1, 128, padding=(3, 3), around="scan")],
}
GROUPS: dict[str, list[Case]] = {
    "dense": DENSE,
    "depthwise": [
        Case(4, 128, 128, 8, 4, 512, groups=128),
        Case(1, 512, 512, 12, 2, 2048, groups=512),
    ],
    "grouped": [Case(4, 128, 128, 8, 4, 512, groups=groups) for groups in (4, 32)],
    "short": [Case(1, 512, 256, 16, 8, length) for length in (1, 2, 4, 8, 15)],
    "istft": [Case(1, 1026, 1, 1024, 256, 224)],
    "scan": [Case(1, 256, 128, 16, 8, length, around="scan") for length in (8, 128)],
    "vmap": [Case(8, 512, 256, 16, 8, 32, around="vmap")],
    **{
        dtype: [case._replace(dtype=dtype) for case in FEW]
        for dtype in ("float64", "complex64", "bfloat16")
    },
    "channels-first": [
        Case(1, 256, 128, 16, 8, 512, channels_first=True),
        Case(8, 64, 32, 4, 2, 4096, channels_first=True),
    ],
    "dilated": [
        Case(4, 64, 64, 4, 2, 512, dilation=3),
        Case(1, 128, 128, 3, 1, 2048, dilation=9),
    ],
    "gaps": [Case(4, 64, 32, 3, 8, 512)],
    "large": [
        Case(1, 128, 32, 256, 256, 64),
        Case(1, 16, 8, 4, 2, 100_000),
        Case(1, 1536, 768, 16, 8, 32),
        Case(4, 256, 256, 1, 1, 512),
        Case(64, 64, 32, 4, 2, 128),
    ],
    **CONVOLUTIONS,
    "dense-tf32": [case._replace(dtype="tf32") for case in DENSE],
    "dense-bfloat16": [case._replace(dtype="bfloat16") for case in DENSE],
    **{
        f"decoder-{dtype}": [case._replace(dtype=dtype) for case in DECODER]
        for dtype in ("float32", "tf32", "bfloat16")
    },
    "tiny": [  # for the tests
        Case(2, 4, 6, 4, 2, 5),
        Case(2, 4, 6, 4, 2, 5, groups=2, dilation=2, around="scan"),
        Case(2, 3, 2, 2, 4, 5, around="vmap"),
        Case(1, 4, 4, 3, 2, 4, groups=4, channels_first=True),
        Case(2, 4, 6, 4, 2, 9, groups=2, padding=(3, 1)),
        Case(2, 4, 6, 3, 1, 9, dilation=2, padding=(2, 2), around="scan"),
    ],
}
GPU_GROUPS = {name for name in GROUPS if name.startswith(("dense-", "decoder-"))}


def name_of(group: str, case: Case) -> str:
    """Its group, then its sizes."""
    words = [",".join(map(str, case[:6]))]
    words += [f"g={case.groups}"] * (case.groups > 1) + [f"d={case.dilation}"] * (case.dilation > 1)
    words += [f"p={case.padding[0]}+{case.padding[1]}"] if case.padding else []
    if group == "tiny":
        words += [case.around] * bool(case.around) + ["first"] * case.channels_first
    return " ".join([group, *words])


CASES = {name_of(group, case): case for group, cases in GROUPS.items() for case in cases}


def by_default(name: str, backend: str) -> bool:
    """Whether a case is measured when none is named."""
    group = name.split(" ")[0]
    return group != "tiny" and (backend != "cpu" or group not in GPU_GROUPS)
