"""Write torch_layers.npz: what PyTorch's own layers make of inputs that numpy can make again.

Run it where torch is installed: python tests/reference/make_torch_vectors.py
"""

from pathlib import Path

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch_cases import CONTINUED, CONVOLUTION, GRID, SIZED, STORED, TRANSPOSED, numbers


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
    for i in STORED:
        length, inputs, outputs, k, s, p, op, d, g = GRID[i]
        layer = torch.nn.ConvTranspose1d(
            inputs, outputs, k, s, p, op, groups=g, dilation=d, dtype=torch.float64
        )
        out |= record_plain(f"grid.{i}", layer, length, inputs)
    for i, (length, inputs, outputs, k, s, p, d, g, mode) in enumerate(CONTINUED):
        layer = torch.nn.Conv1d(
            inputs, outputs, k, s, p, d, g, padding_mode=mode, dtype=torch.float64
        )
        out |= record_plain(f"continued.{i}", layer, length, inputs)
    for i, (length, k, s, p, d, size) in enumerate(SIZED):
        layer = torch.nn.ConvTranspose1d(2, 3, k, s, p, dilation=d, dtype=torch.float64)
        out |= record_plain(f"sized.{i}", layer, length, 2, output_size=[size])
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


def record_plain(name, layer, length, inputs, **call):
    """Output and gradients of a layer with a weight and a bias of our numbers."""
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(numbers(layer.weight.shape, 1)))
        layer.bias.copy_(torch.from_numpy(numbers(layer.bias.shape, 3)))
    x = torch.from_numpy(numbers((2, inputs, length), 4)).requires_grad_()
    y = layer(x, **call)
    y.backward(torch.cos(y.detach()))
    values = {"y": y, "dx": x.grad, "dw": layer.weight.grad, "db": layer.bias.grad}
    return {f"{name}.{n}": a.detach().numpy() for n, a in values.items()}


if __name__ == "__main__":
    main()
