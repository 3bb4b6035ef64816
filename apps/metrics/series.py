"""How alike two sets of time series are, in the data's own units.

Arrays are (series, length, variables).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.floating[Any]]  # (series, length, variables)
Scores = NDArray[np.float64]  # (series,)


def mean_absolute_error(signal: Series, reference: Series) -> Scores:
    """Mean over time and variables of |signal - reference|; lower is better.

    Args:
        signal: What was made.
        reference: What it should be.

    Returns:
        One error per series.

    Raises:
        ValueError: If the shapes differ.
    """
    return np.abs(_difference(signal, reference)).mean(axis=(1, 2))


def root_mean_square_error(signal: Series, reference: Series) -> Scores:
    """Root of the mean over time and variables of (signal - reference)²; lower is better.

    Args:
        signal: What was made.
        reference: What it should be.

    Returns:
        One error per series.

    Raises:
        ValueError: If the shapes differ.
    """
    return np.sqrt(np.square(_difference(signal, reference)).mean(axis=(1, 2)))


def correlation_difference(signal: Series, reference: Series) -> float:
    """Mean absolute difference of the correlation matrices of two sets; lower is better.

    Correlations are between variables at the same time, over all series and times of a set. The
    sets need not have the same size. A variable that never changes correlates with nothing.

    Args:
        signal: The set that was made.
        reference: The set it should resemble.

    Returns:
        The mean over the pairs of different variables; 0 if there is but one variable.

    Raises:
        ValueError: If the numbers of variables differ.
    """
    if np.ndim(signal) != 3 or np.ndim(reference) != 3 or signal.shape[2] != reference.shape[2]:
        raise ValueError(
            f"signal has shape {np.shape(signal)} and reference {np.shape(reference)}; both must "
            "be (series, length, variables), with the same variables"
        )
    variables = signal.shape[2]
    pairs = ~np.eye(variables, dtype=bool)
    if variables == 1:
        return 0.0
    return float(np.abs(_correlation(signal) - _correlation(reference))[pairs].mean())


def correlational_scores(
    signal: Series, reference: Series, *, subsets: int = 5, seed: int = 0
) -> Scores:
    r"""A tenth of the sum of |Δ correlation| over all pairs of variables; lower is better.

    $$ \frac{1}{10} \sum_{i \ge j} |\rho_{ij} - \hat\rho_{ij}| $$

    Correlations as in `correlation_difference`, each pair counted once. A sum grows with the number
    of variables, and has a floor that falls with the size of the sets: compare with real against
    real.

    Args:
        signal: The set that was made.
        reference: The set it should resemble.
        subsets: How many times a random part of either set is taken, each of so many parts.
        seed: Chooses them.

    Returns:
        One score for each of the subsets.

    Raises:
        ValueError: If the series differ in length or variables, or a set has fewer than two.

    Source:
        Yuan and Qiao, Diffusion-TS (2024), appendix, with Liao et al., Conditional Sig-Wasserstein
        GANs (2020), and the former's code.
    """
    check_sets(signal, reference, least=2)
    rng = np.random.default_rng(seed)
    pairs = np.tril_indices(reference.shape[2])
    scores = []
    for _ in range(subsets):
        parts = [
            each[rng.choice(len(each), max(2, len(each) // subsets), replace=False)]
            for each in (signal, reference)
        ]
        apart = np.abs(_correlation(parts[0]) - _correlation(parts[1]))
        scores.append(apart[pairs].sum() / 10)
    return np.asarray(scores)


def check_sets(signal: Series, reference: Series, *, least: int) -> None:
    """Refuse two sets whose series are not alike in form.

    Raises:
        ValueError: If the series differ in length or variables, or a set has fewer than `least`.
    """
    alike = np.ndim(signal) == np.ndim(reference) == 3 and signal.shape[1:] == reference.shape[1:]
    if not alike or min(len(signal), len(reference)) < least:
        raise ValueError(
            f"signal has shape {np.shape(signal)} and reference {np.shape(reference)}; both must "
            f"be (series, length, variables), of {least} series or more, as long as each other "
            "and of the same variables"
        )


def _difference(signal: Series, reference: Series) -> NDArray[np.float64]:
    if np.shape(signal) != np.shape(reference) or np.ndim(signal) != 3:
        raise ValueError(
            f"signal has shape {np.shape(signal)} and reference {np.shape(reference)}; both must "
            "be (series, length, variables)"
        )
    return np.asarray(signal, np.float64) - np.asarray(reference, np.float64)


def _correlation(signal: Series) -> NDArray[np.float64]:
    rows = np.asarray(signal, np.float64).reshape(-1, signal.shape[2])
    centred = rows - rows.mean(axis=0)
    size = np.sqrt(np.square(centred).sum(axis=0))
    scaled = centred / np.where(size > 0, size, 1.0)
    return scaled.T @ scaled
