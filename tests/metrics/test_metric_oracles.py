"""The audio metrics and those of sets against other people's code: its stored results always, the
code itself where it is installed."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from reference.metric_cases import PITCH_RATE, opinions, pairs
from reference.metric_oracles import ORACLES

from apps.metrics import audio, cepstra, loudness, pitch, recognition, sets, speech

STORED = np.load(Path(__file__).parents[1] / "reference" / "metrics.npz")


def rows(clips):
    return np.moveaxis(clips, 2, 1)


def loudnesses(rate):
    # At 48 kHz the second filter has a gain of 0.04 dB; pyloudnorm lets it grow as the rate falls.
    k = np.tan(np.pi * 38.13547087602444 / rate)
    gain = (1 + k / 0.5003270373238773 + k * k) / 1.0049948987146884
    return 20 * np.log10(gain) + np.stack(
        [loudness.integrated_loudness(rows(each), rate=rate) for each in pairs(rate)]
    )


OURS = {
    "mel_distance": lambda rate: audio.mel_distance(*pairs(rate), rate=rate),
    "mel_cepstral_distortion": lambda rate: cepstra.mel_cepstral_distortion(
        *pairs(rate), rate=rate
    ),
    "log_spectral_distance": lambda rate: audio.log_spectral_distance(*pairs(rate)),
    "si_sdr": lambda rate: audio.si_sdr(*pairs(rate)),
    "snr": lambda rate: audio.snr(*pairs(rate)),
    "loudness": loudnesses,
    "pesq": lambda rate: speech.speech_scores(*pairs(rate), rate=rate)["pesq"],
    "stoi": lambda rate: speech.speech_scores(*pairs(rate), rate=rate)["stoi"],
    "inception_score": lambda rate: recognition.inception_score(opinions()[0]),
    "frechet_distance": lambda rate: sets.frechet_distance(*opinions()[1:]),
}
CASES = [(name, rate) for name, (_, rates, _) in ORACLES.items() for rate in rates if name in OURS]
# PESQ is computed in float32, and rounds levels to whole frames.
TOLERANCE = {"pesq": 1e-4}


def need(*packages):
    for package in packages:
        if not importlib.util.find_spec(package):
            pytest.skip(f"{package} is not installed")


@pytest.mark.parametrize(("name", "rate"), CASES)
def test_a_metric_equals_what_was_stored_of_other_code(name, rate):
    if name in ("pesq", "stoi"):  # ours are theirs
        need(name.replace("stoi", "pystoi"))
    rtol = TOLERANCE.get(name, 1e-9)
    np.testing.assert_allclose(OURS[name](rate), STORED[f"{name} {rate}"], rtol=rtol)


@pytest.mark.parametrize("name", ORACLES)
def test_what_is_stored_is_what_the_other_code_says(name):
    oracle, rates, packages = ORACLES[name]
    need(*packages)
    for rate in rates:
        np.testing.assert_allclose(oracle(rate), STORED[f"{name} {rate}"], rtol=1e-4)


def test_pitches_are_those_of_librosa_but_for_the_shape_of_the_window():
    # librosa compares parts of a frame that shrink with the period, we a window of 25 ms: of a
    # glide of 100 cents in a second their centres are some milliseconds apart.
    theirs = STORED[f"pitch {PITCH_RATE}"]
    _, wanted = pairs(PITCH_RATE)
    ours = pitch.track(rows(wanted)[..., 70:], rate=PITCH_RATE)  # centres of the frames on theirs
    frames = min(theirs.shape[1], ours.frequency.shape[2])
    voiced = ours.voiced[:, 0, :frames]
    cents = 1200 * np.log2(ours.frequency[:, 0, :frames] / theirs[:, :frames])[voiced]
    assert voiced.mean() > 0.6
    assert np.median(np.abs(cents)) < 2
    assert np.abs(cents).max() < 15
