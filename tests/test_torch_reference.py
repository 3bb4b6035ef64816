"""Our layers against what PyTorch's own made of the same numbers (reference/torch_layers.npz)."""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.torch_cases import CONVOLUTION, TRANSPOSED, numbers

import convt1d

STORED = np.load(Path(__file__).parent / "reference" / "torch_layers.npz")


@pytest.fixture(autouse=True, scope="module")
def _double_precision():
    with jax.enable_x64(True):
        yield


def transposed_from_torch(weight, groups):
    """``(I, O/g, K) -> (K, O, I/g)``."""
    inputs, outputs, taps = weight.shape
    blocks = weight.reshape(groups, inputs // groups, outputs, taps)
    return blocks.transpose(3, 0, 2, 1).reshape(taps, outputs * groups, inputs // groups)


def convolution_from_torch(weight, groups):
    """``(O, I/g, K) -> (K, I/g, O)``."""
    del groups
    return weight.transpose(2, 1, 0)


def check(name, layer, length, from_torch, torch_shape, gains):
    groups = layer.groups
    stored = {
        key.removeprefix(f"{name}."): STORED[key] for key in STORED.files if key.startswith(name)
    }
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

    y, pull = eqx.filter_vjp(lambda m, x: m(x), normed, x)
    gradient, dx = pull(jnp.cos(y))
    close = {"rtol": 0, "atol": 1e-12}
    np.testing.assert_allclose(normed.weight, from_torch(stored["weight"], groups), **close)
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
        b_init=0.0,
    )  # fmt: skip
    name = f"transposed.{i}"
    check(name, layer, length, transposed_from_torch, (inputs, outputs // g, k), inputs)


@pytest.mark.parametrize("i", range(len(CONVOLUTION)))
def test_a_weight_normed_convolution_and_its_gradients_are_those_of_torch(i):
    length, inputs, outputs, k, s, p, d, g = CONVOLUTION[i]
    layer = convt1d.Conv1d(inputs, outputs, k, stride=s, padding=p, dilation=d, groups=g)
    name = f"convolution.{i}"
    check(name, layer, length, convolution_from_torch, (outputs, inputs // g, k), outputs)
