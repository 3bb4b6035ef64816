"""The variational autoencoder: one player, `"vae"`, that pays for what it wants to remember.

It has `encode(signal) -> (mean, log_std)` and `decode(latent) -> signal`, all batched and channels
last. Where labels or covariates of the records are known, both are called with these too.
"""

import functools
from collections.abc import Sequence

from apps.engine.phases import Phase
from apps.objectives import autoencoding, maker, prior
from apps.objectives.draws import Unscale
from apps.objectives.elbo import Elbo
from apps.objectives.objective import Objective

PLAYER = "vae"


def objective(
    elbo: Elbo,
    *,
    unscale: Unscale,
    labels: Sequence[str] = (),
    seed: int = 0,
    prior_from: int | None = None,
) -> Objective:
    """The variational autoencoder, as the application takes it.

    Args:
        elbo: What is minimised.
        unscale: From the model's units to the data's.
        labels: Names of the classes; empty for data without labels.
        seed: Of the draws by which sets of signals are measured.
        prior_from: The step from which the prior of an autoencoder that has one is trained, and
            nothing else; None where it has none.

    Raises:
        ValueError: If the prior begins before there is an autoencoder.
    """
    rate = elbo.rate
    alone = (Phase("training", 0, (maker.alone(PLAYER, elbo.loss),)),)
    return Objective(
        product=PLAYER,
        phases=alone
        if prior_from is None
        else prior.phases(PLAYER, elbo.loss, prior_from=prior_from),
        scores=functools.partial(autoencoding.scores, rate=rate, unscale=unscale, seed=seed),
        samples=functools.partial(autoencoding.samples, rate=rate, unscale=unscale, labels=labels),
        best=autoencoding.best(rate),
        draw=functools.partial(autoencoding.draw, unscale=unscale, seed=seed),
    )
