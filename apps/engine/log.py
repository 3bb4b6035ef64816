"""What a person sees of a run, and the only place that fetches from the device.

Scalars go to TensorBoard, to `metrics.jsonl` and to the terminal; sounds and pictures of the
fixed held-out examples to TensorBoard and to the folder `samples`.
"""

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import jax
import numpy as np
import soundfile
from numpy.typing import NDArray
from rich.console import Console
from tensorboardX import SummaryWriter

from apps.engine.progress import ProgressBar
from apps.engine.sample import Sample


def fetch(tree: Any) -> Any:
    """Copies the arrays of a tree to the host, waiting until they are there."""
    return jax.device_get(tree)


class Log:
    """The record of a run, in its folder.

    `metrics.jsonl` has one line for each logged step: `{"step": 10, "vae/loss": 0.5, …}`, every
    number as exact as it was computed; one that is not finite is null.

    Args:
        folder: The run's folder.
        console: Where to print; by default the standard output.

    Raises:
        ValueError: if the folder cannot be written.
    """

    def __init__(self, folder: str | Path, *, console: Console | None = None) -> None:
        self.folder = Path(folder).resolve()
        self.progress = ProgressBar(console)
        self._metrics = self.folder / "metrics.jsonl"
        self._writer: SummaryWriter | None = None
        self._references: set[str] = set()
        try:
            (self.folder / "samples").mkdir(parents=True, exist_ok=True)
            self._metrics.touch()
        except OSError as error:
            raise ValueError(
                f"the run folder {self.folder} cannot be written: {error.strerror}"
            ) from error

    def begin(self, done: int, *, steps: int, devices: int) -> None:
        """Continues the record after `done` steps; what it says of later ones is dropped.

        A run that was killed has logged steps that its last checkpoint does not know. They are
        about to be made again; without this they would stand in the record twice.

        Args:
            done: Steps made so far.
            steps: Steps in the whole run.
            devices: How many train.
        """
        kept = [
            line for line in self._metrics.read_text("utf-8").splitlines() if _step(line) <= done
        ]
        shortened = self._metrics.with_suffix(".tmp")
        shortened.write_text("".join(f"{line}\n" for line in kept), "utf-8")
        os.replace(shortened, self._metrics)
        self._writer = SummaryWriter(
            str(self.folder / "tensorboard"), purge_step=done + 1 if done else None
        )
        self.progress.begin(done, steps, devices)

    def step(self, done: int, metrics: Mapping[str, float]) -> None:
        """Moves the progress bar."""
        self.progress.step(done, metrics)

    def scalars(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Writes the numbers of a step to all three places.

        Args:
            step: Steps made so far.
            metrics: Scalars by name, on the device or the host.
        """
        fetched = fetch(dict(metrics))
        numbers = {name: float(fetched[name]) for name in metrics}
        exact = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
        with self._metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **exact}) + "\n")
        for name, value in numbers.items():
            self._board.add_scalar(name, value, step)
        pace = self.progress.steps_per_second
        if pace is not None:
            self._board.add_scalar("steps_per_second", pace, step)
        self.progress.line(numbers)

    def histograms(self, step: int, arrays: Mapping[str, Any]) -> None:
        """Writes how the values of arrays are distributed, those that are finite."""
        for name, array in fetch(dict(arrays)).items():
            values = np.asarray(array, np.float32).ravel()
            values = values[np.isfinite(values)]
            if values.size:  # TensorBoard's writer raises when there is nothing to count
                self._board.add_histogram(name, values, step)

    def samples(self, step: int, samples: Sequence[Sample]) -> None:
        """Writes sounds and one picture, to TensorBoard and to the folder `samples`.

        Args:
            step: Steps made so far.
            samples: The examples.
        """
        if not samples:
            return
        # Half a second at the start of every run, if it stood at the top.
        import matplotlib.image

        from apps import pictures

        for sample in samples:
            if sample.rate is None:
                continue
            self._sound(
                f"step-{step:07d}-{_slug(sample.name)}",
                sample.name,
                sample.signal,
                sample.rate,
                step,
            )
            if sample.reference is not None and sample.name not in self._references:
                self._references.add(sample.name)
                name = f"{sample.name} (reference)"
                self._sound(
                    f"reference-{_slug(sample.name)}", name, sample.reference, sample.rate, step
                )
        rows = [
            pictures.Comparison(
                sample.name,
                np.asarray(sample.signal, np.float32),
                None if sample.reference is None else np.asarray(sample.reference, np.float32),
            )
            for sample in samples
        ]
        figure = pictures.grid(rows, rate=samples[0].rate, title=f"step {step}")
        path = pictures.save(figure, self.folder / "samples" / f"step-{step:07d}.png")
        self._board.add_image("samples", matplotlib.image.imread(path), step, dataformats="HWC")

    def message(self, text: str) -> None:
        """Prints a line."""
        self.progress.message(text)

    def close(self) -> None:
        """Takes the progress bar down and closes the files."""
        self.progress.close()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def __enter__(self) -> "Log":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def _board(self) -> SummaryWriter:
        if self._writer is None:
            raise ValueError("the log has not begun: call `begin` first")
        return self._writer

    def _sound(self, stem: str, tag: str, signal: NDArray[Any], rate: int, step: int) -> None:
        # bfloat16, amplitudes beyond 1 and non-finite values all stop or distort the writers.
        sound = np.nan_to_num(np.asarray(signal, np.float32), posinf=1.0, neginf=-1.0)
        sound = np.clip(sound.reshape(len(sound), -1), -1.0, 1.0)  # (length, channels)
        soundfile.write(self.folder / "samples" / f"{stem}.wav", sound, rate, subtype="PCM_16")
        heard = sound if sound.shape[1] <= 2 else sound[:, :1]  # TensorBoard plays one or two
        self._board.add_audio(tag, heard, step, sample_rate=rate)


def _step(line: str) -> float:
    """Returns the step of a line of the record; infinity if the line was torn by a kill."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf


def _slug(name: str) -> str:
    return re.sub(r"[^\w-]+", "-", name).strip("-") or "sample"
