import json
import signal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine_toys import Run, arrays, batch_at, batches, same_bits, values, wave
from rich.console import Console

from apps.engine import loop
from apps.engine.checkpoint import Checkpoints
from apps.engine.log import Log
from apps.engine.loop import Cadence, NonFiniteError, train
from apps.engine.mesh import place_batch
from apps.engine.signals import StopSignal

QUIET = Cadence(log=1, evaluate=0, sample=0, save=0)


def record(run):
    return [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]


def saved(run):
    return sorted(int(path.name) for path in run.checkpoints.glob("[0-9]*"))


@pytest.mark.parametrize(("objective", "devices"), [("vae", "one"), ("vae", "all"), ("gan", "all")])
def test_a_resumed_run_repeats_the_whole_one_bit_for_bit(tmp_path, objective, devices):
    whole = Run(tmp_path / "whole", objective=objective, devices=devices)
    parts = Run(tmp_path / "parts", objective=objective, devices=devices)
    expected = whole.train(12)
    parts.train(4)
    parts.train(9)
    found = parts.train(12)
    assert same_bits(found, expected)
    assert record(parts) == record(whole)


def test_a_finished_run_stays_as_it_is(tmp_path):
    run = Run(tmp_path)
    expected = run.train(4)
    before = (tmp_path / "metrics.jsonl").read_bytes()
    found = run.train(4)
    assert same_bits(found, expected)
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


def test_the_record_never_contradicts_itself(tmp_path):
    run = Run(tmp_path)
    run.train(5, cadence=Cadence(log=1, evaluate=0, sample=0, save=0))
    kept = record(run)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "vae/loss": 99.0}\n{"step": 7, "vae/lo')  # a kill tore this line
    run.train(8)
    assert [row["step"] for row in record(run)] == list(range(1, 9))
    assert record(run)[:5] == kept
    assert record(run)[5]["vae/loss"] != 99.0


def test_every_logged_number_is_exact(tmp_path):
    run = Run(tmp_path)
    state = run.fresh()
    _, metrics = run.step(state, place_batch(batch_at(0), run.mesh))
    run.train(1)
    assert record(run)[0]["vae/loss"] == float(metrics["vae/loss"])
    assert np.float32(record(run)[0]["vae/loss"]) == np.asarray(metrics["vae/loss"])


def test_a_run_logs_evaluates_shows_and_saves_when_told_and_at_the_end(tmp_path):
    run = Run(tmp_path)
    tested, shown = [], []

    def evaluate(state):
        tested.append(int(state.step))
        return {"distance": 1 / int(state.step)}

    def sample(state):
        shown.append(int(state.step))
        return [wave()]

    run.train(
        11,
        cadence=Cadence(log=3, evaluate=4, sample=5, save=4),
        keep={"keep_latest": 9, "best_metric": "test/distance"},
        evaluate=evaluate,
        sample=sample,
    )
    assert tested == [4, 8, 11]
    assert shown == [5, 10, 11]
    assert saved(run) == [4, 8, 11]
    assert [row["step"] for row in record(run)] == [3, 4, 6, 8, 9, 11]
    assert {row["step"]: row.get("test/distance") for row in record(run)}[8] == 1 / 8
    pictures = sorted(path.name for path in (tmp_path / "samples").glob("*.png"))
    assert pictures == [f"step-{step:07d}.png" for step in (5, 10, 11)]


def test_never_is_never_but_the_end_is_saved(tmp_path):
    run = Run(tmp_path)

    def refuse(state):
        raise AssertionError

    cadence = Cadence(log=0, evaluate=0, sample=0, save=0)
    run.train(3, cadence=cadence, evaluate=refuse, sample=refuse)
    assert record(run) == []
    assert saved(run) == [3]


def test_a_transfer_nobody_asked_for_fails_in_every_test_of_this_file(tmp_path):
    run = Run(tmp_path)
    with pytest.raises(jax.errors.JaxRuntimeError, match="Disallowed host-to-device transfer"):
        run.train(3, cadence=Cadence(1, 1, 0, 0), evaluate=lambda state: {"sum": jnp.add(1.0, 2.0)})


def test_the_host_runs_one_step_ahead(tmp_path, monkeypatch):
    run = Run(tmp_path)
    events = []
    inner, fetch = run.step, loop.fetch

    def step(state, batch):
        events.append("step")
        return inner(state, batch)

    def watched(tree):
        if isinstance(tree, dict):
            events.append("fetch")
        return fetch(tree)

    monkeypatch.setattr(run, "step", step)
    monkeypatch.setattr(loop, "fetch", watched)
    run.train(4, cadence=QUIET)
    assert events == ["step", "step", "fetch", "step", "fetch", "step", "fetch", "fetch"]


def poisoned(*steps):
    def batches_with_poison(start):
        for index, batch in enumerate(batches(start), start):
            yield np.full_like(batch, np.nan) if index in steps else batch

    return batches_with_poison


def named(step):
    return f"{step}a.wav", f"{step}b.wav"


def test_a_gradient_that_is_not_finite_stops_the_run_and_a_good_state_is_saved(tmp_path):
    run = Run(tmp_path)
    said = (
        r"step 7: the update of 'vae' is skipped: loss is nan, gradient_norm is nan on 6a.wav, "
        r"6b.wav. The run stops; none of it is in the model, which is saved at step 8. Look at"
    )
    with pytest.raises(NonFiniteError, match=said):
        run.train(20, batches=poisoned(6), cadence=QUIET, names=named)
    assert saved(run) == [8]
    assert all(np.all(np.isfinite(value)) for value in values(run.train(8)))
    assert [row["vae/loss"] is None for row in record(run)] == [*[False] * 6, True, False]
    assert [row["vae/skipped"] for row in record(run)] == [0, 0, 0, 0, 0, 0, 1, 0]


@pytest.mark.parametrize("at", [3, 4])
def test_bad_gradients_are_skipped_and_told_and_stop_the_run_when_they_are_too_many(tmp_path, at):
    run, told = Run(tmp_path), []
    options = {"cadence": QUIET, "max_skipped": 2, "names": named, "told": told}
    state = run.train(20, batches=poisoned(at, 9, 10), **options)
    assert int(state.players["vae"].skips.total) == 3
    assert told == [
        f"step {at + 1}: the update of 'vae' is skipped: loss is nan, gradient_norm is nan on "
        f"{at}a.wav, {at}b.wav",
        "step 10: the update of 'vae' is skipped: loss is nan, gradient_norm is nan on "
        "9a.wav, 9b.wav",
        "step 11: the update of 'vae' is skipped, 2 in a row: loss is nan, gradient_norm is nan "
        "on 10a.wav, 10b.wav",
    ]
    told.clear()
    with pytest.raises(NonFiniteError, match=r"step 25: .* skipped, 3 in a row: .* on 24a.wav"):
        run.train(40, batches=poisoned(22, 23, 24), **options)
    assert len(told) == 2
    assert saved(run)[-1] == 26
    before = (tmp_path / "metrics.jsonl").read_bytes()
    assert run.train(26).step == 26
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


def test_skipping_changes_no_bit_of_a_run_without_bad_gradients(tmp_path):
    strict, patient = Run(tmp_path / "strict"), Run(tmp_path / "patient")
    assert same_bits(strict.train(7, max_skipped=0), patient.train(7, max_skipped=9))
    assert record(strict) == record(patient)


def test_skips_are_counted_over_a_resume(tmp_path):
    run, told = Run(tmp_path), []
    run.train(5, batches=poisoned(4), max_skipped=2, told=told)
    with pytest.raises(NonFiniteError, match=r"step 7: .* skipped, 3 in a row"):
        run.train(9, batches=poisoned(5, 6), max_skipped=2, told=told)
    assert [line.split(":")[0] for line in told] == ["step 5", "step 6"]


def test_what_an_objective_has_to_say_is_printed_when_it_is_new(tmp_path):
    run, told, seen = Run(tmp_path), [], []
    words = {4: "bad", 6: "bad", 8: "worse", 12: "worse"}

    def watch(numbers):
        seen.append(numbers["vae/loss"])
        return words.get(2 * len(seen))

    run.train(14, cadence=Cadence(log=2, evaluate=0, sample=0, save=0), watch=watch, told=told)
    assert told == ["step 4: bad", "step 8: worse", "step 12: worse"]
    assert seen == [row["vae/loss"] for row in record(run)]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_a_signal_saves_the_step_and_leaves(tmp_path, name):
    number = getattr(signal, name, None)
    if number is None:
        pytest.skip(f"no {name} here")
    run = Run(tmp_path)

    def interrupted(start):
        for index, batch in enumerate(batches(start), start):
            if index == 6:
                signal.raise_signal(number)
            yield batch

    with StopSignal() as stop:
        state = run.train(50, batches=interrupted, stop=stop)
    assert int(state.step) == 7
    assert saved(run)[-1] == 7
    whole = Run(tmp_path / "whole")
    assert same_bits(run.train(9), whole.train(9))


def test_a_signal_before_the_first_step_leaves_nothing_behind(tmp_path):
    run = Run(tmp_path)
    with StopSignal() as stop:
        signal.raise_signal(signal.SIGTERM)
        state = run.train(5, stop=stop)
    assert int(state.step) == 0
    assert saved(run) == []


def test_a_best_metric_nobody_measures_is_told(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(loop._logger, "warning", said.append)
    Run(tmp_path).train(
        2,
        cadence=Cadence(log=1, evaluate=1, sample=0, save=1),
        keep={"best_metric": "test/distence"},
        evaluate=lambda state: {"distance": 1.0},
    )
    assert said[0].startswith("`best_metric` is 'test/distence', which is not measured")
    assert len(said) == 1


def test_the_average_is_saved_as_it_is(tmp_path):
    from apps.engine.checkpoint import restore_ema

    run = Run(tmp_path)
    state = run.train(5)
    step, players = restore_ema(run.checkpoints, run.models)
    assert step == 5
    assert same_bits(players["vae"], state.players["vae"].ema)
    assert not eqx.tree_equal(players["vae"], state.players["vae"].model)


def test_a_cadence_that_is_negative_is_refused():
    with pytest.raises(ValueError, match="`save` is -1: a number of steps, or 0 for never"):
        Cadence(save=-1)


def test_the_memory_of_a_step_is_told_once(tmp_path):
    said = []
    with (
        Checkpoints(tmp_path / "checkpoints") as checkpoints,
        Log(tmp_path, console=Console(quiet=True)) as log,
    ):
        log.message = lambda text: said.append(text)
        run = Run(tmp_path)
        train(
            run.fresh(),
            step=run.step,
            batches=batches,
            mesh=run.mesh,
            steps=3,
            cadence=Cadence(log=0, evaluate=0, sample=0, save=0),
            checkpoints=checkpoints,
            log=log,
            stop=StopSignal(),
        )
    assert run.step.memory is not None
    state, working = (f"{count / 1e6:.3g} MB" for count in run.step.memory)
    assert said == [f"each device holds {state} of state, and {working} more while it computes"]
    assert run.step.memory.state == sum(leaf.nbytes for leaf in arrays(run.fresh()))
