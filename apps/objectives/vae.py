"""The variational autoencoder: one player, `"vae"`, that pays for what it wants to remember.

It has `encode(signal) -> (mean, log_std)` and `decode(latent) -> signal`, all batched and channels
last.
"""

import functools
from collections.abc import Mapping
from typing import Any

from jaxtyping import Array, Float, Int, Key, Scalar

from apps.engine.phases import Phase
from apps.engine.turn import Turn
from apps.objectives import autoencoding
from apps.objectives.autoencoding import Autoencoder
from apps.objectives.draws import Unscale
from apps.objectives.elbo import Elbo
from apps.objectives.objective import Objective

PLAYER = "vae"


def objective(elbo: Elbo, *, unscale: Unscale, seed: int = 0) -> Objective:
    """The variational autoencoder, as the application takes it.

    Args:
        elbo: What is minimised.
        unscale: From the model's units to the data's.
        seed: Of the draws by which sets of signals are measured.
    """
    rate = elbo.rate
    return Objective(
        product=PLAYER,
        phases=(Phase("training", 0, (turn(elbo),)),),
        scores=functools.partial(autoencoding.scores, rate=rate, unscale=unscale, seed=seed),
        samples=functools.partial(autoencoding.samples, rate=rate, unscale=unscale),
        best=autoencoding.best(rate),
    )


def turn(elbo: Elbo) -> Turn:
    """The one turn of a variational autoencoder; its metrics are those of the bound."""

    def loss(
        model: Autoencoder,
        others: Mapping[str, Any],
        batch: Float[Array, "batch length channels"],
        *,
        keys: Key[Array, " batch"],
        step: Int[Array, ""],
    ) -> tuple[Scalar, dict[str, Scalar]]:
        del others
        value, metrics, _ = elbo.loss(model, batch, keys=keys, step=step)
        return value, metrics

    return Turn(PLAYER, loss)
