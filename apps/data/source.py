"""What the rest of the application knows of data: a signal's shape, and records to draw from."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeAlias, cast

import numpy as np
from jaxtyping import Float32, Int32

from apps.data.checks import check_choice, check_whole
from apps.data.scaling import Scaling

Example: TypeAlias = Float32[np.ndarray, "length channels"]
Batch: TypeAlias = Float32[np.ndarray, "batch length channels"]

# A `Batch`, or `Conditioned` if the source knows more. Not a union: who has a source knows which.
AnyBatch: TypeAlias = Any

KINDS = ("audio", "series")


class Conditioned(NamedTuple):
    """A batch of a source that knows more of its records than their signals.

    Attributes:
        signal: The examples.
        label: For each, the place of its class among the signal's `labels`; None without labels.
        covariates: For each, what is given at each of its samples; None without covariates.
    """

    signal: Batch
    label: Int32[np.ndarray, " batch"] | None = None
    covariates: Float32[np.ndarray, "batch length covariates"] | None = None


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
        labels: The names of the classes that records belong to; empty without labels.
        covariates: The names of what is given at each sample and not made; empty without any.
        covariate_scaling: How covariates were brought to the model's range; None if they were not.
    """

    kind: str
    length: int
    channels: int
    rate: int | None = None
    scaling: Scaling | None = None
    columns: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()
    covariate_scaling: Scaling | None = None

    def __post_init__(self):
        check_choice("kind", self.kind, KINDS)
        check_whole("length", self.length)
        check_whole("channels", self.channels)
        if self.kind == "audio":
            check_whole("rate", self.rate)  # pyright: ignore[reportArgumentType]
        elif self.rate is not None:
            raise ValueError(f"rate={self.rate!r} has no meaning for a series: leave it out")
        if self.columns and len(self.columns) != self.channels:
            raise ValueError(f"columns={self.columns!r} must name all {self.channels} channels")
        if self.scaling and len(self.scaling.offset) != self.channels:
            raise ValueError(
                f"scaling has {len(self.scaling.offset)} offsets for {self.channels} channels"
            )
        for kind, names in (("labels", self.labels), ("covariates", self.covariates)):
            if len(set(names)) < len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise ValueError(f"{kind}={names!r} names {twice!r} twice: name each once")
        scaled = self.covariate_scaling
        if scaled and len(scaled.offset) != len(self.covariates):
            raise ValueError(
                f"covariate_scaling has {len(scaled.offset)} offsets for {len(self.covariates)} "
                "covariates"
            )

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
            "scaling": _or_none(self.scaling, Scaling.to_dict),
            "columns": list(self.columns),
            "labels": list(self.labels),
            "covariates": list(self.covariates),
            "covariate_scaling": _or_none(self.covariate_scaling, Scaling.to_dict),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Signal":
        """The inverse of `to_dict`; what files of earlier releases do not name, they have not."""
        return cls(
            kind=values["kind"],
            length=values["length"],
            channels=values["channels"],
            rate=values["rate"],
            scaling=_or_none(values["scaling"], Scaling.from_dict),
            columns=_words("columns", values["columns"]),
            labels=_words("labels", values.get("labels", ())),
            covariates=_words("covariates", values.get("covariates", ())),
            covariate_scaling=_or_none(values.get("covariate_scaling"), Scaling.from_dict),
        )


LATER: Mapping[str, Any] = MappingProxyType(
    {"labels": [], "covariates": [], "covariate_scaling": None}
)
"""What `Signal.to_dict` says since 0.1.0, of signals as they were then."""


def _or_none(value: Any, change: Callable[[Any], Any]) -> Any:
    return None if value is None else change(value)


def _words(name: str, values: Any) -> tuple[str, ...]:
    if not isinstance(values, list | tuple) or not all(isinstance(each, str) for each in values):
        raise ValueError(f"{name}={values!r} must be a list of words")
    return tuple(values)


class Source(Protocol):
    """The records of one split, read one at a time, in any order, from any thread.

    One whose signal has labels is a `LabelledSource` as well, and one whose signal has covariates
    a `DrivenSource`.
    """

    @property
    def signal(self) -> Signal:
        """What an example is."""
        ...

    @property
    def crops(self) -> bool:
        """Whether an example is a crop that is chosen at random, or the same every time."""
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


class LabelledSource(Source, Protocol):
    """A source each of whose records belongs to a class."""

    def label(self, index: int) -> int:
        """The place of a record's class among the signal's `labels`."""
        ...


class DrivenSource(Source, Protocol):
    """A source of each of whose records something is given at every sample."""

    def covariates(self, index: int) -> Float32[np.ndarray, "length covariates"]:
        """A record's covariates, scaled; its example is no random crop."""
        ...


def batch_of(source: Source, indices: Sequence[int], examples: Sequence[Example]) -> AnyBatch:
    """One batch of some records' examples, with their labels and covariates if there are any.

    Args:
        source: Where they come from.
        indices: Which records they are of.
        examples: Their examples, in the same order.
    """
    signal, label, covariates = np.stack(examples), None, None
    if source.signal.labels:
        labelled = cast(LabelledSource, source)
        label = np.array([labelled.label(index) for index in indices], np.int32)
    if source.signal.covariates:
        driven = cast(DrivenSource, source)
        covariates = np.stack([driven.covariates(index) for index in indices])
    if label is None and covariates is None:
        return signal
    return Conditioned(signal, label, covariates)


def pieces(batch: AnyBatch, size: int) -> Iterator[AnyBatch]:
    """A batch cut into batches of `size` records; the last may be smaller.

    Raises:
        ValueError: If `size` is not a whole number of at least 1.
    """
    check_whole("size", size)
    parts = batch if isinstance(batch, Conditioned) else (batch,)
    for at in range(0, len(parts[0]), size):
        first, *others = (None if part is None else part[at : at + size] for part in parts)
        yield Conditioned(cast(Batch, first), *others) if others else first


def fixed_batch(source: Source, count: int) -> AnyBatch:
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
    indices = [i * len(source) // count for i in range(count)]
    return batch_of(source, indices, [source.example(index, None) for index in indices])
