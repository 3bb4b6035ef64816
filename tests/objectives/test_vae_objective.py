from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from apps.engine.mesh import make_mesh
from apps.metrics import audio, series
from apps.objectives import autoencoding, losses, maker, vae
from apps.objectives.elbo import Elbo

HOP = 8


class Blocks(eqx.Module):
    """The smallest autoencoder: one linear map on each block of a hop."""

    into: jax.Array
    back: jax.Array
    latent: int = eqx.field(static=True)

    def __init__(self, channels=1, latent=4, *, key):
        first, second = jax.random.split(key)
        self.into = jax.random.normal(first, (HOP * channels, 2 * latent)) * 0.2
        self.back = jax.random.normal(second, (latent, HOP * channels)) * 0.2
        self.latent = latent

    def from_noise(self, noise):
        return noise

    def latent_length(self, length):
        return -(-length // HOP)

    def encode(self, signal):
        batch, length, channels = signal.shape
        steps = self.latent_length(length)
        padded = jnp.pad(signal, ((0, 0), (0, steps * HOP - length), (0, 0)))
        both = padded.reshape(batch, steps, HOP * channels) @ self.into
        return both[..., : self.latent], both[..., self.latent :]

    def decode(self, latent):
        batch, steps, _ = latent.shape
        return (latent @ self.back).reshape(batch, steps * HOP, -1)


MODEL = Blocks(key=jax.random.key(0))
KEY = jax.random.key(1)


def signals(count=3, length=200, channels=1, seed=0):
    return np.random.default_rng(seed).standard_normal((count, length, channels)).astype("f4")


def elbo(step=0, model=MODEL, batch=None, **settings):
    turn = maker.alone(vae.PLAYER, Elbo(**{"rate": None, "reconstruction": "l2"} | settings).loss)
    batch = jnp.asarray(signals() if batch is None else batch)
    keys = jax.random.split(KEY, len(batch))
    return turn.loss(model, {}, batch, keys=keys, step=jnp.asarray(step))


def test_the_loss_is_the_weighted_sum_of_its_logged_parts():
    loss, parts = elbo(reconstruction_weight=2.0, l1_weight=3.0, kl_weight=0.5)
    total = 2 * parts["reconstruction"] + 3 * parts["l1"] + 0.5 * parts["kl"]
    assert float(loss) == pytest.approx(float(total), rel=1e-6)
    assert all(value.shape == () for value in parts.values())


@pytest.mark.parametrize(
    ("settings", "distance"),
    [
        ({"reconstruction": "l2"}, losses.l2),
        (
            {"reconstruction": "stft", "n_ffts": (32,)},
            lambda x, y: losses.multi_resolution_stft(x, y, n_ffts=(32,)),
        ),
        (
            {"reconstruction": "relative_stft", "n_ffts": (32,)},
            lambda x, y: losses.relative_distance(x, y, n_ffts=(32,)),
        ),
        (
            {"reconstruction": "log_mel", "n_ffts": (64,), "bands": (10,), "rate": 8000},
            lambda x, y: losses.log_mel_distance(x, y, rate=8000, n_ffts=(64,), bands=(10,)),
        ),
    ],
)
def test_reconstruction_is_the_chosen_distance_to_a_decoded_draw(settings, distance):
    _, parts = elbo(**settings)
    batch = jnp.asarray(signals())
    mean, log_std = MODEL.encode(batch)
    noise = [jax.random.normal(key, mean.shape[1:]) for key in jax.random.split(KEY, len(mean))]
    drawn = mean + jnp.exp(log_std) * jnp.stack(noise)
    expected = jax.jit(distance)(MODEL.decode(drawn), batch)
    assert float(parts["reconstruction"]) == pytest.approx(float(expected), rel=1e-6)


def test_a_length_that_is_no_multiple_of_the_hop_is_cut_back():
    loss, _ = elbo(batch=signals(length=203))
    assert np.isfinite(loss)


def test_the_weight_of_the_divergence_rises_linearly_and_stays():
    weights = [
        float(elbo(step, kl_weight=0.2, kl_warmup_steps=100)[1]["kl_weight"])
        for step in (0, 25, 100, 1000)
    ]
    assert weights == pytest.approx([0.0, 0.05, 0.2, 0.2])
    assert float(elbo(0, kl_weight=0.2)[1]["kl_weight"]) == pytest.approx(0.2)


def test_free_bits_change_the_loss_and_not_the_logged_divergence():
    plain, held = elbo(kl_weight=1.0), elbo(kl_weight=1.0, free_bits=50.0)
    assert float(held[1]["kl"]) == float(plain[1]["kl"])
    assert float(held[0] - plain[0]) == pytest.approx(4 * 50.0 - float(plain[1]["kl"]), rel=1e-5)


def test_a_weight_of_zero_leaves_its_part_out():
    loss, parts = elbo(reconstruction_weight=0.0, l1_weight=0.0, kl_weight=0.0)
    assert float(loss) == 0.0
    assert float(parts["reconstruction"]) == float(parts["l1"]) == 0.0
    assert elbo(reconstruction="none")[1]["reconstruction"] == 0.0


def test_training_on_the_turn_lowers_the_loss():
    turn = maker.alone(vae.PLAYER, Elbo(rate=None, reconstruction="l2", l1_weight=1.0).loss)
    optimiser: Any = optax.adam(1e-2)  # its own types know no modules
    batch = jnp.asarray(signals(8))

    @jax.jit
    def update(model, state, step):
        def loss(model):
            keys = jax.random.split(jax.random.fold_in(KEY, step), len(batch))
            return turn.loss(model, {}, batch, keys=keys, step=step)

        (value, _), gradients = jax.value_and_grad(loss, has_aux=True)(model)
        with jax.numpy_dtype_promotion("standard"):
            updates, state = optimiser.update(gradients, state)
        return eqx.apply_updates(model, updates), state, value

    model, state = MODEL, optimiser.init(MODEL)
    values = []
    for step in range(60):
        model, state, value = update(model, state, jnp.asarray(step))
        values.append(float(value))
    assert values[-1] < 0.85 * values[0]


def test_samples_are_reconstructions_beside_their_references_then_draws():
    batch = signals(2, 100)
    shown = autoencoding.samples(MODEL, batch, rate=8000, names=["low", "high"], draws=1)
    assert [each.name for each in shown] == [
        "reconstruction low",
        "reconstruction high",
        "sample 1",
    ]
    assert all(each.signal.shape == (100, 1) and each.rate == 8000 for each in shown)
    np.testing.assert_array_equal(shown[1].reference, batch[1])
    assert shown[2].reference is None
    np.testing.assert_allclose(
        shown[0].signal, autoencoding.reconstruct(MODEL, batch)[0], atol=1e-6
    )


def test_samples_and_scores_are_in_the_units_of_the_data():
    batch = signals(2, 96, 3)
    model = Blocks(3, key=KEY)

    def unscale(x):
        return 10.0 * x + 5.0

    shown = autoencoding.samples(model, batch, rate=None, unscale=unscale)
    assert shown[0].reference is not None
    np.testing.assert_allclose(shown[0].reference, unscale(batch[0]))
    plain = autoencoding.scores(model, [batch], rate=None)
    scaled = autoencoding.scores(model, [batch], rate=None, unscale=unscale)
    for name in ("mean_absolute_error", "root_mean_square_error"):
        np.testing.assert_allclose(scaled[name], 10 * plain[name], rtol=1e-5)


def test_a_seed_gives_the_same_draws_and_more_draws_begin_with_them():
    few = autoencoding.prior(MODEL, 2, length=100, seed=7)
    np.testing.assert_array_equal(few, autoencoding.prior(MODEL, 5, length=100, seed=7)[:2])
    assert few.shape == (2, 13, 4)
    assert np.abs(few - autoencoding.prior(MODEL, 2, length=100, seed=8)).min() > 0
    drawn = autoencoding.sample(MODEL, 2, length=100, seed=7)
    assert drawn.shape == (2, 100, 1)
    np.testing.assert_array_equal(drawn, autoencoding.decode(MODEL, few, length=100))


def test_reconstruction_is_the_decoded_mean_of_the_latent():
    batch = signals(2, 100)
    mean = autoencoding.posterior(MODEL, batch)
    np.testing.assert_allclose(
        autoencoding.reconstruct(MODEL, batch),
        autoencoding.decode(MODEL, mean, length=100),
        atol=1e-6,
    )


def test_scores_are_those_of_the_metrics_whatever_the_batches():
    batch = signals(5, 600)
    made = autoencoding.reconstruct(MODEL, batch)
    parts = [batch[:2], batch[2:4], batch[4:]]  # the last one is smaller
    measured = autoencoding.scores(MODEL, parts, rate=8000)
    assert list(measured) == ["mel_distance", "stft_distance", "si_sdr", "kl"]
    np.testing.assert_allclose(
        measured["mel_distance"], audio.mel_distance(made, batch, rate=8000), rtol=1e-5
    )
    np.testing.assert_allclose(
        measured["stft_distance"], audio.stft_distance(made, batch), rtol=1e-5
    )
    np.testing.assert_allclose(measured["si_sdr"], audio.si_sdr(made, batch), atol=1e-4)
    mean, log_std = MODEL.encode(jnp.asarray(batch))
    nats = losses.kl_divergence(mean, log_std).sum()
    assert measured["kl"].mean() == pytest.approx(float(nats), rel=1e-5)
    of_series = autoencoding.scores(MODEL, [batch], rate=None)
    np.testing.assert_allclose(
        of_series["mean_absolute_error"], series.mean_absolute_error(made, batch), rtol=1e-5
    )
    assert of_series["correlation_difference"].shape == (1,)  # of the set


@pytest.mark.parametrize("count", [8, 3])
def test_a_model_on_eight_devices_is_measured_there_without_implicit_transfers(count):
    mesh = make_mesh(8, 8)
    model = jax.device_put(MODEL, NamedSharding(mesh, PartitionSpec()))
    batch = signals(count, 600)
    with jax.transfer_guard("disallow"):
        spread = autoencoding.scores(model, [batch], rate=8000)
        autoencoding.samples(model, batch, rate=8000)
    for name, values in autoencoding.scores(MODEL, [batch], rate=8000).items():
        np.testing.assert_allclose(spread[name], values, rtol=1e-4)


def test_wrong_choices_are_named_with_their_remedy():
    with pytest.raises(ValueError, match=r"'logmel'; did you mean log_mel\?; choose from log_mel"):
        Elbo(rate=8000, reconstruction="logmel")
    with pytest.raises(ValueError, match=r"needs the sampling rate of audio; choose stft"):
        Elbo(rate=None, reconstruction="log_mel")
    with pytest.raises(ValueError, match="batches is empty"):
        autoencoding.scores(MODEL, [], rate=8000)
