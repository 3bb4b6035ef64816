"""Time a chunk through the upsampling layers of streaming decoders, against PyTorch's layers.

Ours is `convt1d.stream`, whose chunks join without a seam; PyTorch's layers are run on the same
chunk as if it stood alone. A chunk is so many frames of the decoder's latent: a layer further up
sees it as many samples. The command line is that of `bench_layers.py`.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from timing import Bench, main


class Layer(NamedTuple):
    """An upsampling layer of a decoder, and the crop of its whole output."""

    inputs: int
    outputs: int
    kernel: int
    stride: int
    crop: tuple[int, int]


def decoder(
    channels: int, strides: tuple[int, ...], crop: Callable[[int], tuple[int, int]]
) -> list[Layer]:
    """Layers that halve the channels, with kernels of two strides."""
    layers = []
    for stride in strides:
        layers.append(Layer(channels, channels // 2, 2 * stride, stride, crop(stride)))
        channels //= 2
    return layers


# Frames a second of the latent, and the layers. DAC and RAVE crop both ends alike; EnCodec's
# streaming model is causal: it crops the end alone.
DECODERS: dict[str, tuple[float, list[Layer]]] = {
    "DAC": (44100 / 512, decoder(1536, (8, 8, 4, 2), lambda s: (s // 2, s // 2))),
    "EnCodec": (75.0, decoder(512, (8, 5, 4, 2), lambda s: (0, s))),
    "RAVE": (44100 / 2048, decoder(1536, (2, 4, 4, 4), lambda s: (s // 2, s // 2))),
    "tiny": (100.0, decoder(8, (4, 2), lambda s: (s // 2, s // 2))),
}
FRAMES = (1, 4, 16)


class Case(NamedTuple):
    """Layers one after the other, the chunk's length before the first of them, and its time."""

    layers: tuple[Layer, ...]
    length: int
    seconds: float

    def sizes(self) -> dict[str, float]:
        """The time that a chunk of sound takes."""
        return {"chunk ms": 1e3 * self.seconds}

    def numbers(self) -> list[Any]:
        """A chunk ``(1, length, channels)``, and a weight ``(K, O, I)`` for each layer."""
        rng = np.random.default_rng(0)
        shapes = [(each.kernel, each.outputs, each.inputs) for each in self.layers]
        weights = [rng.standard_normal(shape) / np.sqrt(2 * shape[2]) for shape in shapes]
        chunk = rng.standard_normal((1, self.length, self.layers[0].inputs))
        return [array.astype(np.float32) for array in (chunk, *weights)]


def cases() -> dict[str, Case]:
    """Each layer of each decoder, and all of them in a row, for each number of frames."""
    found = {}
    for name, (rate, layers) in DECODERS.items():
        for frames in FRAMES[:1] if name == "tiny" else FRAMES:
            length = frames
            for layer in layers:
                sizes = ",".join(map(str, layer[:4]))
                found[f"{name} {sizes} frames={frames}"] = Case((layer,), length, frames / rate)
                length *= layer.stride
            found[f"{name} all frames={frames}"] = Case(tuple(layers), frames, frames / rate)
    return found


CASES = cases()


def in_jax(case: Case, *, compile_by: str = "jit") -> tuple[Callable[[], Any], Any]:
    """A step that goes on from the last one's state; the stream and its chunk."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    import convt1d

    chunk, *weights = (jnp.asarray(array) for array in case.numbers())
    layers = [
        convt1d.ConvTranspose1d(
            (case.length, each.inputs), each.outputs, each.kernel,
            stride=each.stride, crop=each.crop, w_init=w,
        )
        for each, w in zip(case.layers, weights, strict=True)
    ]  # fmt: skip
    stream = convt1d.stream_chain(*layers) if len(layers) > 1 else convt1d.stream(layers[0])
    if compile_by == "jit":  # the weights are constants of the program
        step = jax.jit(lambda state, x: stream.step(state, x))
    else:  # arguments, sorted out anew at every call
        step = eqx.filter_jit(stream.step)
    state = stream.init(batch=1)

    def run() -> Any:
        nonlocal state
        state, y = step(state, chunk)
        return jax.block_until_ready(y)

    return run, (stream, chunk)


def in_torch(case: Case, backend: str) -> Callable[[], Any]:
    """PyTorch's layers on the same chunk, channels first, without memory of the last one."""
    import torch  # pyright: ignore[reportMissingImports]

    device = "cpu" if backend == "cpu" else "cuda"
    chunk, *weights = case.numbers()
    x = torch.from_numpy(np.ascontiguousarray(chunk.swapaxes(1, 2))).to(device)
    layers = []
    for each, w in zip(case.layers, weights, strict=True):
        layer = torch.nn.ConvTranspose1d(
            each.inputs, each.outputs, each.kernel, each.stride,
            padding=min(each.crop), bias=False,
        )  # fmt: skip
        layer.weight.data = torch.from_numpy(np.ascontiguousarray(w.transpose(2, 1, 0)))
        layers.append((layer.to(device), max(each.crop) - min(each.crop)))

    def run() -> Any:
        with torch.inference_mode():
            y = x
            for layer, trim in layers:
                y = layer(y)
                y = y[:, :, : y.shape[2] - trim]
            return y if device == "cpu" else y.cpu()

    return run


def prepare(side: str, case: Case, backend: str) -> Mapping[str, Callable[[], object]]:
    """The one pass of a side: a chunk."""
    if side == "torch":
        return {"chunk": in_torch(case, backend)}
    return {"chunk": in_jax(case, compile_by=side.partition(":")[2] or "jit")[0]}


BENCH = Bench(
    name="streaming",
    script=Path(__file__).resolve(),
    about="A chunk through upsampling layers: our streams, and PyTorch's layers on the same chunk",
    sides={
        "ours": ("jax", "equinox", "convt1d"),
        "ours:filter_jit": ("jax", "equinox", "convt1d"),
        "torch": ("torch",),
    },
    cases=CASES,
    prepare=prepare,
    passes=("chunk",),
    sizes=Case.sizes,
)

if __name__ == "__main__":
    sys.exit(main(BENCH))
