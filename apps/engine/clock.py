"""Where the time of a run goes, by the host's clock: every moment belongs to one activity.

The device is never waited for on the clock's account, so what it computes while the host waits for
data or draws is not told apart. `step` is all that is no other activity: giving the device its
work, and waiting for it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

ACTIVITIES = ("start", "compile", "data", "step", "log", "evaluate", "samples", "save")


class Clock:
    """Adds up seconds; it begins with `start`, which ends with the first turn to another.

    A turn costs less than a microsecond.
    """

    def __init__(self) -> None:
        self._seconds: dict[str, float] = dict.fromkeys(ACTIVITIES, 0.0)
        self._now: str = ACTIVITIES[0]
        self._since = time.perf_counter()

    def turn(self, activity: str) -> str:
        """Goes over to an activity, and returns the one before it."""
        before, now = self._now, time.perf_counter()
        self._seconds[before] += max(now - self._since, 0.0)
        self._now, self._since = activity, now
        return before

    @contextmanager
    def during(self, activity: str) -> Iterator[None]:
        """Goes over to an activity and back."""
        before = self.turn(activity)
        try:
            yield
        finally:
            self.turn(before)

    def seconds(self) -> dict[str, float]:
        """Returns the seconds of each activity up to now."""
        self.turn(self._now)
        return dict(self._seconds)
