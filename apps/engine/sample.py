"""What an objective shows of itself: one held-out example, to be seen and heard."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sample:
    """One example for a person.

    Attributes:
        name: A short name; it becomes part of file names and titles.
        signal: What the model made, of shape (length, channels).
        rate: Samples per second, or None for a series that is not sound.
        reference: What it should resemble, of the same shape, or None where nothing does.
    """

    name: str
    signal: NDArray[np.floating[Any]]
    rate: int | None = None
    reference: NDArray[np.floating[Any]] | None = None
