"""What the rest of the application knows of data: a signal's shape, and records to draw from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from jaxtyping import Float32

from apps.data.checks import check_choice, check_whole
from apps.data.scaling import Scaling

Example: TypeAlias = Float32[np.ndarray, "length channels"]
Batch: TypeAlias = Float32[np.ndarray, "batch length channels"]

KINDS = ("audio", "series")


@dataclass(frozen=True)
class Signal:
    """What one example is: all that is needed to build a model for it and to write its output.

    Attributes:
        kind: 'audio' or 'series'.
        length: Samples (audio) or time steps (series) of an example.
        channels: Channels of an example.
        rate: Samples a second, for audio only.
        scaling: How a series was brought to the model's range; None if it was not.
        columns: The channels' names where the data has them, else empty.
    """

    kind: str
    length: int
    channels: int
    rate: int | None = None
    scaling: Scaling | None = None
    columns: tuple[str, ...] = ()

    def __post_init__(self):
        check_choice("kind", self.kind, KINDS)
        check_whole("length", self.length)
        check_whole("channels", self.channels)
        if self.kind == "audio":
            check_whole("rate", self.rate)  # pyright: ignore[reportArgumentType]
        elif self.rate is not None:
            raise ValueError(f"rate={self.rate!r} has no meaning for a series: leave it out")

    def unscale(self, values: np.ndarray) -> np.ndarray:
        """From what a model makes to the data's own units (nothing to do without a scaling)."""
        return values if self.scaling is None else self.scaling.unscale(values)

    def to_dict(self) -> dict[str, Any]:
        """Plain words, numbers and lists, for JSON."""
        return {
            "kind": self.kind,
            "length": self.length,
            "channels": self.channels,
            "rate": self.rate,
            "scaling": None if self.scaling is None else self.scaling.to_dict(),
            "columns": list(self.columns),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Signal":
        """The inverse of `to_dict`."""
        scaling = values["scaling"]
        return cls(
            kind=values["kind"],
            length=values["length"],
            channels=values["channels"],
            rate=values["rate"],
            scaling=None if scaling is None else Scaling.from_dict(scaling),
            columns=tuple(values["columns"]),
        )


class Source(Protocol):
    """The records of one split, read one at a time, in any order, from any thread."""

    @property
    def signal(self) -> Signal:
        """What an example is."""
        ...

    def __len__(self) -> int:
        """The number of records in this split."""
        ...

    def name(self, index: int) -> str:
        """What a person would call this record: for titles and error messages."""
        ...

    def example(self, index: int, rng: np.random.Generator | None) -> Example:
        """One example of a record.

        Args:
            index: From 0 to `len` − 1.
            rng: Chooses the random crop. None asks for the fixed example: the first `length`
                samples, followed by zeros if the record is shorter.
        """
        ...


def fixed_batch(source: Source, count: int) -> Batch:
    """Fixed examples to look at during training, spread evenly over the records.

    Evenly, since files sorted by name would otherwise show one label only.

    Args:
        source: Where they come from.
        count: How many; fewer come back if the source has fewer.

    Raises:
        ValueError: If `count` is not a whole number of at least 1.
    """
    check_whole("count", count)
    count = min(count, len(source))
    return np.stack([source.example(i * len(source) // count, None) for i in range(count)])
