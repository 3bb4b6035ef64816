"""Compiled programs are kept on the disk, so that a second start does not compile again."""

import logging
import os
import sys
from pathlib import Path

import jax

_logger = logging.getLogger("apps.engine.compilation")


def keep_compilations() -> Path | None:
    """Switches JAX's persistent compilation cache on; call it before anything is compiled.

    The folder is `JAX_COMPILATION_CACHE_DIR` where that is set (set but empty: no cache), else
    `convt1d/compiled` in the user's cache folder.

    Returns:
        The folder, or None if there is no cache.
    """
    chosen = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    if chosen is not None and not chosen:
        return None
    folder = Path(chosen) if chosen else _user_cache() / "convt1d" / "compiled"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _logger.warning(f"compiled programs are not kept: {folder}: {error.strerror}")
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        # By default only what took a second; the many small programs of a start take seconds too.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    return folder


def _user_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
