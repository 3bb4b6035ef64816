"""Decoders and encoders of bands, and the heads of RAVE's first version."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import drawn
from streams import assert_streams

import convt1d
from convt1d import PQMF
from convt1d.models import VAE, Banded, BandedEncoder, Decoder, Encoder, Heads, Layout
from convt1d.models.noise import FilteredNoise

KEYS = jax.random.split(jax.random.key(0), 3)
LAYOUT = Layout(
    strides=(4, 2), channels=(8, 6, 4), dilations=(1,), residual_kernels=(3,), bias=False,
    activation="leaky_relu",
)  # fmt: skip
CAUSAL = Layout(strides=(4,), channels=(6, 4), dilations=(), padding="causal")


def plain(layout=LAYOUT):
    """Like RAVE's second version."""
    return Banded(Decoder(4, 3, layout, output="modulated", key=KEYS[0]), PQMF(4))


def headed(layout=LAYOUT, *, noise_strides=(4, 2), channels=1):
    """Like RAVE's first version."""
    features = Decoder(layout.channels[-1], 3, layout, output="features", key=KEYS[0])
    heads = Heads(features, 4 * channels, noise_strides=noise_strides, noise_bands=3, key=KEYS[1])
    return Banded(heads, PQMF(4, channels=channels))


def encoding(layout=LAYOUT):
    return BandedEncoder(Encoder(4, 6, layout, key=KEYS[0]), PQMF(4))


MAKERS = {
    "plain": plain,
    "headed": headed,
    "stereo": lambda: headed(channels=2),
    "causal": lambda: headed(CAUSAL, noise_strides=()),
}
MODELS = {name: drawn(make) for name, make in MAKERS.items()}


def latent(frames=3, *, dtype="float32"):
    x = np.random.default_rng(1).standard_normal((2, frames, 3))
    return jnp.asarray(x, dtype)


@pytest.mark.parametrize("name", MODELS)
def test_lengths_and_dtypes_are_those_that_the_model_promises(name):
    model = MODELS[name]
    assert model.hop == 4 * model.decoder.hop
    for dtype in ("float32", "bfloat16"):
        y = eqx.filter_eval_shape(model, latent(dtype=dtype))
        assert (y.shape, y.dtype) == ((2, 3 * model.hop, model.signal), dtype)


@pytest.mark.parametrize("length", [1, 31, 32, 33])
def test_an_encoder_of_bands_has_a_frame_for_every_begun_hop(length):
    encoder = drawn(encoding)
    features = eqx.filter_eval_shape(encoder, jnp.ones((2, length, 1)))
    assert features.shape == (2, -(-length // encoder.hop), 6)


def test_bands_are_decoded_and_then_put_together():
    model, z = MODELS["plain"], latent()
    np.testing.assert_array_equal(model.bands(z), model.decoder(z))
    np.testing.assert_array_equal(model(z), model.pqmf.synthesis(model.decoder(z)))


def test_an_autoencoder_of_bands_is_one_of_signals():
    vae = VAE(drawn(encoding), MODELS["plain"])
    mean, _ = eqx.filter_eval_shape(vae.encode, jnp.ones((2, 64, 1)))
    assert (vae.hop, vae.latent, mean.shape) == (32, 3, (2, 2, 3))
    assert eqx.filter_eval_shape(vae.decode, mean).shape == (2, 64, 1)


def test_there_is_noise_only_where_there_is_a_key_for_it():
    heads, z = MODELS["headed"].decoder, latent()
    silent, features = heads(z), heads.decoder(z)
    noise = heads.noise(features, key=KEYS[2])
    assert noise.shape == silent.shape
    np.testing.assert_allclose(heads(z, key=KEYS[2]), silent + noise, atol=1e-6)
    assert jnp.abs(noise).max() > 0


def test_every_example_has_the_noise_of_its_own_key():
    heads, z, keys = MODELS["headed"].decoder, latent(), KEYS[:2]
    features = heads.decoder(z)
    both = heads.noise(features, key=keys)
    for i in range(2):
        alone = heads.noise(features[i : i + 1], key=keys[i : i + 1])
        np.testing.assert_allclose(both[i : i + 1], alone, rtol=1e-5, atol=1e-9)


def test_noise_has_the_amplitudes_that_were_made_for_it():
    noise = FilteredNoise(1, 2, strides=(8, 8), frequencies=3, bias=True, key=KEYS[0])
    loud = jnp.asarray([-30.0, -30.0, 30.0, -30.0, -30.0, -30.0])  # the first band's top alone
    noise = eqx.tree_at(lambda it: it.layers[1].bias, noise, loud)
    y = np.asarray(noise(jnp.zeros((1, 4096, 1)), key=KEYS[1]))
    assert np.abs(y[..., 1]).max() < 1e-5 < np.abs(y[..., 0]).max()
    power = np.abs(np.fft.rfft(y[0, :, 0])) ** 2
    assert power[-100:].mean() > 5 * power[:100].mean()  # of taps 1 and -1/2: 9 at the ends


@pytest.mark.parametrize("name", ["plain", "headed", "causal"])
def test_a_decoder_of_bands_streams_without_noise(name):
    model = eqx.tree_at(lambda it: it.pqmf, MODELS[name], PQMF(4, attenuation=60))
    assert_streams(model, latent(4), (1, 2), atol=1e-6)


def test_an_encoder_of_bands_streams():
    x = jnp.asarray(np.random.default_rng(2).standard_normal((1, 50, 1)), jnp.float32)
    encoder = eqx.tree_at(lambda it: it.pqmf, drawn(encoding), PQMF(4, attenuation=60))
    assert_streams(encoder, x, (32, 18), atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_decoders_of_bands_travel(name, tmp_path):
    convt1d.save(tmp_path, MODELS[name])
    assert eqx.tree_equal(convt1d.load(tmp_path), MODELS[name])


def test_encoders_of_bands_travel(tmp_path):
    encoder = drawn(encoding)
    convt1d.save(tmp_path, encoder)
    assert eqx.tree_equal(convt1d.load(tmp_path), encoder)


def decoder(signal, **kinds):
    return Decoder(signal, 3, LAYOUT, **kinds, key=KEYS[0])


WRONG = {
    r"`decoder` has a signal of 5 channels, but `pqmf` makes 4 bands of each of 1: it must": (
        lambda: Banded(decoder(5), PQMF(4))
    ),
    r"`encoder` has a signal of 4 channels, but `pqmf` makes 4 bands of each of 2": (
        lambda: BandedEncoder(Encoder(4, 6, LAYOUT, key=KEYS[0]), PQMF(4, channels=2))
    ),
    r"`decoder` \(output='tanh', length=None\) must have output='features'": (
        lambda: Heads(decoder(4), 4, key=KEYS[0])
    ),
    r"`noise_strides` \(=\(3,\)\) must have a product that divides the decoder's hop, 8": (
        lambda: Heads(decoder(4, output="features"), 4, noise_strides=(3,), key=KEYS[0])
    ),
    r"`noise_strides` \(=\(4,\)\) must be positive and have a product of at least 2·noise_bands": (
        lambda: Heads(decoder(4, output="features"), 4, noise_strides=(4,), key=KEYS[0])
    ),
    r"`noise_strides` \(=\(4,\)\) must .*noise_bands=1, at least 2": (
        lambda: Heads(
            decoder(4, output="features"), 4, noise_strides=(4,), noise_bands=1, key=KEYS[0]
        )
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_does_not_fit_is_refused(message):
    with pytest.raises(ValueError, match=message):
        WRONG[message]()
