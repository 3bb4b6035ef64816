"""What the application asks of an objective, whatever family of models it trains."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from apps.engine.phases import Phase
from apps.engine.sample import Sample

Watch = Callable[[Mapping[str, float]], str | None]
"""Of the numbers of a step: a sentence if a person ought to know."""


Look = Callable[[NDArray[np.floating[Any]], NDArray[np.floating[Any]] | None], None]
"""Sees what was made of each batch, and the records that it should be, in the data's units; None
where it should be like no record of its own."""


class Scores(Protocol):
    """How good a product is on batches of records, seen by who else wants to measure it."""

    def __call__(
        self, model: Any, batches: Iterable[Any], /, *, look: Look | None = None
    ) -> dict[str, NDArray[np.float64]]:
        """For each metric a number per record, or a single one for the set."""
        ...


@dataclass(frozen=True)
class Objective:
    """What is trained, and how well it does.

    Attributes:
        product: The player that is used afterwards.
        phases: What is trained from which step on.
        parts: How many batches a step takes: one for each turn that sees records of its own.
        scores: Of the product and batches of records: what is measured while it trains, too.
        samples: Of the product, a batch and its records' names: what is to be seen and heard.
        best: The metric by which checkpoints are compared; the lowest is best.
        watch: Makes what looks on while it trains.
        draw: Of the product and a host batch: new signals, in the data's units, one for each
            record's conditions; None of what makes nothing without a record of its own.
    """

    product: str
    phases: tuple[Phase, ...]
    scores: Scores
    samples: Callable[[Any, Any, Sequence[str]], list[Sample]]
    best: str
    parts: int = 1
    watch: Callable[[], Watch] | None = None
    draw: Callable[[Any, Any], NDArray[np.floating[Any]]] | None = None
