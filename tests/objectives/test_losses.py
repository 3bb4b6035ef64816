import jax
import jax.numpy as jnp
import numpy as np
import pytest

from apps.objectives import losses
from convt1d._spectral import magnitude

RNG = np.random.default_rng(1)


def noise(*shape, level=1.0):
    return jnp.asarray(RNG.standard_normal(shape) * level, jnp.float32)


DISTANCES = {
    "log mel": jax.jit(
        lambda x, y: losses.log_mel_distance(x, y, rate=8000, n_ffts=(32, 128), bands=(4, 16))
    ),
    "stft": jax.jit(lambda x, y: losses.multi_resolution_stft(x, y, n_ffts=(32, 128))),
    "relative": jax.jit(lambda x, y: losses.relative_distance(x, y, n_ffts=(32, 128))),
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
    with pytest.raises(ValueError, match="n_ffts is empty"):
        losses.relative_distance(signal, signal, n_ffts=())


def test_the_relative_distance_equals_its_formula_in_numpy():
    signal, reference = noise(2, 300, 1), noise(2, 300, 1)
    expected = 0.0
    for n in (32, 128):
        made, wanted = (np.asarray(magnitude(x, n), np.float64) for x in (signal, reference))
        error = np.square(made - wanted).reshape(2, -1).sum(axis=1)
        expected += (error / np.square(wanted).reshape(2, -1).sum(axis=1)).mean()
        expected += np.abs(np.log(made + 1e-7) - np.log(wanted + 1e-7)).mean()
    assert float(DISTANCES["relative"](signal, reference)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize("case", ["both silent", "equal"])
def test_second_derivatives_are_finite_at_silence_and_equality(name, case):
    signal = jnp.zeros((1, 200, 1)) if case == "both silent" else noise(1, 200, 1)
    distance = DISTANCES[name]

    def sharpness(x):
        return jnp.sum(jnp.square(jax.grad(distance)(x, signal)))

    assert np.isfinite(jax.jit(jax.grad(sharpness))(signal)).all()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# Slopes with respect to the scores of real and made, and of the maker's to its own.
SLOPES = {
    "least_squares": (lambda r: -2 * (1 - r), lambda m: 2 * m, lambda m: -2 * (1 - m)),
    "hinge": (lambda r: -1.0 * (r < 1), lambda m: 1.0 * (m > -1), lambda m: -1 + 0 * m),
    "non_saturating": (lambda r: -sigmoid(-r), lambda m: sigmoid(m), lambda m: -sigmoid(-m)),
    "wasserstein": (lambda r: -1 + 0 * r, lambda m: 1 + 0 * m, lambda m: -1 + 0 * m),
}


@pytest.mark.parametrize("kind", losses.GAMES)
def test_the_slopes_of_every_game_are_those_of_its_formula(kind):
    real, made = noise(3, 5, level=2.0), noise(3, 5, level=2.0)
    game = losses.game(kind)
    ours = [*jax.grad(game.critic, argnums=(0, 1))(real, made), jax.grad(game.maker)(made)]
    for slope, formula, scores in zip(ours, SLOPES[kind], (real, made, made), strict=True):
        np.testing.assert_allclose(slope, formula(np.asarray(scores)) / 15, atol=1e-6)


def test_scores_far_from_zero_overflow_nothing():
    far = jnp.asarray([[-1e4, 1e4]])
    for kind in losses.GAMES:
        game = losses.game(kind)
        values = jax.value_and_grad(game.critic)(far, far), jax.value_and_grad(game.maker)(far)
        assert all(np.isfinite(each).all() for each in jax.tree.leaves(values))


def test_feature_matching_is_a_mean_over_maps_then_critics():
    made = [[jnp.zeros((2, 3)), jnp.ones((2, 5, 1))], [jnp.zeros((2, 7))]]
    real = [[jnp.full((2, 3), 2.0), jnp.ones((2, 5, 1))], [jnp.full((2, 7), -4.0)]]
    assert float(losses.feature_matching(made, real)) == pytest.approx((2 / 2 + 4) / 2)


def test_the_gradient_penalty_looks_between_real_and_made_and_at_each_example():
    real, made = noise(4, 5, 2), noise(4, 5, 2)
    keys = jax.random.split(jax.random.key(0), 4)
    asked = []

    def score(x):
        asked.append(x)
        return 0.5 * jnp.sum(jnp.square(x), axis=(1, 2))  # its slope is x itself

    with jax.disable_jit():
        penalty = losses.gradient_penalty(score, real, made, keys=keys)
        slope = losses.squared_slope(score, real)
    share = np.array([float(jax.random.uniform(key, (1, 1))[0, 0]) for key in keys])
    between = np.asarray(made) + share[:, None, None] * np.asarray(real - made)
    norms = np.linalg.norm(between.reshape(4, -1), axis=1)
    assert float(penalty) == pytest.approx(np.square(norms - 1).mean(), rel=1e-5)
    assert float(slope) == pytest.approx(float(jnp.mean(jnp.sum(real**2, axis=(1, 2)))), rel=1e-5)


def test_the_gradient_penalty_has_a_gradient_where_the_slope_is_zero():
    weight = jnp.zeros((5, 1))
    batch, keys = noise(2, 5, 1), jax.random.split(jax.random.key(0), 2)

    def penalty(weight):
        def score(x):
            return jnp.einsum("blc,lc->b", x, weight)

        return losses.gradient_penalty(score, batch, -batch, keys=keys)

    value, gradient = jax.value_and_grad(penalty)(weight)
    assert float(value) == 1.0
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("n_fft", [64, 256])
def test_magnitudes_and_mel_agree_with_torch(n_fft):
    torch = pytest.importorskip("torch", reason="torch is an optional oracle")
    signal = np.asarray(noise(2, 700))
    spectrum = torch.stft(
        torch.from_numpy(signal),
        n_fft,
        n_fft // 4,
        window=torch.hann_window(n_fft),
        return_complex=True,
    )
    ours = magnitude(jnp.asarray(signal), n_fft)
    expected = spectrum.abs().numpy().swapaxes(1, 2)
    np.testing.assert_allclose(ours, expected, atol=1e-5 * expected.max())
