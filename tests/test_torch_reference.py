"""Our layers against what PyTorch's own made of the same numbers (reference/torch_layers.npz)."""

import functools
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.torch_cases import (
    CONTINUED,
    CONVOLUTION,
    GRID,
    SIZED,
    STORED,
    TRANSPOSED,
    convolution_from_torch,
    numbers,
    transposed_from_torch,
)

import convt1d

VECTORS = np.load(Path(__file__).parent / "reference" / "torch_layers.npz")


@pytest.fixture(autouse=True, scope="module")
def _double_precision():
    with jax.enable_x64(True):
        yield


def check(name, layer, length, from_torch, torch_shape, gains):
    groups = layer.groups
    parts = ("y", "weight", "dx", "dv", "dg", "db")
    stored = {part: VECTORS[f"{name}.{part}"] for part in parts}
    direction = jnp.asarray(from_torch(numbers(torch_shape, 1), groups))
    layer = eqx.tree_at(lambda module: module.weight, layer, direction)
    layer = eqx.tree_at(
        lambda module: module.bias, layer, jnp.asarray(numbers((layer.out_channels,), 3))
    )
    normed = eqx.tree_at(
        lambda module: module.gain,
        convt1d.WeightNorm(layer),
        jnp.asarray(1.5 + numbers((gains,), 2)),
    )
    x = jnp.asarray(numbers((2, layer.in_channels, length), 4).swapaxes(1, 2))

    @eqx.filter_jit
    def both_ways(module, x):
        y, pull = eqx.filter_vjp(lambda m, x: m(x), module, x)
        return module.weight, y, pull(jnp.cos(y))

    weight, y, (gradient, dx) = both_ways(normed, x)
    close = {"rtol": 0, "atol": 1e-12}
    np.testing.assert_allclose(weight, from_torch(stored["weight"], groups), **close)
    np.testing.assert_allclose(y.swapaxes(1, 2), stored["y"], **close)
    np.testing.assert_allclose(dx.swapaxes(1, 2), stored["dx"], **close)
    np.testing.assert_allclose(
        gradient.layer.weight, from_torch(stored["dv"], groups), rtol=0, atol=1e-11
    )
    np.testing.assert_allclose(gradient.gain, stored["dg"].ravel(), rtol=0, atol=1e-11)
    np.testing.assert_allclose(gradient.layer.bias, stored["db"], rtol=0, atol=1e-11)


@pytest.mark.parametrize("i", range(len(TRANSPOSED)))
def test_a_weight_normed_transpose_and_its_gradients_are_those_of_torch(i):
    length, inputs, outputs, k, s, p, op, d, g = TRANSPOSED[i]
    layer = convt1d.ConvTranspose1d(
        (length, inputs), outputs, k, s, rhs_dilation=d, groups=g, crop=p, output_padding=op,
        w_init=0.0, b_init=0.0,
    )  # fmt: skip
    name = f"transposed.{i}"
    check(name, layer, length, transposed_from_torch, (inputs, outputs // g, k), inputs)


@pytest.mark.parametrize("i", range(len(CONVOLUTION)))
def test_a_weight_normed_convolution_and_its_gradients_are_those_of_torch(i):
    length, inputs, outputs, k, s, p, d, g = CONVOLUTION[i]
    layer = convt1d.Conv1d(
        inputs, outputs, k, stride=s, padding=p, dilation=d, groups=g, w_init=0.0
    )
    name = f"convolution.{i}"
    check(name, layer, length, convolution_from_torch, (outputs, inputs // g, k), outputs)


def check_plain(name, operation, length, inputs, from_torch, torch_shape, groups):
    """An operation's value and gradients; ``operation(x, weight, bias)``."""
    y, dx, dw, db = (VECTORS[f"{name}.{n}"] for n in ("y", "dx", "dw", "db"))
    x = jnp.asarray(numbers((2, inputs, length), 4).swapaxes(1, 2))
    weight = jnp.asarray(from_torch(numbers(torch_shape, 1), groups))
    bias = jnp.asarray(numbers(db.shape, 3))

    @jax.jit
    def both_ways(*operands):
        out, pull = jax.vjp(operation, *operands)
        return out, *pull(jnp.cos(out))

    found = both_ways(x, weight, bias)
    expected = (y.swapaxes(1, 2), dx.swapaxes(1, 2), from_torch(dw, groups), db)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "i", [*STORED[::2], *(pytest.param(i, marks=pytest.mark.slow) for i in STORED[1::2])]
)
def test_the_transpose_and_its_gradients_are_those_of_torch_over_a_grid(i):
    length, inputs, outputs, k, s, p, op, d, g = GRID[i]
    operation = functools.partial(
        convt1d.conv_transpose1d, stride=s, crop=p, output_padding=op, dilation=d, groups=g
    )
    shape = (inputs, outputs // g, k)
    check_plain(f"grid.{i}", operation, length, inputs, transposed_from_torch, shape, g)


@pytest.mark.parametrize("i", range(len(CONTINUED)))
def test_a_convolution_continues_its_input_as_torch_does(i):
    length, inputs, outputs, k, s, p, d, g, mode = CONTINUED[i]
    operation = functools.partial(
        convt1d.conv1d, stride=s, padding=p, dilation=d, groups=g, padding_mode=mode
    )
    shape = (outputs, inputs // g, k)
    check_plain(f"continued.{i}", operation, length, inputs, convolution_from_torch, shape, g)


@pytest.mark.parametrize("i", range(len(SIZED)))
def test_an_output_size_means_what_it_means_to_torch(i):
    length, k, s, p, d, size = SIZED[i]
    operation = functools.partial(
        convt1d.conv_transpose1d, stride=s, crop=p, dilation=d, output_size=size
    )
    check_plain(f"sized.{i}", operation, length, 2, transposed_from_torch, (2, 3, k), 1)
