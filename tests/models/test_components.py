"""TimeVAE's decoder: each part is what its formula says, and their sum is the signal."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import drawn

import convt1d
from convt1d.models import VAE, Components, Decoder, Encoder, Layout

KEY = jax.random.key(0)
LAYOUT = Layout(strides=(2, 2), channels=(6, 4), dilations=(), activation="relu")
LENGTH, SIGNAL, LATENT = 13, 2, 3  # a length that no stride divides


def rest(length: int | None = LENGTH):
    return Decoder(SIGNAL, LATENT, LAYOUT, length=length, output="none", key=KEY)


def composed(**settings):
    return drawn(lambda: Components(rest(), **settings, key=KEY))


def latent():
    return jnp.asarray(np.random.default_rng(0).standard_normal((4, 1, LATENT)), jnp.float32)


def dense(layer, x):
    return np.asarray(x) @ np.asarray(layer.weight)[0] + np.asarray(layer.bias)


def test_the_parts_are_those_of_the_formula_and_add_up():
    model = composed(trend=2, seasons=(3, 2), season_lengths=(2, 5))
    parts, z = model.parts(latent()), latent()[:, 0]
    time = np.arange(LENGTH)
    first, second = model.levels
    level = dense(second, np.maximum(dense(first, z), 0))
    np.testing.assert_allclose(parts["level"], np.repeat(level[:, None], LENGTH, 1), atol=1e-5)
    first, second = model.trends
    slopes = dense(second, np.maximum(dense(first, z), 0)).reshape(4, 2, SIGNAL)
    share = (time / LENGTH)[None, :, None]
    trend = slopes[:, None, 0] * share + slopes[:, None, 1] * share**2
    np.testing.assert_allclose(parts["trend"], trend, atol=1e-5)
    for layer, count, steps in zip(model.cycles, (3, 2), (2, 5), strict=True):
        heights = dense(layer, z).reshape(4, count, SIGNAL)
        expected = np.stack([heights[:, (t // steps) % count] for t in time], axis=1)
        np.testing.assert_allclose(parts[f"season {count} x {steps}"], expected, atol=1e-5)
    np.testing.assert_allclose(parts["rest"], model.decoder(latent()), atol=1e-6)
    np.testing.assert_allclose(model(latent()), sum(parts.values()), atol=1e-5)


def test_what_is_not_asked_for_is_not_there():
    assert list(composed(level=False).parts(latent())) == ["rest"]
    assert list(composed().parts(latent())) == ["level", "rest"]


def test_an_autoencoder_of_it_is_saved_and_every_number_is_counted(tmp_path):
    vae = VAE(
        Encoder(SIGNAL, 2 * LATENT, LAYOUT, length=LENGTH, key=KEY),
        composed(trend=1, seasons=(4,)),
    )
    convt1d.save(tmp_path, vae)
    again = convt1d.load(tmp_path)
    np.testing.assert_array_equal(again.decode(latent()), vae.decode(latent()))
    assert (again.decoder.trend, again.decoder.seasons) == (1, (4,))
    learned = sum(leaf.size for leaf in jax.tree.leaves(vae) if isinstance(leaf, jax.Array))
    assert sum(row.parameters for row in convt1d.summary(vae, LENGTH)) == learned


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trend": -1}, r"`trend` \(=-1\) must be a degree"),
        ({"seasons": (0,)}, r"`seasons` \(=\(0,\)\)"),
        ({"seasons": (2,), "season_lengths": (1, 1)}, "an int of at least 1 for each cycle"),
    ],
)
def test_parts_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Components(rest(), **settings, key=KEY)


def test_a_decoder_of_any_length_has_no_level():
    with pytest.raises(ValueError, match="`decoder` makes signals of any length"):
        Components(rest(length=None), key=KEY)
