"""Kill −9, anywhere: what was logged before and after is what a whole run logs, bit for bit."""

import random
import time
from typing import Any

import pytest
from engine_toys import Run
from processes import (
    TIMEOUT,
    errors,
    is_saving,
    kill,
    needs_signals,
    operations,
    record,
    wait_until,
)

from apps.engine.loop import Cadence

pytestmark = needs_signals
MOST = 9  # steps that a process makes before it is killed, beyond what was logged before it
SAVES = 3  # one kill in three falls inside a save


def whole(folder, objective, devices, steps):
    """The record of a run that nothing happened to, made by this process."""
    run = Run(folder / "whole", objective=objective, devices=devices)
    run.train(steps, cadence=Cadence(log=1, evaluate=0, sample=0, save=0))
    return record(folder / "whole")


def killed_again_and_again(trainer, folder, chance, *, kills, objective, devices):
    steps = kills * MOST + 5
    expected = whole(folder, objective, devices, steps)
    assert list(expected) == list(range(1, steps + 1))
    broken, options = folder / "broken", {"objective": objective, "devices": devices}
    inside = 0
    for number in range(kills):
        goal = max(record(broken), default=0) + chance.randrange(1, MOST + 1)
        process = trainer.start(broken, steps, pause=0.01, **options)
        wait_until(lambda at=goal: max(record(broken), default=0) >= at, process)
        if number % SAVES == 0:
            wait_until(lambda: is_saving(broken), process)
            time.sleep(chance.uniform(0, 0.03) if number else 0.0)
        kill(process)
        inside += is_saving(broken)  # what was half written is left
        assert record(broken) == {step: expected[step] for step in record(broken)}
    trainer.finish(broken, steps, **options)
    assert record(broken) == expected
    assert list(broken.glob("checkpoints/*.bad*")) == []
    return inside


def test_a_run_killed_inside_a_save_repeats_every_loss(trainer, tmp_path, told):
    told(
        "kills and signals",
        "kill −9 inside a save",
        "resumes from the checkpoint before it; every loss is bit-equal to the whole run's",
    )
    options: Any = {"kills": 1, "objective": "vae", "devices": "one"}
    assert killed_again_and_again(trainer, tmp_path, random.Random(1), **options) == 1


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["vae", "gan"])
@pytest.mark.parametrize("devices", ["one", "all"])
def test_twenty_kills_change_no_loss(trainer, tmp_path, told, objective, devices):
    told(
        "kills and signals",
        f"20 random kills −9, a third inside saves: {objective.upper()}, "
        f"{'1 device' if devices == 'one' else '8 devices'}",
        "every loss is bit-equal to the whole run's",
    )
    options: Any = {"kills": 20, "objective": objective, "devices": devices}
    assert killed_again_and_again(trainer, tmp_path, random.Random(2), **options) >= 5


@pytest.mark.parametrize(
    "every", [pytest.param(1, marks=pytest.mark.slow, id="all"), pytest.param(37, id="some")]
)
def test_a_save_killed_at_any_of_its_file_operations_costs_nothing(trainer, tmp_path, told, every):
    told(
        "kills and signals",
        f"kill −9 at {'every' if every == 1 else 'some'} file operation of a save and of removing "
        f"the checkpoint before it",
        "the newest whole checkpoint is used; every loss is bit-equal",
    )
    counted, broken, options = (
        tmp_path / "counted",
        tmp_path / "broken",
        {"keep": {"keep_latest": 1}},
    )
    steps = 150
    expected = whole(tmp_path, "vae", "one", steps)
    for folder in (counted, broken):
        trainer.finish(folder, 5, **options)
    trainer.finish(counted, 10, dies_at=0, **options)
    listed = operations(counted)
    assert any("retired" in line for line in listed)
    assert sum(line.startswith("os.rename") for line in listed) >= 5
    for number in range(1, len(listed) + 1, every):
        process = trainer.start(broken, steps, dies_at=number, **options)
        process.join(TIMEOUT)
        assert process.exitcode == -9, errors(broken)
        assert record(broken) == {step: expected[step] for step in record(broken)}
    done = max(record(broken)) + 3
    trainer.finish(broken, done, **options)
    assert record(broken) == {step: expected[step] for step in range(1, done + 1)}
    assert list(broken.glob("checkpoints/*.bad*")) == []
