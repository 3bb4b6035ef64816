import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import ShortTimeFFT

from convt1d import _spectral as spectral

RNG = np.random.default_rng(0)
SIZES = [(16, 4), (64, 50), (128, 32), (128, 30), (32, 40)]
STATIC = ("hop", "window_length", "centred")
stft = jax.jit(spectral.stft, static_argnums=1, static_argnames=STATIC)
magnitude = jax.jit(spectral.magnitude, static_argnums=1)
log_mel = jax.jit(spectral.log_mel, static_argnums=1, static_argnames=("rate", "bands"))


def noise(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def reference_stft(row, n_fft, hop, window):
    """The definition by numpy's FFT, frame by frame, in float64."""
    padded = np.pad(row.astype(np.float64), n_fft // 2, mode="reflect")
    starts = range(0, len(row) + 1, hop)
    return np.stack([np.fft.rfft(window * padded[at : at + n_fft]) for at in starts])


def hann(length):
    return np.hanning(length + 1)[:-1]


@pytest.mark.parametrize(("n_fft", "hop"), SIZES)
def test_stft_equals_the_definition_for_any_hop(n_fft, hop):
    signal = noise(2, 700)
    ours = stft(jnp.asarray(signal), n_fft, hop=hop)
    expected = np.stack([reference_stft(row, n_fft, hop, hann(n_fft)) for row in signal])
    np.testing.assert_allclose(ours, expected, atol=3e-6 * np.sqrt(n_fft))


@pytest.mark.parametrize(("n_fft", "hop"), SIZES)
def test_stft_equals_scipys(n_fft, hop):
    signal = noise(700)
    ours = np.asarray(stft(jnp.asarray(signal), n_fft, hop=hop))
    scipys = ShortTimeFFT(hann(n_fft), hop, 8000, fft_mode="onesided", phase_shift=None)
    expected = scipys.stft(signal, p0=0, p1=len(ours), padding="even").T
    np.testing.assert_allclose(ours, expected, atol=3e-6 * np.sqrt(n_fft))


@pytest.mark.parametrize(("n_fft", "hop"), SIZES)
def test_frames_that_are_not_centred_begin_at_their_sample_and_stay_inside(n_fft, hop):
    signal = noise(700)
    ours = stft(jnp.asarray(signal), n_fft, hop=hop, centred=False)
    starts = range(0, 700 - n_fft + 1, hop)
    expected = np.stack([np.fft.rfft(hann(n_fft) * signal[at : at + n_fft]) for at in starts])
    np.testing.assert_allclose(ours, expected, atol=3e-6 * np.sqrt(n_fft))


@pytest.mark.parametrize("n_fft", [64, 256])
def test_a_short_window_stands_in_the_middle_of_its_frame(n_fft):
    signal = noise(1, 400)
    ours = stft(jnp.asarray(signal), n_fft, hop=20, window_length=40)
    before = (n_fft - 40) // 2
    window = np.pad(hann(40), (before, n_fft - 40 - before))
    np.testing.assert_allclose(ours[0], reference_stft(signal[0], n_fft, 20, window), atol=3e-5)


def test_both_lowerings_are_the_same_transform(monkeypatch):
    signal = jnp.asarray(noise(2, 500, 1))

    def both(longest):
        monkeypatch.setattr(spectral, "LONGEST_GEMM_WINDOW", longest)
        return jax.jit(jax.value_and_grad(lambda x: spectral.magnitude(x, 128).mean()))(signal)

    (by_gemm, gemm_gradient), (by_fft, fft_gradient) = both(128), both(64)
    np.testing.assert_allclose(by_gemm, by_fft, rtol=1e-6)
    np.testing.assert_allclose(gemm_gradient, fft_gradient, atol=1e-8)


def test_channels_are_transformed_one_by_one_and_stay_last():
    signal = jnp.asarray(noise(2, 300, 3))
    together = magnitude(signal, 64)
    assert together.shape == (2, 19, 33, 3)
    alone = [magnitude(signal[:, :, channel], 64) for channel in range(3)]
    np.testing.assert_allclose(together, jnp.stack(alone, axis=-1), atol=1e-5)
    np.testing.assert_allclose(magnitude(signal[0, :, 0], 64), alone[0][0], atol=1e-5)


@pytest.mark.parametrize("n_fft", [32, 128])
def test_gradients_at_silence_are_zero_and_finite(n_fft):
    silence = jnp.zeros((1, 600, 1))
    for measure in (
        lambda x: spectral.magnitude(x, n_fft).sum(),
        lambda x: spectral.log_mel(x, n_fft, rate=8000, bands=8).sum(),
    ):
        np.testing.assert_array_equal(jax.jit(jax.grad(measure))(silence), 0.0)


@pytest.mark.parametrize("level", [1e-30, 1e-18, 1e-6, 1e6])
@pytest.mark.parametrize("n_fft", [64, 128])
def test_gradients_are_finite_at_every_level(n_fft, level):
    signal = jnp.asarray(noise(1, 300) * np.float32(level))
    gradient = jax.jit(jax.grad(lambda x: spectral.magnitude(x, n_fft).sum()))(signal)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() < 100 * n_fft


@pytest.mark.parametrize("n_fft", [32, 128])
def test_gradients_agree_with_finite_differences(n_fft):
    with jax.enable_x64(True):
        signal = jnp.asarray(RNG.standard_normal((1, 200, 1)))
        toward = jnp.asarray(RNG.standard_normal((1, 200, 1)))

        @jax.jit
        def measure(x):
            return spectral.log_mel(x, n_fft, rate=8000, bands=8).mean()

        along = float(jnp.vdot(jax.jit(jax.grad(measure))(signal), toward))
        ahead, behind = (float(measure(signal + step * toward)) for step in (1e-5, -1e-5))
        assert along == pytest.approx((ahead - behind) / 2e-5, rel=1e-6)


def test_float64_gives_float64_and_half_precision_is_lifted():
    with jax.enable_x64(True):
        assert stft(jnp.zeros((1, 64), jnp.float64), 16).dtype == jnp.complex128
        assert magnitude(jnp.zeros((1, 300), jnp.float64), 128).dtype == jnp.float64
    assert magnitude(jnp.zeros((1, 64), jnp.bfloat16), 16).dtype == jnp.float32


def independent_mel(rate, n_fft, bands, low, high, scale, norm):
    """Triangles by interpolation instead of by ramps."""

    def slaney(m):
        return m * 200 / 3 if m < 15 else 1000 * np.exp(np.log(6.4) / 27 * (m - 15))

    def slaney_inverse(f):
        return f * 3 / 200 if f < 1000 else 15 + np.log(f / 1000) * 27 / np.log(6.4)

    def htk(m):
        return 700 * np.expm1(m * np.log(10) / 2595)

    def htk_inverse(f):
        return 2595 * np.log1p(f / 700) / np.log(10)

    to, back = (htk_inverse, htk) if scale == "htk" else (slaney_inverse, slaney)
    edges = [back(m) for m in np.linspace(to(low), to(high), bands + 2)]
    frequencies = np.linspace(0, rate / 2, n_fft // 2 + 1)
    columns = []
    for left, peak, right in zip(edges, edges[1:], edges[2:], strict=False):
        triangle = np.interp(frequencies, [left, peak, right], [0, 1, 0], left=0, right=0)
        columns.append(triangle * (2 / (right - left) if norm == "slaney" else 1))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("scale", ["htk", "slaney"])
@pytest.mark.parametrize("norm", [None, "slaney"])
@pytest.mark.parametrize(
    ("rate", "n_fft", "bands", "low", "high"),
    [
        (8000, 256, 40, 0.0, 4000.0),
        (22_050, 1024, 80, 0.0, 8000.0),
        (16_000, 512, 23, 50.0, 7600.0),
    ],
)
def test_mel_triangles_equal_an_independent_formula(rate, n_fft, bands, low, high, scale, norm):
    ours = spectral.mel_filterbank(rate, n_fft, bands, low=low, high=high, scale=scale, norm=norm)
    expected = independent_mel(rate, n_fft, bands, low, high, scale, norm)
    np.testing.assert_allclose(ours, expected, atol=1e-12)


@pytest.mark.parametrize("htk", [False, True])
@pytest.mark.parametrize("norm", [None, "slaney"])
def test_mel_triangles_equal_librosas(htk, norm):
    librosa = pytest.importorskip("librosa", reason="librosa is an optional oracle")
    expected = librosa.filters.mel(
        sr=22_050, n_fft=1024, n_mels=80, htk=htk, norm=norm, dtype=np.float64
    )
    ours = spectral.mel_filterbank(22_050, 1024, 80, scale="htk" if htk else "slaney", norm=norm)
    np.testing.assert_allclose(ours, expected.T, atol=1e-10)


def test_no_triangle_of_the_four_scale_loss_is_empty():
    for n_fft, bands in zip((64, 128, 256, 512), (10, 20, 40, 64), strict=True):
        assert (spectral.mel_filterbank(8000, n_fft, bands).sum(axis=0) > 0).all()


def test_log_mel_of_a_tone_peaks_in_the_band_of_its_frequency():
    time = np.arange(2048) / 8000
    tone = jnp.asarray(np.sin(2 * np.pi * 1000 * time)[None], jnp.float32)
    levels = log_mel(tone, 256, rate=8000, bands=40)[0, 16]
    assert int(levels.argmax()) == int(spectral.mel_filterbank(8000, 256, 40)[32].argmax())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: spectral.stft(x, 15), "n_fft is 15; give an even number"),
        (lambda x: spectral.stft(x, 16, hop=0), "hop is 0; give at least 1"),
        (lambda x: spectral.stft(x, 16, window_length=17), "window_length is 17; give 1 to"),
        (lambda x: spectral.stft(x, 128), "signal has length 64, but centred .* n_fft <= 126"),
        (lambda x: spectral.stft(x, 128, centred=False), "length 64, shorter than one frame"),
        (lambda x: spectral.stft(x[None, None], 16), r"signal has shape \(1, 1, 1, 64\)"),
        (lambda x: spectral.mel(x, 16, rate=8, bands=0), "bands is 0; give at least 1"),
        (lambda x: spectral.mel(x, 16, rate=8, bands=2, high=5.0), "high is 5.0; they must be"),
        (lambda x: spectral.mel(x, 16, rate=8, bands=2, scale="bark"), "choose htk or slaney"),
        (lambda x: spectral.mel(x, 16, rate=8, bands=2, norm="l1"), "choose None or slaney"),
        (lambda x: spectral.log_mel(x, 16, rate=8, bands=2, floor=0.0), "floor is 0.0; the"),
    ],
)
def test_bad_arguments_are_named_with_their_remedy(call, message):
    with pytest.raises(ValueError, match=message):
        call(jnp.zeros((1, 64)))
