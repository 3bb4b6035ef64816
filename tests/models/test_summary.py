"""What the rows of a model say, held against the model itself."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import drawn

import convt1d
from convt1d.models import (
    VAE,
    Banded,
    BandedEncoder,
    Conditional,
    Decoder,
    Encoder,
    Heads,
    Layout,
    MelFrontEnd,
    Upsampler,
    Vocoder,
)

KEY = jax.random.key(0)
PLAIN = Layout(strides=(4, 2), channels=(6, 4, 4), dilations=(2,))
BRANCHES = Layout(
    strides=(2,), channels=(4, 3), residual_kernels=(3, 5), dilations=((1, 6), (2,)),
    residual="twice", activation="leaky_relu",
)  # fmt: skip
RECURRENT = Layout(strides=(2,), channels=(4, 3), dilations=(), lstm=2)

MODELS = {
    "decoder": lambda: Decoder(1, 3, PLAIN, key=KEY),
    "fixed length": lambda: Decoder(1, 3, PLAIN, length=64, key=KEY),
    "recurrent": lambda: Encoder(1, 3, RECURRENT, key=KEY),
    "autoencoder": lambda: VAE(
        BandedEncoder(Encoder(4, 6, PLAIN, key=KEY), convt1d.PQMF(4)),
        Banded(Decoder(4, 3, PLAIN, output="modulated", key=KEY), convt1d.PQMF(4)),
    ),
    "heads": lambda: Heads(
        Decoder(4, 3, PLAIN, output="features", key=KEY), 1, noise_strides=(4, 2), key=KEY
    ),
    "conditional": lambda: Conditional(Decoder(1, 6, PLAIN, key=KEY), 10, embedding=3, key=KEY),
    "vocoder": lambda: Vocoder(Decoder(1, 10, PLAIN, key=KEY), MelFrontEnd(8000, 64, 8, 10)),
    "upsampler": lambda: Upsampler(8, PLAIN, key=KEY),
}


@pytest.mark.parametrize("name", MODELS)
def test_every_learned_number_is_in_one_row(name):
    model = eqx.filter_eval_shape(MODELS[name])
    rows = convt1d.summary(model, 64)
    leaves = jax.tree.leaves(eqx.filter(model, convt1d.trainable(model)))
    assert sum(row.parameters for row in rows) == sum(leaf.size for leaf in leaves)
    assert len({row.name for row in rows}) == len(rows)


@pytest.mark.parametrize("name", ["decoder", "fixed length", "autoencoder", "conditional"])
def test_the_last_row_is_the_signal(name):
    row = convt1d.summary(eqx.filter_eval_shape(MODELS[name]), 64)[-1]
    assert (row.length, row.channels) == (64, 1)


@pytest.mark.parametrize("layout", [PLAIN, BRANCHES])
def test_the_receptive_field_is_what_the_network_sees(layout):
    encoder = drawn(lambda: Encoder(1, 2, layout, key=KEY))
    field = convt1d.summary(encoder, 400)[-1].receptive_field
    middle = encoder.hop * (25 if encoder.hop > 2 else 100)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((1, 400, 1)), jnp.float32)
    seen = jax.jit(jax.grad(lambda x: encoder(x)[0, middle // encoder.hop].sum()))(x)
    touched = np.flatnonzero(seen[0, :, 0])
    assert touched[-1] - touched[0] + 1 == field
    assert touched[0] < middle < touched[-1]


def test_recurrence_sees_everything():
    rows = convt1d.summary(eqx.filter_eval_shape(MODELS["recurrent"]), 64)
    assert [row.kind for row in rows if row.receptive_field == float("inf")] == [
        "LSTM", "LSTM", "Conv1d K7",
    ]  # fmt: skip


def test_what_is_no_model_is_refused():
    with pytest.raises(ValueError, match=r"`model` is a Linear, which is none of convt1d\.models"):
        convt1d.summary(eqx.nn.Linear(2, 3, key=KEY), 64)
