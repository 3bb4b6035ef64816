"""Streams of what keeps the number of samples: functions of each sample, and whole hops."""

import collections.abc
import dataclasses
from collections.abc import Callable
from fractions import Fraction

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from convt1d._activations import Snake, SnakeBeta
from convt1d._streaming import Span, Stream, joined, stream, whole_hops


def stream_pointwise(function: Callable[[Array], Array]) -> Stream:
    """The stream of a function that treats each sample by itself, such as an activation.

    Args:
        function: from ``(batch, length, channels)``; may change the channels, not the length.

    Example:
        >>> import jax, convt1d
        >>> convt1d.stream_pointwise(jax.nn.relu).latency
        0
    """
    if isinstance(function, eqx.nn.Lambda):
        function = function.fn
    if not isinstance(function, eqx.Module):
        function = _Plain(function)
    return _Pointwise(function)  # pyright: ignore[reportArgumentType]


@stream.register(collections.abc.Callable)  # pyright: ignore[reportCallIssue, reportArgumentType]
def _(function: Callable[[Array], Array]) -> Stream:
    if isinstance(function, eqx.Module):
        return stream.dispatch(object)(function)  # which says how to teach it
    return stream_pointwise(function)


stream.register(Snake, stream_pointwise)
stream.register(SnakeBeta, stream_pointwise)
stream.register(eqx.nn.Lambda, stream_pointwise)
stream.register(eqx.nn.Identity, stream_pointwise)


class _Plain(eqx.Module):
    """A function as part of the structure: the leaves of a stream are arrays."""

    function: Callable[[Array], Array] = eqx.field(static=True)

    def __call__(self, x: Array) -> Array:
        return self.function(x)


class _Samples(Stream):
    """What the streams that keep the number of samples have in common."""

    late: int = eqx.field(static=True, default=0, kw_only=True)

    @property
    def latency(self) -> int:
        return self.late

    @property
    def ratio(self) -> Fraction:
        return Fraction(1)

    @property
    def _layout(self) -> bool | None:
        return None

    def _after(self, late: int) -> Stream:
        return dataclasses.replace(self, late=late)

    def _seen(self, span: Span) -> Span:
        return span


class _Pointwise(_Samples):
    """A function of each sample. It may act on samples that do not exist: its reader hides them."""

    function: Callable[[Array], Array]

    @property
    def hop(self) -> int:
        return 1

    @property
    def channels(self) -> int | None:
        function = self.function
        return function.channels if isinstance(function, Snake | SnakeBeta) else None

    @property
    def _warm(self) -> int:
        return self.late

    def _begin(self, empty: Array) -> tuple[None, Array]:
        return None, self.function(empty)

    def _advance(self, parts: None, x: Array, position: Array) -> tuple[None, Array]:
        return None, self.function(x)

    def _finish(self, parts: None, x: Array, position: Array) -> Array:
        return self.function(x)

    def _whole(self, parts: None) -> bool:
        return True

    def _count(self, position: Array) -> Array:
        return position

    def _length(self, length: int) -> int:
        return length


class WholeHops(_Samples):
    """Samples in whole hops; the last one is filled with zeros, which the next layer reads as data.

    What `convt1d.models.Encoder` does to a signal of any length.
    """

    size: int = eqx.field(static=True)

    @property
    def hop(self) -> int:
        return self.size

    @property
    def channels(self) -> int | None:
        return None

    @property
    def _warm(self) -> int:
        return whole_hops(self.late, self.size)

    def _begin(self, empty: Array) -> tuple[Array, Array]:
        return empty, empty

    def _advance(self, parts: Array, x: Array, position: Array) -> tuple[Array, Array]:
        x = joined(parts, x)
        ready = x.shape[1] // self.size * self.size
        return x[:, ready:], x[:, :ready]

    def _finish(self, parts: Array, x: Array, position: Array) -> Array:
        x = joined(parts, x)
        return jnp.pad(x, ((0, 0), (0, (self.late - x.shape[1]) % self.size), (0, 0)))

    def _whole(self, parts: Array) -> bool:
        return parts.shape[1] == 0

    def _count(self, position: Array) -> Array:
        return position // self.size * self.size

    def _length(self, length: int) -> int:
        return whole_hops(length, self.size)
