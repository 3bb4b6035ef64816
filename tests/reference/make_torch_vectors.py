"""Write torch_layers.npz: what PyTorch's own layers make of inputs that numpy can make again.

Run it where torch is installed: python tests/reference/make_torch_vectors.py
"""

from pathlib import Path

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch_cases import CONVOLUTION, TRANSPOSED, numbers


def main():
    out = {}
    for i, (length, inputs, outputs, k, s, p, op, d, g) in enumerate(TRANSPOSED):
        layer = torch.nn.ConvTranspose1d(
            inputs, outputs, k, s, p, op, groups=g, dilation=d, dtype=torch.float64
        )
        out |= record(f"transposed.{i}", layer, length, inputs)
    for i, (length, inputs, outputs, k, s, p, d, g) in enumerate(CONVOLUTION):
        layer = torch.nn.Conv1d(inputs, outputs, k, s, p, dilation=d, groups=g, dtype=torch.float64)
        out |= record(f"convolution.{i}", layer, length, inputs)
    np.savez_compressed(Path(__file__).with_name("torch_layers.npz"), **out)


def record(name, layer, length, inputs):
    """Outputs and gradients of a layer, and its weight under weight norm with doubled gains."""
    torch.nn.utils.parametrizations.weight_norm(layer, dim=0)
    with torch.no_grad():
        v = layer.parametrizations.weight.original1
        v.copy_(torch.from_numpy(numbers(v.shape, 1)))
        g = layer.parametrizations.weight.original0
        g.copy_(torch.from_numpy(1.5 + numbers(g.shape, 2)))
        layer.bias.copy_(torch.from_numpy(numbers(layer.bias.shape, 3)))
    x = torch.from_numpy(numbers((2, inputs, length), 4)).requires_grad_()
    y = layer(x)
    y.backward(torch.cos(y.detach()))
    names = ["y", "weight", "dx", "dv", "dg", "db"]
    values = [
        y,
        layer.weight,
        x.grad,
        v.grad,
        g.grad,
        layer.bias.grad,
    ]
    return {f"{name}.{n}": a.detach().numpy() for n, a in zip(names, values, strict=True)}


if __name__ == "__main__":
    main()
