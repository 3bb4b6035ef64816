"""Whether made series can be told from real ones, by TimeGAN's protocol.

A recurrent network with half as many states as there are variables is trained to tell them apart,
2,000 updates of 128 real and 128 made series, on 80 % of either set; the score is

    | 1/2 − share of the other 20 % that it gets right |

0 is best (it guesses), 1/2 worst (it is always right).

Source: Yoon, Jarrett and van der Schaar, Time-series generative adversarial networks (2019),
section 5 and its code.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Scalar
from numpy.typing import NDArray

from apps.judges import recurrent
from apps.judges.recurrent import Advance, Judge
from apps.metrics.series import Series, check_sets

UPDATES = 2000
_SHARE = 0.8  # of either set, to learn from


def discriminative_scores(
    signal: Series,
    reference: Series,
    *,
    seeds: int = 5,
    seed: int = 0,
    updates: int = UPDATES,
    advance: Advance | None = None,
) -> NDArray[np.float64]:
    """How surely a network tells made series from real ones; 0 is best, 1/2 worst.

    Args:
        signal: The set that was made.
        reference: Real series, scaled as in the protocol, to [0, 1] or thereabouts.
        seeds: How many networks are trained, each on a division of the sets of its own.
        seed: Chooses them all.
        updates: Of each network.
        advance: Told how many updates were made.

    Returns:
        One score for each seed.

    Raises:
        ValueError: If the series differ in length or variables, or a set has fewer than 5.

    Example:
        >>> import numpy as np
        >>> real = np.random.default_rng(0).uniform(size=(200, 12, 2))
        >>> bool((discriminative_scores(real + 3, real, seeds=2, updates=300) > 0.4).all())
        True
    """
    check_sets(signal, reference, least=5)
    sets = [np.asarray(each, np.float32) for each in (reference, signal)]
    asked, batches = [], []
    for number in range(seeds):
        rng = np.random.default_rng((seed, number))
        orders = [rng.permutation(len(each)) for each in sets]
        cuts = [int(_SHARE * len(order)) for order in orders]
        learned = [order[:cut] for order, cut in zip(orders, cuts, strict=True)]
        asked.append([order[cut:] for order, cut in zip(orders, cuts, strict=True)])
        batches.append([recurrent.draws(rng, members, updates) for members in learned])
    variables = sets[0].shape[2]
    trained = recurrent.train(
        recurrent.make(variables, max(1, variables // 2), seeds=seeds, seed=seed),
        _loss,
        [jnp.asarray(each) for each in sets],
        [np.stack(each) for each in zip(*batches, strict=True)],
        advance=advance,
    )
    scores = []
    for number, (real, made) in enumerate(asked):
        judge = jax.tree.map(lambda leaf, number=number: leaf[number], trained)
        right = [
            np.asarray(_logits(judge, jnp.asarray(sets[0][real]))) > 0,
            np.asarray(_logits(judge, jnp.asarray(sets[1][made]))) <= 0,
        ]
        scores.append(abs(0.5 - np.concatenate(right).mean()))
    return np.asarray(scores)


def _loss(judge: Judge, batches: list[Float[Array, "batch length variables"]]) -> Scalar:
    real, made = batches
    logits = judge.read(judge.states(jnp.concatenate([real, made]))[-1])
    true = jnp.arange(len(logits)) < len(real)
    return 2 * optax.sigmoid_binary_cross_entropy(logits, true.astype(logits.dtype)).mean()


@eqx.filter_jit
def _logits(
    judge: Judge, series: Float[Array, "series length variables"]
) -> Float[Array, " series"]:
    return judge.read(judge.states(series)[-1])
