"""A sweep: one run for each combination, resumed by its folder, its failures told in one line."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from apps import command_line, config, sweep
from apps.command_line import CONF
from apps.config import Config
from apps.schema import ConfigError
from apps.train import DOOR

ROOT = CONF.parent
JOB = """
import os, sys
from pathlib import Path
from apps import command_line, config
from apps.config import Config
from apps.schema import ConfigError
from apps.train import DOOR

def job(wanted):
    latent = wanted.model.latent
    with open("made", "a") as file:
        print(wanted.run.name, latent, wanted.train.steps, file=file)
    wanted.run.mkdir(parents=True, exist_ok=True)
    if not (wanted.run / config.FILE).exists():
        config.save(wanted, wanted.run)
    match os.environ.get(f"LATENT_{latent}"):
        case "1": return 1
        case "refuse": raise ConfigError("model.latent is not to be")
        case "break": raise RuntimeError("out of luck\\nand more")
        case "stop": raise command_line.Stopped
        case "kill": os.kill(os.getpid(), 9)
    return 0

sys.exit(command_line.enter(DOOR, Config, job, sys.argv[1:]))
"""
WORDS = ["-m", "model.latent=4,8,16", "run=all"]


def go(folder: Path, *words: str, **latents: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **latents}
    return subprocess.run(
        [sys.executable, "-c", JOB, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


def made(folder: Path) -> list[str]:
    path = folder / "made"
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return [line.rsplit(" ", 1)[0] for line in lines]


def test_a_failed_run_ends_no_sweep_and_is_told_at_the_end_and_made_again(tmp_path: Path):
    done = go(tmp_path, *WORDS, LATENT_4="1", LATENT_8="break")
    assert done.returncode == 1
    assert made(tmp_path) == ["0 4", "1 8", "2 16"]
    last = done.stderr.splitlines()[-1]
    assert last == (
        f"2 of 3 runs of {tmp_path / 'all'} failed: 0 (see above); 1 (RuntimeError: out of luck)"
    )
    again = go(tmp_path, "run=all", LATENT_8="refuse")  # -m and the values are known
    assert again.returncode == 2
    assert made(tmp_path) == ["0 4", "1 8"]
    assert f"{tmp_path / 'all' / '2'} is done" in again.stdout
    assert again.stderr.splitlines()[-1].endswith("failed: 1 (model.latent is not to be)")
    assert go(tmp_path, "run=all").returncode == 0
    assert made(tmp_path) == ["1 8"]


@pytest.mark.parametrize(("how", "code"), [("stop", 0), ("kill", -9)])
def test_a_sweep_that_was_stopped_or_killed_goes_on_where_it_was(
    how: str, code: int, tmp_path: Path
):
    done = go(tmp_path, *WORDS, LATENT_8=how)
    assert done.returncode == code
    assert made(tmp_path) == ["0 4", "1 8"]
    again = go(tmp_path, *WORDS)
    assert (again.returncode, made(tmp_path)) == (0, ["1 8", "2 16"])
    assert again.stdout.splitlines()[-1] == f"all 3 runs of {tmp_path / 'all'} are done"


def test_a_longer_or_wider_sweep_goes_on_with_the_runs_there_are(tmp_path: Path):
    assert go(tmp_path, *WORDS, "train.steps=5").returncode == 0
    assert made(tmp_path) == ["0 4", "1 8", "2 16"]
    assert go(tmp_path, "run=all", "model.latent=4,8,16,32").returncode == 0
    assert made(tmp_path) == ["3 32"]
    assert go(tmp_path, "run=all", "train.steps=7").returncode == 0
    assert made(tmp_path) == ["0 4", "1 8", "2 16", "3 32"]


def enter(*words: str) -> int:
    def job(wanted: Config) -> int:
        pytest.fail(f"begun: {wanted}")

    return command_line.enter(DOOR, Config, job, list(words))


def test_a_folder_with_something_else_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "song.wav").touch()
    assert enter("-m", "model.latent=4,8", f"run={tmp_path}") == 2
    assert "holds something else and no sweep; choose another" in capsys.readouterr().err
    (tmp_path / config.FILE).touch()
    assert enter("-m", "model.latent=4,8", f"run={tmp_path}") == 2
    assert "is a single run and no sweep; choose another folder" in capsys.readouterr().err
    (tmp_path / sweep.WORDS).write_text('{"words": 3}')
    assert enter(f"run={tmp_path}") == 2
    assert "words.json is damaged; give the words of the sweep" in capsys.readouterr().err


CALLS = {
    "launcher": {"launcher": {"_target_": "os.system", "command": "true"}},
    "callback": {"callbacks": {"mine": {"_target_": "subprocess.run"}}},
    "handler": {"job_logging": {"handlers": {"x": {"()": "os.system"}}}},
    "log": {"hydra_logging": {"handlers": {"x": {"class": "os.popen"}}}},
    "listed": {"sweeper": {"some": [{"_target_": "os.system"}]}},
}


@pytest.mark.parametrize("node", CALLS.values(), ids=CALLS.keys())
def test_what_hydra_would_call_is_refused(node: dict[str, object]):
    with pytest.raises(ConfigError, match=r"^hydra\..*=.* would be called; there may stand what"):
        sweep.refuse_code(node)


def test_hydra_s_own_settings_pass(tmp_path: Path):
    sweep.refuse_code(sweep._launching([], (CONF,)))


TINY = [
    *("model.strides=[4]", "model.channels=[4]", "model.dilations=[]", "model.weight_norm=false"),
    *("objective.n_ffts=[32]", "objective.bands=[8]", "data.count=8", "data.length=64"),
    *("train.batch_size=4", "train.evaluate_every=0", "train.sample_every=0", "train.samples=1"),
    *("train.log_every=5", "optimiser.schedule=constant", "train.save_every=100000"),
]


@pytest.mark.slow
def test_a_real_sweep_that_was_terminated_is_finished(tmp_path: Path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_NUM_CPU_DEVICES": "1"}
    words = ["-m", *TINY, "run=all", "model.latent=2,3"]
    command = [sys.executable, "-m", "apps.train"]
    subprocess.run([*command, *words, "train.steps=20"], cwd=tmp_path, env=environment, check=True)
    process = subprocess.Popen(
        [*command, "run=all", "train.steps=20000"], cwd=tmp_path, env=environment
    )
    log = tmp_path / "all" / "0" / "metrics.jsonl"
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline and steps(log) <= 25:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=100) == 0
    reached = steps(log)
    assert 25 < reached < 20000
    done = subprocess.run([*command, "run=all", f"train.steps={reached + 5}"], cwd=tmp_path,
                          env=environment, capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.search(rf"resuming all/0 at step \d+ of {reached + 5}", done.stdout)
    assert [steps(tmp_path / "all" / name / "metrics.jsonl") for name in "01"] == [reached + 5] * 2


def steps(path: Path) -> int:
    """The last step that a run told of."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return json.loads(lines[-1])["step"] if lines else 0
