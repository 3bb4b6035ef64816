"""The command a person types, in folders with odd names, killed and stopped."""

import shlex
import signal

import numpy as np
import pytest
from processes import TIMEOUT, command, is_saving, needs_signals, record, saved, share_compiled
from processes import wait_until as until

from apps import train
from apps.engine import compilation

pytestmark = needs_signals
ODD = "a run = (1), 音 ünï {2} 'x' $y"
SMALL = (
    *("data=arrays", "data.length=16", "objective=vae_series", "model.strides=[4]"),
    *("model.channels=[4]", "model.latent=2", "model.dilations=[]", "model.weight_norm=false"),
    *("optimiser.schedule=constant", "train.batch_size=4", "train.samples=1"),
    *("train.log_every=1", "train.save_every=5", "train.sample_every=0", "train.evaluate_every=0"),
)


@pytest.fixture
def series(tmp_path):
    """A series in a file of an odd name."""
    path = tmp_path / "Daten (2), = ß.csv"
    time = np.arange(200)[:, None] / np.array([3.0, 7.0])
    np.savetxt(path, np.sin(time), delimiter=",", fmt="%.6f", header="a,b", comments="")
    return path


@pytest.fixture
def start(tmp_path, series, compiled):
    """Starts the command in an odd folder."""
    place = tmp_path / ODD
    place.mkdir()

    def start(*words):
        return command(*words, folder=place, **share_compiled(compiled))

    return start


def test_the_command_is_killed_in_a_folder_of_an_odd_name_and_goes_on(
    start, tmp_path, series, told, monkeypatch
):
    told(
        "kills and signals",
        "kill −9 of `python -m apps.train` inside a save; spaces, Unicode, `=`, `(`, `,`, `{`, "
        "`'`, `$` in the paths of run and data",
        "`run=…` alone goes on; every loss is bit-equal to a whole run's",
    )
    run = tmp_path / ODD / ODD
    first = start(*SMALL, f"data.path=../{series.name}", f"run={ODD}", "train.steps=100000")
    until(lambda: len(saved(run)) > 1 and is_saving(run), first)
    first.kill()
    _, errors = first.communicate(timeout=TIMEOUT)
    assert (first.returncode, errors) == (-signal.SIGKILL, "")
    done = max(record(run)) + 4
    second = start(f"run={ODD}", f"train.steps={done}")
    output, errors = second.communicate(timeout=TIMEOUT)
    assert (second.returncode, errors) == (0, "")
    assert f"resuming {ODD} at step " in output, output
    assert f"train.steps: 100000 → {done}" in output
    assert f"python -m apps.evaluate {shlex.quote(f'run={ODD}')}\n" in output
    assert saved(run)[-1] == done
    monkeypatch.setattr(compilation, "keep_compilations", lambda: None)
    whole = tmp_path / "whole"
    assert train.main([*SMALL, f"data.path={series}", f"run={whole}", f"train.steps={done}"]) == 0
    assert record(run) == record(whole)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_the_command_stops_when_asked(start, tmp_path, series, told, name):
    told(
        "kills and signals",
        "`python -m apps.train` gets SIGTERM, SIGINT (Ctrl-C) or SIGUSR1",
        "the step at hand is saved, exit code 0, and it says which step",
    )
    run = tmp_path / ODD / "r"
    process = start(*SMALL, f"data.path={series}", "run=r", "train.steps=100000")
    until(lambda: len(record(run)) > 2, process)
    process.send_signal(getattr(signal, name))
    output, errors = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, errors) == (0, "")
    assert f"{name}: saving step {saved(run)[-1]} and leaving" in output
    assert max(record(run)) == saved(run)[-1]


@pytest.mark.slow
def test_the_command_outlives_its_reader(start, tmp_path, series):
    process = start(*SMALL, f"data.path={series}", "run=r", "train.steps=60")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=TIMEOUT) == 0
    assert saved(tmp_path / ODD / "r")[-1] == 60
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
