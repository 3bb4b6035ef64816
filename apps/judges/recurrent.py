"""Small recurrent networks that judge series: made for one question, trained, asked, forgotten.

Seeds are the leading axis of every array here: one program trains all of them at once.
"""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key, Scalar
from numpy.typing import NDArray

BATCH = 128
"""Series of a batch, in TimeGAN's protocol as here."""

Advance = Callable[[int], None]
"""Told after every piece of work how many updates were made."""

_PIECE = 250  # updates between two reports of progress


class Judge(eqx.Module):
    r"""A gated recurrent unit, and a number read off its state.

    $$ r, u = \sigma(W [x_t, h] + b), \quad c = \tanh(W_c [x_t, r h] + b_c), \quad
       h \leftarrow u h + (1 - u) c $$

    Weights begin as in TensorFlow 1, whose cell TimeGAN judges with: after Glorot, the gates'
    biases at 1 and the others at 0. A state is [hidden, batch]: the axis that is long comes last,
    which is three times as fast on CPUs.

    Args:
        variables: Of the series.
        hidden: Size of the state.
        key: Of the weights.

    Source: Cho et al., Learning phrase representations using RNN encoder-decoder (2014).
    """

    gates: Float[Array, "inputs gates"]  # of x and h: reset, then update
    gates_bias: Float[Array, " gates"]
    candidate: Float[Array, "inputs hidden"]
    candidate_bias: Float[Array, " hidden"]
    readout: Float[Array, "hidden 1"]
    readout_bias: Float[Array, " 1"]

    def __init__(self, variables: int, hidden: int, *, key: Key[Array, ""]) -> None:
        draw = jax.nn.initializers.glorot_uniform()
        first, second, third = jax.random.split(key, 3)
        self.gates = draw(first, (variables + hidden, 2 * hidden), jnp.float32)
        self.gates_bias = jnp.ones(2 * hidden)
        self.candidate = draw(second, (variables + hidden, hidden), jnp.float32)
        self.candidate_bias = jnp.zeros(hidden)
        self.readout = draw(third, (hidden, 1), jnp.float32)
        self.readout_bias = jnp.zeros(1)

    def states(
        self, series: Float[Array, "batch length variables"]
    ) -> Float[Array, "length hidden batch"]:
        """The state after every step."""
        variables, hidden = series.shape[2], self.candidate.shape[1]
        weight = jnp.concatenate([self.gates[:variables], self.candidate[:variables]], axis=1)
        bias = jnp.concatenate([self.gates_bias, self.candidate_bias])
        inputs = jnp.einsum("blv,vo->lob", series, weight) + bias[None, :, None]
        of_gates, of_candidate = self.gates[variables:].T, self.candidate[variables:].T

        def step(
            state: Float[Array, "hidden batch"], given: Float[Array, "three_hidden batch"]
        ) -> tuple[Array, Array]:
            gates = jax.nn.sigmoid(given[: 2 * hidden] + of_gates @ state)
            reset, update = gates[:hidden], gates[hidden:]
            new = jnp.tanh(given[2 * hidden :] + of_candidate @ (reset * state))
            state = update * state + (1 - update) * new
            return state, state

        return jax.lax.scan(step, jnp.zeros((hidden, len(series))), inputs)[1]

    def read(self, states: Float[Array, "*steps hidden batch"]) -> Float[Array, "*steps batch"]:
        """A number for each state."""
        return jnp.einsum("...hb,ho->...b", states, self.readout) + self.readout_bias[0]


Loss = Callable[[Judge, list[Float[Array, "batch length variables"]]], Scalar]
"""`loss(judge, batches)`: of a batch from each of the sets."""


def make(variables: int, hidden: int, *, seeds: int, seed: int) -> Judge:
    """Judges with their first weights, one for each seed."""
    keys = jax.random.split(jax.random.key(seed), seeds)
    return jax.vmap(lambda key: Judge(variables, hidden, key=key))(keys)


def train(
    judges: Judge,
    loss: Loss,
    sets: Sequence[Float[Array, "series length variables"]],
    batches: Sequence[Int[NDArray[np.integer], "seeds updates batch"]],
    *,
    advance: Advance | None = None,
) -> Judge:
    """Train one judge for each seed, by Adam as its paper has it.

    Args:
        judges: From `make`.
        loss: What they minimise.
        sets: The series that batches are taken from.
        batches: For each set which of its series make up the batch of each update.
        advance: Told how many updates were made.
    """
    state = jax.vmap(_ADAM.init)(judges)
    updates = batches[0].shape[1]
    for at in range(0, updates, _PIECE):
        piece = [jnp.asarray(each[:, at : at + _PIECE]) for each in batches]
        judges, state = jax.block_until_ready(_train(judges, state, loss, list(sets), piece))
        if advance is not None:
            advance(piece[0].shape[1])
    return judges


def draws(
    rng: np.random.Generator, members: Int[NDArray[np.integer], " members"], updates: int
) -> Int[NDArray[np.int32], "updates batch"]:
    """Which members make up each batch: none twice, unless there are fewer than a batch holds."""
    few = len(members) < BATCH
    rows = [rng.choice(members, BATCH, replace=few, shuffle=False) for _ in range(updates)]
    return np.stack(rows).astype(np.int32)


_ADAM: Any = optax.adam(1e-3)  # of any tree, though optax's types know arrays alone


@eqx.filter_jit
def _train(
    judges: Judge,
    state: optax.OptState,
    loss: Loss,
    sets: list[Float[Array, "series length variables"]],
    batches: list[Int[Array, "seeds updates batch"]],
) -> tuple[Judge, optax.OptState]:
    def update(now: tuple[Judge, optax.OptState], places: list[Array]) -> tuple[tuple, None]:
        judge, state = now
        given = [each[rows] for each, rows in zip(sets, places, strict=True)]
        slope = jax.grad(loss)(judge, given)
        with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an integer power
            change, state = _ADAM.update(slope, state)
        return (eqx.apply_updates(judge, change), state), None

    def one(judge: Judge, state: optax.OptState, places: list[Array]) -> tuple:
        return jax.lax.scan(update, (judge, state), places)[0]

    return jax.vmap(one)(judges, state, batches)
