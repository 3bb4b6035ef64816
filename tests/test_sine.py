"""The fast sine and cosine against double precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convt1d._sine import sine_cosine


def hard_angles():
    """Angles up to ten thousand: evenly, tiny, and next to every multiple of a quarter turn."""
    rng = np.random.default_rng(0)
    quarters = (np.arange(-6366, 6367) * (np.pi / 2)).astype(np.float32)
    near = (quarters.view(np.int32)[:, None] + np.arange(-16, 17, dtype=np.int32)).view(np.float32)
    tiny = 10.0 ** rng.uniform(-37, 4, 200_000)
    angles = np.concatenate(
        [rng.uniform(-1e4, 1e4, 1_000_000), rng.uniform(-7, 7, 1_000_000), tiny, near.ravel()]
    ).astype(np.float32)
    return angles[(np.abs(angles) <= 1e4) & (np.abs(angles) >= np.finfo(np.float32).tiny)]


@pytest.mark.parametrize(("exact", "ulps"), [(False, 2.0), (True, 1.0)])
def test_the_sine_is_within_two_units_in_the_last_place_up_to_ten_thousand(exact, ulps):
    angles = hard_angles()
    wide = angles.astype(np.float64)
    sine, cosine = jax.jit(lambda u: sine_cosine(u, exact=exact))(angles)
    true = np.abs(np.sin(wide))
    unit = np.spacing(true.astype(np.float32)).astype(np.float64)
    assert (np.abs(np.abs(np.asarray(sine, np.float64)) - true) / unit).max() <= ulps
    true = np.abs(np.cos(wide))
    assert np.abs(np.abs(np.asarray(cosine, np.float64)) - true).max() <= 2e-7


def test_the_sign_of_their_product_is_right():
    angles = hard_angles()
    sine, cosine = (np.asarray(part) for part in jax.jit(sine_cosine)(angles))
    exact = np.sin(2 * angles.astype(np.float64))
    np.testing.assert_allclose(2 * sine * cosine, exact, atol=4e-7)


def test_beyond_its_range_it_stays_bounded_and_what_is_broken_stays_so():
    sine, cosine = sine_cosine(jnp.asarray([1e6, -3e20, 3e38, jnp.inf, -jnp.inf, jnp.nan]))
    for part in (sine, cosine):
        assert (jnp.abs(part[:3]) <= 1).all()
        assert jnp.isnan(part[3:]).all()


def test_double_precision_is_that_of_jax():
    with jax.enable_x64(True):
        angles = jnp.linspace(-9.0, 9.0, 50)
        np.testing.assert_array_equal(sine_cosine(angles)[0], jnp.sin(angles))
        np.testing.assert_array_equal(sine_cosine(angles)[1], jnp.cos(angles))
