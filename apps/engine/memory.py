"""Freed memory is kept for the next step instead of going back to the system."""

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def keep_memory() -> bool:
    """Has glibc serve large blocks from memory that the process already holds.

    XLA:CPU asks for a step's buffers at every step. glibc takes what is larger than 32 MB from the
    system and gives it back after each use, and the system clears every page anew: some 15 % of the
    time of a small training step. Settings of the user's own (``MALLOC_*_THRESHOLD_``) are kept.

    Returns:
        Whether it was done: only on Linux, with glibc, if the user has not chosen.
    """
    library = _glibc()
    if library is None:
        return False
    most = 2**31 - 1
    kept = library.mallopt(_TRIM_THRESHOLD, most)
    served = library.mallopt(_MMAP_THRESHOLD, most)
    return bool(kept and served)


def give_back() -> bool:
    """Gives free memory to the system, once; call it when a step has been compiled.

    The compiler takes some hundred megabytes that no step needs afterwards, and `keep_memory`
    would keep them too.

    Returns:
        Whether there was any; only where `keep_memory` does something.
    """
    library = _glibc()
    return library is not None and bool(library.malloc_trim(0))


def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return None
    try:
        library = ctypes.CDLL(None)
        _ = library.mallopt, library.malloc_trim, library.gnu_get_libc_version
    except (OSError, AttributeError):  # another C library
        return None
    return library
