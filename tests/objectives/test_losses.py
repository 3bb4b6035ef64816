import jax
import jax.numpy as jnp
import numpy as np
import pytest

from apps.objectives import losses

RNG = np.random.default_rng(1)


def noise(*shape, level=1.0):
    return jnp.asarray(RNG.standard_normal(shape) * level, jnp.float32)


DISTANCES = {
    "log mel": jax.jit(
        lambda x, y: losses.log_mel_distance(x, y, rate=8000, n_ffts=(32, 128), bands=(4, 16))
    ),
    "stft": jax.jit(lambda x, y: losses.multi_resolution_stft(x, y, n_ffts=(32, 128))),
    "l1": jax.jit(losses.l1),
    "l2": jax.jit(losses.l2),
}
GRADIENTS = {name: jax.jit(jax.value_and_grad(each)) for name, each in DISTANCES.items()}


@pytest.mark.parametrize("name", DISTANCES)
def test_every_distance_is_zero_between_equals_and_grows_with_the_error(name):
    signal, error = noise(2, 600, 1), noise(2, 600, 1)
    values = [
        float(DISTANCES[name](signal + size * error, signal)) for size in (0.0, 0.01, 0.1, 1.0)
    ]
    assert values[0] == pytest.approx(0.0, abs=1e-6)
    assert values == sorted(values)
    assert len(set(values)) == 4


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize("case", ["equal", "silent signal", "silent reference", "both silent"])
def test_gradients_are_finite_where_roots_and_logarithms_are_not(name, case):
    signal, silence = noise(2, 600, 1), jnp.zeros((2, 600, 1))
    pair = {
        "equal": (signal, signal),
        "silent signal": (silence, signal),
        "silent reference": (signal, silence),
        "both silent": (silence, silence),
    }[case]
    value, gradient = GRADIENTS[name](*pair)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_kl_divergence_equals_the_integral():
    grid = np.linspace(-30, 30, 200_001)
    mean, std = np.array([0.0, 0.7, -2.0]), np.array([1.0, 0.3, 2.5])
    density = np.exp(-0.5 * ((grid - mean[:, None]) / std[:, None]) ** 2) / (
        std[:, None] * np.sqrt(2 * np.pi)
    )
    ratio = -0.5 * ((grid - mean[:, None]) / std[:, None]) ** 2 + 0.5 * grid**2
    integral = np.trapezoid(density * (ratio - np.log(std[:, None])), grid, axis=1)
    ours = losses.kl_divergence(
        jnp.asarray(mean, jnp.float32)[None, None],
        jnp.log(jnp.asarray(std, jnp.float32))[None, None],
    )
    np.testing.assert_allclose(ours, integral, atol=1e-6)


def test_free_bits_hold_each_channel_up_and_take_its_gradient():
    mean = jnp.asarray([[[0.1, 3.0]], [[-0.1, -3.0]]])
    log_std = jnp.zeros_like(mean)

    def cost(mean):
        return losses.kl_divergence(mean, log_std, free_bits=0.5).sum()

    np.testing.assert_allclose(
        losses.kl_divergence(mean, log_std, free_bits=0.5), [0.5, 4.5], rtol=1e-6
    )
    gradient = jax.grad(cost)(mean)
    np.testing.assert_array_equal(gradient[..., 0], 0.0)
    np.testing.assert_allclose(gradient[..., 1], mean[..., 1] / 2)  # a mean over two examples


def test_spectral_convergence_is_relative_to_the_loudness_of_each_example():
    # log magnitudes too: scaling both signals changes nothing above the floor
    signal, reference = noise(2, 600, 1), noise(2, 600, 1)
    loud = jnp.asarray([1.0, 100.0])[:, None, None]
    plain = DISTANCES["stft"](signal, reference)
    scaled = DISTANCES["stft"](signal * loud, reference * loud)
    np.testing.assert_allclose(plain, scaled, rtol=1e-4)


def test_multi_resolution_stft_equals_its_formula_in_numpy():
    signal, reference = noise(2, 300, 1), noise(2, 300, 1)

    def spectrum(x, n):
        padded = np.pad(
            np.asarray(x, np.float64)[..., 0], ((0, 0), (n // 2, n // 2)), mode="reflect"
        )
        frames = np.lib.stride_tricks.sliding_window_view(padded, n, axis=1)[:, :: n // 4]
        return np.abs(np.fft.rfft(frames * np.hanning(n + 1)[:-1]))

    expected = 0.0
    for n in (32, 128):
        made, wanted = spectrum(signal, n), spectrum(reference, n)
        relative = np.linalg.norm((wanted - made).reshape(2, -1), axis=1)
        relative /= np.linalg.norm(wanted.reshape(2, -1), axis=1)
        expected += relative.mean() + np.abs(np.log(wanted) - np.log(made)).mean()
    ours = DISTANCES["stft"](signal, reference)
    assert float(ours) == pytest.approx(expected / 2, rel=1e-5)


def test_scales_without_their_bands_are_refused():
    signal = noise(1, 300, 1)
    with pytest.raises(ValueError, match="n_ffts has 2 scales and bands has 1"):
        losses.log_mel_distance(signal, signal, rate=8000, n_ffts=(64, 128), bands=(10,))
    with pytest.raises(ValueError, match="n_ffts is empty"):
        losses.multi_resolution_stft(signal, signal, n_ffts=())
