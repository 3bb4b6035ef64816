"""Laws of the encoders, decoders and autoencoders."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import drawn

import convt1d
from convt1d.models import VAE, Decoder, Encoder, Layout

KEYS = jax.random.split(jax.random.key(0))

LENGTHS = {"wavegan": 40}  # fixed ones
LAYOUTS = {
    "dac": Layout(strides=(4, 2), channels=(8, 6, 4), dilations=(3,)),
    "odd strides": Layout(strides=(3, 5), channels=(8, 6, 4), dilations=()),
    "wavegan": Layout(
        strides=(4, 4), channels=(8, 6), stride_kernels=(25, 25), dilations=(), activation="relu",
        weight_norm=False,
    ),
    "elu": Layout(strides=(2,), channels=(6, 4), dilations=(1,), activation="elu"),
}  # fmt: skip


def pair(name, *, signal=2, latent=3):
    """A model with numbers of numpy's."""
    layout, length = LAYOUTS[name], LENGTHS.get(name)
    return drawn(
        lambda: VAE(
            Encoder(signal, 2 * latent, layout, length=length, key=KEYS[0]),
            Decoder(signal, latent, layout, length=length, key=KEYS[1]),
        )
    )


def count(model):
    return sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array)))


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_lengths_are_those_that_the_model_promises(name):
    model = pair(name)
    length = LENGTHS.get(name, 4 * model.hop)
    mean, log_std = eqx.filter_eval_shape(model.encode, jnp.ones((2, length, 2)))
    assert mean.shape == log_std.shape == (2, model.latent_length(length), model.latent)
    assert eqx.filter_eval_shape(model.decode, mean).shape == (2, length, 2)


def test_a_length_that_is_no_multiple_of_the_hop_is_encoded_whole():
    model = pair("dac")
    mean, _ = eqx.filter_eval_shape(model.encode, jnp.ones((2, 4 * model.hop + 1, 2)))
    assert mean.shape[1] == model.latent_length(4 * model.hop + 1) == 5


@pytest.mark.parametrize("name", ["dac", "wavegan"])
def test_a_signal_comes_out_alive_at_initialisation(name):
    """Neither silent nor clipped, whatever the strides: a decoder must be able to begin."""
    frames = 1 if name in LENGTHS else 32

    @jax.jit
    def begin(key):
        decoder = Decoder(1, 8, LAYOUTS[name], length=LENGTHS.get(name), key=key)
        return jnp.std(decoder(jax.random.normal(key, (16, frames, 8))))

    assert 0.02 < float(begin(KEYS[1])) < 0.8


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_weight_matters(name):
    model = pair(name)
    length = LENGTHS.get(name, 4 * model.hop)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, length, 2)), jnp.float32)

    @eqx.filter_jit
    @eqx.filter_grad
    def gradient(model):
        mean, log_std = model.encode(x)
        return jnp.sum(jnp.square(model.decode(mean + log_std) - x))

    leaves = jax.tree_util.tree_leaves_with_path(gradient(model))
    silent = [jax.tree_util.keystr(path) for path, leaf in leaves if not jnp.any(leaf)]
    assert not silent


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_summary_counts_every_parameter_and_ends_at_the_signal(name):
    model = pair(name)
    length = LENGTHS.get(name, 4 * model.hop)
    rows = convt1d.summary(model, length)
    assert sum(row.parameters for row in rows) == count(model)
    assert rows[-1].length >= length
    assert rows[-1].channels == 2
    halves = [
        sum(r.parameters for r in rows if r.name.startswith(n)) for n in ("encoder", "decoder")
    ]
    assert halves == [count(model.encoder), count(model.decoder)]


def test_the_receptive_field_is_what_the_encoder_sees():
    layout = Layout(strides=(3, 2), channels=(4, 3, 2), dilations=(2,))
    encoder = drawn(lambda: Encoder(1, 2, layout, key=KEYS[0]))
    field = convt1d.summary(encoder, 600)[-1].receptive_field
    middle = encoder.hop * 50
    seen = jax.jit(jax.grad(lambda x: encoder(x)[0, 50].sum()))(
        jnp.asarray(np.random.default_rng(0).standard_normal((1, 600, 1)), jnp.float32)
    )
    touched = np.flatnonzero(seen[0, :, 0])
    assert touched[-1] - touched[0] + 1 == field
    assert touched[0] < middle < touched[-1]


def test_an_unknown_output_is_refused():
    with pytest.raises(ValueError, match=r"`output` \(='relu'\) must be one of 'none', 'sigmoid'"):
        Decoder(1, 4, LAYOUTS["elu"], output="relu", key=KEYS[0])


def test_halves_that_do_not_fit_are_refused():
    layout = LAYOUTS["elu"]
    decoder = drawn(lambda: Decoder(1, 3, layout, key=KEYS[0]))
    with pytest.raises(ValueError, match=r"`encoder` gives 5 features, .* are 6"):
        VAE(drawn(lambda: Encoder(1, 5, layout, key=KEYS[0])), decoder)
    with pytest.raises(ValueError, match=r"`encoder` \(hop 2, length None, 2 channels\) and `deco"):
        VAE(drawn(lambda: Encoder(2, 6, layout, key=KEYS[0])), decoder)


def test_an_encoder_of_a_fixed_length_refuses_another_length():
    with pytest.raises(ValueError, match=r"takes 40 samples, but got 41"):
        pair("wavegan").encode(jnp.ones((1, 41, 2)))
