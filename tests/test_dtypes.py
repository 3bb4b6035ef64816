"""What layers compute in, what they keep their weights in, and how half types are summed."""

import re
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import convt1d
from convt1d import Conv1d, ConvTranspose1d

KINDS = ["ConvTranspose1d", "Conv1d"]


def layer(kind, channels=4, taps=4, stride=2, out=6, *, w_init: Any = 0.5, **arguments) -> Any:
    if kind == "Conv1d":
        return Conv1d(channels, out, taps, stride=stride, w_init=w_init, **arguments)
    return ConvTranspose1d((8, channels), out, taps, stride, w_init=w_init, b_init=0.5, **arguments)


def signal(*shape, low=-1.0, seed=0):
    return np.random.default_rng(seed).uniform(low, 1.0, shape)


@pytest.mark.parametrize(
    ("dtype", "lowering"), [("bfloat16", "gemm"), ("bfloat16", "lax"), ("float16", "auto")]
)
@pytest.mark.parametrize("kind", KINDS)
def test_half_types_are_summed_in_float32(kind, dtype, lowering):
    """Of thousands of positive products a half-type sum would stop to grow half-way.

    Every input is exact in the half type, so that the only roundings allowed are those of the
    result and, where strides overlap, of the parts of it that are added.
    """
    whole = layer(kind, channels=1024, taps=6, out=2, lowering=lowering)
    x = jnp.asarray(signal(4, 64, 1024, low=0.5), dtype)
    whole = eqx.tree_at(
        lambda m: m.weight, whole, jnp.asarray(signal(*whole.weight.shape, low=0.5), dtype) / 64
    )
    half, exact = (
        eqx.tree_at(
            lambda m: (m.weight, m.bias), whole, (whole.weight.astype(d), whole.bias.astype(d))
        )
        for d in (dtype, jnp.float32)
    )
    eps = float(jnp.finfo(dtype).eps)

    @eqx.filter_jit
    def both_ways(module, x):
        y, pull = eqx.filter_vjp(lambda m, x: m(x), module, x)
        return y, pull(jnp.ones_like(y))

    y, (gradient, dx) = both_ways(half, x)
    expected, (exact_gradient, exact_dx) = both_ways(exact, x.astype(jnp.float32))
    for found, right in (
        (y, expected), (dx, exact_dx), (gradient.weight, exact_gradient.weight),
        (gradient.bias, exact_gradient.bias),
    ):  # fmt: skip
        assert found.dtype == dtype
        np.testing.assert_allclose(np.asarray(found, np.float32), right, rtol=eps)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_no_product_of_half_types_is_asked_for_in_a_half_type(kind, groups):
    """On CPU the sums are of float32 even so; other backends are told."""
    made = layer(kind, groups=groups, param_dtype="bfloat16")
    step = jax.jit(jax.value_and_grad(lambda w, x: made_with(made, w)(x).sum(), argnums=(0, 1)))
    text = step.lower(made.weight, jnp.ones((2, 8, 4), jnp.bfloat16)).as_text()
    products = re.findall(r"stablehlo\.(?:dot_general|convolution).*-> (.*)", text)
    assert len(products) >= 3
    assert all("xf32>" in product for product in products)


def made_with(module, weight):
    return eqx.tree_at(lambda m: m.weight, module, weight)


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_computes_in_its_dtype_and_keeps_its_weight_in_another(kind):
    numbers = signal(4, 4, 4).astype(np.float32)
    made = layer(kind, out=4, w_init=numbers, dtype="bfloat16", param_dtype=jnp.float32)
    assert (made.weight.dtype, made.bias.dtype, made.dtype) == (jnp.float32,) * 2 + ("bfloat16",)
    x = jnp.asarray(signal(2, 8, 4), jnp.float32)
    y = made(x)
    cast = layer(kind, out=4, w_init=numbers, param_dtype="bfloat16")
    assert y.dtype == jnp.bfloat16
    np.testing.assert_array_equal(y, cast(x.astype(jnp.bfloat16)))
    gradient = eqx.filter_grad(lambda m: m(x).astype(jnp.float32).sum())(made)
    assert (gradient.weight.dtype, gradient.bias.dtype) == (jnp.float32, jnp.float32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kept", ["bfloat16", jnp.complex64])
def test_every_kind_of_first_value_is_kept_in_the_param_dtype(kind, kept):
    for init in ("torch", 2.0, np.ones(()), jax.nn.initializers.ones):
        made = layer(kind, w_init=init, param_dtype=kept)
        assert (made.weight.dtype, made.bias.dtype) == (jnp.dtype(kept),) * 2


@pytest.mark.parametrize("kind", KINDS)
def test_float64_and_complex64_are_computed_as_they_are(kind):
    with jax.enable_x64(True):
        x = signal(2, 8, 4)
        double, single, complex_ = (
            layer(kind, dtype=d, param_dtype=d) for d in ("float64", "float32", "complex128")
        )
        numbers = jnp.asarray(signal(*double.weight.shape, seed=1), jnp.float32)
        double, single, complex_ = (
            eqx.tree_at(lambda m: m.weight, m, numbers.astype(m.weight.dtype))
            for m in (double, single, complex_)
        )
        exact = np.asarray(double(jnp.asarray(x)))
        assert exact.dtype == jnp.float64
        both = complex_(jnp.asarray(x + 2j * x))
        assert both.dtype == jnp.complex128
        bias = np.asarray(double.bias[0])  # real, and there once
        np.testing.assert_allclose(both, exact + 2j * (exact - bias), atol=1e-13)
        np.testing.assert_allclose(single(jnp.asarray(x)), exact, atol=1e-5)
        narrow = layer(kind, dtype="complex64", w_init=numbers)(jnp.asarray(x))
        assert narrow.dtype == jnp.complex64


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (None, None), ("highest", "highest"), ("float32", "highest"), ("tensorfloat32", "high"),
        ("bfloat16", "default"), (jax.lax.Precision.HIGH, "high"),
    ],
)  # fmt: skip
def test_a_precision_reaches_the_product_under_any_of_its_names(kind, given, kept):
    made = layer(kind, precision=given, lowering="gemm")
    assert made.precision == kept
    text = jax.jit(lambda x: made(x)).lower(jnp.ones((8, 4))).as_text()
    asked = set(re.findall(r"\b(HIGH|HIGHEST)\b", text))
    assert asked == ({str(kept).upper()} if kept in ("high", "highest") else set())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dtype": "int32"}, r"`dtype` \(='int32'\) must be a floating or complex dtype"),
        ({"param_dtype": "f33"}, r"`param_dtype` \(='f33'\) must be a floating or complex dtype"),
        ({"dtype": "float64"}, r"`dtype` \(='float64'\) has 64 bits a number, which JAX must"),
        ({"param_dtype": "complex128"}, r"`param_dtype` \(='complex128'\) has 64 bits a number"),
        ({"precision": "exact"}, r"`precision` \(='exact'\) must be a jax.lax.Precision or one"),
        (
            {"w_init": 1j, "param_dtype": "float32"},
            r"`w_init` is complex64, whose imaginary part float32 cannot hold",
        ),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_dtype_or_precision_is_refused_by_name(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        layer(kind, **arguments)


@pytest.mark.parametrize("kind", KINDS)
def test_no_imaginary_part_is_dropped(kind):
    made = layer(kind, dtype="float32")
    with pytest.raises(ValueError, match=r"`x` is complex64, whose imaginary part float32 cannot"):
        made(jnp.ones((8, 4), jnp.complex64))
    complex_ = layer(kind, dtype="float32", param_dtype="complex64")
    with pytest.raises(ValueError, match=r"`weight` is complex64, whose imaginary part float32"):
        complex_(jnp.ones((8, 4)))
    operation = convt1d.conv1d if kind == "Conv1d" else convt1d.conv_transpose1d
    with pytest.raises(ValueError, match=r"`bias` is complex64, whose imaginary part float32"):
        operation(jnp.ones((8, 4)), jnp.ones((3, 4, 4)), jnp.ones(4, jnp.complex64))
