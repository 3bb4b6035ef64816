"""Laws of the metrics that are measured when a run is done: timbre, pitch, loudness, speech."""

import importlib.util
import sys
import types

import numpy as np
import pytest
from reference.metric_cases import pairs, tone

from apps.metrics import cepstra, loudness, pitch, speech
from apps.metrics.audio import htk_triangles, magnitudes

RATE = 8000
RNG = np.random.default_rng(5)


def clips(*shape):
    return RNG.standard_normal(shape)


def test_with_all_cepstra_the_distortion_is_the_spread_of_levels_in_decibels():
    made, wanted = clips(1, 900, 1), clips(1, 900, 1)
    triangles = htk_triangles(RATE, 256, 40)
    first, second = (
        20 * np.log10(triangles.T @ magnitudes(np.moveaxis(x, 2, 1), 256))[0, 0]
        for x in (made, wanted)
    )
    expected = np.std(first - second, axis=0).mean()  # over bands, then the mean of the frames
    found = cepstra.mel_cepstral_distortion(made, wanted, rate=RATE, order=39)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_the_distortion_ignores_level_and_is_the_mean_over_channels():
    made, wanted = clips(2, 900, 2), clips(2, 900, 2)
    both = cepstra.mel_cepstral_distortion(made, wanted, rate=RATE)
    np.testing.assert_allclose(
        cepstra.mel_cepstral_distortion(0.1 * made, wanted, rate=RATE), both, rtol=1e-9
    )
    np.testing.assert_allclose(
        cepstra.mel_cepstral_distortion(3 * made, made, rate=RATE), 0, atol=1e-9
    )
    alone = [
        cepstra.mel_cepstral_distortion(made[..., [c]], wanted[..., [c]], rate=RATE) for c in (0, 1)
    ]
    np.testing.assert_allclose(both, np.mean(alone, axis=0), rtol=1e-12)


@pytest.mark.parametrize(("length", "rate"), [(70, RATE), (100, 48_000), (2048, 2000)])
def test_the_distortion_of_short_clips_and_low_rates_is_measured_in_shorter_windows(length, rate):
    made, wanted = clips(1, length, 1), clips(1, length, 1)
    assert cepstra.mel_cepstral_distortion(made, wanted, rate=rate)[0] > 1


def test_more_cepstra_than_there_are_bands_are_refused():
    made = clips(1, 900, 1)
    with pytest.raises(ValueError, match="order is 40; of 40 mel bands there are cepstra 1 to 39"):
        cepstra.mel_cepstral_distortion(made, made, rate=RATE, order=40)


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100])
@pytest.mark.parametrize("frequency", [61.0, 110.0, 200.3, 440.0, 590.0])
@pytest.mark.parametrize("harmonics", [1, 2, 6])
def test_the_pitch_of_a_tone_is_found_in_every_frame(frequency, harmonics, rate):
    found = pitch.track(tone(frequency, rate, harmonics=harmonics), rate=rate)
    assert found.voiced.all()
    # A parabola through three samples: the fewer samples a period has, the worse.
    np.testing.assert_allclose(1200 * np.log2(found.frequency / frequency), 0, atol=5)


def test_the_difference_function_is_its_formula():
    frames = clips(2, 3, 90)
    expected = [
        np.square(frames[..., :50] - frames[..., lag : lag + 50]).sum(axis=2) for lag in range(41)
    ]
    np.testing.assert_allclose(pitch._difference(frames, 50), np.stack(expected, -1), atol=1e-9)


def test_noise_and_silence_have_no_pitch():
    assert pitch.track(clips(1, 1, 8000), rate=RATE).voiced.mean() < 0.02
    assert not pitch.track(np.zeros((1, 1, 4000)), rate=RATE).voiced.any()
    quiet = np.concatenate([tone(200, RATE), 1e-3 * tone(200, RATE)], axis=2)
    voiced = pitch.track(quiet, rate=RATE).voiced[0, 0]
    assert voiced[:20].all()
    assert not voiced[-20:].any()


def test_pitch_errors_are_those_of_the_frames_they_are_about():
    time = np.arange(8000) / RATE
    wanted = np.where(time < 0.5, np.sin(2 * np.pi * 200 * time), 0.0)
    slightly = np.where(time < 0.5, np.sin(2 * np.pi * 202 * time), 0.0)
    octave = np.where(time < 0.25, np.sin(2 * np.pi * 200 * time), np.sin(2 * np.pi * 400 * time))
    made = np.stack([wanted, slightly, octave, 0 * time])[..., None]
    found = pitch.pitch_errors(made, np.stack([wanted] * 4)[..., None], rate=RATE)
    cents = 1200 * np.log2(1.01)
    np.testing.assert_allclose(found["f0_error"][:2], [0, cents], atol=0.2)
    np.testing.assert_allclose(found["gross_pitch_error"], [0, 0, 0.5, np.nan], atol=0.06)
    # half of the frames of the octave: sqrt(1/2) of it
    np.testing.assert_allclose(found["f0_error"][2], 1200 * np.sqrt(0.5), rtol=0.06)
    assert np.isnan(found["f0_error"][3])
    np.testing.assert_allclose(found["voicing_error"], [0, 0, 0.5, 0.5], atol=0.06)


def test_pitch_errors_are_of_all_channels_and_of_no_clip_too_short_for_a_frame():
    both = np.concatenate([tone(200, RATE), tone(300, RATE)], axis=1)
    other = np.concatenate([tone(200, RATE), tone(303, RATE)], axis=1)
    found = pitch.pitch_errors(np.moveaxis(other, 1, 2), np.moveaxis(both, 1, 2), rate=RATE)
    cents = np.sqrt(0.5) * 1200 * np.log2(1.01)
    np.testing.assert_allclose(found["f0_error"], [cents], rtol=0.06)
    short = clips(3, 300, 1)
    assert all(
        np.isnan(each).all() for each in pitch.pitch_errors(short, short, rate=RATE).values()
    )


def test_pitches_that_cannot_be_told_apart_are_refused():
    with pytest.raises(ValueError, match=r"lowest is 60\.0 and highest 600"):
        pitch.track(clips(1, 1, 900), rate=2000)
    made = clips(1, 3000, 1)
    assert pitch.pitch_errors(made, made, rate=2000)["voicing_error"] == 0


def test_the_weighting_is_the_standard_s_table_at_48_khz():
    # ITU-R BS.1770-4, tables 1 and 2
    (shelf, shelf_below), (high_pass, below) = loudness.weighting(48_000)
    np.testing.assert_allclose(shelf, [1.53512485958697, -2.69169618940638, 1.19839281085285])
    np.testing.assert_allclose(shelf_below, [1, -1.69065929318241, 0.73248077421585])
    np.testing.assert_allclose(high_pass, [1, -2, 1])
    np.testing.assert_allclose(below, [1, -1.99004745483398, 0.99007225036621])


@pytest.mark.parametrize("rate", [8000, 22_050, 48_000])
def test_a_full_sine_near_1_khz_has_the_loudness_of_the_standard(rate):
    # annex 1: -3.01 LKFS at 997 Hz; other rates bend the shelf by less than 0.1
    time = np.arange(2 * rate) / rate
    sine = np.sin(2 * np.pi * 997 * time)[None, None]
    found = loudness.integrated_loudness(sine, rate=rate)
    np.testing.assert_allclose(found, -3.01, atol=0.01 if rate == 48_000 else 0.3)
    np.testing.assert_allclose(
        loudness.integrated_loudness(np.tile(sine, (1, 5, 1)), rate=rate) - found,
        10 * np.log10(5.82),
    )


def test_pauses_are_not_heard_and_silence_has_the_least_loudness():
    sound = np.sin(2 * np.pi * 440 * np.arange(8000) / RATE)
    padded = np.concatenate([sound, np.zeros(24_000)])[None, None]
    whole = loudness.integrated_loudness(sound[None, None], rate=RATE)
    # but for the blocks that reach over the end of the sound
    np.testing.assert_allclose(loudness.integrated_loudness(padded, rate=RATE), whole, atol=1.0)
    assert loudness.integrated_loudness(np.zeros((1, 1, 8000)), rate=RATE) == loudness.LEAST


@pytest.mark.parametrize("length", [1, 700, 3199])
def test_a_clip_shorter_than_a_block_is_one_block(length):
    rows = clips(1, 1, length)
    heard = rows
    for above, below in loudness.weighting(RATE):
        out = np.zeros(length)
        for n in range(length):
            for k in range(3):
                if n >= k:
                    out[n] += above[k] * heard[0, 0, n - k] - (below[k] * out[n - k] if k else 0)
        heard = out[None, None]
    expected = -0.691 + 10 * np.log10(np.square(heard).mean())
    np.testing.assert_allclose(loudness.integrated_loudness(rows, rate=RATE), expected)


def test_a_louder_copy_is_as_many_units_off():
    sound = clips(2, 3000, 1)
    made = np.array([2.0, 0.5])[:, None, None] * sound
    np.testing.assert_allclose(loudness.loudness_error(made, sound, rate=RATE), 20 * np.log10(2))
    assert loudness.loudness_error(0 * sound, 0 * sound, rate=RATE).tolist() == [0, 0]


def test_speech_is_measured_only_by_what_is_installed(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert speech.speech_scores(*pairs(RATE), rate=RATE) == {}


@pytest.fixture
def stand_ins(monkeypatch):
    """Packages that note what they are asked, and have an answer each."""
    asked = []

    def opinion(rate, wanted, made, mode, *, on_error):
        asked.append(("pesq", rate, len(wanted), len(made), mode, on_error))
        return 3.0 if np.abs(made).max() > 0.1 else -1

    def share(wanted, made, rate):
        asked.append(("stoi", rate, len(wanted), len(made)))
        return 0.5

    values = types.SimpleNamespace(RETURN_VALUES="values")
    pesq = types.SimpleNamespace(pesq=opinion, PesqError=values)
    monkeypatch.setitem(sys.modules, "pesq", pesq)
    monkeypatch.setitem(sys.modules, "pystoi", types.SimpleNamespace(stoi=share))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name in ("pesq", "pystoi"))
    return asked


@pytest.mark.parametrize(("rate", "needed", "mode"), [(11_025, 8000, "nb"), (44_100, 16_000, "wb")])
def test_pesq_is_asked_at_a_rate_of_its_own(stand_ins, rate, needed, mode):
    sound = clips(1, rate, 1)
    assert speech.speech_scores(sound, sound, rate=rate)["pesq"] == 3
    assert stand_ins == [
        ("pesq", needed, needed, needed, mode, "values"), ("stoi", rate, rate, rate)
    ]  # fmt: skip


def test_a_clip_that_cannot_be_measured_is_no_number(stand_ins):
    sound = clips(3, RATE, 1)
    made = np.array([1.0, 0.0, 1e-3])[:, None, None] * sound
    np.testing.assert_array_equal(
        speech.speech_scores(made, sound, rate=RATE)["pesq"], [3, np.nan, np.nan]
    )
    short = speech.speech_scores(sound[:, :3000], sound[:, :3000], rate=RATE)
    np.testing.assert_array_equal(short["stoi"], [np.nan] * 3)


def test_what_the_packages_cannot_measure_is_no_number():
    pytest.importorskip("pesq", reason="pesq is not installed")
    pytest.importorskip("pystoi", reason="pystoi is not installed")
    made, wanted = pairs(RATE)
    silent = speech.speech_scores(made, 0 * wanted, rate=RATE)
    assert all(np.isnan(each).all() for each in silent.values())
    short = speech.speech_scores(made[:, :1500], wanted[:, :1500], rate=RATE)
    assert all(np.isnan(each).all() for each in short.values())
