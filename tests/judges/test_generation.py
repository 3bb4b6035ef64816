"""The published scores of made series: their parts against plain loops, and laws they must keep."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from apps.judges import context, recurrent
from apps.judges.discriminative import discriminative_scores
from apps.judges.generation import generation_scores, work
from apps.judges.predictive import predictive_scores


@pytest.fixture
def small(monkeypatch):
    """An encoder of two blocks: what is compiled in a quarter of the time."""
    monkeypatch.setattr(context, "BLOCKS", 2)
    monkeypatch.setattr(context, "FEATURES", 16)


def waves(count, seed, *, length=12, variables=3, level=0.5):
    rng = np.random.default_rng(seed)
    rate, phase = rng.uniform(0.1, 0.5, (2, count, 1, variables))
    return level + 0.3 * np.sin(rate * np.arange(length)[None, :, None] + 6 * phase)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_the_judge_s_states_are_those_of_its_formula_step_by_step():
    judge = recurrent.Judge(3, 4, key=jax.random.key(0))
    series = waves(5, 0)
    state, found = np.zeros((5, 4)), judge.states(jnp.asarray(series, jnp.float32))
    for step in range(series.shape[1]):
        both = np.concatenate([series[:, step], state], axis=1)
        gates = sigmoid(both @ np.asarray(judge.gates) + np.asarray(judge.gates_bias))
        reset, update = gates[:, :4], gates[:, 4:]
        both = np.concatenate([series[:, step], reset * state], axis=1)
        new = np.tanh(both @ np.asarray(judge.candidate) + np.asarray(judge.candidate_bias))
        state = update * state + (1 - update) * new
        np.testing.assert_allclose(found[step].T, state, atol=1e-5)
    last = np.asarray(judge.read(found[-1]))
    expected = state @ np.asarray(judge.readout)[:, 0] + float(judge.readout_bias[0])
    np.testing.assert_allclose(last, expected, atol=1e-5)


def test_a_batch_holds_no_series_twice_unless_there_are_too_few():
    rng = np.random.default_rng(0)
    many = recurrent.draws(rng, np.arange(200, 400), 3)
    assert all(len(set(row)) == recurrent.BATCH for row in many.tolist())
    assert set(recurrent.draws(rng, np.arange(5), 3).ravel().tolist()) == set(range(5))


def test_series_of_one_distribution_cannot_be_told_apart_and_others_can():
    real, made = waves(300, 0, variables=6), waves(300, 1, variables=6)
    same = discriminative_scores(made, real, seeds=2, updates=500)
    other = discriminative_scores(made + 1, real, seeds=2, updates=500)
    assert same.shape == (2,)
    assert (same < 0.2).all()
    assert (other > 0.4).all()


def test_a_forecast_learnt_from_alike_series_is_better_than_one_from_others():
    real, made = waves(300, 0, variables=6), waves(300, 1, variables=6)
    alike = predictive_scores(made, real, seeds=2, updates=600)
    other = predictive_scores(made * [1, 1, 1, 1, 1, 0.2], real, seeds=2, updates=600)
    assert (alike < 0.8 * other).all()


def test_the_forecast_of_a_single_variable_reads_it():
    flat = np.repeat(np.linspace(0.2, 0.8, 60)[:, None, None], 8, axis=1)
    assert (predictive_scores(flat, flat, seeds=1, updates=2000) < 0.08).all()


def test_scores_depend_on_the_seed_alone_and_each_seed_is_another(small):
    real, made = waves(40, 0), waves(40, 1)
    first = generation_scores(made, real, seeds=2, updates=8)
    again = generation_scores(made, real, seeds=2, updates=8)
    other = generation_scores(made, real, seeds=2, seed=1, updates=8)
    for name, (values, control) in first.items():
        np.testing.assert_array_equal(values, again[name].values)
        np.testing.assert_array_equal(control, again[name].control)
    assert len(set(first["predictive"].values)) == 2
    assert not np.array_equal(first["predictive"].values, other["predictive"].values)


def test_units_do_not_change_the_scores(small):
    real, made = waves(40, 0), waves(40, 1)
    unit = (real - real.min((0, 1))) / np.ptp(real, axis=(0, 1))
    scaled = (made - real.min((0, 1))) / np.ptp(real, axis=(0, 1))
    here = generation_scores(scaled, unit, seeds=1, updates=5)
    there = generation_scores(100 * made - 7, 100 * real - 7, seeds=1, updates=5)
    for name in here:
        np.testing.assert_allclose(here[name].values, there[name].values, rtol=1e-3, atol=1e-6)


def test_progress_adds_up_to_the_work(small):
    told, real = [], waves(20, 0)
    full = work(real) - 2 * (2000 + 5000) - context.updates_for(real)
    assert full == 0
    generation_scores(real, real, seeds=1, updates=5, advance=told.append)
    assert sum(told) == 5 * 5  # two of two kinds, and the encoder


@pytest.mark.parametrize(
    ("made", "real", "message"),
    [
        ((12, 8, 2), (9, 8, 2), "of 10 series or more"),
        ((12, 8, 2), (12, 9, 2), "as long as each other"),
        ((12, 8, 2), (12, 8, 3), "of the same variables"),
        ((12, 1, 2), (12, 1, 2), "needs at least 2"),
    ],
)
def test_sets_that_cannot_be_compared_are_refused(made, real, message):
    with pytest.raises(ValueError, match=message):
        generation_scores(np.zeros(made), np.zeros(real))


# TS2Vec's loss and crops, against loops that have no masks.


def plain_contrast(first, second):
    """The hierarchical contrast as TS2Vec's paper writes it, on arrays that hold no more."""

    def log_share(anchor, own, others):
        scores = [anchor @ each for each in others]
        return np.log(np.exp(anchor @ own) / np.sum(np.exp(scores)))

    total, scales = 0.0, 0
    while True:
        batch, length = first.shape[:2]
        views = (first, second)
        instance, temporal = [], []
        for i, t, v in itertools.product(range(batch), range(length), (0, 1)):
            anchor, own = views[v][i, t], views[1 - v][i, t]
            rest = [views[w][j, t] for w in (0, 1) for j in range(batch) if (w, j) != (v, i)]
            instance.append(-log_share(anchor, own, rest))
            rest = [views[w][i, s] for w in (0, 1) for s in range(length) if (w, s) != (v, t)]
            temporal.append(-log_share(anchor, own, rest))
        total += 0.5 * np.mean(instance) * (batch > 1)
        total += 0.5 * np.mean(temporal) * (length > 1)
        scales += 1
        if length == 1:
            return total / scales
        half = length // 2
        first, second = (
            view[:, : 2 * half].reshape(batch, half, 2, -1).max(axis=2) for view in views
        )


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_the_contrast_of_the_steps_that_are_there_is_that_of_arrays_without_others(count):
    rng = np.random.default_rng(count)
    first, second = rng.standard_normal((2, 3, 8, 4))
    expected = plain_contrast(first[:, :count], second[:, :count])
    found = context.hierarchical_contrast(
        jnp.asarray(first, jnp.float32), jnp.asarray(second, jnp.float32), count
    )
    assert float(found) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("count", [1, 4, 11, 12])
def test_an_encoder_of_a_masked_crop_is_that_of_the_crop_alone(count):
    encoder = context.Encoder(3, key=jax.random.key(0))
    series = jnp.asarray(waves(2, 0), jnp.float32)
    padded = jnp.where(jnp.arange(12)[None, :, None] < count, series, 9.0)
    masked = eqx.filter_jit(encoder)(padded, jnp.asarray(count))[:, :count]
    alone = eqx.filter_jit(encoder)(series[:, :count], count)
    np.testing.assert_allclose(masked, alone, atol=2e-5)


def test_the_gradient_of_the_contrast_is_finite_where_steps_are_missing():
    views = jnp.asarray(np.random.default_rng(0).standard_normal((2, 3, 8, 4)), jnp.float32)
    for count in (1, 3, 8):
        slope = jax.grad(lambda v, n=count: context.hierarchical_contrast(v[0], v[1], n))(views)
        assert np.isfinite(slope).all()
        assert (np.asarray(slope)[:, :, count:] == 0).all()


def test_crops_overlap_and_stay_within_the_series():
    rng = np.random.default_rng(0)
    for _ in range(300):
        plan = context._plan(rng, 20, 9)
        (left, right), (inner_left, outer_right) = plan.first, plan.second
        assert 0 <= left <= inner_left < right <= outer_right <= 9
        assert right - inner_left >= 2
        assert (plan.shift + left >= 0).all()
        assert (plan.shift + outer_right <= 9).all()
        assert len(set(plan.rows.tolist())) == context.BATCH


def test_sets_farther_apart_are_farther_in_context(small):
    real = waves(60, 0)
    sets = [waves(60, 1), waves(60, 1) + 0.1, waves(60, 1) + 0.4]
    encoders = context.learn(real, seeds=1, updates=10)
    features = context.encoded(encoders, real)
    found = [context.distances(context.encoded(encoders, each), features)[0] for each in sets]
    assert found[0] < found[1] < found[2]
    assert context.distances(features, features)[0] == pytest.approx(0, abs=1e-6)
