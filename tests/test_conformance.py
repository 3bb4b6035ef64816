"""Wherever another library can say the same, it computes the same.

PyTorch's stored numbers are in test_torch_reference.py; here are ONNX's, what JAX and Equinox
compute on the spot, and PyTorch, Flax and Keras where they are installed.
"""

import functools
import json
import os
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import drawn
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from reference.torch_cases import (
    CONTINUED,
    GRID,
    SIZED,
    convolution_from_torch,
    numbers,
    transposed_from_torch,
)

import convt1d

ONNX = json.loads((Path(__file__).parent / "reference/onnx_conv_transpose.json").read_text("utf-8"))
EXACT = {"rtol": 0, "atol": 1e-12}


@pytest.fixture(autouse=True, scope="module")
def _double_precision():
    with jax.enable_x64(True):
        yield


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("case", ONNX, ids=lambda case: case["name"])
def test_the_node_tests_of_onnx_come_out(case):
    given = case["attributes"]
    x, w, y = (np.asarray(case[letter]) for letter in "xwy")
    arguments: dict[str, Any] = {
        "stride": given.get("strides", [1])[0],
        "dilation": given.get("dilations", [1])[0],
        "groups": (groups := given.get("group", 1)),
    }
    if "auto_pad" in given:
        arguments["padding"] = {"SAME_UPPER": "SAME"}.get(given["auto_pad"], given["auto_pad"])
    else:
        arguments["crop"] = given.get("pads", [0, 0])
        if "output_shape" in given:
            arguments["output_size"] = given["output_shape"]
        else:
            arguments["output_padding"] = given.get("output_padding", [0])[0]
    weight = jnp.asarray(transposed_from_torch(w, groups))
    ours = convt1d.conv_transpose1d(jnp.asarray(x.swapaxes(1, 2)), weight, **arguments)
    np.testing.assert_allclose(ours.swapaxes(1, 2), y, **EXACT)


# ---------------------------------------------------------------------------------- JAX, Equinox


@pytest.mark.parametrize("pad", [0, 1, 3])
@pytest.mark.parametrize(("kernel_size", "stride", "dilation"), [(5, 2, 1), (2, 5, 1), (3, 2, 3)])
def test_a_crop_is_the_consistent_padding_of_lax(kernel_size, stride, dilation, pad):
    x, w = jnp.asarray(normal(2, 6, 3)), jnp.asarray(normal(kernel_size, 5, 3))
    theirs = jax.lax.conv_transpose(
        x, w, (stride,), [(pad, pad)], rhs_dilation=(dilation,), transpose_kernel=True,
        use_consistent_padding=True,
    )  # fmt: skip
    ours = convt1d.conv_transpose1d(x, w, stride=stride, crop=pad, dilation=dilation)
    np.testing.assert_allclose(ours, theirs, **EXACT)


@pytest.mark.parametrize(
    ("padding", "output_padding", "ours"),
    [
        ("SAME", 0, {"padding": "SAME"}),
        ("SAME_LOWER", 0, {"padding": "SAME_LOWER"}),
        ("VALID", 0, {"crop": 0}),
        (1, 1, {"crop": 1, "output_padding": 1}),
        ([(0, 2)], 0, {"crop": (0, 2)}),
    ],
)
@pytest.mark.parametrize(("stride", "dilation", "groups"), [(2, 1, 1), (3, 2, 2)])
def test_equinox_has_the_same_layer(padding, output_padding, ours, stride, dilation, groups):
    theirs = drawn(
        lambda: eqx.nn.ConvTranspose1d(
            4, 6, 4, stride, padding=padding, output_padding=output_padding, dilation=dilation,
            groups=groups, key=jax.random.key(0),
        )
    )  # fmt: skip
    weight = np.asarray(theirs.weight)[..., ::-1].transpose(2, 0, 1)  # (O, I/g, K), taps reversed
    layer = convt1d.ConvTranspose1d(
        (5, 4), 6, 4, stride, rhs_dilation=dilation, groups=groups, w_init=weight,
        b_init=np.asarray(theirs.bias)[:, 0], **ours,
    )  # fmt: skip
    found, expected = jax.jit(lambda x: (layer(x).T, theirs(x.T)))(jnp.asarray(normal(5, 4)))
    np.testing.assert_allclose(found, expected, **EXACT)


# --------------------------------------------------------------------------------------- PyTorch


def check_torch(torch, module, operation, x, from_torch, **call):
    """Value and gradients of a PyTorch module and of ``operation(x, weight, bias)``."""
    groups = module.groups
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(numbers(module.weight.shape, 1)))
        module.bias.copy_(torch.from_numpy(numbers(module.bias.shape, 3)))
    theirs = torch.from_numpy(x).requires_grad_()
    y = module(theirs, **call)
    y.backward(torch.cos(y.detach()))
    weight = from_torch(module.weight.detach().numpy(), groups)

    @jax.jit
    def both_ways(*operands):
        out, pull = jax.vjp(operation, *operands)
        return out, *pull(jnp.cos(out))

    ours = both_ways(
        jnp.asarray(x.swapaxes(1, 2)), jnp.asarray(weight), jnp.asarray(numbers(y.shape[1:2], 3))
    )
    expected = (
        y.detach().numpy().swapaxes(1, 2),
        theirs.grad.numpy().swapaxes(1, 2),
        from_torch(module.weight.grad.numpy(), groups),
        module.bias.grad.numpy(),
    )
    for one, other in zip(ours, expected, strict=True):
        np.testing.assert_allclose(one, other, **EXACT)


def check_transpose(torch, case):
    length, inputs, outputs, k, s, p, op, d, g = case
    module = torch.nn.ConvTranspose1d(
        inputs, outputs, k, s, p, op, groups=g, dilation=d, dtype=torch.float64
    )
    operation = functools.partial(
        convt1d.conv_transpose1d, stride=s, crop=p, output_padding=op, dilation=d, groups=g
    )
    check_torch(torch, module, operation, numbers((2, inputs, length), 4), transposed_from_torch)


@pytest.mark.slow
def test_torch_has_the_same_transpose_over_a_grid():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    for case in GRID[::37]:
        check_transpose(torch, case)


@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(
    length=st.integers(1, 9), kernel_size=st.integers(1, 9), stride=st.integers(1, 7),
    padding=st.integers(0, 6), dilation=st.integers(1, 4), groups=st.sampled_from([1, 2, 3]),
    widths=st.tuples(st.integers(1, 3), st.integers(1, 3)), more=st.integers(0, 6),
)  # fmt: skip
def test_torch_has_the_same_transpose_of_any_sizes(
    length, kernel_size, stride, padding, dilation, groups, widths, more
):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    assume(more < max(stride, dilation))
    assume((length - 1) * stride + (kernel_size - 1) * dilation + 1 - 2 * padding + more > 0)
    inputs, outputs = (groups * width for width in widths)
    check_transpose(
        torch, (length, inputs, outputs, kernel_size, stride, padding, more, dilation, groups)
    )


@pytest.mark.slow
def test_torch_continues_the_input_of_a_convolution_alike():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    for length, inputs, outputs, k, s, p, d, g, mode in CONTINUED:
        module = torch.nn.Conv1d(
            inputs, outputs, k, s, p, d, g, padding_mode=mode, dtype=torch.float64
        )
        operation = functools.partial(
            convt1d.conv1d, stride=s, padding=p, dilation=d, groups=g, padding_mode=mode
        )
        x = numbers((2, inputs, length), 4)
        check_torch(torch, module, operation, x, convolution_from_torch)


def test_torch_takes_and_refuses_the_same_output_sizes():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    for length, k, s, p, d, _ in SIZED:
        theirs = torch.nn.ConvTranspose1d(2, 3, k, s, p, dilation=d)
        ours = convt1d.ConvTranspose1d((length, 2), 3, k, s, rhs_dilation=d, crop=p)
        for size in range(1, length * s + k * d + s):
            try:
                expected = theirs(torch.zeros(1, 2, length), output_size=[size]).shape[2]
            except ValueError:
                with pytest.raises(ValueError, match="must be from"):
                    ours(jnp.zeros((length, 2)), output_size=size)
            else:
                found = ours(jnp.zeros((length, 2)), output_size=size)
                assert found.shape[0] == expected


# --------------------------------------------------------------------------------- Flax and Keras


@pytest.mark.parametrize("transpose_kernel", [False, True])
@pytest.mark.parametrize("padding", ["SAME", "VALID", 2, (1, 0), "CIRCULAR"])
@pytest.mark.parametrize(("kernel_size", "stride", "dilation"), [(6, 2, 1), (2, 3, 1), (4, 2, 3)])
def test_flax_has_the_same_layer(kernel_size, stride, dilation, padding, transpose_kernel):
    linen = pytest.importorskip("flax.linen", reason="flax is not installed")
    circular = padding == "CIRCULAR"
    excess = (kernel_size - 1) * dilation + 1 - stride
    if circular and transpose_kernel and excess % 2:
        pytest.skip("Flax then puts the larger half on the other side than without")
    theirs = linen.ConvTranspose(
        5, (kernel_size,), (stride,), kernel_dilation=(dilation,), param_dtype=jnp.float64,
        padding=[np.broadcast_to(padding, 2).tolist()] if not isinstance(padding, str) else padding,
        transpose_kernel=transpose_kernel,
    )  # fmt: skip
    x, w = jnp.asarray(normal(2, 6, 3)), jnp.asarray(normal(kernel_size, 5, 3))
    kernel = w if transpose_kernel else w[::-1].swapaxes(1, 2)
    y = theirs.apply({"params": {"kernel": kernel, "bias": jnp.ones(5)}}, x)
    layer = convt1d.ConvTranspose1d(
        (6, 3), 5, kernel_size, stride, "SAME" if circular else padding, rhs_dilation=dilation,
        w_init=w, b_init=1.0, padding_mode="circular" if circular else "zeros",
    )  # fmt: skip
    np.testing.assert_allclose(layer(x), y, **EXACT)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("kernel_size", "stride", "dilation"), [(6, 2, 1), (2, 3, 1), (4, 1, 3)])
def test_keras_has_the_same_layer(kernel_size, stride, dilation, padding):
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras", reason="keras is not installed")
    theirs = keras.layers.Conv1DTranspose(
        5, kernel_size, stride, padding=padding, dilation_rate=dilation, dtype="float64"
    )
    theirs.build((2, 6, 3))
    w, bias = normal(kernel_size, 5, 3), normal(5, seed=1)
    theirs.set_weights([w, bias])
    layer = convt1d.ConvTranspose1d(
        (6, 3), 5, kernel_size, stride, padding, rhs_dilation=dilation, w_init=w, b_init=bias
    )
    x = jnp.asarray(normal(2, 6, 3))
    np.testing.assert_allclose(layer(x), np.asarray(theirs(x)), **EXACT)
