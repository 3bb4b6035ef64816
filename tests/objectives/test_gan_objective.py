"""A decoder of noise against a critic: what each sees, what is drawn, and what is measured."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import drawn

import convt1d
from apps.data import Conditioned, pieces
from apps.engine.mesh import make_mesh, place, place_batch
from apps.engine.state import init_state
from apps.engine.step import make_train_step
from apps.metrics import sets
from apps.objectives import gan
from apps.objectives.adversary import CRITIC, Adversary
from apps.objectives.batches import conditions_of
from apps.objectives.critics import make_critics
from convt1d.models import Conditional, Decoder, Layout

LENGTH = 32
LAYOUT = Layout(strides=(4,), channels=(4,), dilations=(), activation="relu", weight_norm=False)
KEYS = jax.random.split(jax.random.key(0), 3)
LABELS = ("no", "yes", "perhaps")


def decoder(*, classes=0, length=LENGTH):
    def make():
        made = Decoder(1, 6, LAYOUT, length=length, key=KEYS[0])
        return Conditional(made, classes, key=KEYS[1]) if classes else made

    return drawn(make)


def critic(*, classes=0):
    return drawn(
        lambda: make_critics(
            1, length=LENGTH, wave=True, channels=2, phase_shuffle=1, classes=classes, key=KEYS[2]
        )
    )


def batch(count, *, classes=0, seed=0) -> Any:
    rng = np.random.default_rng(seed)
    signal = rng.standard_normal((count, LENGTH, 1)).astype(np.float32)
    if not classes:
        return signal
    return Conditioned(signal, rng.integers(0, classes, count).astype(np.int32))


def unchanged(signal):
    return signal


def aim(*, labels=(), adversary=None, critic_turns=1, rate=8000):
    return gan.objective(
        rate=rate, length=LENGTH, labels=labels, unscale=unchanged, seed=3,
        adversary=adversary or Adversary(kind="hinge"), critic_turns=critic_turns
    )  # fmt: skip


def step_of(objective, classes, *, devices=1):
    optimisers = {name: optax.sgd(0.1) for name in (CRITIC, gan.PLAYER)}
    models = {CRITIC: critic(classes=classes), gan.PLAYER: decoder(classes=classes)}
    state = init_state(
        models, optimisers, key=jax.random.key(5), ema=False, trainable=convt1d.trainable
    )
    mesh = make_mesh(devices, 8)
    step = make_train_step(
        objective.phases[0].turns,
        optimisers,
        mesh=mesh,
        trainable=convt1d.trainable,
        parts=objective.parts,
    )
    data = batch(8 * objective.parts, classes=classes)
    return step(place(state, mesh), place_batch(data, mesh))


@pytest.mark.slow
@pytest.mark.parametrize(("classes", "turns"), [(0, 1), (3, 2)])
def test_a_step_is_the_critics_turns_and_then_one_of_the_decoder_on_any_devices(classes, turns):
    objective = aim(labels=LABELS[:classes], critic_turns=turns)
    (phase,) = objective.phases
    assert [turn.player for turn in phase.turns] == [CRITIC] * turns + [gan.PLAYER]
    assert [turn.part for turn in phase.turns[:-1]] == list(range(objective.parts))
    one, metrics = step_of(objective, classes)
    many, told = step_of(objective, classes, devices=8)
    assert {"critic/real", "critic/fake", "gradient_ratio", "decoder/diversity"} <= set(metrics)
    for name, number in metrics.items():
        np.testing.assert_allclose(told[name], number, rtol=1e-4, atol=1e-5, err_msg=name)
    here, there = (jax.tree.leaves(eqx.filter(s.players, eqx.is_array)) for s in (one, many))
    for left, right in zip(here, there, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-5)


def test_the_decoders_loss_is_the_adversarys_of_what_it_makes_of_its_keys():
    adversary = Adversary(kind="least_squares", weight=2.0)
    turn = gan.turns(adversary, length=LENGTH)[-1]
    model, judge, data = decoder(classes=3), critic(classes=3), batch(4, classes=3)
    keys = jax.random.split(jax.random.key(1), 4)
    loss, metrics = turn.loss(model, {CRITIC: judge}, data, keys=keys, step=jnp.asarray(0))
    drawing, looking = jax.vmap(jax.random.split, out_axes=1)(keys)
    made = np.stack(
        [
            model(jax.random.normal(key, (1, 1, model.latent)), jnp.asarray([label]))[0]
            for key, label in zip(drawing, data.label, strict=True)
        ]
    )
    wanted, _ = adversary.persuade(
        judge, jnp.asarray(made), data.signal, keys=looking, given=(jnp.asarray(data.label), None)
    )
    np.testing.assert_allclose(loss, wanted, rtol=1e-5)
    np.testing.assert_allclose(loss, 2.0 * metrics["adversarial"], rtol=1e-6)


@pytest.mark.parametrize("length", [LENGTH, None])
def test_a_draw_depends_on_the_seed_and_its_number_alone(length):
    model = decoder(length=length)
    few, many, other = (
        gan.sample(model, count, length=30, seed=seed) for count, seed in ((2, 4), (5, 4), (5, 5))
    )
    np.testing.assert_allclose(many[:2], few, rtol=1e-6)
    assert few.shape == (2, 30, 1)
    assert (np.abs(other - many).max(axis=(1, 2)) > 0).all()
    assert gan.latent_length(model, 30) == (1 if length else 8)


def test_a_draw_is_of_the_class_it_is_asked_for():
    model = decoder(classes=3)
    label = np.array([2, 0, 1])
    made = gan.sample(model, 3, length=LENGTH, seed=0, given=(label, None))
    each = [
        gan.sample(model, 3, length=LENGTH, seed=0, given=(np.full(3, k), None)) for k in range(3)
    ]
    np.testing.assert_allclose(made, [each[k][i] for i, k in enumerate(label)], rtol=1e-6)
    assert np.abs(each[0] - each[1]).max() > 1e-3


@pytest.mark.parametrize("classes", [0, 3])
def test_scores_measure_as_many_draws_of_the_same_classes_as_there_are_records(classes):
    objective, model = aim(labels=LABELS[:classes]), decoder(classes=classes)
    whole = batch(7, classes=classes)
    made = gan.sample(model, 7, length=LENGTH, seed=3, given=conditions_of(whole))
    signal = getattr(whole, "signal", whole)
    wanted = sets.frechet_distance(sets.features(made, rate=8000), sets.features(signal, rate=8000))
    for size in (7, 4):
        found = objective.scores(model, pieces(whole, size))
        assert found["frechet_distance"] == pytest.approx(wanted, rel=1e-4)
    assert objective.best in found


def test_what_is_shown_are_draws_of_one_class_after_the_other():
    shown = aim(labels=LABELS).samples(decoder(classes=3), batch(2, classes=3), ["a", "b"])
    assert [sample.name for sample in shown[:4]] == [
        "sample 1 of no", "sample 2 of yes", "sample 3 of perhaps", "sample 4 of no"
    ]  # fmt: skip
    assert len(shown) == 8
    assert all(sample.rate == 8000 and sample.reference is None for sample in shown)
    assert aim().samples(decoder(), batch(2), ["a", "b"])[0].name == "sample 1"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"critic_turns": 0}, "critic_turns is 0; give at least 1"),
        (
            {"adversary": Adversary(feature_weight=2.0)},
            r"feature_weight is 2\.0, but what is made of noise has no record",
        ),
    ],
)
def test_a_game_that_cannot_be_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        aim(**settings)


def test_one_record_is_no_set():
    with pytest.raises(ValueError, match="there are 1 records; a set to be measured has 2 or more"):
        aim().scores(decoder(), [batch(1)])


def test_the_watch_is_the_adversarys():
    objective = aim()
    assert objective.watch is not None
    assert objective.watch()({"critic/accuracy": 0.5}) is None
    assert eqx.tree_equal(objective.product, gan.PLAYER)
