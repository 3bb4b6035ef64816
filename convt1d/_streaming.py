r"""Streams: state in, chunk in, chunk out, state out; together they equal the whole.

A stream runs at a constant rate and is late by a fixed number of samples. What a layer computes for
sample $m$ of its whole output leaves its stream as sample $m + \text{latency}$: a sample can leave
no earlier than the input that it needs has come, and at a constant rate no layer may have handed
out more samples than its whole output will turn out to hold.

Between two layers run samples that the whole computation does not have: those before the first one,
because the stream is late. A layer's zero padding must find zeros there, so every layer that looks
around itself silences the first ``late`` samples of its input; a layer fed from the beginning
needs no such mask and has none. The other end needs no mask at all: `Stream.flush` ends each
layer exactly where its whole output ends, and only then begins the next layer's end.
"""

import abc
import functools
import math
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Inexact, Int, PyTree

Span: TypeAlias = tuple[int, int]
"""Samples from the first to before the last; may reach beyond a signal's ends."""


class StreamState(NamedTuple):
    """What a stream remembers between two chunks.

    Attributes:
        position: input samples that each item has had, counted as far as the stream is late.
        parts: each layer's own memory, items first.
        empty: a chunk of no samples, as the next one must be.
    """

    position: Int[Array, " *batch"]
    parts: PyTree[Array]
    empty: Inexact[Array, "*batch 0 channels"]


class Stream(eqx.Module):
    r"""A layer or model that takes its signal in chunks. Made by `convt1d.stream`.

    For chunks of any sizes,

    $$\text{concatenate}(y_1, y_2, \dots, \text{flush})[\text{latency}:] =
    \text{module}(\text{concatenate}(x_1, x_2, \dots)).$$

    `step` is a pure function of stream, state and chunk, and a stream's leaves are its weights:
    call `step` inside of `jax.jit`, `jax.lax.scan` and `jax.vmap`, the stream an argument or closed
    over, or compile it by itself with `equinox.filter_jit`. A stream that shortens its
    input keeps the samples of an unfinished frame; their number is part of the state's structure.
    Chunks that are whole multiples of ``hop`` leave the structure as it is, which `scan` and
    `reset` require.

    Attributes:
        latency: output samples by which the stream is late: as many leading samples, zeros, belong
            to no output.
        ratio: output samples for each input sample.
        hop: input samples after which every layer has finished its frame; 1 unless one of them
            shortens.
        channels: of the input, or None if the stream takes any number.
        channel_first: whether signals are ``(B, C, L)``.

    Example:
        >>> import jax.numpy as jnp, convt1d
        >>> layer = convt1d.ConvTranspose1d((28, 16), 8, 4, stride=2, padding="CAUSAL")
        >>> stream = convt1d.stream(layer)
        >>> stream.latency, stream.ratio
        (0, Fraction(2, 1))
        >>> state = stream.init(batch=3)
        >>> state, y = stream.step(state, jnp.ones((3, 5, 16)))
        >>> y.shape, stream.flush(state).shape
        ((3, 10, 8), (3, 0, 8))
    """

    @property
    @abc.abstractmethod
    def latency(self) -> int:
        """Output samples by which the stream is late."""

    @property
    @abc.abstractmethod
    def ratio(self) -> Fraction:
        """Output samples for each input sample."""

    @property
    @abc.abstractmethod
    def hop(self) -> int:
        """Input samples after which every layer has finished its frame."""

    @property
    @abc.abstractmethod
    def channels(self) -> int | None:
        """Channels of the input, or None for any."""

    @property
    def channel_first(self) -> bool:
        """Whether signals are ``(B, C, L)``."""
        return bool(self._layout)

    def init(
        self, batch: int | None = None, *, channels: int | None = None, dtype: Any = None
    ) -> StreamState:
        """The state before the first chunk.

        Args:
            batch: items that run side by side; None for one signal without a batch axis.
            channels: of the input, where the stream itself does not know them.
            dtype: of the chunks to come. Default: that of the first weight.

        Raises:
            ValueError: if ``channels`` must be given or contradicts the stream.
        """
        if self.channels is not None and channels not in (None, self.channels):
            raise ValueError(f"`channels` (={channels}) must be {self.channels}, or left out.")
        if dtype is None:
            weights = jax.tree.leaves(eqx.filter(self, eqx.is_inexact_array))
            dtype = weights[0].dtype if weights else jnp.zeros(()).dtype
        channels = self.channels if channels is None else channels
        if channels is None:
            raise ValueError(
                "`channels` (=None) must be given: this stream is made of functions that take any."
            )
        empty = jnp.zeros((1 if batch is None else batch, 0, channels), dtype)
        parts, _ = self._begin(empty)
        state = StreamState(jnp.zeros(empty.shape[0], jnp.int32), parts, empty)
        return jax.tree.map(lambda leaf: leaf[0], state) if batch is None else state

    def step(
        self, state: StreamState, x: Inexact[Array, "..."]
    ) -> tuple[StreamState, Inexact[Array, "..."]]:
        """Take a chunk, and give as many samples as it has times `ratio`.

        Args:
            state: of `init` or of the step before.
            x: ``(batch, length, channels)``, without the batch axis for a state without one.

        Returns:
            The state after the chunk, and ``length · ratio`` samples. Where a layer shortens,
            frames leave when they are complete.

        Raises:
            ValueError: if the chunk's shape or dtype does not fit the state.
        """
        items = _batched(state)
        x = self._entered(state, x)
        parts, y = self._advance(items.parts, x, items.position)
        y = silenced(y, self._count(items.position), self.latency)
        position = items.position
        if warm := self._warm:
            position = jnp.minimum(position + x.shape[1], warm)
        after = StreamState(position, parts, items.empty)
        if state.position.ndim == 0:
            return jax.tree.map(lambda leaf: leaf[0], after), self._left(y)[0]
        return after, self._left(y)

    def flush(self, state: StreamState) -> Inexact[Array, "..."]:
        """What is still due after the last chunk. `init` or `reset` begins anew.

        Raises:
            ValueError: if a strided ``'SAME'`` convolution has had no whole number of strides.
        """
        items = _batched(state)
        y = self._finish(items.parts, items.empty, items.position)
        y = self._left(silenced(y, self._count(items.position), self.latency))
        return y[0] if state.position.ndim == 0 else y

    def reset(self, state: StreamState, where: Bool[Array, " *batch"]) -> StreamState:
        """Let the items at which ``where`` is True begin anew; the others stay as they are.

        Raises:
            ValueError: if ``where`` is of another shape than the batch, or the items are inside of
                an unfinished frame, which all of them share.
        """
        where = jnp.asarray(where, bool)
        if where.shape != state.position.shape:
            raise ValueError(
                f"`where` has shape {where.shape}, but must have one entry for each item: "
                f"{state.position.shape}."
            )
        if not self._whole(state.parts):
            raise ValueError(
                "`state` holds an unfinished frame, from which no item can begin anew: reset after "
                f"whole multiples of the stream's hop, {self.hop} samples."
            )

        def fresh(leaf: Array) -> Array:
            items = where.reshape(where.shape + (1,) * (leaf.ndim - where.ndim))
            return jnp.where(items, jnp.zeros((), leaf.dtype), leaf)

        return jax.tree.map(fresh, state)

    # What kinds of streams differ in. Signals are batched and channels last from here on.

    @property
    @abc.abstractmethod
    def _layout(self) -> bool | None:
        """Whether the module's signals come with their channels first; None for either."""

    @property
    @abc.abstractmethod
    def _warm(self) -> int:
        """Input samples, whole hops, after which no mask hides anything."""

    @abc.abstractmethod
    def _after(self, late: int) -> "Stream":
        """The same for an input that is ``late`` samples late."""

    @abc.abstractmethod
    def _begin(self, empty: Array) -> tuple[PyTree[Array], Array]:
        """The first state, from an input of no samples; the output of none."""

    @abc.abstractmethod
    def _advance(
        self, parts: PyTree[Array], x: Array, position: Array
    ) -> tuple[PyTree[Array], Array]:
        """One chunk, of which ``position`` samples have come before."""

    @abc.abstractmethod
    def _finish(self, parts: PyTree[Array], x: Array, position: Array) -> Array:
        """The output of the last chunk, and what comes after it."""

    @abc.abstractmethod
    def _whole(self, parts: PyTree[Array]) -> bool:
        """Whether no frame is unfinished."""

    @abc.abstractmethod
    def _count(self, position: Array) -> Array:
        """Output samples that ``position`` input samples have given."""

    @abc.abstractmethod
    def _length(self, length: int) -> int:
        """Samples of the whole output for a whole input of ``length``."""

    @abc.abstractmethod
    def _seen(self, span: Span) -> Span:
        """The input that a part of the output sees, or that must exist for it to exist."""

    def _entered(self, state: StreamState, x: Array) -> Array:
        """A chunk with a batch axis and channels last, if it is one of this state's."""
        x = x.swapaxes(-1, -2) if self.channel_first and x.ndim > 1 else x
        empty = state.empty
        if x.ndim != empty.ndim or (x.shape[:-2], x.shape[-1]) != (
            empty.shape[:-2],
            empty.shape[-1],
        ):
            axes = [str(size) for size in empty.shape[:-2]] + ["length", str(empty.shape[-1])]
            raise ValueError(
                f"`x` has shape {x.shape}, but a stream begun with this `state` takes chunks of "
                f"({', '.join(axes)}), the last two swapped if its channels come first."
            )
        if x.dtype != empty.dtype:
            raise ValueError(
                f"`x` is of {x.dtype}, but the stream was begun for {empty.dtype}: "
                f"init(dtype={x.dtype})."
            )
        return x if x.ndim == 3 else x[None]

    def _left(self, y: Array) -> Array:
        return y.swapaxes(-1, -2) if self.channel_first else y


def silenced(x: Array, position: Array, late: int) -> Array:
    """``x`` with zeros where its signal has not begun, ``late`` samples after the stream."""
    if late == 0:
        return x
    at = position[:, None] + jnp.arange(x.shape[1], dtype=position.dtype)[None]
    return jnp.where((at >= late)[..., None], x, jnp.zeros((), x.dtype))


def whole_hops(samples: Fraction | int, hop: int) -> int:
    """``samples``, rounded up to a multiple of ``hop``."""
    return math.ceil(Fraction(samples) / hop) * hop


def joined(first: Array, then: Array) -> Array:
    """One signal after the other; what holds nothing costs nothing."""
    if first.shape[1] == 0:
        return then
    return first if then.shape[1] == 0 else jnp.concatenate([first, then], axis=1)


def _batched(state: StreamState) -> StreamState:
    return jax.tree.map(lambda leaf: leaf[None], state) if state.position.ndim == 0 else state


@functools.singledispatch
def stream(module: Any) -> Stream:
    r"""A `Stream` that computes in chunks what ``module`` computes at once.

    Layers, activations, `convt1d.models` and lists of them are known. A function is taken for one
    that treats each sample by itself. Teach it a module of your own by what it is made of:
    ``@convt1d.stream.register(Block)`` over a function that returns `convt1d.stream_chain` or
    `convt1d.stream_sum`.

    A stream's latency, in output samples, is the smallest one at a constant rate. With $S$, $E$
    and crop as in `ConvTranspose1d`, and stride $s$ and zeros before as in `Conv1d`, it is

    $$\max(0,\ \text{low},\ \text{low} + \text{high} + S - E) \quad\text{and}\quad
    \max(0,\ \lceil (E - s - \text{before}) / s \rceil):$$

    none for ``'CAUSAL'``.

    Args:
        module: what to stream. Its weights are prepared once: a weight norm is folded, a mask
            applied. Padding must be zeros: a ``padding_mode`` that needs the end cannot stream.

    Raises:
        ValueError: if the module cannot be streamed, with the reason.

    Source: the latency follows from the definitions; the overlapping tail as in Moshi's streaming
    modules (Défossez et al. 2024, arXiv:2410.00037), which know causal layers only.

    Example:
        >>> import equinox as eqx, jax, jax.numpy as jnp, convt1d
        >>> layout = convt1d.models.Layout(strides=(4, 2), channels=(16, 8, 4), dilations=(1,))
        >>> decoder = convt1d.models.Decoder(1, 16, layout, key=jax.random.key(0))
        >>> latent = jax.random.normal(jax.random.key(1), (2, 30, 16))
        >>> stream = convt1d.stream(decoder)
        >>> state, step = stream.init(batch=2), eqx.filter_jit(stream.step)
        >>> pieces = []
        >>> for first in range(0, 30, 5):
        ...     state, signal = step(state, latent[:, first : first + 5])  # 5 frames: 40 samples
        ...     pieces.append(signal)
        >>> signal = jnp.concatenate([*pieces, stream.flush(state)], axis=1)[:, stream.latency :]
        >>> bool(jnp.allclose(signal, decoder(latent), atol=1e-5))
        True
    """
    kind = type(module).__name__
    raise ValueError(
        f"`module` is a {kind}, which cannot be streamed as a whole: stream what it is made of, or "
        f"say how with @convt1d.stream.register({kind})."
    )


@stream.register
def _(module: Stream) -> Stream:
    return module
