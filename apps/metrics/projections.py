"""Two sets of series as points in a plane, to be looked at: PCA and t-SNE.

A series becomes the mean over its variables, step by step, as in TimeGAN's pictures. Points of both
sets lie over each other where the sets are alike; how far apart they are has no unit.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from apps.metrics.series import Series, check_sets

MOST = 500
"""Series of either set that are projected: t-SNE takes a minute or so for many more."""

Points = NDArray[np.float64]  # (series, 2)


class Projection(NamedTuple):
    """Where the series of two sets lie in one plane."""

    made: Points
    real: Points


def principal_components(signal: Series, reference: Series, *, seed: int = 0) -> Projection:
    """Project both sets onto the two directions in which the real one varies most.

    Args:
        signal: The set that was made.
        reference: Real series.
        seed: Chooses which series are shown, at most `MOST` of either.

    Returns:
        A point for each series that is shown.

    Raises:
        ValueError: If the series differ in length or variables, or a set has fewer than three.
    """
    from sklearn.decomposition import PCA  # a second, which only who looks need pay

    made, real = _rows(signal, reference, seed)
    plane = PCA(n_components=2).fit(real)
    return Projection(plane.transform(made), plane.transform(real))


def neighbour_embedding(signal: Series, reference: Series, *, seed: int = 0) -> Projection:
    """Lay both sets into a plane so that neighbours stay neighbours: t-SNE of both together.

    Args:
        signal: The set that was made.
        reference: Real series.
        seed: Chooses which series are shown, at most `MOST` of either.

    Returns:
        A point for each series that is shown.

    Raises:
        ValueError: If the series differ in length or variables, or a set has fewer than three.

    Source: van der Maaten and Hinton, Visualizing data using t-SNE (2008); the perplexity of 40 is
        TimeGAN's.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    made, real = _rows(signal, reference, seed)
    together = np.concatenate([made, real])
    perplexity = min(40.0, (len(together) - 1) / 3)
    with threadpool_limits(1):  # its threads wait for one another in loops: ten times as long
        points = TSNE(perplexity=perplexity, random_state=seed, init="pca").fit_transform(together)
    return Projection(points[: len(made)], points[len(made) :])


PROJECTIONS: dict[str, Callable[..., Projection]] = {
    "PCA": principal_components,
    "t-SNE": neighbour_embedding,
}
"""By the name that a person knows it by."""


def _rows(signal: Series, reference: Series, seed: int) -> tuple[NDArray, NDArray]:
    check_sets(signal, reference, least=3)
    if reference.shape[1] < 2:
        raise ValueError(f"the series have {reference.shape[1]} step; a plane needs at least 2")
    rng = np.random.default_rng(seed)
    rows = []
    for each in (signal, reference):
        some = rng.permutation(len(each))[:MOST]
        rows.append(np.asarray(each, np.float64)[some].mean(axis=2))
    return rows[0], rows[1]
