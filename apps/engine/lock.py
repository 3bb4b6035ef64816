"""One run in a folder at a time."""

import errno
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

# Locks byte 2^30 of the file: on Windows a locked byte cannot be read, and the text at the start
# tells a second run who holds the lock.
_BYTE = 1 << 30
_HELD = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)  # Windows says the first or the last
_logger = logging.getLogger("apps.engine.lock")


class InUseError(RuntimeError):
    """Another process trains in this folder."""


class Lock:
    """A lock that the operating system holds for this process.

    It ends with the process, however that ends: a lock left by a dead one needs no repair.

    Args:
        path: The lock file. It is made, and stays.

    Raises:
        InUseError: if another process, or another `Lock` of this one, holds it.
    """

    def __init__(self, path: Path) -> None:
        self._file: IO[str] | None = path.open("a+", encoding="utf-8")
        try:
            _acquire(self._file)
        except OSError as error:
            if error.errno not in _HELD:  # some network drives have no locks
                _logger.warning(
                    f"{path.parent} cannot be locked ({error.strerror}): "
                    f"see to it that no second run uses it"
                )
                return
            self._file.seek(0)
            holder = self._file.read().strip() or "another process"
            self._file.close()
            self._file = None
            raise InUseError(
                f"{path.parent} is in use by {holder}: stop that run or choose another folder"
            ) from None
        try:
            self._file.truncate(0)
            self._file.write(f"process {os.getpid()}")
            self._file.flush()
        except OSError:  # a full disk
            with suppress(OSError):
                self.release()
            raise

    def release(self) -> None:
        """Gives the lock back."""
        if self._file is not None:
            self._file.close()
            self._file = None


if sys.platform == "win32":
    import msvcrt

    def _acquire(file: IO[str]) -> None:
        os.lseek(file.fileno(), _BYTE, os.SEEK_SET)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _acquire(file: IO[str]) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
