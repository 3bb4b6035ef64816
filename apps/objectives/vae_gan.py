"""The autoencoder in two phases: it learns what to remember, then to sound real.

Two players, `"vae"` and `"critic"`. At first only the autoencoder moves, as without a critic. From
one step on its encoder stays as it is, so that the latents keep their meaning, and the decoder is
trained on the likeness and on what the critic says of it; the critic is trained too.

Source: Caillon and Esling, RAVE (2021), section 3.2; a likeness, an adversarial loss and features
were first added up by Larsen et al., Autoencoding beyond pixels (2016).
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key, PyTree, Scalar

from apps.engine.phases import Phase
from apps.engine.turn import Turn
from apps.objectives import autoencoding, vae
from apps.objectives.adversary import CRITIC, Adversary
from apps.objectives.batches import label_of, signal_of
from apps.objectives.draws import Unscale
from apps.objectives.elbo import Elbo
from apps.objectives.objective import Objective

PLAYER = vae.PLAYER
FIRST = "representation: the autoencoder learns what to remember"
SECOND = "adversarial: the encoder is frozen, the critic is on"


def objective(
    elbo: Elbo,
    *,
    unscale: Unscale,
    seed: int = 0,
    adversary: Adversary,
    adversarial_from: int,
    critic_turns: int = 1,
) -> Objective:
    """The autoencoder in two phases, as the application takes it.

    Args:
        elbo: What is minimised in the first phase. The second keeps it; the price of information,
            which the encoder alone could pay, then changes nothing.
        unscale: From the model's units to the data's.
        seed: Of the draws by which sets of signals are measured.
        adversary: The rules of the game in the second phase.
        adversarial_from: The step with which the second phase begins.
        critic_turns: Turns of the critic for one of the decoder.

    Raises:
        ValueError: If there is no first phase, or no turn for the critic.
    """
    if adversarial_from < 1:
        raise ValueError(
            f"adversarial_from is {adversarial_from}, but from that step on the encoder is frozen, "
            "and would never learn; give the step at which the critic is to enter, from 1"
        )
    first = Phase(FIRST, 0, (vae.turn(elbo),))
    second = adversarial_turns(elbo, adversary, critic_turns=critic_turns)
    rate = elbo.rate
    return Objective(
        product=PLAYER,
        phases=(first, Phase(SECOND, adversarial_from, tuple(second))),
        parts=critic_turns,
        scores=functools.partial(autoencoding.scores, rate=rate, unscale=unscale, seed=seed),
        samples=functools.partial(autoencoding.samples, rate=rate, unscale=unscale),
        best=autoencoding.best(rate),
        watch=adversary.watch,
    )


def adversarial_turns(elbo: Elbo, adversary: Adversary, *, critic_turns: int = 1) -> list[Turn]:
    """The turns of the second phase: the critic's, turn i on part i of the records, the decoder's.

    Args:
        elbo: The likeness that the decoder keeps to.
        adversary: The rules of the game.
        critic_turns: How many turns the critic has.

    Returns:
        Turns of "critic" and one of "vae" that moves the decoder alone. Its metrics are those of
        the bound and of `Adversary.persuade`.

    Raises:
        ValueError: If there is no turn for the critic.
    """
    if critic_turns < 1:
        raise ValueError(f"critic_turns is {critic_turns}; give at least 1")

    def fake(others: Mapping[str, Any], batch: Any, keys: Key[Array, " batch"]) -> Array:
        # Of the loss nothing is used here, and so nothing of it is computed.
        _, _, made = elbo.loss(others[PLAYER], signal_of(batch), keys=keys, step=jnp.zeros((), int))
        return made

    def likeness_and_critic(
        model: Any,
        others: Mapping[str, Any],
        batch: Any,
        *,
        keys: Key[Array, " batch"],
        step: Int[Array, ""],
    ) -> tuple[Scalar, dict[str, Scalar]]:
        drawing, looking = jax.vmap(jax.random.split, out_axes=1)(keys)
        value, metrics, made = elbo.loss(model, signal_of(batch), keys=drawing, step=step)
        pleasing, told = adversary.persuade(
            others[CRITIC], made, signal_of(batch), keys=looking, label=label_of(batch)
        )
        return value + pleasing, {**metrics, **told}

    critic = [adversary.turn(fake, part=part) for part in range(critic_turns)]
    return [*critic, Turn(PLAYER, likeness_and_critic, moves=decoder_alone)]


def decoder_alone(model: Any) -> PyTree:
    """Marks the leaves of an autoencoder's decoder, and none of its encoder."""
    path = jax.tree_util.tree_map_with_path
    return path(lambda where, _: where[0] == jax.tree_util.GetAttrKey("decoder"), model)
