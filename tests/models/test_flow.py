"""A learnt prior: noise carried along a field, which is tested where the way is known."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import drawn

import convt1d
from convt1d.models import VAE, Decoder, Encoder, Flow, Layout

KEY = jax.random.key(0)
LAYOUT = Layout(strides=(4,), channels=(4,), dilations=())


def flow(**settings):
    return Flow(3, **({"channels": 8, "blocks": 2} | settings), key=KEY)


def noise(*shape):
    return jnp.asarray(np.random.default_rng(0).standard_normal(shape), jnp.float32)


def constant(model, velocity):
    """A flow whose field is the same everywhere: its last weights are 0 at first."""
    return eqx.tree_at(lambda m: m.last.bias, model, jnp.asarray(velocity, jnp.float32))


@pytest.mark.parametrize("kernel_size", [1, 3])
def test_before_it_is_trained_a_draw_is_the_noise(kernel_size):
    given = noise(2, 5, 3)
    np.testing.assert_allclose(flow(kernel_size=kernel_size)(given), given, atol=1e-6)


def test_along_a_constant_field_noise_is_carried_by_it_then_scaled_and_shifted():
    model = constant(flow(steps=7), [1.0, -2.0, 0.5])
    scale, shift = jnp.asarray([0.1, 0.0, -0.3]), jnp.asarray([3.0, 0.0, 1.0])
    model = eqx.tree_at(lambda m: (m.log_scale, m.shift), model, (scale, shift))
    given = noise(2, 4, 3)
    expected = (given + jnp.asarray([[[1.0, -2.0, 0.5]]])) * jnp.exp(scale)[None, None]
    np.testing.assert_allclose(model(given), expected + shift[None, None], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        model.standardised(model(given)), given + jnp.asarray([[[1.0, -2.0, 0.5]]]), atol=1e-5
    )


def test_the_way_is_heun_s_and_its_error_falls_with_the_square_of_the_steps(monkeypatch):
    monkeypatch.setattr(Flow, "velocity", lambda self, z, time: z)  # it grows as e to the time
    given = noise(1, 2, 3)
    errors = []
    for steps in (4, 8, 16):
        found = flow(steps=steps)(given)
        growth = 1 + 1 / steps + 0.5 / steps**2
        np.testing.assert_allclose(found, growth**steps * given, rtol=1e-4)
        errors.append(float(jnp.abs(found - np.e * given).max()))
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.25)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.25)


def test_with_one_tap_each_step_of_the_latent_is_carried_by_itself():
    model = drawn(lambda: Flow(3, channels=8, blocks=2, key=KEY), seed=3)
    given = noise(2, 6, 3)
    alone = [model(given[:, at : at + 1]) for at in range(6)]
    np.testing.assert_allclose(model(given), jnp.concatenate(alone, axis=1), rtol=1e-4, atol=1e-5)


def test_it_is_saved_and_counted_with_its_autoencoder(tmp_path):
    vae = VAE(
        Encoder(1, 6, LAYOUT, length=8, key=KEY),
        Decoder(1, 3, LAYOUT, length=8, key=KEY),
        Flow(3, channels=8, blocks=2, kernel_size=3, steps=5, key=KEY),
    )
    convt1d.save(tmp_path, vae)
    again = convt1d.load(tmp_path)
    given = noise(2, 1, 3)
    np.testing.assert_array_equal(again.from_noise(given), vae.from_noise(given))
    assert (again.prior.steps, again.prior.kernel_size) == (5, 3)
    row = convt1d.summary(vae, 8)[-1]
    assert row.parameters == sum(leaf.size for leaf in jax.tree.leaves(vae.prior))
    assert row.receptive_field == 7  # three convolutions of three taps


def test_an_autoencoder_without_one_draws_the_noise_itself():
    vae = VAE(Encoder(1, 6, LAYOUT, key=KEY), Decoder(1, 3, LAYOUT, key=KEY))
    given = noise(2, 4, 3)
    assert vae.from_noise(given) is given


@pytest.mark.parametrize("name", ["latent", "channels", "blocks", "kernel_size", "steps"])
def test_sizes_that_cannot_be_are_refused(name):
    with pytest.raises(ValueError, match=f"`{name}` \\(=0\\) must be an int of at least 1"):
        Flow(**({"latent": 2} | {name: 0}), key=KEY)


def test_a_prior_of_another_latent_is_refused():
    with pytest.raises(ValueError, match="`prior` is of 2 latent channels, and `decoder` has 3"):
        VAE(
            Encoder(1, 6, LAYOUT, key=KEY),
            Decoder(1, 3, LAYOUT, key=KEY),
            Flow(2, channels=4, blocks=1, key=KEY),
        )
