"""Tones are sine waves of a known set of frequencies, as often one as another."""

import numpy as np
import pytest

from apps.data import Loader
from apps.data.tones import Tones


def test_an_example_is_a_sine_wave_of_its_label_s_frequency():
    source = Tones(split="train", length=96, modes=5, lowest=3, spacing=7, count=50)
    time = np.arange(96)
    for index in range(50):
        frequency = source.frequencies[source.label(index)]
        wave = source.example(index)[:, 0]
        basis = np.stack([f(2 * np.pi * frequency * time) for f in (np.sin, np.cos)], axis=1)
        weights = np.linalg.lstsq(basis, wave, rcond=None)[0]
        np.testing.assert_allclose(basis @ weights, wave, atol=1e-6)
        assert 0.5 <= np.hypot(*weights) <= 0.9


def test_every_frequency_is_drawn_as_often_as_another():
    source = Tones(split="train", count=4000)
    found = np.bincount([source.label(index) for index in range(4000)], minlength=8)
    np.testing.assert_allclose(found / 4000, 1 / 8, atol=0.02)  # 4 standard deviations


def test_splits_and_seeds_differ_and_a_larger_set_begins_with_the_smaller():
    base = Tones(split="train", count=5)
    for other in (Tones(split="test", count=5), Tones(split="train", count=5, seed=1)):
        assert np.abs(base.example(0) - other.example(0)).max() > 0.01
    np.testing.assert_array_equal(base.example(3), Tones(split="train", count=9).example(3))


def test_labels_are_the_frequencies_and_come_if_asked_for():
    assert Tones(split="train").signal.labels == ()
    source = Tones(split="train", labels=True, count=8)
    assert source.signal.labels[:2] == ("250 Hz", "500 Hz")
    batch = Loader(source, batch_size=8, seed=0).batch(0)
    assert sorted(batch.label) == sorted(source.label(index) for index in range(8))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"modes": 0}, "modes=0 must be"),
        ({"spacing": 0.0}, r"spacing=0\.0 must be above 0"),
        ({"modes": 16}, "reach 64 cycles in length=128 samples: stay below 64"),
        ({"split": "all"}, "split='all' is not one of"),
    ],
)
def test_impossible_tones_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Tones(**({"split": "train"} | arguments))


def test_a_number_beyond_the_last_is_no_tone():
    with pytest.raises(IndexError, match="tones 3: there are 3"):
        Tones(split="train", count=3).example(3)
