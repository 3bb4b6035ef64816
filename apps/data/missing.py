"""Missing values of a series: filled in on a straight line between their neighbours in time."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float64

CHOICES = ("refuse", "interpolate")


class WhollyMissingError(ValueError):
    """A channel has no value to begin with.

    Attributes:
        where: The piece of the series it is missing in.
        channel: Which, from 0.
    """

    def __init__(self, where: str, channel: int):
        super().__init__(f"channel {channel} of {where} has no value")
        self.where = where
        self.channel = channel


def interpolate(
    pieces: Iterable[tuple[str, Float64[np.ndarray, "time channels"]]],
) -> int:
    """Fill in, in place, what is NaN; each piece by its own values alone, channel by channel.

    Before the first value stands the first, after the last the last.

    Args:
        pieces: Parts of a series, each with what a message should call it.

    Returns:
        How many values were filled in.

    Raises:
        WhollyMissingError: If a channel of a piece is missing from beginning to end.
    """
    filled = 0
    for where, piece in pieces:
        gaps = np.isnan(piece)
        for channel in np.flatnonzero(gaps.any(0)).tolist():
            gap = gaps[:, channel]
            (there,) = (~gap).nonzero()
            if len(there) == 0:
                raise WhollyMissingError(where, channel)
            (absent,) = gap.nonzero()
            piece[absent, channel] = np.interp(absent, there, piece[there, channel])
            filled += len(absent)
    return filled
