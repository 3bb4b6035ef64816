"""What a process does that trains a toy; nothing here may start JAX before `train` is called."""

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from engine_toys import Run, batches

from apps.engine import compilation
from apps.engine.loop import Cadence
from apps.engine.signals import StopSignal

__all__ = ["train"]


def train(
    folder: Path,
    steps: int,
    *,
    environment: Mapping[str, str],
    objective: str = "vae",
    devices: str = "one",
    pause: float = 0.0,
    save: int = 5,
    keep: Mapping[str, Any] | None = None,
    dies_at: int | None = None,
) -> None:
    """Trains until the end, a signal, or the death asked for.

    Args:
        folder: The run's.
        steps: Of the whole run.
        environment: Variables to set first.
        objective: `"vae"` or `"gan"`.
        devices: `"one"` or `"all"`.
        pause: Seconds between two steps, so that a signal can fall anywhere.
        save: Steps between checkpoints.
        keep: Options of `Checkpoints`.
        dies_at: Which operation on a file of the checkpoints is the last thing this process does,
            from the first step on; 0 only counts them.
    """
    import jax

    folder.parent.mkdir(parents=True, exist_ok=True)
    error = os.open(folder.with_suffix(".errors"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(error, 2)
    os.environ.update(environment)
    compilation.keep_compilations()
    for name, value in environment.items():  # too late for variables: JAX is imported
        jax.config.update(name.lower(), float(value) if name.endswith("SECS") else value)
    operations = Operations(folder, dies_at)

    def stream(start: int) -> Iterator[np.ndarray]:
        operations.count()
        for batch in batches(start):
            time.sleep(pause)
            yield batch

    with StopSignal() as stop:
        run = Run(folder, objective=objective, devices=devices)
        cadence = Cadence(log=1, evaluate=0, sample=0, save=save)
        run.train(steps, batches=stream, stop=stop, cadence=cadence, keep=keep)
    operations.tell()
    sys.stderr.flush()


class Operations:
    """Counts what this process does to the files of its checkpoints, and ends it at one of them."""

    _KINDS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate")

    def __init__(self, folder: Path, last: int | None) -> None:
        self._path, self._last = folder.with_suffix(".operations"), last
        self._place = str(folder / "checkpoints").encode()
        self._done: list[str] = []

    def count(self) -> None:
        """Begins to count, if there is anything to count for."""
        if self._last is not None:
            sys.addaudithook(self._seen)

    def tell(self) -> None:
        """Writes the operations down, for who wants to end a process at each."""
        self._path.write_text("\n".join(self._done))

    def _seen(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in self._KINDS:
            return
        path = arguments[0]
        name = os.fsencode(path) if isinstance(path, str | bytes | os.PathLike) else b""
        if not name.startswith(self._place):
            return
        self._done.append(f"{event} {os.fsdecode(name)}")
        if len(self._done) == self._last:
            os.kill(os.getpid(), signal.SIGKILL)
