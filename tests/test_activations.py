import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import convt1d


def reference(x, alpha):
    x, alpha = np.asarray(x, np.float64), np.asarray(alpha, np.float64)
    return x + np.sin(alpha * x) ** 2 / (alpha + 1e-9)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 100.0, 1e4])
def test_snake_is_its_formula_to_the_rounding_of_single_precision(scale):
    x = np.random.default_rng(0).uniform(-scale, scale, (5, 20_000, 1)).astype(np.float32)
    for alpha in (np.float32(1), np.float32(0.37)):
        y = convt1d.snake(jnp.asarray(x), jnp.full(1, alpha))
        # sin² is of size one: 2e-7 of it, half an ulp of x, and the ulp that alpha·x is rounded by.
        phase = np.spacing(np.abs(alpha * x)).astype(np.float64)
        bound = (4e-7 + phase) / alpha + np.spacing(np.abs(x))
        expected = reference(x, np.full(1, alpha))
        assert np.all(np.abs(np.asarray(y, np.float64) - expected) <= bound)


def test_the_derivatives_of_snake_are_exact_in_both_modes():
    with jax.enable_x64(True):
        x = jnp.asarray(np.random.default_rng(0).standard_normal((3, 4, 5)))
        check_grads(convt1d.snake, (x, jnp.linspace(0.5, 2.0, 5)), order=2)


def test_the_gradient_of_the_fast_sine_is_that_of_the_exact_one():
    x = jnp.asarray(np.random.default_rng(0).uniform(-50, 50, (2, 500, 3)), jnp.float32)
    alpha = jnp.asarray([0.3, 1.0, 3.0])
    y, pull = jax.vjp(convt1d.snake, x, alpha)
    dx, dalpha = pull(jnp.ones_like(y))
    wide, wide_alpha = np.asarray(x, np.float64), np.asarray(alpha, np.float64)
    double = np.sin(2 * wide_alpha * wide)
    np.testing.assert_allclose(dx, 1 + double, atol=2e-5)
    exact = wide * double / wide_alpha - np.sin(wide_alpha * wide) ** 2 / wide_alpha**2
    np.testing.assert_allclose(dalpha, exact.sum(axis=(0, 1)), rtol=1e-4, atol=0.05)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_types_are_kept(dtype):
    y = convt1d.snake(jnp.ones((2, 3), dtype), jnp.ones(3))
    assert y.dtype == dtype


def test_enormous_and_broken_inputs_do_no_harm():
    x = jnp.asarray([[1e30], [jnp.inf], [-jnp.inf], [jnp.nan]])
    y = convt1d.snake(x, jnp.ones(1))
    assert jnp.isfinite(y[0, 0])
    assert not jnp.isfinite(y[1:]).any()


def test_snake_of_no_channels_is_refused():
    with pytest.raises(ValueError, match=r"`channels` \(=0\) must be at least 1"):
        convt1d.Snake(0)
