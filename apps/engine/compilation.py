"""Compiled programs are kept on the disk, so that a second start does not compile again."""

import glob
import logging
import os
import re
import warnings
from pathlib import Path
from typing import Any

import jax

from apps.user_cache import user_cache

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
    try:
        folder = Path(chosen) if chosen else user_cache("compiled")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _logger.warning(f"compiled programs are not kept: {where}{error.strerror}")
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        # By default only what took a second; the many small programs of a start take seconds too.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    _replace_damaged(folder)
    return folder


def _replace_damaged(folder: Path) -> None:
    """Has programs that a kill or a full disk cut off written again.

    JAX warns of each, compiles, and leaves it as it is: at every start anew.
    """
    shown, said = warnings.showwarning, False
    known = re.compile(r"Error reading persistent compilation cache entry for '(.+?)'")

    def show(message: Warning | str, *where: Any, **how: Any) -> None:
        nonlocal said
        name = known.match(str(message))
        if name is None:
            shown(message, *where, **how)
            return
        for path in folder.glob(f"{glob.escape(name[1])}-*"):
            path.unlink(missing_ok=True)
        if not said:
            _logger.warning(f"compiled programs in {folder} are damaged: they are compiled again")
        said = True

    warnings.showwarning = show
