"""The log of a process that leaves the record to the first."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from apps.engine.clock import Clock
from apps.engine.sample import Sample


class Silence:
    """Takes what `Log` takes, and neither writes nor prints."""

    def __init__(self) -> None:
        self.clock = Clock()

    def begin(self, done: int, *, steps: int, devices: int) -> None:
        """As `Log.begin`."""

    def step(self, done: int, metrics: Mapping[str, float]) -> None:
        """As `Log.step`."""

    def scalars(self, step: int, metrics: Mapping[str, Any]) -> None:
        """As `Log.scalars`."""

    def samples(self, step: int, samples: Sequence[Sample]) -> None:
        """As `Log.samples`."""

    def records(self, records: Sequence[Sample]) -> None:
        """As `Log.records`."""

    def message(self, text: str) -> None:
        """As `Log.message`."""

    def warn(self, text: str) -> None:
        """As `Log.warn`."""

    def times(self) -> None:
        """As `Log.times`."""

    def close(self) -> None:
        """As `Log.close`."""

    def __enter__(self) -> "Silence":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
