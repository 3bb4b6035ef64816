"""Whether a forecast learnt from made series holds for real ones, by TimeGAN's protocol.

A recurrent network with half as many states as there are variables reads all variables but the
last, and says after each step what the last one will be at the next; 5,000 updates of 128 made
series. The score is its mean absolute error on real ones, whose units are the score's too: it
compares only with scores of data scaled alike, and only with what real series themselves teach.

Source: Yoon, Jarrett and van der Schaar, Time-series generative adversarial networks (2019),
section 5 and its code.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Scalar
from numpy.typing import NDArray

from apps.judges import recurrent
from apps.judges.recurrent import Advance, Judge
from apps.metrics.series import Series, check_sets

UPDATES = 5000


def predictive_scores(
    signal: Series,
    reference: Series,
    *,
    seeds: int = 5,
    seed: int = 0,
    updates: int = UPDATES,
    advance: Advance | None = None,
) -> NDArray[np.float64]:
    """Mean absolute error, on real series, of a forecast learnt from made ones; lower is better.

    Of series of one variable that variable is read too: TimeGAN's protocol has none left.

    Args:
        signal: The set that was made.
        reference: Real series, scaled to [0, 1]: the network's forecasts are within.
        seeds: How many networks are trained.
        seed: Chooses them all.
        updates: Of each network.
        advance: Told how many updates were made.

    Returns:
        One score for each seed.

    Raises:
        ValueError: If the series differ in length or variables, a set is empty, or there is no
            next step.

    Example:
        >>> import numpy as np
        >>> flat = np.full((50, 8, 2), 0.25)
        >>> bool((predictive_scores(flat, flat, seeds=2, updates=1500) < 0.02).all())
        True
    """
    check_sets(signal, reference, least=1)
    if reference.shape[1] < 2:
        raise ValueError(
            f"the series have {reference.shape[1]} step, and none follows it; a forecast needs 2"
        )
    made, real = (np.asarray(each, np.float32) for each in (signal, reference))
    rngs = [np.random.default_rng((seed, number)) for number in range(seeds)]
    everything = np.arange(len(made))
    variables = made.shape[2]
    read = max(1, variables - 1)
    trained = recurrent.train(
        recurrent.make(read, max(1, variables // 2), seeds=seeds, seed=seed),
        _loss,
        [jnp.asarray(made)],
        [np.stack([recurrent.draws(rng, everything, updates) for rng in rngs])],
        advance=advance,
    )
    return np.asarray(_errors(trained, jnp.asarray(real)), np.float64)


def _loss(judge: Judge, batches: list[Float[Array, "batch length variables"]]) -> Scalar:
    (series,) = batches
    read = series[:, :-1, : judge.gates.shape[0] - judge.candidate.shape[1]]
    forecast = jax.nn.sigmoid(judge.read(judge.states(read)))  # [length - 1, batch]
    return jnp.abs(forecast - series[:, 1:, -1].T).mean()


@eqx.filter_jit
def _errors(
    trained: Judge, series: Float[Array, "series length variables"]
) -> Float[Array, " seeds"]:
    return jax.lax.map(lambda judge: _loss(judge, [series]), trained)
