"""Frequencies found in tones that have them, and in nothing else."""

import numpy as np
import pytest

from apps.data.tones import Tones
from apps.metrics.modes import coverage, followed, nearest_modes, precision

LENGTH = 128
SOURCE = Tones(split="test", length=LENGTH, count=200)
TONES = np.stack([SOURCE.example(index) for index in range(200)])[..., 0]
TRUTH = np.array([SOURCE.label(index) for index in range(200)])
TOLERANCE = 0.5 / LENGTH


def modes(signals, **settings):
    return nearest_modes(signals, SOURCE.frequencies, tolerance=TOLERANCE, **settings)


@pytest.mark.parametrize("purity", [0.0, 0.99])
def test_every_tone_has_the_frequency_it_was_made_with(purity):
    found = modes(TONES, purity=purity)
    np.testing.assert_array_equal(found, TRUTH)
    assert (precision(found), coverage(found, 8)) == (1.0, 1.0)


@pytest.mark.parametrize(("cycles", "hit"), [(8.0, True), (8.4, True), (8.8, False), (10.0, False)])
def test_a_frequency_beyond_the_tolerance_is_no_hit(cycles, hit):
    wave = np.sin(2 * np.pi * cycles * np.arange(LENGTH) / LENGTH + 0.4)[None]
    assert modes(wave).tolist() == [1 if hit else -1]


def test_noise_between_the_peaks_is_not_pure_and_silence_is_nothing():
    noisy = TONES + np.random.default_rng(0).normal(0, 0.5, TONES.shape)
    assert precision(modes(noisy)) == 1.0
    assert precision(modes(noisy, purity=0.9)) < 0.05
    assert modes(np.zeros((2, LENGTH))).tolist() == [-1, -1]


def test_a_frequency_that_hardly_occurs_is_not_covered():
    found = np.array([0] * 60 + [1] * 30 + [2] * 9 + [-1])
    assert coverage(found, 4) == 3 / 4
    assert coverage(found, 4, least=0.5) == 2 / 4
    assert precision(found) == pytest.approx(0.99)


@pytest.mark.parametrize("tolerance", [0.0, 2 / LENGTH, 1.0])
def test_a_tolerance_within_which_a_tone_has_two_frequencies_is_refused(tolerance):
    with pytest.raises(ValueError, match="below half of the least distance"):
        nearest_modes(TONES, SOURCE.frequencies, tolerance=tolerance)


def test_a_tone_of_its_frequency_and_course_is_explained_whole_and_another_is_not():
    time = np.arange(96)
    course = np.where(time < 37, 0.8, 0.2)
    tone = course * np.sin(2 * np.pi * 0.1 * time + 1.2)
    frequencies, courses = [0.1, 0.1, 0.15], np.stack([course, np.ones(96), course])
    share = followed(np.stack([3 * tone, tone, tone]), frequencies, courses)
    # A level course explains what of the tone has its mean: (37 · 0.8 + 59 · 0.2)² / 96 / energy.
    level = (37 * 0.8 + 59 * 0.2) ** 2 / 96 / (37 * 0.64 + 59 * 0.04)
    np.testing.assert_allclose(share[:2], [1, level], rtol=0.02)
    assert share[2] < 0.02
    assert followed(np.zeros((1, 96)), [0.1], course[None]) == 0
