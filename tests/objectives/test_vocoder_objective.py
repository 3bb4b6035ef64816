"""What a vocoder is trained to do, by itself and against a critic."""

import re
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from apps.data.source import Conditioned
from apps.engine.mesh import make_mesh, place
from apps.engine.phases import make_phased_step
from apps.engine.state import init_state
from apps.metrics import audio
from apps.objectives import losses, vocoder
from apps.objectives.adversary import CRITIC, Adversary
from apps.objectives.critics import Verdict

HOP, BANDS, RATE = 8, 5, 8000


class Blocks(eqx.Module):
    """The smallest vocoder: the energy of pieces of a hop, and a linear map back."""

    back: jax.Array
    hop: int = eqx.field(static=True, default=HOP)

    def front_end(self, signal):
        pieces = signal.reshape(signal.shape[0], -1, HOP, 1)[..., 0]
        return jnp.log(pieces[..., :BANDS] ** 2 + 1e-3)

    def __call__(self, mel):
        return (mel @ self.back).reshape(mel.shape[0], -1, 1)


class Judge(eqx.Module):
    """The smallest critic: one number for each sample, and itself as its feature."""

    gain: jax.Array  # a number

    def __call__(self, signal, *, keys=None, label=None):
        assert label is None or label.shape == signal.shape[:1]
        feature = jnp.tanh(self.gain * signal)
        return Verdict(scores=(feature[..., 0],), features=((feature,),))


MODEL = Blocks(jax.random.normal(jax.random.key(0), (BANDS, HOP)) * 0.1)
CRITIC_MODEL = Judge(jnp.asarray(0.5))
KEYS = jax.random.split(jax.random.key(1), 3)


def signals(count=3, length=80, seed=0):
    return np.random.default_rng(seed).standard_normal((count, length, 1)).astype("f4")


def turn_of(objective, player, phase=-1):
    (turn,) = [turn for turn in objective.phases[phase].turns if turn.player == player]
    return turn


def loss_of(turn, others=None, batch=None):
    batch = jnp.asarray(signals()) if batch is None else batch
    return turn.loss(MODEL, others or {}, batch, keys=KEYS, step=jnp.asarray(0))


def test_the_regression_is_the_weighted_distance_of_the_models_own_spectra():
    value, parts = loss_of(turn_of(vocoder.objective(rate=RATE, mel_weight=45.0), "vocoder"))
    mel = MODEL.front_end(jnp.asarray(signals()))
    expected = np.abs(MODEL.front_end(MODEL(mel)) - mel).mean()
    assert float(parts["mel_l1"]) == pytest.approx(float(expected), rel=1e-6)
    assert float(value) == pytest.approx(45 * float(expected), rel=1e-6)
    assert float(parts["mel_distance"]) == 0.0


def test_distances_at_further_scales_are_added_with_the_same_weight():
    made = vocoder.objective(rate=RATE, mel_weight=2.0, n_ffts=(32, 64), bands=(5, 8))
    value, parts = loss_of(turn_of(made, "vocoder"))
    signal = jnp.asarray(signals())
    out = MODEL(MODEL.front_end(signal))
    apart = losses.log_mel_distance(out, signal, rate=RATE, n_ffts=(32, 64), bands=(5, 8))
    assert float(parts["mel_distance"]) == pytest.approx(float(apart), rel=1e-6)
    total = 2 * (parts["mel_l1"] + parts["mel_distance"])
    assert float(value) == pytest.approx(float(total), rel=1e-6)


def test_a_length_that_is_no_multiple_of_the_hop_is_filled_up_and_cut_back():
    signal = jnp.asarray(signals(length=77))
    mel, made = vocoder.vocoded(MODEL, signal)
    assert (mel.shape, made.shape) == ((3, 10, BANDS), (3, 77, 1))
    filled = np.pad(signal, ((0, 0), (0, 3), (0, 0)))
    np.testing.assert_allclose(made, MODEL(MODEL.front_end(jnp.asarray(filled)))[:, :77])
    turn = turn_of(vocoder.objective(rate=RATE), "vocoder")
    assert np.isfinite(loss_of(turn, batch=signal)[0])


def test_with_a_critic_its_opinion_and_its_features_are_added():
    adversary = Adversary(kind="least_squares", weight=1.0, feature_weight=2.0)
    made = vocoder.objective(rate=RATE, adversary=adversary)
    others = {CRITIC: CRITIC_MODEL}
    value, parts = loss_of(turn_of(made, "vocoder"), others)
    signal = jnp.asarray(signals())
    out = MODEL(MODEL.front_end(signal))
    judge: Any = CRITIC_MODEL
    pleasing, _ = adversary.persuade(judge, out, signal, keys=KEYS)
    assert float(value) == pytest.approx(float(45 * parts["mel_l1"] + pleasing), rel=1e-5)
    assert {"adversarial", "features", "mel_l1"} <= set(parts)


def test_the_critic_is_shown_what_the_vocoder_makes_of_the_records():
    adversary = Adversary(kind="least_squares")
    turn = turn_of(vocoder.objective(rate=RATE, adversary=adversary), CRITIC)
    batch = jnp.asarray(signals())
    _, told = turn.loss(CRITIC_MODEL, {"vocoder": MODEL}, batch, keys=KEYS, step=jnp.asarray(0))
    made = CRITIC_MODEL(MODEL(MODEL.front_end(batch))).scores[0]
    assert float(told["fake"]) == pytest.approx(float(made.mean()), rel=1e-5)


@pytest.mark.parametrize(
    ("adversary", "start", "critic_turns", "expected"),
    [
        (None, 0, 1, [(0, ["vocoder"])]),
        (None, 7, 1, [(0, ["vocoder"])]),
        (Adversary(), 0, 1, [(0, ["critic", "vocoder"])]),
        (Adversary(), 7, 2, [(0, ["vocoder"]), (7, ["critic", "critic", "vocoder"])]),
    ],
)
def test_the_critic_enters_at_its_step(adversary, start, critic_turns, expected):
    made = vocoder.objective(
        rate=RATE, adversary=adversary, adversarial_from=start, critic_turns=critic_turns
    )
    found = [(phase.start, [turn.player for turn in phase.turns]) for phase in made.phases]
    assert found == expected
    assert made.parts == (critic_turns if adversary else 1)
    assert (made.product, made.best) == ("vocoder", "mel_l1")
    last = made.phases[-1].turns
    assert [turn.part for turn in last if turn.player == CRITIC] == list(range(len(last) - 1))


@pytest.mark.slow
@pytest.mark.parametrize("adversary", [None, Adversary(feature_weight=2.0)])
def test_training_brings_the_spectra_nearer_and_devices_agree(adversary):
    made = vocoder.objective(rate=RATE, adversary=adversary, adversarial_from=3)
    models = {"vocoder": MODEL} | ({CRITIC: CRITIC_MODEL} if adversary else {})
    optimisers = {name: optax.adam(1e-2) for name in models}
    batch, found = signals(8), []
    for devices in (1, 8):
        mesh = make_mesh(devices, 8)
        step = make_phased_step(made.phases, optimisers, mesh=mesh)
        state = place(init_state(models, optimisers, key=jax.random.key(0)), mesh)
        course = []
        for done in range(8):
            state, metrics = step.at(done)(state, place(jnp.asarray(batch), mesh))
            course.append(float(metrics["vocoder/mel_l1"]))
        assert course[-1] < course[0]
        found.append(course)
    assert found[0] == pytest.approx(found[1], rel=1e-5)


@pytest.mark.parametrize("labelled", [False, True])
def test_scores_are_of_what_is_made_of_each_record(labelled):
    clips = signals(5, length=300)
    parts = [clips[:3], clips[3:]]
    given = [Conditioned(p, np.zeros(len(p), np.int32)) for p in parts] if labelled else parts
    seen = []
    found = vocoder.objective(rate=RATE).scores(
        MODEL, given, look=lambda made, wanted: seen.append((made, wanted))
    )
    mel, made = vocoder.vocoded(MODEL, jnp.asarray(clips))
    filled = vocoder.whole_hops(made, HOP)
    expected = np.abs(MODEL.front_end(filled) - mel).mean((1, 2))
    np.testing.assert_allclose(found["mel_l1"], expected, rtol=1e-5)
    np.testing.assert_allclose(found["si_sdr"], audio.si_sdr(np.asarray(made), clips), rtol=1e-3)
    assert set(found) == {"mel_l1", "mel_distance", "stft_distance", "si_sdr"}
    assert all(values.shape == (5,) for values in found.values())
    shown, beside = (np.concatenate(each) for each in zip(*seen, strict=True))
    np.testing.assert_allclose(shown, made, atol=1e-5)
    np.testing.assert_array_equal(beside, clips)


def test_samples_lie_beside_what_they_are_made_of():
    clips = signals(2)
    shown = vocoder.objective(rate=RATE).samples(MODEL, clips, ["a", "b"])
    assert [each.name for each in shown] == ["vocoded a", "vocoded b"]
    np.testing.assert_array_equal(shown[1].reference, clips[1])
    made = vocoder.vocoded(MODEL, jnp.asarray(clips))[1]
    np.testing.assert_allclose(shown[0].signal, made[0], atol=1e-6)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rate": None}, "rate is None: a vocoder makes sound"),
        ({"n_ffts": (64,)}, "n_ffts has 1 scales and bands has 0"),
        ({"critic_turns": 0}, "critic_turns is 0; give at least 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(given, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        vocoder.objective(**({"rate": RATE} | given))


def test_nothing_to_measure_is_refused():
    with pytest.raises(ValueError, match="batches is empty"):
        vocoder.scores(MODEL, [], rate=RATE)
