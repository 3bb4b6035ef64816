"""Signals of any length, not of whole hops only: trained on, given back, made, as long as they are.

An encoder fills up the last hop with zeros, a decoder makes whole hops, and what is beyond the
signal's end is cut off before anybody looks at it.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_families import trained
from trained_runs import COMMON

from apps import build
from apps.command_line import read, sort
from apps.config import Config
from apps.objectives import autoencoding, gan, upsampler, vocoder
from apps.objectives.elbo import Elbo
from apps.objectives.gan import drawn

CRITIC = ("critic.channels=2", "critic.scales=1", "critic.periods=[3]")
AUTOENCODER = ("objective.reconstruction=l2", "data.channels=2", "data=sines")
FAMILIES = {
    "vae": ("objective=vae_series", "data=sines", "data.channels=2"),
    "dense": ("objective=vae_series", "data=sines", "data.channels=2", "model.entry=dense"),
    "bands": ("objective=vae_series", "data=sines", "data.channels=2", "model.bands=4"),
    "vae_gan": (*AUTOENCODER, *CRITIC, "objective=vae_gan", "objective.adversarial_from=1"),
    "gan": ("data=sines", "data.channels=2", "objective=gan", "critic.wave=true"),
    "upsampler": ("objective=upsampler", "objective.n_ffts=[8]", "data=sines", "data.channels=2"),
    "vocoder": (
        *("objective=vocoder", "objective.n_fft=16", "objective.mel_bands=2"),
        *("objective.n_ffts=[]", "objective.bands=[]", "data=plucks"),
    ),
}
LENGTHS = [(24, (4, 4)), (25, (4, 4)), (31, (4, 2)), (100, (2, 2, 2)), (7, (4, 4)), (1, (2,))]
LEAST = {"upsampler": 2, "gan": 4, "vae_gan": 4, "vocoder": 64}
"""What is between samples, and what critics and the metrics of sets and of sound need to see."""
FAST = {("vae", 25), ("gan", 25)}


def cases():
    for family in FAMILIES:
        for length, strides in [*LENGTHS, (131, (4, 4))]:
            marks = () if (family, length) in FAST else (pytest.mark.slow,)
            if length >= LEAST.get(family, 1):
                yield pytest.param(family, length, strides, marks=marks, id=f"{family}-{length}")


def config(family, length, strides):
    words = (
        *COMMON, *FAMILIES[family], f"data.length={length}", f"model.strides={[*strides]}",
        f"model.channels={[4] * len(strides)}", f"objective.factor={np.prod(strides)}",
    )  # fmt: skip
    given = {word.partition("=")[0]: word for word in words}
    if family != "upsampler":
        del given["objective.factor"]
    return read(Config, sort(list(given.values())))


@pytest.mark.parametrize(("family", "length", "strides"), [*cases()])
def test_a_signal_of_any_length_is_trained_on_and_made(family, length, strides):
    settings = config(family, length, strides)
    state, rows = trained(settings, steps=2)
    assert all(np.isfinite(list(row.values())).all() for row in rows)
    records = build.source(settings, "test")
    batch = np.stack([records.example(index, None) for index in range(3)])
    aim = build.objective(settings, records.signal)
    model = state.players[aim.product].model
    assert all(np.isfinite(each).all() for each in aim.scores(model, [batch]).values())
    match family:
        case "gan":
            assert gan.sample(model, 2, length=length, seed=0).shape == (2, length, 2)
            keys = jax.random.split(jax.random.key(0), 2)
            assert drawn(model, keys, length=length).shape == (2, length, 2)
        case "upsampler":
            assert upsampler.upsampled(model, jnp.asarray(batch)).shape == batch.shape
        case "vocoder":
            assert vocoder.vocoded(model, jnp.asarray(batch))[1].shape == batch.shape
        case _:
            assert autoencoding.reconstruct(model, batch).shape == batch.shape
            assert autoencoding.sample(model, 2, length=length, seed=0).shape == (2, length, 2)


class Given:
    """Decodes to what it is given, whole hops, whatever the latent is."""

    latent = 1

    def __init__(self, made):
        self.made = made

    def latent_length(self, length):
        return -(-length // 16)

    def from_noise(self, noise):
        return noise

    def encode(self, signal, label=None, covariates=None):
        zero = jnp.zeros((len(signal), 2, 1))
        return zero, zero

    def decode(self, latent):
        return self.made + 0 * latent.sum()


@pytest.mark.parametrize("reconstruction", ["l2", "none"])
def test_what_is_beyond_the_end_of_a_signal_enters_no_loss_and_no_gradient(reconstruction):
    signal = jnp.asarray(np.random.default_rng(0).normal(size=(2, 25, 3)), jnp.float32)
    made = jnp.asarray(np.random.default_rng(1).normal(size=(2, 32, 3)), jnp.float32)
    bound = Elbo(rate=None, reconstruction=reconstruction)
    keys = jax.random.split(jax.random.key(0), 2)

    def loss(made):
        return bound.loss(Given(made), signal, keys, jnp.zeros((), int))[0]

    value, gradient = jax.value_and_grad(loss)(made)
    assert value == loss(made.at[:, 25:].set(1e6))
    np.testing.assert_array_equal(gradient[:, 25:], 0)
    assert (gradient[:, :25] != 0).all()
