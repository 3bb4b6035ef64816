"""The published families come out at their published sizes and lengths; nothing is computed."""

import equinox as eqx
import jax
import pytest

import convt1d
from convt1d.models import published

KEY = jax.random.key(0)

SIZES = {  # in millions, weight norm folded
    "HiFi-GAN V1": (lambda: published.hifigan(1, key=KEY), "13.926"),
    "HiFi-GAN V2": (lambda: published.hifigan(2, key=KEY), "0.926"),
    "HiFi-GAN V3": (lambda: published.hifigan(3, key=KEY), "1.462"),
    "DAC 44 kHz": (lambda: published.dac(key=KEY), "54.091"),
    "DAC 24 kHz": (lambda: published.dac(24000, key=KEY), "52.322"),
    "EnCodec": (lambda: published.encodec(key=KEY), "7.423"),
    "EnCodec, not causal": (lambda: published.encodec(causal=False, key=KEY), "7.423"),
    "Oobleck": (lambda: published.oobleck(key=KEY), "78.104"),
    "RAVE v2": (lambda: published.rave(2, key=KEY), "15.468"),
    "RAVE v1": (lambda: published.rave(1, key=KEY), "12.769"),
}


def learned(make):
    """Learned numbers, without the gains of the weight norms."""
    model = eqx.filter_eval_shape(make)
    leaves = jax.tree.leaves(eqx.filter(model, convt1d.trainable(model)))
    nodes = jax.tree.leaves(model, is_leaf=lambda node: isinstance(node, convt1d.WeightNorm))
    gains = [node.gain.size for node in nodes if isinstance(node, convt1d.WeightNorm)]
    return sum(leaf.size for leaf in leaves) - sum(gains)


@pytest.mark.parametrize(("make", "millions"), SIZES.values(), ids=SIZES)
def test_the_published_number_of_parameters_comes_out(make, millions):
    assert f"{learned(make) / 1e6:.3f}" == millions


def test_the_published_size_of_wavegan_comes_out():
    """A dense layer of 100·16,384 + 16,384 numbers and five convolutions of 25 taps."""
    assert learned(lambda: published.wavegan(key=KEY)) == 19_065_345


def decoded(make, frames):
    model = eqx.filter_eval_shape(make)
    latent = jax.ShapeDtypeStruct((1, frames, model.latent), "float32")
    return eqx.filter_eval_shape(model, latent).shape


@pytest.mark.parametrize(
    ("make", "frames", "shape"),
    [
        (lambda: published.hifigan(3, key=KEY), 7, (1, 7 * 256, 1)),
        (lambda: published.dac(key=KEY), 3, (1, 3 * 512, 1)),
        (lambda: published.dac(24000, key=KEY), 75, (1, 23992, 1)),
        (lambda: published.dac(24000, exact=True, key=KEY), 75, (1, 24000, 1)),
        (lambda: published.encodec(key=KEY), 3, (1, 3 * 320, 1)),
        (lambda: published.encodec(causal=False, key=KEY), 3, (1, 3 * 320, 1)),
        (lambda: published.mimi(key=KEY), 3, (1, 3 * 960, 1)),
        (lambda: published.oobleck(key=KEY), 3, (1, 3 * 2048, 2)),
        (lambda: published.rave(2, key=KEY), 3, (1, 3 * 2048, 1)),
        (lambda: published.rave(1, key=KEY), 3, (1, 3 * 2048, 1)),
        (lambda: published.wavegan(key=KEY), 1, (1, 16384, 1)),
        (lambda: published.wavegan(32768, signal=2, key=KEY), 1, (1, 32768, 2)),
        (lambda: published.wavegan(65536, key=KEY), 1, (1, 65536, 1)),
        (lambda: published.wavegan(10000, width=8, key=KEY), 1, (1, 10000, 1)),
        (lambda: published.wavegan(7, width=8, key=KEY), 1, (1, 7, 1)),
    ],
)
def test_the_published_lengths_come_out(make, frames, shape):
    assert decoded(make, frames) == shape


@pytest.mark.parametrize("length", [16384, 32768, 65536])
def test_the_published_wavegans_begin_with_sixteen_steps_and_end_with_64_channels(length):
    decoder = eqx.filter_eval_shape(lambda: published.wavegan(length, key=KEY))
    assert decoder.frames == 16
    assert decoder.layout.channels[-1] == 64


@pytest.mark.parametrize(
    ("encoder", "decoder"),
    [
        (lambda: published.dac_encoder(key=KEY), lambda: published.dac(key=KEY)),
        (lambda: published.dac_encoder(16000, key=KEY), lambda: published.dac(16000, key=KEY)),
        (lambda: published.encodec_encoder(key=KEY), lambda: published.encodec(key=KEY)),
        (lambda: published.mimi_encoder(key=KEY), lambda: published.mimi(key=KEY)),
    ],
)
def test_an_encoder_gives_its_decoder_the_latent(encoder, decoder):
    encoder, decoder = eqx.filter_eval_shape(encoder), eqx.filter_eval_shape(decoder)
    signal = jax.ShapeDtypeStruct((1, 5 * decoder.hop, 1), "float32")
    assert eqx.filter_eval_shape(encoder, signal).shape == (1, 5, decoder.latent)


def test_the_encoder_of_oobleck_gives_means_and_scales():
    encoder = eqx.filter_eval_shape(lambda: published.oobleck_encoder(key=KEY))
    signal = jax.ShapeDtypeStruct((1, 4096, 2), "float32")
    assert eqx.filter_eval_shape(encoder, signal).shape == (1, 2, 128)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: published.hifigan(4, key=KEY), r"`version` \(=4\) must be 1, 2 or 3"),
        (lambda: published.dac(48000, key=KEY), r"`rate` \(=48000\) must be one of 44100, 24000"),
        (lambda: published.dac_encoder(8000, key=KEY), r"`rate` \(=8000\) must be one of 44100"),
        (lambda: published.rave(3, key=KEY), r"`version` \(=3\) must be 1 or 2"),
    ],
)
def test_what_was_not_published_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
