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
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    try:
        library = ctypes.CDLL(None)
        set_option, _ = library.mallopt, library.gnu_get_libc_version
    except (OSError, AttributeError):  # another C library
        return False
    most = 2**31 - 1
    kept, served = set_option(_TRIM_THRESHOLD, most), set_option(_MMAP_THRESHOLD, most)
    return bool(kept and served)
