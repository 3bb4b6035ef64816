"""A memory of made arrays, bounded in bytes."""

import threading
from collections.abc import Callable, Hashable

import numpy as np


class BoundedCache:
    """Keeps what was made until the budget is full, and then keeps no more.

    Nothing is thrown out: over shuffled epochs every record is asked for equally often, so
    forgetting the oldest would lower the hits (to none, for a set larger than the budget read in
    turn), whereas the first comers are as good as any.

    Args:
        megabytes: The budget, in units of 2²⁰ bytes; 0 keeps nothing.

    Raises:
        ValueError: If `megabytes` is negative or not a number.
    """

    def __init__(self, megabytes: float):
        if not megabytes >= 0:
            raise ValueError(f"cache_megabytes={megabytes!r} must be 0 (keep nothing) or more")
        self.budget = int(megabytes * 2**20)
        self.used = 0
        self._kept: dict[Hashable, np.ndarray] = {}
        self._lock = threading.Lock()

    def get(self, name: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        """The array kept under `name`, made first if it is not there; read-only."""
        kept = self._kept.get(name)
        if kept is not None:
            return kept
        made = make()
        made.flags.writeable = False  # a caller that writes would change every later epoch
        with self._lock:
            if name not in self._kept and self.used + made.nbytes <= self.budget:
                self._kept[name] = made
                self.used += made.nbytes
        return made
