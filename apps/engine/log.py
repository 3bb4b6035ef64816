"""What a person sees of a run, and the only place that fetches from the device.

Scalars go to TensorBoard, to `metrics.jsonl` and to the terminal; sounds and pictures of the
fixed held-out examples to TensorBoard and to the folder `samples`.
"""

import json
import logging
import math
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from apps.engine import record
from apps.engine.board import Board
from apps.engine.clock import Clock
from apps.engine.messages import Messages, Overheard
from apps.engine.progress import ProgressBar
from apps.engine.sample import Sample
from apps.engine.times import Times

_logger = logging.getLogger("apps.engine.log")


def fetch(tree: Any) -> Any:
    """Copies the arrays of a tree to the host, waiting until they are there."""
    return jax.device_get(tree)


class Log:
    """The record of a run, in its folder.

    `metrics.jsonl` has one line for each logged step: `{"step": 10, "vae/loss": 0.5, …}`, every
    number as exact as it was computed; one that is not finite is null. What cannot be written, on
    a full disk say, costs one warning and not the run.

    What is said goes to `messages.jsonl` too, and where the time went to `timing.json`.

    Args:
        folder: The run's folder.
        console: Where to print; by default the standard output.
        about: On what the run runs, in words, to be kept beside its times.
        earlier: Warnings from before there was a log, to be kept with those to come.

    Attributes:
        clock: Tells apart where the time goes; it starts with the log.

    Raises:
        ValueError: if the folder cannot be written.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        console: Console | None = None,
        about: Mapping[str, str] | None = None,
        earlier: Sequence[str] = (),
    ) -> None:
        self.folder = Path(folder).resolve()
        self.clock = Clock()
        self._times, self._messages = Times(self.folder, about or {}), Messages(self.folder)
        self._earlier, self._done = list(earlier), 0
        self._record = self.folder / "metrics.jsonl"
        self._board: Board | None = None
        self._board_lock = Lock()
        self._began = False
        self._known = 0
        self._references: set[str] = set()
        self._complained: set[str] = set()
        self._drawing: Future[None] | None = None
        try:
            (self.folder / "samples").mkdir(parents=True, exist_ok=True)
            self._record.touch()
        except OSError as error:
            raise ValueError(
                f"the run folder {self.folder} cannot be written: {error.strerror}"
            ) from error
        self.progress = ProgressBar(console)
        self._overheard = Overheard(lambda text: self._keep("warning", text))
        self._overheard.listen()
        # Drawing a page takes a second or two of the host, which the device need not wait for.
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="samples")

    def begin(self, done: int, *, steps: int, devices: int) -> None:
        """Continues the record after `done` steps; what it says of later ones is dropped.

        A run that was killed has logged steps that its last checkpoint does not know. They are
        about to be made again; without this they would stand in the record twice.

        Args:
            done: Steps made so far.
            steps: Steps in the whole run.
            devices: How many train.
        """
        self._began, self._known, self._done = True, done, done
        self._attempt("metrics.jsonl", lambda: record.shorten(self._record, done))
        self._attempt("messages.jsonl", lambda: self._messages.begin(done))
        for text in self._earlier:
            self._keep("warning", text)
        try:
            self._attempt("timing.json", lambda: self._times.begin(done))
        except ValueError as error:
            _logger.warning(f"timing.json is damaged: {error}. The times begin anew")
        self.progress.begin(done, steps, devices)

    def step(self, done: int, metrics: Mapping[str, float]) -> None:
        """Moves the progress bar."""
        self._done = done
        self.progress.step(done, metrics)

    def scalars(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Writes the numbers of a step to all three places.

        Args:
            step: Steps made so far.
            metrics: Scalars by name, on the device or the host.
        """
        self._check_begun()
        fetched = fetch(dict(metrics))
        numbers = {name: float(fetched[name]) for name in metrics}
        exact = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
        line = json.dumps({"step": step, **exact}) + "\n"
        self._attempt("metrics.jsonl", lambda: record.append(self._record, line))
        pace = self.progress.steps_per_second
        shown = numbers if pace is None else {**numbers, "steps_per_second": pace}

        def write(board: Board) -> None:
            for name, value in shown.items():
                board.scalar(name, value, step)

        self._attempt("tensorboard", lambda: self._on_board(write))
        self.progress.line(numbers)

    def histograms(self, step: int, arrays: Mapping[str, Any]) -> None:
        """Writes how the values of arrays are distributed, those that are finite."""
        self._check_begun()
        fetched = fetch(dict(arrays))

        def write(board: Board) -> None:
            for name, array in fetched.items():
                board.histogram(name, np.asarray(array, np.float32).ravel(), step)

        self._attempt("tensorboard", lambda: self._on_board(write))

    def samples(self, step: int, samples: Sequence[Sample]) -> None:
        """Writes sounds and one picture, to TensorBoard and to the folder `samples`.

        They are written in the background; `close` waits for them.

        Args:
            step: Steps made so far.
            samples: The examples.
        """
        self._check_begun()
        if self._drawing is not None:
            self._drawing.result()  # a run that draws more than it trains is not to fill the memory
        if samples:
            copied = [_on_the_host(sample) for sample in samples]
            self._drawing = self._worker.submit(self._try_to_show, step, copied)

    def records(self, records: Sequence[Sample]) -> None:
        """Writes records of the data to the folder `samples`, for what is made to be held against.

        Only where no sample has a reference of its own; they are written once.
        """
        folder = self.folder / "samples"
        copied = [_on_the_host(record) for record in records]

        def write() -> None:
            if copied and copied[0].rate is None:
                _keep_series(folder / "records.npz", copied)
            for each in copied:
                if each.rate is not None:
                    _write_sound(folder / f"record-{_slug(each.name)}.wav", each.signal, each.rate)

        self._attempt("samples", write)

    def message(self, text: str) -> None:
        """Prints a line, and keeps it."""
        self.progress.message(text)
        self._keep("message", text)

    def warn(self, text: str) -> None:
        """Prints a line that a person ought to read, and keeps it as such."""
        self.progress.message(text)
        self._keep("warning", text)

    def times(self) -> None:
        """Writes where the time went up to now, so that a kill costs no more of it than steps."""
        if self._began:
            self._attempt("timing.json", lambda: self._times.write(self._done, self.clock))

    def close(self) -> None:
        """Waits for the samples, takes the progress bar down and closes the files."""
        with self.clock.during("samples"):
            self._worker.shutdown()
        self.times()
        self._overheard.leave()
        if self._board is not None:
            self._attempt("tensorboard", self._board.close)
            self._board = None
        self.progress.close()

    def __enter__(self) -> "Log":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _check_begun(self) -> None:
        if not self._began:
            raise ValueError("the log has not begun: call `begin` first")

    def _on_board(self, write: Callable[[Board], None]) -> None:
        with self._board_lock:  # samples come from a thread of their own
            try:
                if self._board is None:
                    self._board = Board(self.folder / "tensorboard", done=self._known)
                    self._known = 0  # another board of this process hides nothing of the first
                write(self._board)
            except OSError:
                broken, self._board = self._board, None
                with suppress(OSError):
                    if broken is not None:
                        broken.close()
                raise

    def _attempt(self, what: str, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            if what not in self._complained:
                self._complained.add(what)  # first: the warning is to be written too
                _logger.warning(f"{what} cannot be written: {error.strerror or error}. Going on")
        else:
            self._complained.discard(what)

    def _keep(self, kind: str, text: str) -> None:
        if self._began:
            self._attempt("messages.jsonl", lambda: self._messages.write(self._done, kind, text))
        else:  # a resume has yet to say which of those in the file are to stay
            self._earlier.append(text)

    def _try_to_show(self, step: int, samples: Sequence[Sample]) -> None:
        try:
            self._show(step, samples)
        except Exception as error:  # no picture is worth a run
            _logger.warning(f"the samples of step {step} cannot be shown: {error}. Going on")

    def _show(self, step: int, samples: Sequence[Sample]) -> None:
        # Half a second at the start of every run, if they stood at the top.
        import matplotlib.image

        from apps import pictures

        if samples[0].rate is None:
            _keep_series(self.folder / "samples" / f"step-{step:07d}.npz", samples)
        for sample in samples:
            if sample.rate is None:
                continue
            stem = f"step-{step:07d}-{_slug(sample.name)}"
            self._sound(stem, sample.name, sample.signal, sample.rate, step)
            if sample.reference is not None and sample.name not in self._references:
                self._references.add(sample.name)
                stem, name = f"reference-{_slug(sample.name)}", f"{sample.name} (reference)"
                self._sound(stem, name, sample.reference, sample.rate, step)
        rows = [pictures.Comparison(each.name, each.signal, each.reference) for each in samples]
        figure = pictures.grid(rows, rate=samples[0].rate, title=f"step {step}")
        image = pictures.to_image(figure)
        matplotlib.image.imsave(self.folder / "samples" / f"step-{step:07d}.png", image)
        self._on_board(lambda board: board.picture("samples", image, step))

    def _sound(self, stem: str, name: str, signal: NDArray[Any], rate: int, step: int) -> None:
        sound = _write_sound(self.folder / "samples" / f"{stem}.wav", signal, rate)
        heard = sound if sound.shape[1] <= 2 else sound[:, :1]  # TensorBoard plays one or two
        self._on_board(lambda board: board.sound(name, heard, rate, step))


def _write_sound(path: Path, signal: NDArray[Any], rate: int) -> NDArray[Any]:
    """Writes a sound, and returns it as it was written."""
    import soundfile

    # Amplitudes beyond 1 and values that are not finite stop or distort the writers.
    sound = np.clip(np.nan_to_num(signal, posinf=1.0, neginf=-1.0), -1.0, 1.0)
    soundfile.write(path, sound, rate, subtype="PCM_16")
    return sound


def _keep_series(path: Path, samples: Sequence[Sample]) -> None:
    """Writes series as numbers: arrays `names`, and `signal-0`, `reference-0`, … in their order."""
    arrays = {"names": np.array([sample.name for sample in samples])}
    for index, sample in enumerate(samples):
        arrays[f"signal-{index}"] = sample.signal
        if sample.reference is not None:
            arrays[f"reference-{index}"] = sample.reference
    np.savez_compressed(path, **arrays)  # pyright: ignore[reportArgumentType]


def _on_the_host(sample: Sample) -> Sample:
    """Returns a sample of float32 (bfloat16 stops the writers), of shape (length, channels)."""

    def convert(signal: NDArray[Any]) -> NDArray[np.float32]:
        values = np.array(fetch(signal), np.float32)
        return values[:, None] if values.ndim == 1 else values

    reference = None if sample.reference is None else convert(sample.reference)
    return Sample(sample.name, convert(sample.signal), sample.rate, reference)


def _slug(name: str) -> str:
    return re.sub(r"[^\w-]+", "-", name).strip("-") or "sample"
