"""Processes that train and may be killed: toys by the second, and the real command.

Importing JAX takes seconds, which 80 kills would each pay. So a server that has imported all that
training needs, and has not yet started JAX's backend, is asked to fork: each run is a process of
its own that the operating system kills like any other.
"""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TIMEOUT = 300.0  # seconds for what takes two or three on a machine that does nothing else

needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


def share_compiled(folder: Path) -> dict[str, str]:
    """The variables with which processes find in `folder` what others compiled."""
    return {
        "JAX_COMPILATION_CACHE_DIR": str(folder),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }


def record(folder: Path) -> dict[int, dict[str, float]]:
    """The logged numbers by step; a line torn by a kill is left out."""
    found: dict[int, dict[str, float]] = {}
    path = folder / "metrics.jsonl"
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        step = row.pop("step")
        assert step not in found
        found[step] = row
    return found


def saved(folder: Path) -> list[int]:
    """The steps of a run's checkpoints."""
    names = (path.name for path in (folder / "checkpoints").glob("*"))
    return sorted(int(name) for name in names if name.isdigit())


def is_saving(folder: Path) -> bool:
    """Whether a checkpoint is being written."""
    return any(folder.glob("checkpoints/*.orbax-checkpoint-tmp*"))


def wait_until(what: Any, process: BaseProcess | subprocess.Popen[str]) -> None:
    """Waits until `what()` is true or the process has ended."""
    deadline = time.monotonic() + TIMEOUT
    while not what() and time.monotonic() < deadline:
        code = process.poll() if isinstance(process, subprocess.Popen) else process.exitcode
        if code is not None:
            return
        time.sleep(0.002)


class Trainer:
    """Starts processes that train a toy."""

    def __init__(self, compiled: Path) -> None:
        self._method = multiprocessing.get_context("forkserver")
        self._method.set_forkserver_preload(["training"])
        self._environment = share_compiled(compiled)

    def start(self, folder: Path, steps: int, **options: Any) -> BaseProcess:
        """Starts to train, or to go on; the options are those of `training.train`."""
        words = (str(folder), steps, {**options, "environment": self._environment})
        process = self._method.Process(target=_train, args=words, daemon=True)
        process.start()
        return process

    def finish(self, folder: Path, steps: int, **options: Any) -> None:
        """Trains to the end, in silence."""
        process = self.start(folder, steps, **options)
        process.join(TIMEOUT)
        assert process.exitcode == 0, errors(folder)
        assert errors(folder) == ""


def _train(folder: str, steps: int, options: dict[str, Any]) -> None:
    import training

    training.train(Path(folder), steps, **options)


def operations(folder: Path) -> list[str]:
    """What a process that only counted did to the files of the checkpoints."""
    return folder.with_suffix(".operations").read_text().splitlines()


def errors(folder: Path) -> str:
    """What the last process that trained a toy had to say on its standard error."""
    return folder.with_suffix(".errors").read_text()


def command(*words: str, folder: Path, **environment: str) -> subprocess.Popen[str]:
    """Starts `python -m apps.train` in a folder, with these words."""
    return subprocess.Popen(
        [sys.executable, "-m", "apps.train", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill(process: BaseProcess) -> None:
    """Kills a process as nothing can forbid, and sees that this was its end."""
    if process.exitcode is None and process.pid is not None:
        os.kill(process.pid, signal.SIGKILL)
    process.join(TIMEOUT)
    assert process.exitcode == -signal.SIGKILL
