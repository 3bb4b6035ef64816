"""Refusing bad arguments and bad files: one line that says what, which value, and the cure."""

import difflib
import math
import os
import re
from collections.abc import Sequence

SPLITS = ("train", "test")
# Line breaks, terminal commands, and bytes that are no text: no message or log can show them.
_UNSHOWABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_LONGEST = 300  # characters of what a library has to say


class FileError(ValueError):
    """A file that cannot be used.

    Attributes:
        path: The file, as it was given.
        reason: Why, and what to do, without the path.
    """

    def __init__(self, path: str | os.PathLike[str], reason: str):
        super().__init__(f"{shown(os.fspath(path))}: {reason}")
        self.path = os.fspath(path)
        self.reason = reason


class UnopenedError(FileError):
    """A file that could not be opened or read this time; its content may be good."""


def shown(text: str) -> str:
    r"""A text on one line, with what cannot be shown as `\x0a`."""
    return _UNSHOWABLE.sub(lambda found: f"\\x{ord(found[0]) & 0xFF:02x}", text)


def why(error: Exception) -> str:
    """What an error of the system or of a library says, on one line."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    line = shown(" ".join(said.split())) or type(error).__name__
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Refuse a word that is not one of `choices`, naming the nearest.

    Raises:
        ValueError: If `value` is not among `choices`.
    """
    if value in choices:
        return
    near = difflib.get_close_matches(str(value), choices, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{name}={value!r} is not one of {', '.join(map(repr, choices))}{hint}")


def check_whole(name: str, value: int, *, least: int = 1, most: int | None = None) -> None:
    """Refuse what is not a whole number from `least` to `most`.

    Raises:
        ValueError: If `value` is not such a number.
    """
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole and value >= least and (most is None or value <= most):
        return
    limits = f"of at least {least}" if most is None else f"from {least} to {most}"
    raise ValueError(f"{name}={value!r} must be a whole number {limits}")


def check_positive(name: str, value: float) -> None:
    """Refuse what is not a finite number above 0.

    Raises:
        ValueError: If `value` is not such a number.
    """
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name}={value!r} must be a finite number above 0")


def check_fraction(name: str, value: float) -> None:
    """Refuse what does not lie strictly between 0 and 1.

    Raises:
        ValueError: If `value` is outside (0, 1).
    """
    if not 0 < value < 1:
        raise ValueError(f"{name}={value!r} must lie between 0 and 1, both excluded")
