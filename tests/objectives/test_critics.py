from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from apps.objectives.critics import make_critics
from apps.objectives.critics.layers import FrameConv, SpectralNorm, largest_singular_value
from apps.objectives.critics.period import STRIDES
from apps.objectives.critics.scale import halve
from apps.objectives.critics.wave import shuffle_phase
from convt1d import Conv1d

RNG = np.random.default_rng(0)
LENGTH = 90
KINDS = {
    "wave": {"wave": True, "phase_shuffle": 2},
    "wave by position": {"wave": True, "dense": False},
    "scales": {"scales": 2},
    "scales of RAVE": {"scales": 2, "stack": "rave"},
    "periods": {"periods": (2, 7)},
    "complex spectra": {"n_ffts": (16,)},
    "magnitudes": {"n_ffts": (16,), "spectrum": "magnitude"},
}


def signals(count=3, length=LENGTH, channels=1):
    return jnp.asarray(RNG.standard_normal((count, length, channels)), jnp.float32)


def critics(kind, *, channels=2, signal_channels=1, classes=0) -> Any:
    return make_critics(
        signal_channels,
        length=LENGTH,
        channels=channels,
        classes=classes,
        key=jax.random.key(0),
        **KINDS[kind],
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_each_example_is_judged_by_itself_and_at_the_precision_of_the_weights(kind):
    critic, batch = critics(kind, signal_channels=2), signals(channels=2)
    judge = jax.jit(lambda critic, x, keys: critic(x, keys=keys))
    keys = jax.random.split(jax.random.key(1), 3)
    together = judge(critic, batch, keys)
    assert len(together.scores) == len(together.features) == len(critic.critics)
    for scores, maps in zip(together.scores, together.features, strict=True):
        assert scores.ndim == 2
        assert all(each.shape[0] == 3 for each in maps)
    # the second example, in another place of a batch of the same size
    moved = judge(critic, batch[::-1], keys[::-1])
    np.testing.assert_allclose(moved.means(), together.means()[::-1], atol=1e-6)
    half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), critic)
    rough = jax.eval_shape(lambda x: half(x, keys=keys), batch)
    assert all(scores.dtype == jnp.float32 for scores in rough.scores)
    assert all(each.dtype == jnp.bfloat16 for maps in rough.features for each in maps)


@pytest.mark.parametrize(
    ("settings", "published"),
    [
        ({"periods": (2, 3, 5, 7, 11)}, 41_092_165),  # HiFi-GAN's 41.1 M
        ({"scales": 3}, 29_610_627),  # HiFi-GAN's 29.6 M
        ({"wave": True}, 17_427_969),  # 64, 128, ..., 1024 channels and 16 · 1024 + 1 at the end
    ],
)
def test_32_channels_give_the_published_sizes(settings, published):
    critic = eqx.filter_eval_shape(
        lambda: make_critics(1, length=16_384, channels=32, key=jax.random.key(0), **settings)
    )
    leaves = jax.tree_util.tree_leaves_with_path(critic)
    sizes = [leaf.size for path, leaf in leaves if "gain" not in jax.tree_util.keystr(path)]
    assert sum(sizes) == published


@pytest.mark.slow
def test_a_period_critic_is_the_two_dimensional_convolution_it_stands_for():
    critic, batch, period = critics("periods"), signals(), 7
    verdict = jax.jit(lambda x: critic(x))(batch)
    one: Any = critic.critics[1]
    assert one.period == period
    padded = np.pad(np.asarray(batch), ((0, 0), (0, -LENGTH % period), (0, 0)), mode="reflect")
    image = jnp.asarray(padded.reshape(3, -1, period, 1))

    def conv(image, layer, stride):
        plain = layer.folded()
        taps = plain.weight[:, None]  # (K, 1, I, O)
        pad = plain.padding[0]
        made = lax.conv_general_dilated(
            image,
            taps,
            (stride, 1),
            ((pad, pad), (0, 0)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return made + plain.bias.reshape(1, 1, 1, -1)

    for layer, stride, ours in zip(one.layers, STRIDES, verdict.features[1], strict=True):
        image = jax.nn.leaky_relu(conv(image, layer, stride), 0.1)
        np.testing.assert_allclose(ours, image.swapaxes(1, 2), atol=2e-5)
    scores = conv(image, one.score, 1)[..., 0].swapaxes(1, 2).reshape(3, -1)
    np.testing.assert_allclose(verdict.scores[1], scores, atol=2e-5)


def test_phase_shuffle_shifts_each_example_by_its_own_amount_and_reflects():
    batch = signals(64, 10)
    keys = jax.random.split(jax.random.key(3), 64)
    shuffled = np.asarray(jax.jit(lambda x, k: shuffle_phase(x, 2, keys=k))(batch, keys))
    assert shuffled.shape == batch.shape
    seen = set()
    for before, after in zip(np.asarray(batch), shuffled, strict=True):
        beyond = np.pad(before, ((2, 2), (0, 0)), mode="reflect")
        shifts = [at for at in range(5) if np.array_equal(beyond[at : at + 10], after)]
        assert len(shifts) == 1
        seen.add(shifts[0])
    assert seen == set(range(5))
    with pytest.raises(ValueError, match=r"`most` \(=10\) must lie in 0 ... 9"):
        shuffle_phase(batch, 10, keys=keys)


def test_without_keys_nothing_is_shuffled():
    batch = signals(2, 300)
    critic = make_critics(
        1, length=300, wave=True, channels=2, phase_shuffle=2, key=jax.random.key(0)
    )
    judge = jax.jit(lambda x, keys: critic(x, keys=keys).means())
    keys = jax.random.split(jax.random.key(1), 2)
    np.testing.assert_array_equal(judge(batch, None), judge(batch, None))
    assert float(jnp.abs(judge(batch, keys) - judge(batch, None)).max()) > 0


@pytest.mark.parametrize("length", [8, 9])
def test_halving_averages_over_windows(length):
    batch = np.asarray(signals(2, length))
    padded = np.pad(batch, ((0, 0), (2, 2), (0, 0)))
    fours = [padded[:, 2 * n : 2 * n + 4].mean(axis=1) for n in range(length // 2 + 1)]
    twos = [batch[:, 2 * n : 2 * n + 2].mean(axis=1) for n in range(length // 2)]
    for overlap, expected in ((True, fours), (False, twos)):
        halved = halve(jnp.asarray(batch), overlap=overlap)
        np.testing.assert_allclose(halved, np.stack(expected, axis=1), atol=1e-6)


@pytest.mark.parametrize("channels", [2, 5])  # as an image, and as rows of frequencies
def test_a_frame_convolution_is_its_formula_and_its_norm_changes_nothing_at_first(channels):
    layer = FrameConv(channels, 3, (3, 5), stride=2, slope=0.1, key=jax.random.key(0))
    image = np.asarray(RNG.standard_normal((2, 4, 9, channels)), np.float32)
    padded = np.pad(image, ((0, 0), (1, 1), (2, 2), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 5), axis=(1, 2))[:, :, ::2]
    expected = np.einsum("btfckl,klco->btfo", windows, layer.weight)
    made = layer(jnp.asarray(image))
    np.testing.assert_allclose(made, expected, atol=1e-5)
    scaled = eqx.tree_at(lambda each: each.weight, layer, 3.0 * layer.weight)
    np.testing.assert_allclose(scaled(jnp.asarray(image)), made, atol=1e-5)


def test_the_largest_singular_value_and_its_gradient_are_those_of_the_decomposition():
    left, _ = np.linalg.qr(RNG.standard_normal((12, 5)))
    right, _ = np.linalg.qr(RNG.standard_normal((5, 5)))
    matrix = left @ np.diag([3.0, 1.0, 0.5, 0.2, 0.1]) @ right.T
    weight = jnp.asarray(matrix.reshape(3, 4, 5), jnp.float32)
    value, gradient = jax.jit(jax.value_and_grad(largest_singular_value))(weight)
    assert float(value) == pytest.approx(3.0, rel=1e-5)
    outer = np.outer(left[:, 0], right[:, 0]).reshape(3, 4, 5)
    np.testing.assert_allclose(gradient, outer, atol=1e-5)
    layer = Conv1d(4, 5, 3, w_init=weight)
    batch = signals(1, 8, 4)
    plain = layer(batch) / 3.0
    np.testing.assert_allclose(SpectralNorm(layer)(batch), plain, atol=1e-5)


@pytest.mark.parametrize("kind", ["wave", "scales of RAVE", "periods", "magnitudes"])
def test_a_label_adds_the_projection_of_the_last_features(kind):
    critic, batch = critics(kind, classes=3), signals()
    label = jnp.asarray([2, 0, 2])
    plain = eqx.tree_at(
        lambda all_: [each.label.vectors for each in all_.critics],
        critic,
        [jnp.zeros_like(each.label.vectors) for each in critic.critics],
    )
    judge = jax.jit(lambda critic: critic(batch, label=label))
    with_label, without = judge(critic), judge(plain)
    for one, scores, before, maps in zip(
        critic.critics, with_label.scores, without.scores, with_label.features, strict=True
    ):
        vectors = one.label.vectors[label]
        last = maps[-1].reshape(3, -1, maps[-1].shape[-1])
        mean = jnp.einsum("bpc,bc->b", last, vectors) / last.shape[1]
        np.testing.assert_allclose((scores - before).mean(axis=1), mean, atol=1e-5)


def test_labels_are_asked_for_where_they_are_known_and_nowhere_else():
    with pytest.raises(ValueError, match="label is None; critics made with classes > 0"):
        critics("periods", classes=3)(signals())
    with pytest.raises(ValueError, match="label is given to critics made with classes=0"):
        critics("periods")(signals(), label=jnp.zeros(3, int))


@pytest.mark.parametrize(
    "kind",
    [
        "wave",
        pytest.param("scales", marks=pytest.mark.slow),
        "periods",
        "complex spectra",
        "magnitudes",
    ],
)
def test_second_derivatives_agree_with_finite_differences(kind):
    with jax.enable_x64(True):
        settings = {**KINDS[kind], "scales": 1} if kind == "scales" else KINDS[kind]
        critic = make_critics(1, length=40, channels=1, key=jax.random.key(0), **settings)
        batch, toward = (jnp.asarray(RNG.standard_normal((2, 40, 1))) for _ in range(2))

        @jax.jit
        def slope(x):
            return jax.grad(lambda x: jnp.sum(jnp.square(critic(x).means())))(x)

        @jax.jit
        def along(x):
            return jax.grad(lambda x: jnp.vdot(jnp.sin(slope(x)), toward))(x)

        size = 1e-6
        ahead, behind = (
            jnp.vdot(jnp.sin(slope(batch + sign * size * toward)), toward) for sign in (1, -1)
        )
        expected = float(ahead - behind) / (2 * size)
        assert float(jnp.vdot(along(batch), toward)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("level", [0.0, 1e-30, 1e-12, 1e-3])
def test_second_derivatives_of_a_magnitude_critic_are_finite_near_silence(level):
    critic, batch = critics("magnitudes", channels=1), signals(1) * jnp.float32(level)

    def penalty(critic):
        slope = jax.grad(lambda x: jnp.sum(critic(x).means()))(batch)
        return jnp.sum(jnp.square(slope))

    gradient = jax.jit(jax.grad(penalty))(critic)
    assert all(np.isfinite(each).all() for each in jax.tree.leaves(gradient))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "there is no critic: set wave, scales, periods or n_ffts"),
        ({"periods": (1,)}, "periods holds 1; each must lie in 2 ... 90"),
        ({"periods": (91,)}, "periods holds 91; each must lie in 2 ... 90"),
        ({"n_ffts": (256,)}, "n_ffts holds 256; each must be at least 4, and at most 178"),
        ({"wave": True, "phase_shuffle": 5}, "phase_shuffle is 5; give 0 .none. to 4"),
        ({"scales": 1, "stack": "rav"}, "stack is 'rav'; choose from hifigan, rave"),
        ({"n_ffts": (8,), "spectrum": "mel"}, "spectrum is 'mel'; choose from complex, magnitude"),
    ],
)
def test_bad_settings_are_named_with_their_remedy(settings, message):
    with pytest.raises(ValueError, match=message):
        make_critics(1, length=LENGTH, key=jax.random.key(0), **settings)
