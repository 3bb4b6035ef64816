"""The training step: pure, compiled once, its state donated; the same for every objective."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Key, PyTree, Scalar

from apps.engine.mesh import pin
from apps.engine.state import Player, Trainable, TrainState, averaged, inexact_arrays

Metrics = dict[str, Array]
Step = Callable[[TrainState, PyTree], tuple[TrainState, Metrics]]
_Structure = Any  # jax.tree_util.PyTreeDef, which type checkers do not see


@dataclass(frozen=True)
class Turn:
    """One player's move in a step: it is trained, the others are held fixed.

    Attributes:
        player: Who moves.
        loss: `loss(model, others, batch, *, keys, step) -> (scalar, metrics)`: the others' models
            by name, a key for each example, this turn's own, the number of steps made so far, and
            scalar metrics by name.
    """

    player: str
    loss: Callable[..., tuple[Scalar, Mapping[str, Scalar]]]


def make_train_step(
    turns: Sequence[Turn],
    optimisers: Mapping[str, optax.GradientTransformation],
    *,
    mesh: Mesh,
    ema_decay: float = 0.999,
    trainable: Trainable = inexact_arrays,
) -> Step:
    """Compiles a sequence of turns into `step(state, batch) -> (state, metrics)`.

    The step is a pure function of its arguments: example e of turn t of step s draws from
    `fold_in(fold_in(fold_in(state.key, s), t), e)`. The state given to it is donated. Metrics are
    named `player/name`; `player/loss` and `player/gradient_norm` are always among them. When a
    player has several turns, its last one is reported.

    Args:
        turns: The moves, in order; a later one sees what an earlier one changed.
        optimisers: By player.
        mesh: Where the state lies.
        ema_decay: Of the moving averages, in [0, 1); step s uses
            min(ema_decay, (1 + s) / (10 + s)), so that the first steps are soon forgotten.
        trainable: Of a model: which leaves are trained.

    Raises:
        ValueError: if there is no turn, a turn's player has no optimiser, or `ema_decay` is
            outside [0, 1).
    """
    if not turns:
        raise ValueError("`turns` is empty: an objective needs at least one turn")
    for turn in turns:
        if turn.player not in optimisers:
            raise ValueError(
                f"turn for player {turn.player!r}, but optimisers are given for "
                f"{sorted(optimisers)}"
            )
    if not 0 <= ema_decay < 1:
        raise ValueError(f"`ema_decay` is {ema_decay}: it must lie in [0, 1)")

    def step(state: TrainState, batch: PyTree) -> tuple[TrainState, Metrics]:
        step_key = jax.random.fold_in(state.key, state.step)
        players, metrics = dict(state.players), {}
        for index, turn in enumerate(turns):
            keys = _example_keys(jax.random.fold_in(step_key, index), batch)
            player, reported = _move(
                turn, players, optimisers[turn.player], batch, keys, state.step, trainable
            )
            players[turn.player] = player
            metrics |= {f"{turn.player}/{name}": value for name, value in reported.items()}
        players = {
            name: _average(player, state.step, ema_decay, trainable)
            for name, player in players.items()
        }
        return pin((TrainState(state.step + 1, state.key, players), metrics), mesh)

    return _compile(step)


def _compile(step: Step) -> Step:
    """Compiles a step whose state has leaves that are no arrays; the state is donated.

    Not `eqx.filter_jit`: that waits for every result, and the host could never run ahead.
    """

    @functools.partial(jax.jit, static_argnums=(2, 3), donate_argnums=(0,))
    def compiled(
        arrays: list[Array], batch: PyTree, structure: _Structure, others: tuple[Any, ...]
    ) -> tuple[list[Array], Metrics]:
        state, metrics = step(_join(structure, arrays, others), batch)
        changed, found, _ = _divide(state)
        if found != structure:
            raise TypeError(
                "the step changed the form of the state: an optimiser has to return a state like "
                "the one it was given"
            )
        return changed, metrics

    def call(state: TrainState, batch: PyTree) -> tuple[TrainState, Metrics]:
        arrays, structure, others = _divide(state)
        arrays, metrics = compiled(arrays, batch, structure, others)
        return _join(structure, arrays, others), metrics

    return call


def _divide(state: TrainState) -> tuple[list[Array], _Structure, tuple[Any, ...]]:
    """Returns a state's arrays, its form, and its other leaves with None where an array was."""
    leaves, structure = jax.tree.flatten(state)
    arrays = [leaf for leaf in leaves if eqx.is_array(leaf)]
    return arrays, structure, tuple(None if eqx.is_array(leaf) else leaf for leaf in leaves)


def _join(structure: _Structure, arrays: list[Array], others: tuple[Any, ...]) -> TrainState:
    rest = iter(arrays)
    return jax.tree.unflatten(
        structure, [next(rest) if other is None else other for other in others]
    )


def _example_keys(key: Key[Array, ""], batch: PyTree) -> Key[Array, " batch"]:
    """Returns a key for each example: its noise is the same in whatever part of a batch it is."""
    count = jax.tree.leaves(batch)[0].shape[0]
    return jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(count))


def _move(
    turn: Turn,
    players: Mapping[str, Player],
    optimiser: optax.GradientTransformation,
    batch: PyTree,
    keys: Key[Array, " batch"],
    step: Int[Array, ""],
    trainable: Trainable,
) -> tuple[Player, Metrics]:
    player = players[turn.player]
    others = {name: other.model for name, other in players.items() if name != turn.player}
    learned, fixed = eqx.partition(player.model, trainable(player.model))

    def loss(learned: PyTree) -> tuple[Scalar, Mapping[str, Scalar]]:
        return turn.loss(eqx.combine(learned, fixed), others, batch, keys=keys, step=step)

    (value, metrics), gradients = jax.value_and_grad(loss, has_aux=True)(learned)
    with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an integer power
        updates, opt_state = optimiser.update(gradients, player.opt_state, learned)
    model = eqx.combine(eqx.apply_updates(learned, updates), fixed)
    reported = {**metrics, "loss": value, "gradient_norm": optax.tree.norm(gradients)}
    return Player(model=model, opt_state=opt_state, ema=player.ema), reported


def _average(player: Player, step: Int[Array, ""], decay: float, trainable: Trainable) -> Player:
    if player.ema is None:
        return player
    count = step.astype(jnp.float32)
    decay_now = jnp.minimum(jnp.float32(decay), (1 + count) / (10 + count))

    def follow(ema: Float[Array, "..."], new: Float[Array, "..."]) -> Float[Array, "..."]:
        weight = (1 - decay_now).astype(ema.dtype)
        return ema + weight * (new - ema)

    spec = trainable(player.model)
    # What is not trained stays as it is, in the average's own buffers.
    moving, still = eqx.partition(player.ema, spec)
    moving = jax.tree.map(follow, moving, eqx.filter(player.model, spec))
    return Player(model=player.model, opt_state=player.opt_state, ema=eqx.combine(moving, still))


def make_eval_step(turns: Sequence[Turn], *, mesh: Mesh) -> Callable[[TrainState, PyTree], Metrics]:
    """Compiles the turns' losses, nothing trained: `evaluate(state, batch) -> metrics`.

    Every player is taken by its moving average where it keeps one. The key is the same at every
    step, so that two evaluations differ by the players alone.

    Args:
        turns: As for the training step.
        mesh: Where the state lies.
    """

    @eqx.filter_jit
    def evaluate(state: TrainState, batch: PyTree) -> Metrics:
        models: dict[str, Any] = averaged(state)
        metrics: Metrics = {}
        for index, turn in enumerate(turns):
            keys = _example_keys(jax.random.fold_in(state.key, index), batch)
            others = {name: model for name, model in models.items() if name != turn.player}
            model = models[turn.player]
            value, reported = turn.loss(model, others, batch, keys=keys, step=state.step)
            reported = {**reported, "loss": value}
            metrics |= {f"{turn.player}/{name}": number for name, number in reported.items()}
        return pin(metrics, mesh)

    return evaluate
