"""What an upsampler is trained to do, by itself and against a critic."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.signal import resample_poly

import convt1d
from apps.data.source import Conditioned
from apps.engine.mesh import make_mesh, place
from apps.engine.phases import make_phased_step
from apps.engine.state import init_state
from apps.metrics import audio, series
from apps.objectives import losses, upsampler
from apps.objectives.adversary import CRITIC, Adversary
from apps.objectives.critics import make_critics
from convt1d.models import Layout, Upsampler

FACTOR, RATE, LENGTH = 2, 8000, 160
LAYOUT = Layout(strides=(2,), channels=(4, 4), dilations=(1,), residual_kernels=(3,))
MODEL = Upsampler(FACTOR, LAYOUT, key=jax.random.key(0))
KEYS = jax.random.split(jax.random.key(1), 4)
STEP = jnp.zeros((), jnp.int32)


def signals(count=4, channels=1) -> Any:
    drawn = np.random.default_rng(3).standard_normal((count, LENGTH, channels))
    return (0.3 * drawn).astype("f4")


def make(**settings: Any):
    return upsampler.objective(rate=RATE, factor=FACTOR, n_ffts=(16, 32), **settings)


def loss_of(objective, batch, others=None):
    turn = objective.phases[-1].turns[-1]
    return turn.loss(MODEL, others or {}, batch, keys=KEYS, step=STEP)


def low_of(batch) -> Any:
    return resample_poly(batch.astype("f8"), 1, FACTOR, axis=1).astype("f4")


def test_the_loss_is_the_weighted_sum_over_signals_of_lowered_rate():
    batch = signals()
    made = MODEL(jnp.asarray(low_of(batch)))
    objective = make(stft_weight=2.0, log_spectral_weight=3.0, l1_weight=5.0)
    value, metrics = loss_of(objective, jnp.asarray(batch))
    expected = {
        "stft": losses.multi_resolution_stft(made, batch, n_ffts=(16, 32)),
        "log_spectral": upsampler.log_spectral_distance(made, batch, n_ffts=(16, 32)),
        "l1": losses.l1(made, batch),
    }
    for name, wanted in expected.items():
        np.testing.assert_allclose(metrics[name], wanted, rtol=1e-4)
    total = 2 * metrics["stft"] + 3 * metrics["log_spectral"] + 5 * metrics["l1"]
    np.testing.assert_allclose(value, total, rtol=1e-6)


def test_what_is_weighed_by_nothing_is_not_computed():
    _, metrics = loss_of(make(stft_weight=0.0), jnp.asarray(signals()))
    assert metrics["stft"] == metrics["log_spectral"] == 0


def test_the_trained_log_spectral_distance_is_the_measured_one():
    made, wanted = signals(), signals()[::-1]
    found = upsampler.log_spectral_distance(made, wanted, n_ffts=(64,))
    expected = audio.log_spectral_distance(made, wanted, n_fft=64).mean()
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_its_gradient_is_finite_at_silence_and_equality(level):
    same = level * jnp.asarray(signals())
    slope = jax.grad(upsampler.log_spectral_distance)(same, same, n_ffts=(16,))
    assert jnp.isfinite(slope).all()


def test_no_resolution_is_refused():
    with pytest.raises(ValueError, match="n_ffts is empty"):
        upsampler.log_spectral_distance(signals(), signals(), n_ffts=())


@pytest.mark.slow
def test_with_a_critic_its_opinion_is_added_and_it_sees_what_is_made():
    critic = make_critics(1, length=LENGTH, scales=1, channels=4, key=jax.random.key(2))
    adversary = Adversary(weight=0.5, feature_weight=2.0)
    objective = make(adversary=adversary)
    batch = jnp.asarray(signals())
    alone, _ = loss_of(make(), batch)
    value, metrics = loss_of(objective, batch, {CRITIC: critic})
    told = 0.5 * metrics["adversarial"] + 2.0 * metrics["features"]
    np.testing.assert_allclose(value - alone, told, rtol=1e-3)
    turn = objective.phases[0].turns[0]
    _, seen = turn.loss(critic, {upsampler.PLAYER: MODEL}, batch, keys=KEYS, step=STEP)
    verdict = critic(upsampler.upsampled(MODEL, batch), keys=KEYS)
    np.testing.assert_allclose(seen["fake"], verdict.means().mean(), rtol=1e-4)


@pytest.mark.parametrize(
    ("start", "turns", "expected"),
    [(0, 1, [(0, 2)]), (5, 2, [(0, 1), (5, 3)])],
)
def test_the_critic_enters_at_its_step(start, turns, expected):
    objective = make(adversary=Adversary(), adversarial_from=start, critic_turns=turns)
    assert [(phase.start, len(phase.turns)) for phase in objective.phases] == expected
    assert objective.parts == turns


@pytest.mark.slow
def test_training_lowers_the_loss_and_moves_the_detail_alone():
    objective = make()
    optimisers = {upsampler.PLAYER: optax.adam(1e-2)}
    mesh = make_mesh("one", 4)
    models = {upsampler.PLAYER: MODEL}
    state = init_state(
        models, optimisers, key=jax.random.key(4), ema=False, trainable=convt1d.trainable
    )
    step = make_phased_step(objective.phases, optimisers, mesh=mesh, trainable=convt1d.trainable)
    state, batch = place(state, mesh), jnp.asarray(signals())
    found = []
    for done in range(12):
        state, metrics = step.at(done)(state, batch)
        found.append(float(metrics["upsampler/loss"]))
    assert found[-1] < 0.97 * found[0]
    trained = state.players[upsampler.PLAYER].model
    np.testing.assert_array_equal(trained.base.weight.value, MODEL.base.weight.value)
    np.testing.assert_array_equal(trained.sieve.weight.value, MODEL.sieve.weight.value)


@pytest.mark.parametrize("labelled", [False, True])
def test_scores_are_of_what_is_made_of_each_record(labelled):
    whole = signals()
    batches = [whole[:3], whole[3:]]
    if labelled:
        batches = [Conditioned(each, np.zeros(len(each), "i4")) for each in batches]
    seen = []
    found = make().scores(MODEL, batches, look=lambda made, wanted: seen.append((made, wanted)))
    low = jnp.asarray(low_of(whole))
    made, base = np.asarray(MODEL(low)), np.asarray(MODEL.base(low))
    assert set(found) == {"lsd", "snr", "kept_lsd", "kept_snr_change"}
    wanted = audio.log_spectral_distance(made, whole)
    np.testing.assert_allclose(found["lsd"], wanted, rtol=1e-4)
    np.testing.assert_allclose(found["snr"], audio.snr(made, whole), rtol=1e-4)
    change = audio.snr(made, whole, share=0.5) - audio.snr(base, whole, share=0.5)
    np.testing.assert_allclose(found["kept_snr_change"], change, atol=1e-3)
    shown, beside = (np.concatenate(each) for each in zip(*seen, strict=True))
    np.testing.assert_allclose(shown, made, atol=1e-5)
    np.testing.assert_array_equal(beside, whole)


@pytest.mark.slow
def test_series_are_scored_in_their_own_units():
    objective = upsampler.objective(rate=None, factor=FACTOR, unscale=lambda x: 10 * x)
    whole = signals(channels=3)
    found = objective.scores(MODEL, [whole])
    made = np.asarray(MODEL(jnp.asarray(low_of(whole))))
    expected = series.mean_absolute_error(10 * made, 10 * whole)
    np.testing.assert_allclose(found["mean_absolute_error"], expected, rtol=1e-4)
    assert objective.best in found


@pytest.mark.slow
def test_samples_show_low_base_and_made_beside_the_real_one():
    whole = signals(2)
    shown = make().samples(MODEL, whole, ["a", "b"])
    assert [each.name for each in shown] == [
        f"{kind} {name}" for name in "ab" for kind in ("low", "base", "made")
    ]
    low, base, made = shown[:3]
    given: Any = low.signal[None]
    assert (low.rate, base.rate, made.rate) == (RATE // FACTOR, RATE, RATE)
    assert low.reference is None
    np.testing.assert_array_equal(made.reference, whole[0])
    np.testing.assert_allclose(low.signal, low_of(whole)[0], atol=1e-5)
    np.testing.assert_allclose(base.signal, MODEL.base(given)[0], atol=1e-5)
    np.testing.assert_allclose(made.signal, MODEL(given)[0], atol=1e-5)


@pytest.mark.parametrize(
    ("given", "said"),
    [({"factor": 3, "rate": 8000}, "no multiple of factor = 3"), ({"critic_turns": 0}, "critic_t")],
)
def test_settings_that_cannot_be_are_refused(given, said):
    with pytest.raises(ValueError, match=said):
        upsampler.objective(**{"rate": RATE, "factor": FACTOR, **given})


def test_nothing_to_measure_is_refused():
    with pytest.raises(ValueError, match="batches is empty"):
        make().scores(MODEL, [])
