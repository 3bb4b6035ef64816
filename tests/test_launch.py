"""What starts a run elsewhere: the files parse, and name settings that exist."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from apps import command_line
from apps.config import Config
from apps.schema import settings

HOME = Path(__file__).resolve().parents[1]
FOLDER = HOME / "scripts" / "launch"
FILES = sorted(path.name for path in FOLDER.iterdir())
GROUPS = ("train", "data", "model", "objective", "optimiser", "critic", "distributed")
posix = pytest.mark.skipif(os.name == "nt", reason="needs bash and signals")


@pytest.mark.parametrize("name", FILES)
def test_every_setting_that_is_named_exists(name):
    text = (FOLDER / name).read_text(encoding="utf-8")
    known = {each.key for each in settings(Config)}
    named = set(re.findall(rf"(?<![\w./-])(?:{'|'.join(GROUPS)})\.[a-z_0-9.]*[a-z_0-9]", text))
    assert named <= known
    assert named or name == "whole.sh"


@posix
@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(("sh", "sbatch"))])
def test_a_shell_parses_the_scripts(name):
    subprocess.run(["bash", "-n", str(FOLDER / name)], check=True)


def test_the_words_of_a_batch_job_are_a_config():
    text = (FOLDER / "slurm.sbatch").read_text(encoding="utf-8")
    words = re.findall(r"^ +([\w.]+=[\w.]+)", text, re.M)
    wanted = command_line.read(Config, command_line.sort(words))
    assert wanted.distributed.coordinator == "auto"
    tasks = 2 * int(re.findall(r"--ntasks-per-node=(\d+)", text)[0])
    assert tasks % wanted.train.fsdp == 0
    assert wanted.train.batch_size % tasks == 0


def test_the_pods_of_a_job_are_the_processes_of_a_run():
    service, job = yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text(encoding="utf-8"))
    pods = job["spec"]["template"]["spec"]
    _, steps, *words = pods["containers"][0]["args"]
    words = [word.replace("$(JOB_COMPLETION_INDEX)", "3") for word in words]
    wanted = command_line.read(Config, command_line.sort([*words, f"train.steps={steps}"]))
    assert wanted.distributed.processes == job["spec"]["completions"] == job["spec"]["parallelism"]
    assert wanted.distributed.rank == 3
    assert wanted.train.batch_size % job["spec"]["completions"] == 0
    name = job["metadata"]["name"]
    assert service["spec"]["selector"] == {"job-name": name}
    assert wanted.distributed.coordinator == f"{name}-0.{pods['subdomain']}:55527"
    assert pods["subdomain"] == service["metadata"]["name"]
    assert pods["terminationGracePeriodSeconds"] > wanted.distributed.heartbeat


PYTHON = """#!{python}
import pathlib, signal, sys, time
run = next(word[4:] for word in sys.argv if word.startswith("run="))
def save(number, frame):
    sys.exit(0)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
    signal.signal(number, save)
pathlib.Path(run).mkdir()
if "finish" in sys.argv:
    pathlib.Path(run, "checkpoints", "40").mkdir(parents=True)
elif "break" in sys.argv:
    sys.exit(3)
else:
    time.sleep(60)
"""


@posix
@pytest.mark.parametrize(
    ("word", "sent", "code"),
    [("finish", None, 0), ("break", None, 3), ("stop", "SIGTERM", 75), ("stop", "SIGUSR1", 75)],
)
def test_a_run_that_was_stopped_asks_to_be_tried_again(tmp_path, word, sent, code):
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(PYTHON.format(python=sys.executable))
    python.chmod(0o755)
    run = tmp_path / "a run"
    process = subprocess.Popen(
        ["bash", str(FOLDER / "whole.sh"), str(run), "40", word],
        env={**os.environ, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"},
    )
    while sent and not run.exists():
        assert process.poll() is None
        time.sleep(0.02)
    if sent:
        process.send_signal(signal.Signals[sent])
    assert process.wait(timeout=60) == code
