"""What was said while a run trained, kept with it: `messages.jsonl`."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from types import TracebackType

from apps.engine import record

FILE = "messages.jsonl"
FIRST, LAST = 100, 400  # so many are kept: how trouble begins, and how it ends
LONGEST = 2000  # characters of a message: a traceback may hold an array

_apps = logging.getLogger("apps")


class Messages:
    """The file: a line for each message, `{"step": 10, "kind": "warning", "text": "…"}`.

    The kinds are `message`, what the run says of itself, and `warning`. A run that complains at
    every step does not fill the disk: of more than a thousand messages the middle is left out.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._lines: list[str] = []
        self._lock = Lock()  # samples are drawn in a thread of their own, which may warn

    def begin(self, done: int) -> None:
        """Goes on after `done` steps; what was said of later ones is dropped."""
        with self._lock:
            if self._path.exists():
                record.shorten(self._path, done)
                self._lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)

    def write(self, step: int, kind: str, text: str) -> None:
        """Adds a message that was given after `step` steps."""
        line = json.dumps({"step": step, "kind": kind, "text": text[:LONGEST]}) + "\n"
        with self._lock:
            self._lines.append(line)
            if len(self._lines) > 2 * (FIRST + LAST):
                gone = json.loads(self._lines[FIRST])
                note = {"step": gone["step"], "kind": "warning", "text": "(some are left out here)"}
                self._lines[FIRST:-LAST] = [json.dumps(note) + "\n"]
                record.replace(self._path, "".join(self._lines).encode())
            else:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._path.touch()
                record.append(self._path, line)


class Overheard(logging.Handler):
    """Hears the application's warnings.

    Args:
        tell: Takes each; by default they are remembered.
        aloud: Say them too, where nobody else does: a logger that has a handler is not heard by
            Python's last resort any more.

    Attributes:
        texts: Those remembered.
    """

    def __init__(self, tell: Callable[[str], None] | None = None, *, aloud: bool = False) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []
        self._tell, self._aloud = tell or self.texts.append, aloud

    def emit(self, record: logging.LogRecord) -> None:
        """Takes a warning."""
        self._tell(record.getMessage())
        others = any(each is not self for each in (*_apps.handlers, *logging.root.handlers))
        if self._aloud and not others and logging.lastResort is not None:
            logging.lastResort.handle(record)

    def __enter__(self) -> "Overheard":
        self.listen()
        return self

    def listen(self) -> None:
        """Begins to hear."""
        _apps.addHandler(self)

    def leave(self) -> None:
        """Hears no more."""
        _apps.removeHandler(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave()
