import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import convt1d


def formula(x, alpha, beta):
    """In double precision, with the derivatives in x, alpha and beta."""
    x, alpha, beta = (np.asarray(array, np.float64) for array in (x, alpha, beta))
    sine, double, inverse = np.sin(alpha * x), np.sin(2 * alpha * x), 1 / (beta + 1e-9)
    y = x + sine**2 * inverse
    return y, 1 + alpha * double * inverse, x * double * inverse, -((sine * inverse) ** 2)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 100.0, 1e4])
def test_both_are_their_formula_to_the_rounding_of_single_precision(scale, exact):
    x = np.random.default_rng(0).uniform(-scale, scale, (5, 20_000, 1)).astype(np.float32)
    beta = np.float32(0.8)
    for alpha in (np.float32(1), np.float32(0.37)):
        values = jnp.full(1, alpha)
        y = convt1d.snake(jnp.asarray(x), values, exact=exact)
        z = convt1d.snake_beta(jnp.asarray(x), values, jnp.full(1, beta), exact=exact)
        for found, divisor in ((y, alpha), (z, beta)):
            # sin² is of size one: 4e-7 of it, half an ulp of x, and the ulp of alpha·x's rounding.
            phase = np.spacing(np.abs(alpha * x)).astype(np.float64)
            bound = (4e-7 + phase) / divisor + np.spacing(np.abs(x))
            expected = formula(x, alpha, divisor)[0]
            assert np.all(np.abs(np.asarray(found, np.float64) - expected) <= bound)


def test_the_derivatives_are_exact_in_both_modes():
    with jax.enable_x64(True):
        x = jnp.asarray(np.random.default_rng(0).standard_normal((3, 4, 5)))
        alpha, beta = jnp.linspace(0.5, 2.0, 5), jnp.linspace(2.0, 0.7, 5)
        check_grads(convt1d.snake, (x, alpha), order=2)
        check_grads(convt1d.snake_beta, (x, alpha, beta), order=2)


@pytest.mark.parametrize("exact", [False, True])
def test_the_gradients_in_single_precision_are_those_of_the_formula(exact):
    x = jnp.asarray(np.random.default_rng(0).uniform(-50, 50, (2, 500, 3)), jnp.float32)
    alpha, beta = jnp.asarray([0.3, 1.0, 3.0]), jnp.asarray([2.0, 0.5, 1.0])
    y, pull = jax.vjp(functools.partial(convt1d.snake_beta, exact=exact), x, alpha, beta)
    found = pull(jnp.ones_like(y))
    _, dx, dalpha, dbeta = formula(x, alpha, beta)
    # alpha·x is rounded by up to 7.6e-6, and the derivative moves by up to 2·alpha/beta of that.
    np.testing.assert_allclose(found[0], dx, atol=6e-5)
    np.testing.assert_allclose(found[1], dalpha.sum(axis=(0, 1)), rtol=1e-4, atol=0.05)
    np.testing.assert_allclose(found[2], dbeta.sum(axis=(0, 1)), rtol=1e-5)
    of_snake = jax.vjp(functools.partial(convt1d.snake, exact=exact), x, alpha)[1]
    _, dx, dalpha, dbeta = formula(x, alpha, alpha)
    found = of_snake(jnp.ones_like(y))
    np.testing.assert_allclose(found[0], dx, atol=6e-5)
    np.testing.assert_allclose(found[1], (dalpha + dbeta).sum(axis=(0, 1)), rtol=1e-4, atol=0.05)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_types_are_kept(dtype):
    x = jnp.ones((2, 3), dtype)
    assert convt1d.snake(x, jnp.ones(3)).dtype == dtype
    assert convt1d.snake_beta(x, jnp.ones(3), jnp.ones(3)).dtype == dtype


def test_snake_beta_keeps_logarithms_and_begins_as_snake():
    x = jnp.linspace(-3, 3, 24).reshape(1, 8, 3)
    layer = convt1d.SnakeBeta(3)
    np.testing.assert_array_equal(layer(x), convt1d.Snake(3)(x))
    values = [jnp.asarray([0.1, -0.2, 0.3]), jnp.asarray([-0.5, 0.4, 0.0])]
    layer = jax.tree.unflatten(jax.tree.structure(layer), values)
    expected = formula(x, np.exp(values[0]), np.exp(values[1]))[0]
    np.testing.assert_allclose(layer(x), expected, atol=1e-6)


def test_enormous_and_broken_inputs_do_no_harm():
    x = jnp.asarray([[1e30], [jnp.inf], [-jnp.inf], [jnp.nan]])
    y = convt1d.snake(x, jnp.ones(1))
    assert jnp.isfinite(y[0, 0])
    assert not jnp.isfinite(y[1:]).any()


@pytest.mark.parametrize("layer", [convt1d.Snake, convt1d.SnakeBeta])
def test_an_activation_of_no_channels_is_refused(layer):
    with pytest.raises(ValueError, match=r"`channels` \(=0\) must be at least 1"):
        layer(0)
