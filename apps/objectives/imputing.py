"""Latents whose signals go through what is known of a signal: what an autoencoder fills gaps with.

Of the posterior of a latent z given the known values x, with the decoder D, a standard normal prior
and noise of variance σ² for each variable,

    -log p(z | x) = Σ_known (D(z) - x)² / 2σ² + |z|² / 2 + constant,

the minimum is the best guess. A draw is the minimum after x was moved by noise and the prior's
centre by a draw from the prior: exact for a linear decoder, close to it for one that bends little
(randomise, then optimise: Bardsley, Solonen, Haario, Laine 2014).
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float
from numpy.typing import NDArray

from apps.objectives.autoencoding import Autoencoder
from apps.objectives.batches import Conditions
from apps.objectives.draws import Signals, beside

RATE = 0.1  # of Adam, at its beginning: a tenth of the prior's deviation a step


def decoded_through(
    model: Autoencoder,
    signal: Signals,
    known: Bool[np.ndarray, "batch length channels"],
    *,
    noise: NDArray[np.floating[Any]],
    start: Signals,
    centre: Signals,
    given: Conditions = (),
    steps: int = 300,
) -> Signals:
    """Decode the latents that fit what is known best.

    Args:
        model: The autoencoder.
        signal: In the model's units; where nothing is known, any finite values.
        known: Where something is.
        noise: Deviation of each channel, (channels,), above 0.
        start: Latents to begin at, (batch, steps, latent).
        centre: Of the prior, the same shape; zeros for the best guess.
        given: The conditions of each signal.
        steps: Of Adam, whose rate falls to nothing on a cosine.

    Returns:
        Host array of the shape of the signals.
    """
    told = beside(model, given)
    values, there = beside(model, signal), beside(model, known)
    begin, middle = beside(model, start), beside(model, centre)
    scale = jax.device_put(np.asarray(noise, np.float32))
    found = _minimised(model, values, there, scale, begin, middle, told, steps=steps)
    return jax.device_get(found)


def residual(
    model: Autoencoder,
    signal: Signals,
    known: Bool[np.ndarray, "batch length channels"],
    given: Conditions = (),
) -> tuple[Signals, Signals]:
    """Means of the latents of signals, and by how much their reconstructions are off where known.

    Args:
        model: The autoencoder.
        signal: In the model's units, without gaps.
        known: Where something is known.
        given: The conditions of each signal.

    Returns:
        Host arrays of shape (batch, steps, latent), and (batch, length, channels) with zeros where
        nothing is known.
    """
    values, there = beside(model, signal), beside(model, known)
    return jax.device_get(_encoded(model, values, there, beside(model, given)))


@eqx.filter_jit
def _encoded(model: Any, signal: Array, known: Array, given: Conditions) -> tuple[Array, Array]:
    mean, _ = model.encode(signal, *given)
    made = model.decode(mean, *given)[:, : signal.shape[1]]
    return mean, (made - signal) * known


@eqx.filter_jit
def _minimised(
    model: Any,
    signal: Float[Array, "batch length channels"],
    known: Float[Array, "batch length channels"],
    noise: Float[Array, " channels"],
    start: Float[Array, "batch steps latent"],
    centre: Float[Array, "batch steps latent"],
    given: Conditions,
    *,
    steps: int,
) -> Float[Array, "batch length channels"]:
    prior = getattr(model, "prior", None)  # a learnt one, of which the normal part is meant
    start = start if prior is None else prior.standardised(start)

    def decoded(latent: Array) -> Array:
        latent = latent if prior is None else prior.placed(latent)
        return model.decode(latent, *given)[:, : signal.shape[1]]

    def surprise(latent: Array) -> Array:
        # Adam moves every number by itself: the sum over signals keeps them apart.
        off = (decoded(latent) - signal) * known / noise[None, None]
        return (jnp.square(off).sum() + jnp.square(latent - centre).sum()) / 2

    # The slopes of the beginning, far larger than those near the end, are soon forgotten.
    adam = optax.adam(optax.cosine_decay_schedule(RATE, steps), b2=0.95)

    def step(carried: Any, _: None) -> tuple[Any, None]:
        latent, state = carried
        slope = jax.grad(surprise)(latent)
        with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an integer power
            change, state = adam.update(slope, state)
            latent = optax.apply_updates(latent, change)
        return (latent, state), None

    (latent, _), _ = jax.lax.scan(step, (start, adam.init(start)), length=steps)
    return decoded(latent)
