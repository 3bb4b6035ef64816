"""The bank of filters: what it takes apart it puts together, in time, in length, in chunks."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.signal
from streams import assert_streams, signal

import convt1d
from convt1d import PQMF, _pqmf

# bands, channels, attenuation in dB, decibels of the signal over the error
BANKS = [
    (2, 1, 100, 60),
    (3, 2, 100, 60),
    (4, 1, 100, 60),
    (4, 1, 60, 47),
    (4, 1, 80, 61),
    (8, 1, 100, 60),
    (16, 1, 100, 60),
]


def noise(length, channels, *, dtype: Any = np.float32, seed=0):
    x = np.random.default_rng(seed).standard_normal((2, length, channels))
    return jnp.asarray(x, dtype)


@pytest.mark.parametrize(("bands", "channels", "attenuation", "decibels"), BANKS)
def test_a_signal_taken_apart_is_put_together(bands, channels, attenuation, decibels):
    pqmf = PQMF(bands, channels=channels, attenuation=attenuation)
    edge = pqmf.filters.array.shape[1]
    x = noise(4 * edge // bands * bands, channels)
    y = pqmf.synthesis(pqmf.analysis(x))
    wrong, whole = (np.asarray(z)[:, edge:-edge] for z in (y - x, x))
    assert 10 * np.log10(np.mean(whole**2) / np.mean(wrong**2)) >= decibels


@pytest.mark.parametrize(("bands", "channels"), [(2, 1), (3, 2), (16, 1)])
def test_synthesis_is_the_adjoint_of_analysis_times_the_bands(bands, channels):
    pqmf = PQMF(bands, channels=channels)
    with jax.enable_x64(True):
        x = noise(40 * bands, channels, dtype=np.float64)
        y = noise(40, channels * bands, dtype=np.float64, seed=1)
        left, right = jnp.vdot(pqmf.analysis(x), y) * bands, jnp.vdot(x, pqmf.synthesis(y))
    assert left.dtype == np.float64
    np.testing.assert_allclose(left, right, rtol=1e-12)


@pytest.mark.parametrize("length", [1, 15, 16, 17, 160])
def test_begun_strides_are_frames_and_frames_are_strides(length):
    pqmf = PQMF(16)
    bands = pqmf.analysis(jnp.ones((2, length, 1)))
    assert bands.shape == (2, math.ceil(length / 16), 16)
    assert pqmf.synthesis(bands).shape == (2, 16 * bands.shape[1], 1)


def test_channels_are_taken_apart_each_by_itself():
    x, one, both = noise(64, 2), PQMF(4), PQMF(4, channels=2)
    expected = jnp.concatenate([one.analysis(x[..., :1]), one.analysis(x[..., 1:])], axis=-1)
    np.testing.assert_allclose(both.analysis(x), expected, atol=1e-6)
    parts = [one.synthesis(expected[..., 4 * c : 4 * c + 4]) for c in (0, 1)]
    np.testing.assert_allclose(both.synthesis(expected), jnp.concatenate(parts, axis=-1), atol=1e-6)


@pytest.mark.parametrize("band", range(4))
def test_a_tone_is_in_its_band_and_rises_there_as_it_does_in_the_signal(band):
    pqmf, t, rises = PQMF(4), np.arange(2048), []
    for place in (0.3, 0.7):  # of the way through the band
        tone = np.sin(np.pi * (band + place) / 4 * t, dtype=np.float32)
        bands = np.asarray(pqmf.analysis(jnp.asarray(tone[None, :, None])))[0, 64:-64]
        energy = np.mean(bands**2, axis=0)
        assert energy[band] >= 0.999 * energy.sum()
        rises.append(np.abs(np.fft.rfft(bands[:, band] * np.hanning(len(bands)))).argmax())
    half = (len(bands) + 1) // 2
    np.testing.assert_allclose(rises, [0.3 * half, 0.7 * half], atol=1)


def test_a_filter_lets_its_own_band_and_its_neighbours_through_and_nothing_else():
    filters = np.asarray(PQMF(8).filters.array, np.float64)
    gains = np.abs(np.fft.rfft(filters, 4096))
    at = np.arange(gains.shape[1]) / 2048 * 8  # in bands
    for band, gain in enumerate(gains):
        far = (at < band - 0.5) | (at > band + 1.5)
        assert 20 * np.log10(gain[far].max() / gain.max()) <= -95


def test_the_prototype_is_scipy_s_and_its_cutoff_the_best():
    prototype = _pqmf._prototype(8, 100.0)
    taps = len(prototype)
    window: Any = ("kaiser", scipy.signal.kaiser_beta(100))

    def lowpass(cutoff):
        return scipy.signal.firwin(taps, cutoff, window=window, scale=False)

    def wrong(lowpass):
        return np.abs(np.convolve(lowpass, lowpass)[taps - 1 :: 16][1:]).max()

    ours = scipy.optimize.brentq(lambda c: lowpass(c)[taps // 2] - prototype[taps // 2], 0.01, 0.9)
    np.testing.assert_allclose(prototype, lowpass(ours), atol=1e-9)
    best = min(wrong(lowpass(cutoff)) for cutoff in np.linspace(0.5 / 8, 0.75 / 8, 2001))
    assert wrong(prototype) <= best


@pytest.mark.parametrize(("bands", "channels"), [(2, 1), (3, 2)])
def test_both_directions_stream(bands, channels):
    pqmf = PQMF(bands, channels=channels, attenuation=60)
    x = signal(16, channels).astype(jnp.float32)
    assert_streams(pqmf.analysis, x, (1, 2, 5), atol=1e-6)
    frames = signal(9, channels * bands).astype(jnp.float32)
    assert_streams(pqmf.synthesis, frames, (1, 2, 3), atol=1e-6)


def test_a_stream_waits_half_a_filter_each_way():
    pqmf = PQMF(16)  # 512 taps, centred
    assert convt1d.stream(pqmf.analysis).latency == 256 // 16 - 1
    assert convt1d.stream(pqmf.synthesis).latency == 256


def test_the_filters_are_no_weights():
    pqmf = PQMF(4)
    assert not any(jax.tree.leaves(convt1d.trainable(pqmf)))
    x = noise(32, 1)
    gradient = eqx.filter_grad(lambda bank: jnp.sum(bank.analysis(x) ** 2))(pqmf)
    assert not gradient.filters.array.any()


def test_half_types_are_filtered_in_float32_and_rounded_once():
    pqmf, x = PQMF(4), noise(64, 1).astype(jnp.bfloat16)
    bands = pqmf.analysis(x)
    assert bands.dtype == jnp.bfloat16
    np.testing.assert_array_equal(bands, pqmf.analysis(x.astype(jnp.float32)).astype(jnp.bfloat16))
    whole = pqmf.synthesis(bands.astype(jnp.float32)).astype(jnp.bfloat16)
    np.testing.assert_array_equal(pqmf.synthesis(bands), whole)


def test_a_bank_travels_with_its_filters(tmp_path):
    pqmf = eqx.tree_at(lambda it: it.filters.array, PQMF(4, channels=2), replace_fn=lambda a: 2 * a)
    convt1d.save(tmp_path, pqmf)
    assert eqx.tree_equal(convt1d.load(tmp_path), pqmf)


WRONG = {
    r"`bands` \(=1\) must be at least 2": {"bands": 1},
    r"`bands` \(=0\) must": {"bands": 0},
    r"`channels` \(=0\) must": {"bands": 4, "channels": 0},
    r"`attenuation` \(=40\) must be at least 50 dB": {"bands": 4, "attenuation": 40},
    r"`attenuation` \(=inf\) must be at least 50 dB": {"bands": 4, "attenuation": math.inf},
}


@pytest.mark.parametrize("message", WRONG)
def test_a_bank_that_cannot_be_is_refused(message):
    with pytest.raises(ValueError, match=message):
        PQMF(**WRONG[message])
