"""How alike a set of made series and a set of real ones are, by the published protocols.

Each protocol is run for several seeds, and once more with real series in the place of the made
ones: a score is to be read beside that control, which no generator is expected to beat.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from apps.judges import context
from apps.judges.discriminative import UPDATES as DISCRIMINATIVE
from apps.judges.discriminative import discriminative_scores
from apps.judges.predictive import UPDATES as PREDICTIVE
from apps.judges.predictive import predictive_scores
from apps.judges.recurrent import Advance
from apps.metrics.series import Series, check_sets, correlational_scores

LEAST = 10
"""Real series at least: of either half, a fifth is held back."""


class Seeded(NamedTuple):
    """A metric of a set by several seeds, and the same of real series in its place."""

    values: NDArray[np.float64]
    control: NDArray[np.float64]


def generation_scores(
    signal: Series,
    reference: Series,
    *,
    seeds: int = 5,
    seed: int = 0,
    updates: int | None = None,
    advance: Advance | None = None,
) -> dict[str, Seeded]:
    """The four scores that generators of time series are compared by; lower is better in all.

    Series are scaled to [0, 1] by the least and the greatest real value of each variable, unless
    the real ones lie within already. The control of the forecast learns from the real series and
    is asked of the same, as in the published tables; the others compare two halves of the real
    set, as far as either is from the other by chance. Sets of half the size are farther apart by
    it, which the context-FID shows most.

    Args:
        signal: The set that was made.
        reference: The real series.
        seeds: How often each is trained and asked.
        seed: Chooses them all.
        updates: Of each network; None takes the protocols' own.
        advance: Told after every piece of work how many of the `work` of one seed are done.

    Returns:
        discriminative, predictive, context_fid and correlational.

    Raises:
        ValueError: If the series differ in length or variables, are of fewer than two steps, or a
            set has fewer than `LEAST`.
    """
    check_sets(signal, reference, least=LEAST)
    if reference.shape[1] < 2:
        raise ValueError(f"the series have {reference.shape[1]} step; a forecast needs at least 2")
    made, real = _scaled(signal, reference)
    order = np.random.default_rng(seed).permutation(len(real))
    halves = real[order[::2]], real[order[1::2]]

    def twice(
        score: Callable[..., NDArray[np.float64]], pairs: tuple[tuple[Series, Series], ...]
    ) -> Seeded:
        given = {} if updates is None else {"updates": updates}
        return Seeded(
            *(score(*each, seeds=seeds, seed=seed, advance=advance, **given) for each in pairs)
        )

    encoders = context.learn(real, seeds=seeds, seed=seed, updates=updates, advance=advance)
    features = context.encoded(encoders, real)
    either = [features[:, order[part::2]] for part in (0, 1)]
    return {
        "discriminative": twice(discriminative_scores, ((made, real), halves)),
        "predictive": twice(predictive_scores, ((made, real), (real, real))),
        "context_fid": Seeded(
            context.distances(context.encoded(encoders, made), features),
            context.distances(*either),
        ),
        "correlational": Seeded(
            correlational_scores(made, real, subsets=seeds, seed=seed),
            correlational_scores(*halves, subsets=seeds, seed=seed),
        ),
    }


def work(reference: Series) -> int:
    """How many updates each seed's networks take together."""
    return 2 * (DISCRIMINATIVE + PREDICTIVE) + context.updates_for(reference)


def _scaled(signal: Series, reference: Series) -> tuple[Series, Series]:
    made, real = (np.asarray(each, np.float32) for each in (signal, reference))
    low, high = real.min(axis=(0, 1)), real.max(axis=(0, 1))
    if low.min() >= 0 and high.max() <= 1:
        return made, real
    size = np.where(high > low, high - low, 1)
    return (made - low) / size, (real - low) / size
