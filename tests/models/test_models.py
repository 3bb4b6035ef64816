"""Laws of the encoders, decoders and autoencoders."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import drawn

import convt1d
from convt1d.models import VAE, Decoder, Encoder

KEYS = jax.random.split(jax.random.key(0))

SHAPES = {
    "dac": {"strides": (4, 2), "channels": (8, 6, 4), "dilations": (3,)},
    "odd strides": {"strides": (3, 5), "channels": (8, 6, 4), "dilations": ()},
    "wavegan": {
        "strides": (4, 4),
        "channels": (8, 6),
        "stride_kernels": (25, 25),
        "dilations": (),
        "activation": "relu",
        "weight_norm": False,
        "entry": "dense",
        "length": 40,
    },
    "elu": {"strides": (2,), "channels": (6, 4), "dilations": (1,), "activation": "elu"},
}


def pair(name, *, signal=2, latent=3):
    """A model with numbers of numpy's."""
    shape = SHAPES[name]
    return drawn(
        lambda: VAE(
            Encoder(signal, 2 * latent, **shape, key=KEYS[0]),
            Decoder(signal, latent, **shape, key=KEYS[1]),
        )
    )


def count(model):
    return sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array)))


@pytest.mark.parametrize("name", SHAPES)
def test_the_lengths_are_those_that_the_model_promises(name):
    model = pair(name)
    length = SHAPES[name].get("length", 4 * model.hop)
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
    frames = 32 if "length" not in SHAPES[name] else 1

    @jax.jit
    def begin(key):
        decoder = Decoder(1, 8, **SHAPES[name], key=key)
        return jnp.std(decoder(jax.random.normal(key, (16, frames, 8))))

    assert 0.02 < float(begin(KEYS[1])) < 0.8


def test_the_published_size_of_wavegan_comes_out():
    """19,065,345: a dense layer of 100·16,384 + 16,384 and five convolutions of 25 taps."""
    decoder = eqx.filter_eval_shape(
        lambda: Decoder(
            1,
            100,
            strides=(4,) * 5,
            channels=(1024, 512, 256, 128, 64),
            stride_kernels=(25,) * 5,
            dilations=(),
            activation="relu",
            weight_norm=False,
            entry="dense",
            length=16384,
            key=KEYS[0],
        )
    )
    sizes = [leaf.size for leaf in jax.tree.leaves(decoder) if hasattr(leaf, "size")]
    assert sum(sizes) == 19_065_345


def test_the_published_size_of_dac_comes_out():
    """54.091 M with every weight norm folded: the decoder of the 44.1 kHz model."""
    decoder = eqx.filter_eval_shape(
        lambda: Decoder(
            1,
            1024,
            strides=(8, 8, 4, 2),
            channels=(1536, 768, 384, 192, 96),
            weight_norm=False,
            key=KEYS[0],
        )
    )
    sizes = [leaf.size for leaf in jax.tree.leaves(decoder) if hasattr(leaf, "size")]
    assert round(sum(sizes) / 1e6, 3) == 54.091


@pytest.mark.parametrize("name", SHAPES)
def test_every_weight_matters(name):
    model = pair(name)
    length = SHAPES[name].get("length", 4 * model.hop)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, length, 2)), jnp.float32)

    @eqx.filter_jit
    @eqx.filter_grad
    def gradient(model):
        mean, log_std = model.encode(x)
        return jnp.sum(jnp.square(model.decode(mean + log_std) - x))

    leaves = jax.tree_util.tree_leaves_with_path(gradient(model))
    silent = [jax.tree_util.keystr(path) for path, leaf in leaves if not jnp.any(leaf)]
    assert not silent


@pytest.mark.parametrize("name", SHAPES)
def test_the_summary_counts_every_parameter_and_ends_at_the_signal(name):
    model = pair(name)
    length = SHAPES[name].get("length", 4 * model.hop)
    rows = convt1d.summary(model, length)
    assert sum(row.parameters for row in rows) == count(model)
    assert rows[-1].length >= length
    assert rows[-1].channels == 2
    halves = [
        sum(r.parameters for r in rows if r.name.startswith(n)) for n in ("encoder", "decoder")
    ]
    assert halves == [count(model.encoder), count(model.decoder)]


def test_the_receptive_field_is_what_the_encoder_sees():
    encoder = drawn(
        lambda: Encoder(1, 2, strides=(3, 2), channels=(4, 3, 2), dilations=(2,), key=KEYS[0])
    )
    field = convt1d.summary(encoder, 600)[-1].receptive_field
    middle = encoder.hop * 50
    seen = jax.jit(jax.grad(lambda x: encoder(x)[0, 50].sum()))(
        jnp.asarray(np.random.default_rng(0).standard_normal((1, 600, 1)), jnp.float32)
    )
    touched = np.flatnonzero(seen[0, :, 0])
    assert touched[-1] - touched[0] + 1 == field
    assert touched[0] < middle < touched[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strides": ()}, r"`strides` \(=\(\)\) must be one or more ints"),
        ({"strides": (0, 2)}, r"`strides` \(=\(0, 2\)\) must be one or more ints of at least 1"),
        (
            {"channels": (4,)},
            r"`channels` \(=\(4,\)\) must hold one positive int for each of the 2",
        ),
        ({"stride_kernels": (4,)}, r"`stride_kernels` \(=\(4,\)\) must hold one positive int"),
        ({"kernel_size": 0}, r"`kernel_size` and `latent_kernel_size` must be at least 1"),
        (
            {"activation": "swish"},
            r"`activation` \(='swish'\) must be one of 'snake', 'snake_beta', 'elu'",
        ),
        ({"entry": "lstm"}, r"`entry` \(='lstm'\) must be one of 'conv', 'dense'"),
        ({"entry": "dense"}, r"`length` \(=None\) belongs to entry='dense'"),
        ({"length": 30}, r"`length` \(=30\) belongs to entry='dense'.*\(entry='conv'\)"),
    ],
)
@pytest.mark.parametrize("kind", [Decoder, Encoder])
def test_arguments_that_do_not_fit_are_refused(kind, arguments, message):
    whole = {"strides": (4, 2), "channels": (8, 6, 4)} | arguments
    with pytest.raises(ValueError, match=message):
        kind(1, 4, **whole, key=KEYS[0])


def test_an_unknown_output_is_refused():
    with pytest.raises(ValueError, match=r"`output` \(='relu'\) must be one of 'none', 'sigmoid'"):
        Decoder(1, 4, strides=(2,), channels=(4, 3), output="relu", key=KEYS[0])


def test_halves_that_do_not_fit_are_refused():
    shape = SHAPES["elu"]
    decoder = drawn(lambda: Decoder(1, 3, **shape, key=KEYS[0]))
    with pytest.raises(ValueError, match=r"`encoder` gives 5 features, .* are 6"):
        VAE(drawn(lambda: Encoder(1, 5, **shape, key=KEYS[0])), decoder)
    with pytest.raises(ValueError, match=r"`encoder` \(hop 2, length None, 2 channels\) and `deco"):
        VAE(drawn(lambda: Encoder(2, 6, **shape, key=KEYS[0])), decoder)


def test_a_dense_encoder_refuses_another_length():
    with pytest.raises(ValueError, match=r"takes 40 samples, but got 41"):
        pair("wavegan").encode(jnp.ones((1, 41, 2)))
