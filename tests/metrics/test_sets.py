"""Distances of sets of signals: against closed forms, and against what must be near or far."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from apps.metrics.sets import features, frechet_distance

RNG = np.random.default_rng(0)


def rows(count, size, seed=0):
    mix = np.random.default_rng(7).standard_normal((size, size))
    return np.random.default_rng(seed).standard_normal((count, size)) @ mix


@pytest.mark.parametrize(("count", "size"), [(50, 4), (6, 9), (30, 1)])
def test_the_frechet_distance_is_its_formula(count, size):
    first, second = rows(count, size), 1.5 * rows(count + 3, size, seed=1) + 0.3
    left, right = (np.atleast_2d(np.cov(each, rowvar=False)) for each in (first, second))
    root = np.real(np.asarray(sqrtm(left @ right + 1e-12 * np.eye(size))))
    expected = np.square(first.mean(0) - second.mean(0)).sum() + np.trace(left + right - 2 * root)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-4)
    assert frechet_distance(second, first) == pytest.approx(expected, rel=1e-4)


def test_a_set_is_at_zero_from_itself_and_its_shift_is_the_shift_s_square():
    first = rows(40, 5)
    assert frechet_distance(first, first) == pytest.approx(0.0, abs=1e-9)
    assert frechet_distance(first, first + 2.0) == pytest.approx(5 * 4.0, rel=1e-9)


def tones(count, frequency, *, late=False, seed=0, length=2000):
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 6, (count, 1, 1))
    time = np.arange(length)[:, None]
    wave = np.sin(2 * np.pi * frequency * time / 8000 + phase) * rng.uniform(
        0.3, 0.9, (count, 1, 1)
    )
    return wave * (time >= length // 2) if late else wave


@pytest.mark.parametrize(
    "other", [tones(30, 900, seed=1), tones(30, 300, late=True, seed=1), np.zeros((30, 2000, 1))]
)
def test_sounds_of_another_pitch_or_another_time_or_none_are_farther(other):
    first, same = (features(tones(30, 300, seed=seed), rate=8000) for seed in (0, 1))
    near = frechet_distance(first, same)
    assert frechet_distance(first, features(other, rate=8000)) > 10 * near


def test_series_are_told_apart_by_their_course():
    rising = RNG.normal(size=(30, 40, 2)) * 0.1 + np.linspace(0, 1, 40)[:, None]
    first, same = features(rising[:15], rate=None), features(rising[15:], rate=None)
    falling = features(rising[15:, ::-1], rate=None)
    assert first.shape == (15, 2 * 4 * 2)
    assert frechet_distance(first, falling) > 10 * frechet_distance(first, same)


@pytest.mark.parametrize("length", [4, 30, 128])
def test_short_sounds_can_be_measured(length):
    found = features(RNG.uniform(-1, 1, (3, length, 2)), rate=8000)
    assert np.isfinite(found).all()
    assert found.shape == (3, 80)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: features(np.zeros((3, 2, 1)), rate=None), "a length of 4 or more"),
        (lambda: frechet_distance(rows(3, 2), rows(3, 4)), "with the same features"),
        (lambda: frechet_distance(rows(1, 2), rows(3, 2)), "1 and 3 signals; a covariance needs 2"),
    ],
)
def test_sets_that_cannot_be_compared_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
