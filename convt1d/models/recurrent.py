"""Recurrent layers at the latent: an LSTM whose input products are one matrix product."""

import math
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from convt1d._stream_parts import stream_chain, stream_sum
from convt1d._stream_samples import _Samples
from convt1d._streaming import Span, Stream, stream

Memory = tuple[Array, Array]
"""Hidden and cell state, each ``(batch, channels)``."""


class LSTM(eqx.Module):
    r"""One recurrent layer over ``(batch, length, channels)``, as wide as its input.

    $$ i, f, g, o = W x_t + b + U h_{t-1} + b', \quad
    c_t = \sigma(f)\, c_{t-1} + \sigma(i) \tanh(g), \quad h_t = \sigma(o) \tanh(c_t) $$

    The products with the inputs are one matrix product for the whole signal; only those with the
    hidden state go step by step. The second bias is one too many. It is there because PyTorch has
    it: published weights then fit, and published parameter counts are met.

    Args:
        channels: of the input and the output.
        key: of the weights.

    Source: Hochreiter & Schmidhuber 1997; gates in the order of `torch.nn.LSTM`.
    """

    input_weight: Float[Array, "gates channels"]
    hidden_weight: Float[Array, "gates channels"]
    input_bias: Float[Array, " gates"]
    hidden_bias: Float[Array, " gates"]

    def __init__(self, channels: int, *, key: PRNGKeyArray) -> None:
        keys, bound = jax.random.split(key), 1 / math.sqrt(channels)
        shape = (4 * channels, channels)
        self.input_weight = jax.random.uniform(keys[0], shape, minval=-bound, maxval=bound)
        self.hidden_weight = jax.random.uniform(keys[1], shape, minval=-bound, maxval=bound)
        self.input_bias = jnp.zeros(4 * channels)
        self.hidden_bias = jnp.zeros(4 * channels)

    @property
    def channels(self) -> int:
        """Channels of the input and the output."""
        return self.input_weight.shape[1]

    def begin(self, batch: int, dtype: jnp.dtype) -> Memory:
        """The memory before the first step."""
        zeros = jnp.zeros((batch, self.channels), dtype)
        return zeros, zeros

    def run(
        self,
        memory: Memory,
        x: Float[Array, "batch length channels"],
        counts: Array | None = None,
    ) -> tuple[Memory, Float[Array, "batch length channels"]]:
        """Go on from ``memory``; steps where ``counts``, ``(batch, length)``, is false are none."""
        own = jax.tree.map(lambda leaf: leaf.astype(x.dtype), self)
        biases = own.input_bias + own.hidden_bias
        driven = x @ own.input_weight.T + biases.reshape(1, 1, -1)  # (B, L, 4C), one product
        over_time = driven.swapaxes(0, 1), None if counts is None else counts.T
        memory, y = _recurred(own.hidden_weight.T, memory, over_time)
        return memory, y.swapaxes(0, 1)

    def __call__(
        self, x: Float[Array, "batch length channels"]
    ) -> Float[Array, "batch length channels"]:
        """The hidden states of all steps."""
        return self.run(self.begin(x.shape[0], x.dtype), x)[1]


Steps = tuple[Float[Array, "length batch gates"], Bool[Array, "length batch"] | None]
"""What the inputs add to the gates, and whether a step counts."""


def _scanned(weight: Float[Array, "channels gates"], memory: Memory, steps: Steps) -> Any:
    """The last memory, and the hidden states ``(length, batch, channels)``."""

    def step(memory: Memory, now: tuple[Array, Array | None]) -> tuple[Memory, Array]:
        hidden, cell = memory
        gates, counts = now
        i, f, g, o = jnp.split(gates + hidden @ weight, 4, axis=-1)
        cell_next = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
        hidden_next = jax.nn.sigmoid(o) * jnp.tanh(cell_next)
        if counts is not None:
            cell_next = jnp.where(counts[:, None], cell_next, cell)
            hidden_next = jnp.where(counts[:, None], hidden_next, hidden)
        return (hidden_next, cell_next), hidden_next

    return jax.lax.scan(step, memory, steps)


def _recurred_forward(weight: Array, memory: Memory, steps: Steps) -> tuple[Any, Any]:
    driven, counts = steps
    result, pull = jax.vjp(
        lambda memory, driven: _scanned(weight, memory, (driven, counts)), memory, driven
    )
    before = jnp.concatenate([memory[0][None], result[1][:-1]])  # the hidden state at each step
    return result, (pull, before)


def _recurred_backward(kept: Any, cotangent: Any) -> tuple[Array, Memory, tuple[Array, None]]:
    pull, before = kept
    by_memory, by_gates = pull(cotangent)
    return jnp.einsum("lbc,lbg->cg", before, by_gates), by_memory, (by_gates, None)


# The gradient is JAX's own but for the weight's. A scan adds that up step by step, reading and
# writing the whole matrix each time; with all gates and hidden states at hand it is one matrix
# product, and the layer's gradient takes half as long.
_recurred = jax.custom_vjp(_scanned)
_recurred.defvjp(_recurred_forward, _recurred_backward)


class Recurrence(eqx.Module):
    """``x + lstm(…lstm(x))``: what SEANet has at its latent.

    Source: Défossez et al. 2022 (arXiv:2210.13438).
    """

    layers: tuple[LSTM, ...]

    def __init__(self, channels: int, count: int, *, key: PRNGKeyArray) -> None:
        self.layers = tuple(LSTM(channels, key=k) for k in jax.random.split(key, count))

    def __call__(
        self, x: Float[Array, "batch length channels"]
    ) -> Float[Array, "batch length channels"]:
        """Add to the signal what the layers make of it."""
        y = x
        for layer in self.layers:
            y = layer(y)
        return x + y

    def named(self, name: str) -> Iterator[tuple[str, LSTM]]:
        """The layers in order, by name."""
        for i, layer in enumerate(self.layers):
            yield f"{name}.layers.{i}", layer


@stream.register
def _(module: Recurrence) -> Stream:
    return stream_sum(stream_chain(), stream_chain(*module.layers))


@stream.register
def _(layer: LSTM) -> Stream:
    return _Recurring(layer)


class _Recurring(_Samples):
    """A recurrent layer, whose part is its memory. Samples from before the first leave it alone."""

    layer: LSTM

    @property
    def hop(self) -> int:
        return 1

    @property
    def channels(self) -> int:
        return self.layer.channels

    @property
    def _warm(self) -> int:
        return self.late

    def _begin(self, empty: Array) -> tuple[Memory, Array]:
        return self.layer.begin(empty.shape[0], self._dtype(empty)), empty.astype(
            self._dtype(empty)
        )

    def _advance(self, parts: Memory, x: Array, position: Array) -> tuple[Memory, Array]:
        if x.shape[1] == 0:
            return parts, x.astype(self._dtype(x))
        counts = None
        if self.late:
            ahead = jnp.arange(x.shape[1], dtype=position.dtype)
            counts = position[:, None] + ahead[None] >= self.late
        return self.layer.run(parts, x.astype(self._dtype(x)), counts)

    def _finish(self, parts: Memory, x: Array, position: Array) -> Array:
        return self._advance(parts, x, position)[1]

    def _whole(self, parts: Memory) -> bool:
        return True

    def _count(self, position: Array) -> Array:
        return position

    def _length(self, length: int) -> int:
        return length

    def _seen(self, span: Span) -> Span:
        raise ValueError(
            "`module` has recurrent layers, which see all that came before: no window holds that. "
            "Use convt1d.stream, whose state does."
        )

    def _dtype(self, x: Array) -> jnp.dtype:
        return jnp.result_type(x.dtype, self.layer.input_weight.dtype)
