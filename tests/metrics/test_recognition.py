"""What a classifier says of sets whose right scores are known."""

import numpy as np
import pytest

from apps.metrics.recognition import accuracy, inception_score

CLASSES = 10


def logs(rows):
    """Log-probabilities, of which one is log 0."""
    with np.errstate(divide="ignore"):
        return np.log(np.asarray(rows, np.float64))


SURE = np.eye(CLASSES)
UNSURE = np.full((CLASSES, CLASSES), 1 / CLASSES)
SETS = {
    "each class, surely": (SURE, CLASSES),
    "none like any class": (UNSURE, 1.0),
    "all of one class": (SURE[[3] * 5], 1.0),
    "half of the classes": (SURE[[0, 1, 2, 3, 4] * 2], 5.0),
    # The mean is (3/4, 1/4): divergences log 4/3 and (log 2/3 + log 2) / 2.
    "one sure, one torn": (np.array([[1, 0], [0.5, 0.5]]), (4 / 3) ** 0.5 * (4 / 3) ** 0.25),
}


@pytest.mark.parametrize("name", SETS)
def test_the_inception_score_of_a_known_set(name):
    rows, expected = SETS[name]
    assert inception_score(logs(rows)) == pytest.approx(expected, rel=1e-12)


def test_the_inception_score_forgives_rounded_probabilities():
    rows = logs(UNSURE).astype(np.float32) + np.float32(1e-3)
    assert inception_score(rows) == pytest.approx(1.0, abs=1e-6)


def test_accuracy_is_the_share_of_signals_taken_for_their_class():
    assert accuracy(logs(SURE), np.arange(CLASSES)) == 1.0
    assert accuracy(logs(SURE), np.array([0, 1, 2, 3, 4, 6, 7, 8, 9, 5])) == 0.5


@pytest.mark.parametrize(
    ("rows", "label"),
    [(UNSURE, np.arange(3)), (UNSURE[:0], np.arange(0)), (UNSURE[0], np.arange(10))],
)
def test_sets_that_do_not_fit_are_refused(rows, label):
    with pytest.raises(ValueError, match="log_probabilities has shape"):
        accuracy(rows, label)


def test_a_score_of_nothing_is_refused():
    with pytest.raises(ValueError, match="log_probabilities has shape"):
        inception_score(UNSURE[:0])
