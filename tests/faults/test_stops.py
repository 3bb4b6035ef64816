"""Signals that ask a run to stop."""

import os
import signal

import pytest
from engine_toys import Run
from processes import TIMEOUT, errors, needs_signals, record, saved, wait_until

from apps.engine.loop import Cadence

pytestmark = needs_signals
NAMES = ("SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP")
STEPS = 400


@pytest.mark.parametrize("name", NAMES)
def test_a_signal_saves_the_step_and_ends_with_0(trainer, tmp_path, told, name):
    told(
        "kills and signals",
        " or ".join(NAMES),
        "the step at hand is saved, exit code 0; the resumed run repeats the whole one's bits",
    )
    run = tmp_path / "run"
    process = trainer.start(run, STEPS, pause=0.01, save=0)
    wait_until(lambda: len(record(run)) >= 3, process)
    os.kill(process.pid, getattr(signal, name))
    process.join(TIMEOUT)
    assert (process.exitcode, errors(run)) == (0, "")
    (done,) = saved(run)
    assert done == max(record(run)) < STEPS
    whole = Run(tmp_path / "whole")
    whole.train(done + 3, cadence=Cadence(log=1, evaluate=0, sample=0, save=0))
    Run(run).train(done + 3, cadence=Cadence(log=1, evaluate=0, sample=0, save=0))
    assert record(run) == record(tmp_path / "whole")


@pytest.mark.slow
def test_signals_by_the_dozen_change_nothing(trainer, tmp_path, told):
    told(
        "kills and signals",
        "a dozen SIGTERM and SIGUSR1 at once",
        "the first one counts: saved once, exit code 0",
    )
    run = tmp_path / "run"
    process = trainer.start(run, STEPS, pause=0.01, save=0)
    wait_until(lambda: len(record(run)) >= 3, process)
    for number in [signal.SIGTERM, signal.SIGUSR1] * 6:
        if process.is_alive():
            os.kill(process.pid, number)
    process.join(TIMEOUT)
    assert (process.exitcode, errors(run)) == (0, "")
    assert saved(run) == [max(record(run))]
