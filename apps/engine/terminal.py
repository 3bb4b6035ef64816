"""A terminal that may go away, or a file in its place on a disk that is full."""

import os
import sys
from typing import IO, Any, cast

from rich.console import Console


def terminal(*, quiet: bool = False, file: IO[str] | None = None) -> Console:
    """Returns a console that ends no run: what nobody takes is not printed.

    Of itself, rich ends the program when the reader of a pipe (`| head`) has gone, and raises
    when the standard output goes to a full disk.

    Args:
        quiet: Prints nothing.
        file: Where to print; the standard output by default.
    """
    patient = _Patient(sys.stdout if file is None else file)
    return Console(file=cast("IO[str]", patient), quiet=quiet)


class _Patient:
    """A file whose writes cannot fail."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, text: str) -> int:
        """Writes what can be written."""
        try:
            return self._file.write(text)
        except OSError as error:
            self._turn_away(error)
            return len(text)

    def flush(self) -> None:
        """Sends off what can be sent."""
        try:
            self._file.flush()
        except OSError as error:
            self._turn_away(error)

    def _turn_away(self, error: OSError) -> None:
        if isinstance(error, BrokenPipeError):
            # What is left in the buffer would fail once more as the program ends.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._file.fileno())
            os.close(nowhere)
