"""The autoencoder in two phases: it learns what to remember, then to sound real.

Two players, `"vae"` and `"critic"`. At first only the autoencoder moves, as without a critic. From
one step on its encoder stays as it is, so that the latents keep their meaning, and the decoder is
trained on the likeness and on what the critic says of it; the critic is trained too.

Source: Caillon and Esling, RAVE (2021), section 3.2; a likeness, an adversarial loss and features
were first added up by Larsen et al., Autoencoding beyond pixels (2016).
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
from jaxtyping import PyTree

from apps.objectives import autoencoding, maker, vae
from apps.objectives.adversary import Adversary
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
    labels: Sequence[str] = (),
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
        labels: Names of the classes; empty for data without labels.
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
    rate = elbo.rate
    return Objective(
        product=PLAYER,
        phases=maker.phases(
            PLAYER,
            elbo.loss,
            adversary,
            adversarial_from=adversarial_from,
            critic_turns=critic_turns,
            names=(FIRST, SECOND),
            moves=decoder_alone,
        ),
        parts=critic_turns,
        scores=functools.partial(autoencoding.scores, rate=rate, unscale=unscale, seed=seed),
        samples=functools.partial(autoencoding.samples, rate=rate, unscale=unscale, labels=labels),
        best=autoencoding.best(rate),
        draw=functools.partial(autoencoding.draw, unscale=unscale, seed=seed),
        watch=adversary.watch,
    )


def decoder_alone(model: Any) -> PyTree:
    """Marks the leaves of an autoencoder's decoder, and none of its encoder."""
    path = jax.tree_util.tree_map_with_path
    return path(lambda where, _: where[0] == jax.tree_util.GetAttrKey("decoder"), model)
