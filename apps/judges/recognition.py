"""Whether what was made is what it is called, by a recogniser that has learnt real signals."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from apps.data import Source
from apps.judges.recogniser import Progress, Real, Recogniser, Signals, judged, real, recogniser
from apps.metrics.recognition import accuracy, inception_score
from apps.metrics.sets import frechet_distance


class Controlled(NamedTuple):
    """A metric of a set, and the same of real signals in its place."""

    value: float
    control: float


class Recognition:
    """Looks at what was made, batch after batch, in the order of the records.

    Args:
        model: The recogniser.
        real: The records, in the data's units.
        others: As many other real signals: how far sets are apart that differ by chance alone.
        told: Whether what makes signals of no record is told the records' labels.
    """

    def __init__(
        self,
        model: Recogniser,
        *,
        real: Real,
        others: Real,
        told: bool,
    ) -> None:
        self.model, self.label, self._labelled = model, real.label, told
        self.real, self.others = judged(model, real.signal), judged(model, others.signal)
        self._made: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []

    def look(self, made: Signals, wanted: Signals | None) -> None:
        """Judge a batch."""
        self._labelled = self._labelled or wanted is not None  # it should be what its record is
        self._made.append(judged(self.model, made))

    @property
    def accuracy(self) -> float:
        """Share of the records that are recognised."""
        return accuracy(self.real[0], self.label)

    def scores(self) -> Mapping[str, Controlled]:
        """The metrics of all that was looked at, and of the records themselves.

        recognised is the share that is taken for what it should be, where it should be anything;
        inception_score as in `apps.metrics.recognition`; recogniser_distance the Fréchet distance
        to the records in what the recogniser's last layer sees.
        """
        logs, features = (np.concatenate(each) for each in zip(*self._made, strict=True))
        found = {}
        if self._labelled:
            found["recognised"] = Controlled(accuracy(logs, self.label), self.accuracy)
        found["inception_score"] = Controlled(inception_score(logs), inception_score(self.real[0]))
        if min(len(features), len(self.others[1])) > 1:
            found["recogniser_distance"] = Controlled(
                _apart(features, self.real[1]), _apart(self.others[1], self.real[1])
            )
        return found


def recognition(
    train: Source,
    here: Source,
    other: Source,
    *,
    told: bool,
    kept: Path | None = None,
    progress: Progress = iter,
) -> Recognition:
    """One by a recogniser that has learnt the training split.

    Args:
        train: The training split, with labels.
        here: The records that are made again, or drawn as many of.
        other: The records of the other split, by which sets of real signals are compared.
        told: As in `Recognition`.
        kept: As in `apps.judges.recogniser.recogniser`.
        progress: Shows the steps of its training.
    """
    classes, rate = len(train.signal.labels), train.signal.rate
    model = recogniser(real(train), classes=classes, rate=rate, kept=kept, progress=progress)
    return Recognition(model, real=real(here, len(here)), others=real(other, len(here)), told=told)


def _apart(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    return frechet_distance(first.astype(np.float64), second.astype(np.float64))
