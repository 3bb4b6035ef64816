"""A run in phases: one step for each, chosen by the number of updates made."""

import contextlib
import json
from typing import Any

import jax
import optax
import pytest
from engine_toys import GAN, Run, batch_at, same_bits, values

from apps.engine import loop
from apps.engine.loop import Cadence
from apps.engine.mesh import place_batch
from apps.engine.phases import Phase, PhasedStep, make_phased_step

PHASES = (Phase("the decoder alone", 0, (GAN[1],)), Phase("critic and decoder", 4, tuple(GAN)))
OPTIMISERS = {"critic": optax.adam(3e-2), "decoder": optax.sgd(1e-2, momentum=0.9)}


@contextlib.contextmanager
def compilations():
    found = []

    def listen(event: str, duration_secs: float, **kwargs: str | int) -> None:
        del duration_secs, kwargs
        if event.endswith("backend_compile_duration"):
            found.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


class Phased(Run):
    """A game whose critic begins at step 4."""

    def __init__(self, folder, *, devices="one"):
        super().__init__(folder, objective="gan", devices=devices)
        self.step: Any = make_phased_step(PHASES, OPTIMISERS, mesh=self.mesh)


def record(run):
    return [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("devices", ["one", "all"])
def test_a_resume_across_the_switch_is_exact_and_each_phase_is_told(tmp_path, devices):
    whole, parts = Phased(tmp_path / "whole", devices=devices), Phased(tmp_path / "parts")
    parts.mesh, parts.step, parts._state = whole.mesh, whole.step, whole._state
    told, again = [], []
    expected = whole.train(8, told=told)
    for steps in (3, 4, 6, 8):
        found = parts.train(steps, told=again)
    assert same_bits(found, expected)
    assert record(parts) == record(whole)
    first, second = "step 0: the decoder alone", "step 4: critic and decoder"
    assert told == [first, second]
    rest = ["step 3: the decoder alone", second, "step 6: critic and decoder"]
    assert again == [first, *rest]


def test_a_player_of_a_later_phase_rests_until_then_and_nothing_is_told_of_it(tmp_path):
    run = Phased(tmp_path)
    first = run.fresh().players["critic"]
    assert same_bits(run.train(4).players["critic"], first)
    later = run.train(6).players["critic"]
    counts: Any = later.opt_state
    assert int(counts[0].count) == 2
    assert not same_bits(later.model, first.model)
    before, after = record(run)[3], record(run)[4]
    assert {name.split("/")[0] for name in before} == {"step", "decoder"}
    assert {name.split("/")[0] for name in after} == {"step", "decoder", "critic", "gradient_ratio"}


def test_each_phase_is_compiled_once_and_when_it_begins(tmp_path):
    run = Phased(tmp_path)
    state, counts = run.fresh(), []
    ready = [place_batch(batch_at(index), run.mesh) for index in range(7)]
    with compilations() as compiled:
        for done, batch in enumerate(ready):
            state, _ = run.step.at(done)(state, batch)
            counts.append(len(compiled))
    assert counts == [1, 1, 1, 1, 2, 2, 2]
    assert len(values(state)) == len(values(run.fresh()))


def test_a_metric_that_is_measured_from_a_later_phase_on_may_judge_checkpoints(
    tmp_path, monkeypatch
):
    said = []
    monkeypatch.setattr(loop._logger, "warning", said.append)
    cadence = Cadence(log=1, evaluate=2, sample=0, save=2)
    keep = {"best_metric": "critic/loss", "keep_latest": 1}
    run = Phased(tmp_path)
    run.train(8, cadence=cadence, keep=keep, evaluate=lambda state: {})
    assert said == []
    kept = sorted(int(path.name) for path in run.checkpoints.glob("[0-9]*"))
    assert kept[-1] == 8
    judged = {row["step"]: row["critic/loss"] for row in record(run) if row["step"] in (6, 8)}
    assert min(judged, key=judged.__getitem__) in kept


def test_phases_out_of_order_are_refused():
    with pytest.raises(ValueError, match="`phases` is empty: a run needs at least one"):
        PhasedStep((), ())
    for starts in ([1], [0, 0], [0, 9, 4]):
        phases = tuple(Phase("", start, tuple(GAN)) for start in starts)
        with pytest.raises(ValueError, match=r"the phases start at .*: the first must start at 0"):
            PhasedStep(phases, ())
