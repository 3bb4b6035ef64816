"""A record of a run: a file of lines of JSON, each with its step."""

import json
import logging
import os
from pathlib import Path

_logger = logging.getLogger("apps.engine.record")


def shorten(path: Path, done: int) -> None:
    """Drops what a record says of steps after `done`, and lines that cannot be read."""
    content = path.read_bytes()
    lines = content.splitlines()
    steps = [_step(line) for line in lines]
    torn = not content.endswith(b"\n")  # the last line, by a kill, which is no news
    if spoilt := steps[: len(steps) - torn].count(None):
        _logger.warning(f"{path.name} has {spoilt} lines that cannot be read: they are dropped")
    rows = zip(lines, steps, strict=True)
    kept = b"".join(b"%b\n" % line for line, step in rows if step is not None and step <= done)
    if content.startswith(kept):
        os.truncate(path, len(kept))  # takes no room, and there may be none
    else:
        replace(path, kept)


def append(path: Path, line: str) -> None:
    """Adds a line, whole or not at all."""
    if not path.exists():
        _logger.warning(f"{path} is gone: a new one begins here")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    size = path.stat().st_size
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line)
    except OSError:
        os.truncate(path, size)  # half a line would spoil the next one
        raise


def replace(path: Path, content: bytes) -> None:
    """Writes a file anew, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    anew = path.with_suffix(".tmp")
    anew.write_bytes(content)
    os.replace(anew, path)


def _step(line: bytes) -> int | None:
    """Returns the step of a line of the record, or None if the line cannot be read."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
