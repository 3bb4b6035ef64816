import numpy as np
import pytest

from apps.metrics import audio

RNG = np.random.default_rng(2)


def clips(*shape):
    return RNG.standard_normal(shape)


def magnitude(row, n_fft):
    """The definition, one frame at a time: reflect, window, transform."""
    padded = np.pad(row, n_fft // 2, mode="reflect")
    window = np.array([0.5 - 0.5 * np.cos(2 * np.pi * n / n_fft) for n in range(n_fft)])
    starts = range(0, len(row) + 1, n_fft // 4)
    return np.array([np.abs(np.fft.rfft(window * padded[at : at + n_fft])) for at in starts])


def triangles(rate, n_fft, count):
    """HTK triangles by their two slopes, one bin at a time."""
    top = 1127.01048 * np.log(1 + rate / 1400)
    edges = [700 * (np.exp(top * i / (count + 1) / 1127.01048) - 1) for i in range(count + 2)]
    out = np.zeros((n_fft // 2 + 1, count))
    for band, (left, peak, right) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        for k in range(n_fft // 2 + 1):
            f = k * rate / n_fft
            if left < f <= peak:
                out[k, band] = (f - left) / (peak - left)
            elif peak < f < right:
                out[k, band] = (right - f) / (right - peak)
    return out


def test_mel_distance_is_the_stated_sum_over_four_scales():
    made, wanted = clips(2, 700, 1), clips(2, 700, 1)
    expected = np.zeros(2)
    for n_fft, count in ((64, 10), (128, 20), (256, 40), (512, 64)):
        mel = triangles(8000, n_fft, count)
        for clip in range(2):
            first, second = (
                np.log10(np.maximum(magnitude(x[clip, :, 0], n_fft) @ mel, 1e-5))
                for x in (made, wanted)
            )
            expected[clip] += np.abs(first - second).mean()
    np.testing.assert_allclose(audio.mel_distance(made, wanted, rate=8000), expected, rtol=1e-6)


def test_mel_distance_equals_the_training_loss_made_by_other_means():
    # two implementations that share no line: scipy in float64 here, GEMM and XLA's FFT there
    import jax

    from apps.objectives.losses import log_mel_distance

    made, wanted = clips(3, 2048, 1), clips(3, 2048, 1)
    distance = jax.jit(log_mel_distance, static_argnames="rate")
    trained = distance(made.astype("f4"), wanted.astype("f4"), rate=8000)
    assert float(trained) == pytest.approx(
        audio.mel_distance(made, wanted, rate=8000).mean(), rel=1e-5
    )


def test_stft_distance_equals_its_formula():
    made, wanted = clips(1, 300, 1), clips(1, 300, 1)
    expected = 0.0
    for n_fft in (32, 128):
        first, second = magnitude(made[0, :, 0], n_fft), magnitude(wanted[0, :, 0], n_fft)
        expected += np.linalg.norm(first - second) / np.linalg.norm(second)
        expected += np.abs(np.log(first) - np.log(second)).mean()
    ours = audio.stft_distance(made, wanted, n_ffts=(32, 128))
    np.testing.assert_allclose(ours, [expected / 2], rtol=1e-9)


def test_si_sdr_is_the_ratio_that_was_mixed_in_and_ignores_scale():
    wanted = clips(1, 4000, 1)
    noise = clips(1, 4000, 1)
    noise -= (
        wanted * (noise * wanted).sum() / np.square(wanted).sum()
    )  # orthogonal: pure distortion
    noise *= np.sqrt(np.square(wanted).sum() / np.square(noise).sum())
    for decibels in (-10.0, 0.0, 23.0):
        made = wanted + noise * 10 ** (-decibels / 20)
        np.testing.assert_allclose(audio.si_sdr(made, wanted), decibels, atol=1e-9)
        np.testing.assert_allclose(audio.si_sdr(-0.01 * made, wanted), decibels, atol=1e-9)


def test_si_sdr_equals_a_stored_example_worked_by_hand():
    # <x,y> = 2.5 and |y|² = 5, so α = 0.5; target (0.5, 1), error (-0.5, 0.25): 1.25 / 0.3125
    made, wanted = np.array([[[1.0], [0.75]]]), np.array([[[1.0], [2.0]]])
    np.testing.assert_allclose(audio.si_sdr(made, wanted), 10 * np.log10(4.0), rtol=1e-12)


def test_si_sdr_stays_finite_for_copies_and_silence():
    sound, silence = clips(1, 100, 1), np.zeros((1, 100, 1))
    assert audio.si_sdr(sound, sound) == pytest.approx(100.0)
    assert audio.si_sdr(sound, silence) == pytest.approx(-100.0)
    assert audio.si_sdr(silence, sound) == pytest.approx(-100.0)
    assert audio.si_sdr(silence, silence) == pytest.approx(-100.0)


@pytest.mark.parametrize(
    "measure", [lambda x, y: audio.mel_distance(x, y, rate=8000), audio.stft_distance, audio.si_sdr]
)
def test_every_metric_is_per_clip_and_the_mean_over_channels(measure):
    made, wanted = clips(3, 600, 2), clips(3, 600, 2)
    together = measure(made, wanted)
    assert together.shape == (3,)
    alone = measure(made[1:2, :, :1], wanted[1:2, :, :1])
    other = measure(made[1:2, :, 1:], wanted[1:2, :, 1:])
    assert together[1] == pytest.approx((alone[0] + other[0]) / 2)


def test_silence_has_finite_distances():
    sound, silence = clips(1, 600, 1), np.zeros((1, 600, 1))
    for pair in ((sound, silence), (silence, sound), (silence, silence)):
        assert np.isfinite(audio.mel_distance(*pair, rate=8000)).all()
        assert np.isfinite(audio.stft_distance(*pair)).all()


def test_shapes_that_cannot_be_compared_are_refused():
    with pytest.raises(ValueError, match=r"signal has shape \(1, 9, 1\) and reference \(1, 8, 1\)"):
        audio.si_sdr(np.zeros((1, 9, 1)), np.zeros((1, 8, 1)))
    with pytest.raises(ValueError, match="the clips have 200 samples; frames of n_fft = 512"):
        audio.mel_distance(np.zeros((1, 200, 1)), np.zeros((1, 200, 1)), rate=8000)


@pytest.mark.parametrize("share", [1.0, 0.25, 0.3])
def test_log_spectral_distance_is_the_stated_mean_of_roots(share):
    made, wanted = clips(2, 700, 1), clips(2, 700, 1)
    expected = np.zeros(2)
    for clip in range(2):
        first, second = (magnitude(x[clip, :, 0], 256) ** 2 for x in (made, wanted))
        kept = [k for k in range(129) if k < share * 128 or share == 1.0]
        difference = np.log10(first[:, kept]) - np.log10(second[:, kept])
        expected[clip] = np.mean([np.sqrt(np.mean(frame**2)) for frame in difference])
    np.testing.assert_allclose(
        audio.log_spectral_distance(made, wanted, share=share), expected, rtol=1e-12
    )


def test_a_decade_of_power_is_a_log_spectral_distance_of_one():
    wanted = clips(1, 600, 2)
    made = audio.log_spectral_distance(np.sqrt(10) * wanted, wanted)
    np.testing.assert_allclose(made, 1.0, rtol=1e-9)
    # Silence is told from power 1e-8 and above alone.
    np.testing.assert_allclose(audio.log_spectral_distance(0 * wanted, 1e-9 * wanted), 0.0)


def test_snr_is_power_over_the_power_of_the_difference():
    wanted, noise = clips(2, 500, 1), clips(2, 500, 1)
    expected = 10 * np.log10((wanted**2).sum((1, 2)) / ((0.1 * noise) ** 2).sum((1, 2)))
    np.testing.assert_allclose(audio.snr(wanted + 0.1 * noise, wanted), expected, rtol=1e-9)


@pytest.mark.parametrize(("frequency", "expected"), [(0.1, 20.0), (0.2, 20.0), (0.3, 100.0)])
def test_snr_of_a_share_of_the_band_hears_noise_in_it_alone(frequency, expected):
    at = np.arange(400)[None, :, None]
    wanted = np.sin(2 * np.pi * 0.05 * at)
    made = wanted + 0.1 * np.sin(2 * np.pi * frequency * at)
    np.testing.assert_allclose(audio.snr(made, wanted, share=0.5), expected, rtol=1e-9)


def test_snr_of_silence_and_of_copies_is_bounded():
    wanted = clips(1, 300, 1)
    assert audio.snr(wanted, wanted)[0] == 100
    assert audio.snr(wanted, 0 * wanted)[0] == -100


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match="share is"):
        audio.snr(clips(1, 300, 1), clips(1, 300, 1), share=share)
    with pytest.raises(ValueError, match="share is"):
        audio.log_spectral_distance(clips(1, 300, 1), clips(1, 300, 1), share=share)
