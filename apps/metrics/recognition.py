"""What a classifier thinks of signals: whether they are of their class, and of how many.

Everything is computed from the classifier's log-probabilities, (signals, classes).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

LogProbabilities = NDArray[np.floating[Any]]  # (signals, classes)


def accuracy(log_probabilities: LogProbabilities, label: NDArray[np.integer[Any]]) -> float:
    """Share of signals that the classifier takes for what they are meant to be.

    Args:
        log_probabilities: Of each class, for each signal.
        label: The class that each signal is of.

    Returns:
        From 0 to 1.

    Raises:
        ValueError: If the numbers of signals differ, or there is none.
    """
    if np.ndim(log_probabilities) != 2 or len(log_probabilities) != len(label) or not len(label):
        raise ValueError(
            f"log_probabilities has shape {np.shape(log_probabilities)} and label "
            f"{np.shape(label)}; they must be (signals, classes) and (signals,), of 1 or more"
        )
    return float(np.mean(np.argmax(log_probabilities, axis=1) == label))


def inception_score(log_probabilities: LogProbabilities) -> float:
    r"""How surely the signals are of a class, and of how many classes; higher is better.

    $$ \exp \langle D_{KL}(p(y|x) \,\|\, \langle p(y|x) \rangle) \rangle $$

    The mean ⟨·⟩ is over the signals. It is 1 if all signals look alike, or none like any class;
    at most the number of classes. Real signals too are below that: compare with theirs.

    Args:
        log_probabilities: Of each class, for each signal.

    Returns:
        From 1 to the number of classes.

    Raises:
        ValueError: If there is no signal.

    Source:
        Salimans et al., Improved techniques for training GANs (2016), section 4.
    """
    if np.ndim(log_probabilities) != 2 or not len(log_probabilities):
        raise ValueError(
            f"log_probabilities has shape {np.shape(log_probabilities)}; it must be "
            "(signals, classes), of 1 or more"
        )
    logs = np.asarray(log_probabilities, np.float64)
    logs = logs - np.logaddexp.reduce(logs, axis=1, keepdims=True)  # float32 sums to 1 by 1e-7
    marginal = np.logaddexp.reduce(logs, axis=0) - np.log(len(logs))
    share = np.exp(logs)
    # 0 · log 0 is 0.
    gain = np.subtract(logs, marginal, out=np.zeros_like(logs), where=share > 0)
    return float(np.exp((share * gain).sum(axis=1).mean()))
