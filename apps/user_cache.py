"""Where the machine keeps what can be made again: the user's cache folder."""

import errno
import os
import sys
from pathlib import Path


def user_cache(name: str) -> Path:
    """The folder of this program's cache `name`; it may not exist yet.

    `convt1d/name` below `XDG_CACHE_HOME` (or `~/.cache`), on macOS `~/Library/Caches`, on Windows
    `LOCALAPPDATA`.

    Raises:
        OSError: If the user has no home folder, as in some containers.
    """
    return _base() / "convt1d" / name


def _base() -> Path:
    try:
        if sys.platform == "win32":
            return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches"
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError as error:
        raise OSError(errno.ENOENT, "this user has no home folder") from error
