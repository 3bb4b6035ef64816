"""Signals of any length as blocks: cut into few sizes, padded, and remembered as they begin."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Block = NDArray[np.floating[Any]]  # (samples or frames, channels)

# Whole hops that a model takes at once. Whatever the length of a signal, these three are all that
# is compiled.
PORTIONS = (256, 16, 1)
SHOWN = 1 << 17  # samples of a signal that its picture holds: all of it would not fit in memory


class Beginning:
    """The first samples of what comes in blocks.

    Args:
        most: How many samples are kept.
    """

    def __init__(self, most: int = SHOWN) -> None:
        self._blocks: list[Block] = []
        self._left = most

    def passed(self, block: Block) -> Block:
        """The block as it is, after its beginning was kept."""
        if self._left or not self._blocks:
            self._blocks.append(block[: self._left].copy())
            self._left -= len(self._blocks[-1])
        return block

    @property
    def samples(self) -> Block:
        """What was kept."""
        return np.concatenate(self._blocks)


def portions(
    blocks: Iterable[Block], sizes: tuple[int, ...] = PORTIONS, *, hop: int, overlap: int = 0
) -> Iterator[Block]:
    """All whole hops in portions of so many, each with what its last ones reach over.

    Args:
        blocks: In order, of any sizes.
        sizes: Hops of a portion, the largest first; the last is 1.
        hop: Samples of a hop.
        overlap: Samples behind its last hop that a portion holds besides.
    """
    held: Block | None = None
    for block in blocks:
        held = block if held is None else np.concatenate([held, block])
        while len(held) >= sizes[0] * hop + overlap:
            yield held[: sizes[0] * hop + overlap]
            held = held[sizes[0] * hop :]
    for portion in sizes[1:]:
        while held is not None and len(held) >= portion * hop + overlap:
            yield held[: portion * hop + overlap]
            held = held[portion * hop :]


def filled(blocks: Iterable[Block], *, hop: int, least: int = 0) -> Iterator[Block]:
    """The blocks, and zeros up to whole hops and to at least so many samples."""
    length, channels = 0, 0
    for block in blocks:
        length, channels = length + len(block), block.shape[1]
        yield block
    missing = max(length, least) - length
    missing += -(length + missing) % hop
    yield np.zeros((missing, channels), np.float32)


def extended(blocks: Iterable[Block], margin: int) -> Iterator[Block]:
    """The blocks, and before and after them the first and the last sample so many times more."""
    last: Block | None = None
    for block in blocks:
        if last is None:
            yield np.repeat(block[:1], margin, axis=0)
        last = block[-1:]
        yield block
    if last is not None:
        yield np.repeat(last, margin, axis=0)


def limited(blocks: Iterable[Block], length: int) -> Iterator[Block]:
    """The first `length` samples of all blocks together."""
    for block in blocks:
        yield block[:length]
        length -= min(length, len(block))
