"""What a run is at one step: players and their optimisers, the step, the key."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, Key, PyTree

Trainable = Callable[[Any], PyTree]
"""Of a model: a tree of booleans, true at every leaf the optimiser may change."""


class Skips(eqx.Module):
    """Updates that were not made because the loss or its gradient was not finite.

    Attributes:
        in_a_row: Those since the last update that was made.
        total: All of the run.
    """

    in_a_row: Int[Array, ""]
    total: Int[Array, ""]


class Player(eqx.Module):
    """One network in training.

    Attributes:
        model: The network.
        opt_state: Its optimiser's state.
        ema: The exponential moving average of the model, in buffers of its own, or None.
        skips: How many of its updates were not made.
    """

    model: PyTree
    opt_state: optax.OptState
    ema: PyTree  # None is one too
    skips: Skips


class TrainState(eqx.Module):
    """Everything a run is at one step: restoring it restores the run.

    Attributes:
        step: The number of updates made so far.
        key: The run's key. It never changes: step s draws from `fold_in(key, s)`.
        players: The networks, by name.
    """

    step: Int[Array, ""]
    key: Key[Array, ""]
    players: dict[str, Player]


def inexact_arrays(model: Any) -> PyTree:
    """Marks every floating-point array of a model as trainable: the default rule."""
    return jax.tree.map(eqx.is_inexact_array, model)


def init_state(
    models: Mapping[str, Any],
    optimisers: Mapping[str, optax.GradientTransformation],
    *,
    key: Key[Array, ""],
    ema: bool | Collection[str] = True,
    trainable: Trainable = inexact_arrays,
) -> TrainState:
    """Returns the state before the first step.

    Args:
        models: The networks, by player.
        optimisers: The optimiser of every player, by the same names.
        key: The run's key.
        ema: Whether the players keep a moving average, or the names of those that do.
        trainable: Of a model: which leaves are trained.

    Raises:
        ValueError: if the names in `models` and `optimisers` differ, or `ema` names a stranger.
    """
    if set(models) != set(optimisers):
        raise ValueError(
            f"every player needs a model and an optimiser: "
            f"models are {sorted(models)}, optimisers are {sorted(optimisers)}"
        )
    averaged = set(models) if ema is True else set() if ema is False else set(ema)
    if not averaged <= set(models):
        raise ValueError(
            f"`ema` names {sorted(averaged - set(models))}; the players are {sorted(models)}"
        )

    @eqx.filter_jit  # one compilation for all arrays, not one for each of their shapes
    def build(models: dict[str, Any], key: Key[Array, ""]) -> TrainState:
        players = {}
        for name, model in models.items():
            with jax.numpy_dtype_promotion("standard"):  # optax mixes its types
                opt_state = optimisers[name].init(eqx.filter(model, trainable(model)))
            skips = Skips(jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32))
            players[name] = Player(model, opt_state, model if name in averaged else None, skips)
        state = TrainState(step=jnp.zeros((), jnp.int32), key=key, players=players)
        # The state is donated to the step, and a buffer that is donated twice ends the process
        # (a segmentation fault on several devices); so every array, the moving averages' and
        # those an optimiser made of the parameters too, gets a buffer of its own.
        return jax.tree.map(lambda leaf: jnp.copy(leaf) if eqx.is_array(leaf) else leaf, state)

    return build(dict(models), key)


def abstract_state(make: Callable[[], TrainState]) -> TrainState:
    """Returns the state that `make` would build, with shapes in place of arrays.

    Nothing is computed: this is the template for `Checkpoints.restore`, after
    `mesh.abstract_placed` has said where each array is to lie.

    Args:
        make: Builds the state; called under `eqx.filter_eval_shape`.
    """
    return eqx.filter_eval_shape(make)


def averaged(state: TrainState) -> dict[str, Any]:
    """Returns each player's moving average, or its model where it keeps none."""
    return {
        name: player.model if player.ema is None else player.ema
        for name, player in state.players.items()
    }
