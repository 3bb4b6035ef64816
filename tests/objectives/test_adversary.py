from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from apps.engine.mesh import make_mesh
from apps.objectives import losses
from apps.objectives.adversary import CRITIC, Adversary
from apps.objectives.collapse import Watch
from apps.objectives.critics import Verdict, make_critics

RNG = np.random.default_rng(0)
KEYS = jax.random.split(jax.random.key(0), 8)


class Linear(eqx.Module):
    """D(x) = ⟨w, x⟩ at one position, 2·D(x) - 1 at the other; its feature is w · x."""

    weight: jax.Array

    def __call__(self, signal, *, keys=None, label=None):
        del keys
        score = jnp.einsum("blc,lc->b", signal, self.weight)
        score = score if label is None else score + label.astype(score.dtype)
        return Verdict(
            (jnp.stack([score, 2 * score - 1], axis=1),), ((signal * self.weight[None],),)
        )


class Labelled(NamedTuple):
    signal: jax.Array
    label: jax.Array


LINEAR = Linear(jnp.asarray(RNG.standard_normal((6, 1)), jnp.float32))


def signals(count=8, length=6):
    return jnp.asarray(RNG.standard_normal((count, length, 1)), jnp.float32)


def judged(adversary, real, made, critic=LINEAR, keys=KEYS):
    turn = adversary.turn(lambda others, batch, keys: others["decoder"])
    assert turn.player == CRITIC
    return turn.loss(critic, {"decoder": made}, real, keys=keys[: len(made)], step=jnp.asarray(0))


@pytest.mark.parametrize("kind", losses.GAMES)
def test_the_critics_loss_is_its_game_over_every_position(kind):
    real, made = signals(), signals()
    loss, metrics = judged(Adversary(kind=kind), real, made)
    scores = [LINEAR(each).scores[0] for each in (real, made)]
    assert float(loss) == pytest.approx(float(losses.game(kind).critic(*scores)), rel=1e-5)
    assert float(metrics["real"]) == pytest.approx(float(scores[0].mean()), abs=1e-6)
    assert float(metrics["fake"]) == pytest.approx(float(scores[1].mean()), abs=1e-6)
    assert float(metrics["penalty"]) == 0.0


def test_penalties_of_a_linear_critic_are_known():
    real, made = signals(), signals()
    slope = 1.5 * float(jnp.linalg.norm(LINEAR.weight))  # of the mean over both positions
    for adversary, expected in (
        (Adversary(kind="wasserstein", gradient_penalty=10.0), 10 * (slope - 1) ** 2),
        (Adversary(r1=4.0), 2 * slope**2),
        (Adversary(gradient_penalty=1.0, r1=2.0), (slope - 1) ** 2 + slope**2),
    ):
        loss, metrics = judged(adversary, real, made)
        assert float(metrics["penalty"]) == pytest.approx(expected, rel=1e-5)
        plain, _ = judged(Adversary(kind=adversary.kind), real, made)
        assert float(loss - plain) == pytest.approx(expected, rel=1e-4)


def test_no_gradient_reaches_whoever_made_the_signals():
    real = signals()

    def loss(made):
        return judged(Adversary(gradient_penalty=10.0, r1=1.0), real, made)[0]

    np.testing.assert_array_equal(jax.jit(jax.grad(loss))(signals()), 0.0)


def test_accuracy_is_the_share_of_pairs_in_order():
    def accuracy(real, made):
        as_signals = [jnp.asarray(each, jnp.float32)[:, None, None] for each in (real, made)]
        _, metrics = judged(Adversary(), *as_signals, critic=Linear(jnp.ones((1, 1))))
        return float(metrics["accuracy"])

    assert accuracy([2.0, 3.0], [0.0, 1.0]) == 1.0
    assert accuracy([0.0, 1.0], [2.0, 3.0]) == 0.0
    assert accuracy([1.0, 1.0], [1.0, 1.0]) == 0.5
    assert accuracy([0.0, 2.0], [1.0, 1.0]) == 0.5
    assert accuracy([0.0, 2.0], [1.0, -1.0]) == 0.75


def test_labels_of_the_batch_are_those_of_real_and_made_alike():
    real, made = signals(2), signals(2)
    labels = jnp.asarray([3, 5])
    turn = Adversary().turn(lambda others, batch, keys: made)
    _, metrics = turn.loss(LINEAR, {}, Labelled(real, labels), keys=KEYS[:2], step=0)
    plain = judged(Adversary(), real, made)[1]
    # D is a mean of s and 2 s - 1, and the mean label is 4
    assert float(metrics["real"] - plain["real"]) == pytest.approx(1.5 * 4, rel=1e-5)
    assert float(metrics["fake"] - plain["fake"]) == pytest.approx(1.5 * 4, rel=1e-5)


@pytest.mark.parametrize("kind", losses.GAMES)
def test_the_makers_loss_is_the_weighted_sum_of_its_logged_parts(kind):
    real, made = signals(), signals()
    adversary = Adversary(kind=kind, weight=3.0, feature_weight=2.0)
    loss, parts = adversary.persuade(LINEAR, made, real, keys=KEYS)  # pyright: ignore[reportArgumentType]
    adversarial = losses.game(kind).maker(LINEAR(made).scores[0])
    features = jnp.mean(jnp.abs((made - real) * LINEAR.weight[None]))
    assert float(parts["adversarial"]) == pytest.approx(float(adversarial), rel=1e-5)
    assert float(parts["features"]) == pytest.approx(float(features), rel=1e-5)
    assert float(loss) == pytest.approx(float(3 * adversarial + 2 * features), rel=1e-5)


def test_features_of_equal_signals_are_equal_whatever_is_shuffled():
    critic = make_critics(
        1, length=80, wave=True, channels=1, phase_shuffle=2, key=jax.random.key(0)
    )
    real = signals(2, 80)
    adversary = Adversary(feature_weight=1.0)
    _, parts = jax.jit(lambda x: adversary.persuade(critic, x, x, keys=KEYS[:2]))(real)
    assert float(parts["features"]) == 0.0


def test_diversity_is_relative_to_the_real_records():
    real = signals()

    def diversity(made, real=real):
        return float(Adversary().persuade(LINEAR, made, real, keys=KEYS)[1]["diversity"])  # pyright: ignore[reportArgumentType]

    assert diversity(0.3 * real + 2.0) == pytest.approx(0.3, rel=1e-5)
    assert diversity(jnp.broadcast_to(real[:1], real.shape)) == pytest.approx(0.0, abs=1e-6)
    assert diversity(real[:1], real[:1]) == 1.0
    assert np.isfinite(diversity(real, jnp.zeros_like(real)))


@pytest.mark.slow
@pytest.mark.parametrize("devices", [8])
def test_a_turn_over_several_devices_is_the_turn_on_one(devices):
    critic = make_critics(
        1, length=64, wave=True, periods=(3,), n_ffts=(16,), channels=1, key=jax.random.key(0)
    )
    adversary = Adversary(kind="hinge", gradient_penalty=10.0)
    turn = adversary.turn(lambda others, batch, keys: 0.5 * batch)
    real = signals(8, 64)

    @jax.jit
    def gradient(critic, real, keys):
        def loss(critic):
            return turn.loss(critic, {}, real, keys=keys, step=0)

        return jax.value_and_grad(loss, has_aux=True)(critic)

    mesh = make_mesh(devices, 8)
    everywhere, spread = (
        NamedSharding(mesh, PartitionSpec()),
        NamedSharding(mesh, PartitionSpec(("data", "fsdp"))),
    )
    ours = gradient(*jax.device_put((critic, real, KEYS), (everywhere, spread, spread)))
    halves = [gradient(critic, real[at::2], KEYS[at::2]) for at in (0, 1)]
    # gradients of the whole are the mean of those of its halves: each example has its own key
    (_, metrics), whole = ours
    for name in ("real", "fake", "penalty"):
        mean = np.mean([float(half[0][1][name]) for half in halves])
        assert float(metrics[name]) == pytest.approx(mean, rel=1e-5, abs=1e-6)
    mean = jax.tree.map(lambda *each: sum(each) / 2, *(half[1] for half in halves))
    for first, second in zip(jax.tree.leaves(whole), jax.tree.leaves(mean), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "hing"}, "kind is 'hing'; did you mean hinge.; choose from least_squares"),
        ({"weight": -1.0}, "weight is -1.0; give 0 or more"),
        ({"r1": -2.0}, "r1 is -2.0; give 0 or more"),
    ],
)
def test_rules_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Adversary(**settings)


WELL = {
    "critic/accuracy": 0.8,
    "critic/gradient_norm": 1.0,
    "decoder/gradient_norm": 0.5,
    "decoder/diversity": 0.9,
}


@pytest.mark.parametrize(
    ("trouble", "sentence"),
    [
        ({"critic/accuracy": 1.0}, "The critic has told every made record from the real ones"),
        ({"decoder/gradient_norm": 1e-6}, "The gradient of 'decoder' has been below 0.0001"),
        ({"decoder/diversity": 0.01}, "The signals that 'decoder' makes have been all alike"),
    ],
)
def test_a_lost_game_is_named_once_after_it_has_lasted(trouble, sentence):
    watch = Watch("hinge", patience=3)
    assert [watch(WELL) for _ in range(5)] == [None] * 5
    said = [watch({**WELL, **trouble}) for _ in range(6)]
    assert said[:2] == [None, None]
    assert said[3:] == [None, None, None]
    assert said[2] is not None
    assert said[2].startswith(sentence)
    assert watch(WELL) is None
    again = [watch({**WELL, **trouble}) for _ in range(3)]
    assert again[2] == said[2]


def test_a_certain_critic_is_no_trouble_to_wasserstein_nor_are_logs_without_a_critic():
    watch = Adversary(kind="wasserstein").watch()
    assert all(watch({**WELL, "critic/accuracy": 1.0}) is None for _ in range(50))
    watch = Adversary().watch()
    assert all(watch({"vae/loss": 1.0}) is None for _ in range(50))
