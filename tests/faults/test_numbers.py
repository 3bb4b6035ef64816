"""Numbers that are not finite, and clocks that go back."""

import time

import jax.numpy as jnp
import numpy as np
import pytest
from engine_toys import Run, batches, elbo, same_bits, values
from processes import record, saved
from rich.console import Console

from apps.engine.log import Log
from apps.engine.loop import Cadence, NonFiniteError
from apps.engine.step import Turn

QUIET = Cadence(log=1, evaluate=0, sample=0, save=0)


def sharp(model, others, batch, *, keys, step):
    """The toy's loss; of a batch of zeros it is finite, and its gradient is not."""
    loss, metrics = elbo(model, others, batch, keys=keys, step=step)
    return loss + jnp.sqrt(jnp.sum((batch @ model.encoder.weight.T) ** 2)), metrics


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setitem(
        Run.__init__.__globals__["OBJECTIVES"],
        "sharp",
        ([Turn("vae", sharp)], Run.__init__.__globals__["vae_players"]),
    )
    return Run(tmp_path / "run", objective="sharp")


POISON = {"batch": np.nan, "gradient": 0.0}


def poisoned(kind, *steps):
    def stream(start):
        for step, batch in enumerate(batches(start), start):
            yield np.full_like(batch, POISON[kind]) if step in steps else batch

    return stream


def names(step):
    return f"{step}a.wav", f"{step}b.wav"


@pytest.mark.parametrize("kind", POISON)
def test_one_that_is_not_finite_is_skipped_and_told(run, told, kind):
    told(
        "numbers",
        f"a NaN {kind} once, allowed (`train.max_skipped`)",
        "the update is skipped, counted, and told with the names of the records; no NaN enters "
        "the model or its averages",
    )
    said = []
    options = {"cadence": QUIET, "max_skipped": 1, "names": names, "told": said}
    before = run.train(3, **options)
    model = values(before.players["vae"])
    state = run.train(4, batches=poisoned(kind, 3), **options)
    (line,) = (each for each in said if each.startswith("step "))
    assert line.startswith("step 4: the update of 'vae' is skipped: ")
    assert "gradient_norm is nan on 3a.wav, 3b.wav" in line
    assert ("loss is nan" in line) == (kind == "batch")
    *kept, in_a_row, total = values(state.players["vae"])
    assert all(np.array_equal(a, b) for a, b in zip(kept, model, strict=False))
    assert (in_a_row, total) == (1, 1)
    assert record(run.folder)[4]["vae/skipped"] == 1
    assert all(np.all(np.isfinite(value)) for value in values(run.train(6, **options)))


@pytest.mark.parametrize("kind", POISON)
def test_too_many_that_are_not_finite_stop_the_run(run, told, kind):
    told(
        "numbers",
        f"a NaN {kind} more often in a row than allowed",
        "the run stops with exit code 1 and the records' names; the state is saved, finite, and "
        "can be gone on from",
    )
    options = {"cadence": QUIET, "max_skipped": 2, "names": names}
    said = r"step 6: the update of 'vae' is skipped, 3 in a row: .* on 5a.wav, 5b.wav. The run stop"
    with pytest.raises(NonFiniteError, match=said):
        run.train(20, batches=poisoned(kind, 3, 4, 5), **options)
    (done,) = saved(run.folder)
    state = run.train(done, **options)
    assert all(np.all(np.isfinite(value)) for value in values(state))
    assert int(run.train(done + 2, **options).step) == done + 2


def test_a_histogram_without_a_finite_value_costs_nothing(tmp_path, told):
    told("numbers", "a histogram of NaN alone in the log", "it is left out; the run goes on")
    with Log(tmp_path, console=Console(quiet=True)) as log:
        log.begin(0, steps=3, devices=1)
        for array in (np.full(4, np.nan), np.array([np.inf, 1.0]), np.zeros(0)):
            log.histograms(1, {"weights": array})
        log.scalars(2, {"loss": np.nan})
    assert record(tmp_path) == {2: {"loss": None}}


def test_a_clock_that_goes_back_costs_nothing(tmp_path, told, monkeypatch):
    told(
        "numbers",
        "both clocks of the machine going back in mid run, and again before the resume",
        "same bits, no pace below 0, checkpoints in the order of their steps",
    )
    expected = Run(tmp_path / "whole").train(12)
    now = iter(range(2_000_000_000, 0, -60))
    for name in ("time", "perf_counter"):
        monkeypatch.setattr(time, name, lambda: float(next(now)))
    paces = []
    monkeypatch.setattr(
        "apps.engine.progress._clock", lambda seconds: paces.append(seconds) or "a while"
    )
    run = Run(tmp_path / "run")
    run.train(7)
    state = run.train(12)
    monkeypatch.undo()
    assert same_bits(state, expected)
    assert record(run.folder) == record(tmp_path / "whole")
    assert all(seconds >= 0 for seconds in paces)
    assert saved(run.folder) == [7, 10, 12]
    assert Run(tmp_path / "run").train(12).step == 12
    first, second = sorted(path.name for path in (run.folder / "tensorboard").iterdir())
    assert "part-0001" in second
    assert "part" not in first
