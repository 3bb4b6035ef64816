"""The latents that fit what is known, against the posterior of a linear decoder, known exactly."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from apps.objectives.imputing import decoded_through, residual
from convt1d.models import Flow

LENGTH, CHANNELS, LATENT = 6, 2, 3
RNG = np.random.default_rng(0)
WEIGHT = RNG.normal(size=(LATENT, LENGTH * CHANNELS))
NOISE = np.array([0.3, 0.7])


class Linear(eqx.Module):
    """A decoder that is a matrix, and its pseudo-inverse for an encoder."""

    weight: Array
    latent: int = eqx.field(static=True, default=LATENT)

    def latent_length(self, length: int) -> int:
        return 1

    def from_noise(self, noise: Array) -> Array:
        return noise

    def encode(self, signal: Array) -> tuple[Array, Array]:
        mean = signal.reshape(len(signal), 1, -1) @ jnp.linalg.pinv(self.weight)
        return mean, jnp.zeros_like(mean)

    def decode(self, latent: Array) -> Array:
        made = (latent[:, 0] @ self.weight).reshape(-1, LENGTH, CHANNELS)
        return jnp.pad(made, ((0, 0), (0, 2), (0, 0)))  # whole hops, beyond the signal's end


MODEL = Linear(jnp.asarray(WEIGHT, jnp.float32))


def posterior(signal, known, centre=0.0):
    """Mean of the latent, and its covariance, by the formulas of linear regression."""
    deviation = np.tile(NOISE, LENGTH)[known.reshape(-1)]
    rows = (WEIGHT[:, known.reshape(-1)] / deviation).T
    covariance = np.linalg.inv(rows.T @ rows + np.eye(LATENT))
    values = signal.reshape(-1)[known.reshape(-1)] / deviation
    return covariance @ (rows.T @ values + centre), covariance


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_best_guess_is_the_mean_of_the_posterior(share):
    signal = RNG.normal(size=(4, LENGTH, CHANNELS))
    known = RNG.random(signal.shape) < share
    start = RNG.normal(size=(4, 1, LATENT))
    made = decoded_through(
        MODEL, signal, known, noise=NOISE, start=start, centre=np.zeros_like(start)
    )
    for row, there, found in zip(signal, known, made, strict=True):
        wanted = (posterior(row, there)[0] @ WEIGHT).reshape(LENGTH, CHANNELS)
        np.testing.assert_allclose(found, wanted, atol=1e-2)


def test_under_a_learnt_prior_latents_are_as_likely_as_its_normal_part_has_them():
    class Placed(Linear):
        prior: Flow | None = None

    flow = Flow(LATENT, channels=2, blocks=1, key=jax.random.key(0))
    scale = jnp.asarray([0.5, 2.0, 1.0])
    flow = eqx.tree_at(lambda each: each.log_scale, flow, jnp.log(scale))
    signal = RNG.normal(size=(2, LENGTH, CHANNELS))
    known = RNG.random(signal.shape) < 0.5
    zeros = np.zeros((2, 1, LATENT))
    found = decoded_through(
        Placed(MODEL.weight, prior=flow), signal, known, noise=NOISE, start=zeros, centre=zeros
    )
    # The same as a standard normal prior of latents that the decoder scales.
    other = decoded_through(
        Linear(scale[:, None] * MODEL.weight), signal, known, noise=NOISE, start=zeros, centre=zeros
    )
    np.testing.assert_allclose(found, other, atol=1e-4)


def test_what_is_unknown_has_no_say():
    signal = RNG.normal(size=(2, LENGTH, CHANNELS))
    known = RNG.random(signal.shape) < 0.5
    start = np.zeros((2, 1, LATENT))
    made = [
        decoded_through(MODEL, np.where(known, signal, other), known, noise=NOISE, start=start,
                        centre=start) for other in (0.0, 100.0)
    ]  # fmt: skip
    np.testing.assert_array_equal(made[0], made[1])


def test_draws_are_spread_as_the_posterior_is():
    count = 2000
    signal = RNG.normal(size=(1, LENGTH, CHANNELS))
    known = RNG.random(signal.shape) < 0.5
    mean, covariance = posterior(signal[0], known[0])
    wanted = signal + NOISE * RNG.normal(size=(count, LENGTH, CHANNELS))
    centre = RNG.normal(size=(count, 1, LATENT))
    made = decoded_through(
        MODEL, wanted, np.repeat(known, count, 0), noise=NOISE, start=centre, centre=centre
    ).reshape(count, -1)
    true = WEIGHT.T @ covariance @ WEIGHT
    error = np.sqrt(np.diag(true))
    # Five standard errors of a mean, and of a deviation, of so many draws.
    assert (np.abs(made.mean(0) - mean @ WEIGHT) < 5 * error / count**0.5 + 1e-2).all()
    np.testing.assert_allclose(made.std(0), error, rtol=5 / (2 * count) ** 0.5 + 1e-2)


def test_a_residual_is_that_of_the_reconstruction_where_known():
    signal = RNG.normal(size=(2, LENGTH, CHANNELS))
    known = RNG.random(signal.shape) < 0.5
    latent, off = residual(MODEL, signal, known)
    flat = signal.reshape(2, -1)
    wanted = flat @ np.linalg.pinv(WEIGHT)
    np.testing.assert_allclose(latent[:, 0], wanted, atol=1e-4)
    difference = (wanted @ WEIGHT - flat).reshape(signal.shape)
    np.testing.assert_allclose(off, np.where(known, difference, 0), atol=1e-4)
