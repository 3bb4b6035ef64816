"""TensorBoard's event file."""

import logging
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto import event_pb2

_Event: Any = event_pb2.Event  # pyright: ignore[reportAttributeAccessIssue] # made at run time
_Session: Any = event_pb2.SessionLog  # pyright: ignore[reportAttributeAccessIssue]
_BINS = 64
_talkative = logging.getLogger("tensorboardX")  # of every number that is not finite, unnamed
_FLUSH = 10.0  # seconds; each one waits for the disk


class Board:
    """Scalars, sounds, pictures and histograms for TensorBoard, written by the caller's thread.

    tensorboardX's own `SummaryWriter` hands every event to a thread. On a full disk that thread
    dies, and some events later the program waits for it for ever; here the error is raised. What
    comes after it in the same file would not be read: go on with another board.

    Args:
        folder: Where the event file is made.
        done: Steps made so far; what earlier files say of later steps is hidden.

    Raises:
        OSError: here and in every method, if the file cannot be written.
    """

    def __init__(self, folder: Path, *, done: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        _talkative.setLevel(logging.ERROR)
        # TensorBoard reads the files in the order of their names, which the writer makes of the
        # second and the host: a run resumed within the second would overwrite its own beginning,
        # and one resumed after the clock was put back would stand before it.
        part = len(list(folder.glob("events.*")))
        prefix = f"events.part-{part:04}" if part else "events"
        self._writer = EventsWriter(str(folder / prefix), f".{os.getpid()}")
        self._path = Path(self._writer._file_name)  # pyright: ignore[reportPrivateUsage]
        self._flushed = time.monotonic()
        if done:
            session = _Session(status=_Session.START)
            self._writer.write_event(_Event(step=done + 1, session_log=session))

    def scalar(self, name: str, value: float, step: int) -> None:
        """Adds a number."""
        self._add(summary.scalar(name, value), step)

    def sound(self, name: str, sound: NDArray[np.float32], rate: int, step: int) -> None:
        """Adds a sound of shape (length, 1 or 2), in [-1, 1], to be heard."""
        self._add(summary.audio(name, sound, sample_rate=rate), step)

    def picture(self, name: str, image: NDArray[Any], step: int) -> None:
        """Adds a picture of shape (height, width, 3 or 4)."""
        self._add(summary.image(name, image, dataformats="HWC"), step)

    def histogram(self, name: str, values: NDArray[np.float32], step: int) -> None:
        """Adds a distribution; of values that are not finite, or none, nothing."""
        values = values[np.isfinite(values)]
        if values.size:  # the writer raises when there is nothing to count
            # In float64, whose range holds that of float32; a number of bins, for one outlier has
            # "auto" ask for more of them than the memory holds.
            self._add(summary.histogram(name, values.astype(np.float64), bins=_BINS), step)

    def close(self) -> None:
        """Writes what is left, and lets go of the file."""
        try:
            self._writer.close()
        except OSError:
            with suppress(OSError):  # it is closed, though what is left has no room
                self._writer._py_recordio_writer.close()  # pyright: ignore[reportPrivateUsage]
            raise

    def _add(self, content: Any, step: int) -> None:
        self._writer.write_event(_Event(wall_time=time.time(), step=step, summary=content))
        if time.monotonic() - self._flushed > _FLUSH:
            self._writer.flush()
            self._flushed = time.monotonic()
            self._path.stat()  # a file that was deleted takes what is written without a word
