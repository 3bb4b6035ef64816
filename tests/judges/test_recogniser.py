"""The recogniser learns what it is shown, once, and judges what was made beside real signals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from apps.data import Signal, Tones
from apps.judges import recogniser
from apps.judges.recognition import Recognition, recognition

RATE = 8000


class Series:
    """Records of two channels, far from zero: rising ones and falling ones."""

    crops = False

    def __init__(self, count: int, seed: int) -> None:
        self.signal = Signal("series", length=20, channels=2, labels=("up", "down"))
        rng = np.random.default_rng(seed)
        slopes = np.where(np.arange(count) % 2, -1.0, 1.0)[:, None, None]
        ramp = np.linspace(-1, 1, 20)[None, :, None]
        noise = rng.standard_normal((count, 20, 2))
        self.rows = (500 + 100 * (slopes * ramp + noise)).astype(np.float32)

    def __len__(self) -> int:
        return len(self.rows)

    def name(self, index: int) -> str:
        return str(index)

    def example(self, index: int, rng: np.random.Generator | None) -> np.ndarray:
        return self.rows[index]

    def label(self, index: int) -> int:
        return index % 2


def tones(split: str, count: int = 48) -> Tones:
    return Tones(
        split=split, length=128, rate=RATE, modes=3, spacing=10.0, count=count, labels=True
    )


@pytest.fixture(scope="module")
def judge() -> Recognition:
    return recognition(tones("train"), tones("test"), tones("train"), told=True)


def test_tones_are_told_apart_and_beside_themselves_equal_their_control(judge):
    assert judge.accuracy >= 0.9
    real = recogniser.real(tones("test"))
    for at in range(0, 48, 20):
        judge.look(real.signal[at : at + 20], None)
    scores = judge.scores()
    assert scores["recognised"] == (judge.accuracy, judge.accuracy)
    assert scores["inception_score"].value == pytest.approx(scores["inception_score"].control)
    assert 2.5 < scores["inception_score"].value <= 3
    assert scores["recogniser_distance"].value == pytest.approx(0, abs=1e-3)
    assert scores["recogniser_distance"].control > 0.1


def test_noise_is_recognised_by_chance_and_far_away(judge):
    far = Recognition(
        judge.model, real=recogniser.real(tones("test")), others=recogniser.real(tones("train")),
        told=False
    )  # fmt: skip
    made = np.random.default_rng(0).standard_normal((48, 128, 1))
    far.look(made, None)
    scores = far.scores()
    assert "recognised" not in scores  # it was told no label, and has no record
    assert scores["recogniser_distance"].value > 10 * scores["recogniser_distance"].control
    far.look(made, made)
    assert far._labelled


def test_what_is_judged_does_not_depend_on_the_batch(judge):
    signal = recogniser.real(tones("test")).signal
    whole, parts = (recogniser.judged(judge.model, signal, size=size) for size in (48, 7))
    np.testing.assert_allclose(np.exp(whole[0]).sum(axis=1), 1.0, rtol=1e-5)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(judge.model(jnp.asarray(signal)), whole[0], rtol=1e-4, atol=1e-4)


def test_series_are_learnt_in_their_own_units():
    judge = recognition(Series(40, 0), Series(30, 1), Series(40, 0), told=True)
    assert judge.accuracy >= 0.9


def test_what_was_learnt_is_kept_and_a_damaged_file_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr(recogniser, "_LEAST", 3)
    monkeypatch.setattr(recogniser, "_EPOCHS", 5)
    learnt = recogniser.real(tones("train", 12))
    steps = []

    def count(numbers):
        for number in numbers:
            steps.append(number)
            yield number

    def made(**other):
        steps.clear()
        given = {"classes": 3, "rate": RATE, "kept": tmp_path, "progress": count, **other}
        return recogniser.recogniser(learnt, **given)

    first = made()
    assert len(steps) == 5
    (file,) = tmp_path.iterdir()
    again = made()
    assert not steps
    np.testing.assert_array_equal(again.last.weight, first.last.weight)
    file.write_bytes(file.read_bytes()[:100])
    np.testing.assert_array_equal(made().last.weight, first.last.weight)
    assert len(steps) == 5
    made(kept=tmp_path / "nowhere")
    assert len(steps) == 5
    monkeypatch.setattr(recogniser, "_LEAST", 8)  # five passes over one batch would be too few
    made(kept=None)
    assert len(steps) == 8
    assert [each.name for each in tmp_path.iterdir()] == [file.name]


def test_records_are_spread_over_a_source_that_has_too_many():
    few = recogniser.real(tones("train"), most=6)
    every = recogniser.real(tones("train"))
    np.testing.assert_array_equal(few.signal, every.signal[::8])
    np.testing.assert_array_equal(few.label, every.label[::8])


@pytest.mark.parametrize(
    ("rate", "length", "n_fft"), [(8000, 8192, 256), (44_100, 9000, 1024), (8000, 60, 64)]
)
def test_windows_last_about_32_milliseconds_unless_signals_are_shorter(rate, length, n_fft):
    model = recogniser.Recogniser(
        2, channels=2, length=length, rate=rate, width=4, key=jax.random.key(0)
    )
    assert model.n_fft == n_fft
    assert model.bands == n_fft * 40 // 256 or n_fft > 256
    frames = jax.eval_shape(model.frames, jax.ShapeDtypeStruct((1, length, 2), np.float32))
    assert frames.shape == (1, 1 + length // (n_fft // 4), 2 * model.bands)
