"""A prior that is learnt: where an autoencoder's latents are, so that new ones can be drawn there.

Two parts of `convt1d.models.Flow` are trained at two times. While the autoencoder learns, shift
and scale of the flow follow its latents: they are those of the normal distribution under which the
latents are likeliest. From one step on the autoencoder stays as it is, and the velocities alone are
trained, by flow matching:

    ⟨ | v((1 − t) ε + t z, t) − (z − ε) |² ⟩,   ε ~ N(0, 1), t ~ U(0, 1), z a standardised latent

No gradient of either reaches the autoencoder.

Sources: Lipman et al., Flow matching for generative modeling (2022), eq. 6 and 14; Liu, Gong and
Liu, Flow straight and fast (2022), eq. 1, for the straight path.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree, Scalar

from apps.engine.phases import Phase
from apps.engine.turn import Turn
from apps.objectives import maker
from apps.objectives.batches import conditions_of, signal_of

FIRST = "autoencoder: it learns what to remember"
SECOND = "prior: the autoencoder is held fixed, where its latents are is learnt"


def phases(player: str, likeness: maker.Likeness, *, prior_from: int) -> tuple[Phase, Phase]:
    """Training of the autoencoder until a step, and from then on of its prior.

    Args:
        player: The autoencoder, which has a prior.
        likeness: What it is trained for.
        prior_from: The step at which the prior begins.

    Raises:
        ValueError: If there is no first phase.
    """
    if prior_from < 1:
        raise ValueError(
            f"prior_from is {prior_from}, but from that step on the autoencoder is held fixed, and "
            "would never learn; give the step at which the prior is to begin, from 1"
        )

    def followed(
        model: Any, batch: Any, keys: Key[Array, " batch"], step: Int[Array, ""]
    ) -> tuple[Scalar, dict[str, Scalar], Array]:
        value, metrics, made = likeness(model, batch, keys, step)
        # The encoder's work is done once: XLA finds it in the likeness again.
        cost = normal_cost(model.prior, *_latent(model, batch))
        return value + cost, {**metrics, "prior": cost}, made

    return (
        Phase(FIRST, 0, (maker.alone(player, followed),)),
        Phase(SECOND, prior_from, (Turn(player, matching, moves=velocities_alone),)),
    )


def matching(
    model: Any,
    others: Mapping[str, Any],
    batch: Any,
    *,
    keys: Key[Array, " batch"],
    step: Int[Array, ""],
) -> tuple[Scalar, dict[str, Scalar]]:
    """The mean squared error of velocities, on latents of a batch."""
    del others, step
    mean, log_std = _latent(model, batch)
    posterior, begin, when = jax.vmap(lambda key: jax.random.split(key, 3), out_axes=1)(keys)

    def normal(keys: Key[Array, " batch"]) -> Float[Array, "batch steps latent"]:
        return jax.vmap(lambda key: jax.random.normal(key, mean.shape[1:], mean.dtype))(keys)

    end = jax.lax.stop_gradient(
        model.prior.standardised(mean + jnp.exp(log_std) * normal(posterior))
    )
    noise = normal(begin)
    time = jax.vmap(lambda key: jax.random.uniform(key, (), mean.dtype))(when)
    share = time[:, None, None]
    found = model.prior.velocity((1 - share) * noise + share * end, time)
    return jnp.mean(jnp.square(found - (end - noise))), {}


def normal_cost(
    prior: Any,
    mean: Float[Array, "batch steps latent"],
    log_std: Float[Array, "batch steps latent"],
) -> Scalar:
    """Minus the mean log density of latents under the prior's normal part, but for a constant.

    Args:
        prior: Of which `shift` and `log_scale` are meant.
        mean: Of the posterior of each latent.
        log_std: Its log standard deviation.
    """
    shift, log_scale = prior.shift[None, None], prior.log_scale[None, None]
    square = jnp.square(mean - shift) + jnp.exp(2 * log_std)
    return jnp.mean(0.5 * square * jnp.exp(-2 * log_scale) + log_scale)


def velocities_alone(model: Any) -> PyTree:
    """Marks the leaves of a model's prior that make velocities, and no others."""

    def marked(path: tuple[Any, ...], _: Any) -> bool:
        first, *rest = (getattr(each, "name", None) for each in path)
        return first == "prior" and rest[0] not in ("shift", "log_scale")

    return jax.tree_util.tree_map_with_path(marked, model)


def _latent(model: Any, batch: Any) -> tuple[Array, Array]:
    return jax.lax.stop_gradient(model.encode(signal_of(batch), *conditions_of(batch)))
