"""Streams of streams: one after the other, and side by side."""

import functools
import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any, TypeVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from convt1d._streaming import Span, Stream, joined, stream, whole_hops


def stream_chain(*parts: Any) -> Stream:
    """The stream of one part after the other; without parts, of the identity.

    Args:
        parts: modules or streams.

    Raises:
        ValueError: if a part cannot be streamed, or only some have their channels first.

    Example:
        >>> import jax.numpy as jnp, convt1d
        >>> up = convt1d.ConvTranspose1d((28, 16), 8, 4, stride=2)
        >>> stream = convt1d.stream_chain(up, jnp.tanh, convt1d.Conv1d(8, 1, 7))
        >>> stream.latency, stream.ratio
        (4, Fraction(2, 1))
    """
    return _Chain(tuple(stream(part) for part in parts), late=0)._after(0)


def stream_sum(*branches: Any) -> Stream:
    """The stream of the sum of branches, each of which waits for the latest.

    Args:
        branches: modules or streams; `stream_chain()` for the input itself.

    Raises:
        ValueError: if there is no branch, or they differ in their ratio.

    Example:
        >>> import jax.numpy as jnp, convt1d
        >>> block = convt1d.stream_sum(
        ...     convt1d.stream_chain(), convt1d.stream_chain(jnp.tanh, convt1d.Conv1d(8, 8, 7))
        ... )
        >>> block.latency
        3
    """
    streams = tuple(stream(branch) for branch in branches)
    ratios = {branch.ratio for branch in streams}
    if len(ratios) != 1:
        raise ValueError(
            "`branches` must be one or more streams of one ratio of output to input samples, but "
            f"have {sorted(map(str, ratios))}."
        )
    return _Sum(streams, late=0)


stream.register(list, lambda parts: stream_chain(*parts))
stream.register(tuple, lambda parts: stream_chain(*parts))


class _Chain(Stream):
    """One part after the other, each made for the lateness of the one before."""

    parts: tuple[Stream, ...]
    late: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        _check_layouts(self.parts)

    @property
    def latency(self) -> int:
        return self.parts[-1].latency if self.parts else self.late

    @property
    def ratio(self) -> Fraction:
        return math.prod((part.ratio for part in self.parts), start=Fraction(1))

    @property
    def hop(self) -> int:
        hop, ratio = 1, Fraction(1)
        for part in self.parts:
            hop *= (hop * ratio / part.hop).denominator
            ratio *= part.ratio
        return hop

    @property
    def channels(self) -> int | None:
        return first_known(part.channels for part in self.parts)

    @property
    def _layout(self) -> bool | None:
        return first_known(part._layout for part in self.parts)

    @property
    def _warm(self) -> int:
        warm, ratio = self.latency / self.ratio, Fraction(1)
        for part in self.parts:
            warm, ratio = max(warm, part._warm / ratio), ratio * part.ratio
        return whole_hops(warm, self.hop)

    def _after(self, late: int) -> Stream:
        parts: list[Stream] = []
        for part in self.parts:
            parts.append(part._after(parts[-1].latency if parts else late))
        return _Chain(tuple(parts), late=late)

    def _begin(self, empty: Array) -> tuple[PyTree[Array], Array]:
        states = []
        for part in self.parts:
            state, empty = part._begin(empty)
            states.append(state)
        return tuple(states), empty

    def _advance(
        self, parts: PyTree[Array], x: Array, position: Array
    ) -> tuple[PyTree[Array], Array]:
        states = []
        for part, state in zip(self.parts, parts, strict=True):
            state, x = part._advance(state, x, position)
            position = part._count(position)
            states.append(state)
        return tuple(states), x

    def _finish(self, parts: PyTree[Array], x: Array, position: Array) -> Array:
        for part, state in zip(self.parts, parts, strict=True):
            x = part._finish(state, x, position)
            position = part._count(position)
        return x

    def _whole(self, parts: PyTree[Array]) -> bool:
        return all(part._whole(state) for part, state in zip(self.parts, parts, strict=True))

    def _count(self, position: Array) -> Array:
        for part in self.parts:
            position = part._count(position)
        return position

    def _length(self, length: int) -> int:
        for part in self.parts:
            length = part._length(length)
        return length

    def _seen(self, span: Span) -> Span:
        for part in reversed(self.parts):
            span = part._seen(span)
        return span


class _Sum(Stream):
    """Branches side by side. Each has a queue, which begins with as many zeros as it must wait."""

    branches: tuple[Stream, ...]
    late: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        _check_layouts(self.branches)

    @property
    def latency(self) -> int:
        return max(branch.latency for branch in self.branches)

    @property
    def ratio(self) -> Fraction:
        return self.branches[0].ratio

    @property
    def hop(self) -> int:
        return math.lcm(*(branch.hop for branch in self.branches))

    @property
    def channels(self) -> int | None:
        return first_known(branch.channels for branch in self.branches)

    @property
    def waits(self) -> tuple[int, ...]:
        """Samples by which each branch is earlier than the latest."""
        return tuple(self.latency - branch.latency for branch in self.branches)

    @property
    def _layout(self) -> bool | None:
        return first_known(branch._layout for branch in self.branches)

    @property
    def _warm(self) -> int:
        warm = max(self.latency / self.ratio, *(branch._warm for branch in self.branches))
        return whole_hops(warm, self.hop)

    def _after(self, late: int) -> Stream:
        return _Sum(tuple(branch._after(late) for branch in self.branches), late=late)

    def _begin(self, empty: Array) -> tuple[PyTree[Array], Array]:
        begun = [branch._begin(empty) for branch in self.branches]
        queues = tuple(
            jnp.zeros((y.shape[0], wait, y.shape[2]), y.dtype)
            for (_, y), wait in zip(begun, self.waits, strict=True)
        )
        return (tuple(state for state, _ in begun), queues), begun[0][1]

    def _advance(
        self, parts: PyTree[Array], x: Array, position: Array
    ) -> tuple[PyTree[Array], Array]:
        states, queues = parts
        steps = [
            branch._advance(state, x, position)
            for branch, state in zip(self.branches, states, strict=True)
        ]
        lines = [joined(queue, y) for queue, (_, y) in zip(queues, steps, strict=True)]
        ready = min(line.shape[1] for line in lines)
        queues = tuple(line[:, ready:] for line in lines)
        y = _total([line[:, :ready] for line in lines])
        return (tuple(state for state, _ in steps), queues), y

    def _finish(self, parts: PyTree[Array], x: Array, position: Array) -> Array:
        ends = [
            joined(queue, branch._finish(state, x, position))
            for branch, state, queue in zip(self.branches, *parts, strict=True)
        ]
        lengths = [end.shape[1] for end in ends]
        if len(set(lengths)) != 1:
            raise ValueError(
                f"the branches of a sum end after {lengths} more samples: their whole outputs "
                "differ in length, so that there is no sum."
            )
        return _total(ends)

    def _whole(self, parts: PyTree[Array]) -> bool:
        states, queues = parts
        return all(
            branch._whole(state) and queue.shape[1] == wait
            for branch, state, queue, wait in zip(
                self.branches, states, queues, self.waits, strict=True
            )
        )

    def _count(self, position: Array) -> Array:
        counts = [
            branch._count(position) + wait
            for branch, wait in zip(self.branches, self.waits, strict=True)
        ]
        return functools.reduce(jnp.minimum, counts)

    def _length(self, length: int) -> int:
        lengths = [branch._length(length) for branch in self.branches]
        if len(set(lengths)) != 1:
            raise ValueError(
                f"the branches of a sum make {lengths} samples of an input of {length}: they must "
                "agree."
            )
        return lengths[0]

    def _seen(self, span: Span) -> Span:
        spans = [branch._seen(span) for branch in self.branches]
        return min(first for first, _ in spans), max(last for _, last in spans)


Known = TypeVar("Known")


def first_known(values: Iterable[Known | None]) -> Known | None:
    """The first that is not None, if there is one."""
    return next((value for value in values if value is not None), None)


def _total(signals: Sequence[Array]) -> Array:
    return functools.reduce(lambda a, b: a + b, signals)


def _check_layouts(parts: Sequence[Stream]) -> None:
    if len({part._layout for part in parts} - {None}) > 1:
        raise ValueError(
            "some parts of the stream have channel_first=True and some have not: make them agree."
        )
