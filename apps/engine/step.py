"""The training step: pure, compiled once, its state donated; the same for every objective."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from apps.engine.mesh import pin
from apps.engine.state import Player, Skips, Trainable, TrainState, averaged, inexact_arrays
from apps.engine.turn import Metrics, Rules, Turn, gradient, with_keys

Step = Callable[[TrainState, PyTree], tuple[TrainState, Metrics]]
_Structure = Any  # jax.tree_util.PyTreeDef, which type checkers do not see


class Memory(NamedTuple):
    """What a compiled step needs on each device, in bytes.

    Attributes:
        state: Weights, moving averages and what the optimisers keep.
        working: What it computes besides, most of it activations that wait for the gradient.
    """

    state: int
    working: int


class TrainStep:
    """A step compiled for a state whose leaves are not all arrays; the state is donated.

    Not `eqx.filter_jit`: that waits for every result, and the host could never run ahead.

    Attributes:
        memory: What the program needs on each device, once it was called.
    """

    def __init__(self, step: Step) -> None:
        self.memory: Memory | None = None
        self._programs: dict[Any, Any] = {}

        def run(
            arrays: list[Array], batch: PyTree, structure: _Structure, others: tuple[Any, ...]
        ) -> tuple[list[Array], Metrics]:
            state, metrics = step(_join(structure, arrays, others), batch)
            return _divide(state)[0], metrics

        self._run = jax.jit(run, static_argnums=(2, 3), donate_argnums=(0,))

    def __call__(self, state: TrainState, batch: PyTree) -> tuple[TrainState, Metrics]:
        """Makes one step; for arguments of another form it is compiled anew."""
        arrays, structure, others = _divide(state)
        leaves, form = jax.tree.flatten(batch)
        known = (structure, others, form, *((leaf.shape, leaf.dtype) for leaf in leaves))
        if known not in self._programs:
            self._programs[known] = self.lower(state, batch).compile()
            self.memory = _needed(self._programs[known], arrays)
        arrays, metrics = self._programs[known](arrays, batch)
        return _join(structure, arrays, others), metrics

    def lower(self, state: TrainState, batch: PyTree) -> jax.stages.Lowered:
        """Returns the program for such arguments before it is compiled, as `jax.jit`'s `lower`."""
        arrays, structure, others = _divide(state)
        return self._run.lower(arrays, batch, structure, others)


def make_train_step(
    turns: Sequence[Turn],
    optimisers: Mapping[str, optax.GradientTransformation],
    *,
    mesh: Mesh,
    ema_decay: float = 0.999,
    trainable: Trainable = inexact_arrays,
    parts: int = 1,
    accumulate: int = 1,
    compute: DTypeLike = jnp.float32,
) -> TrainStep:
    """Compiles a sequence of turns into `step(state, batch) -> (state, metrics)`.

    The step is a pure function of its arguments: example e of turn t of step s draws from
    `fold_in(fold_in(fold_in(state.key, s), t), e)`. The state given to it is donated.

    An update whose loss or gradient is not finite is not made, and counted: nothing of its player
    changes, the moving average included. A gradient whose norm overflows is not finite either.

    Metrics are named `player/name`; always among them are `player/loss`, `player/gradient_norm`,
    `player/skipped` (updates not made since the last one that was) and `player/skipped_total`.
    When a player has several turns, its last one is reported. When two players move,
    `gradient_ratio` is the norm of the one that moves first over the other's.

    Args:
        turns: The moves, in order; a later one sees what an earlier one changed.
        optimisers: By player.
        mesh: Where the state lies.
        ema_decay: Of the moving averages of the players that move, in [0, 1); step s uses
            min(ema_decay, (1 + s) / (10 + s)), so that the first steps are soon forgotten.
        trainable: Of a model: which leaves are trained.
        parts: Into how many parts a step's batch is divided; each turn sees its own.
        accumulate: In how many pieces, one after the other, a turn's gradient is computed: less
            memory for the same gradient, if the loss is a mean over examples.
        compute: The type in which the models compute; weights, averages and optimisers keep
            theirs.

    Raises:
        ValueError: if there is no turn, a turn's player has no optimiser, its part is not among
            the parts, or a number or type is out of range.
    """
    if not turns:
        raise ValueError("`turns` is empty: an objective needs at least one turn")
    for turn in turns:
        if turn.player not in optimisers:
            raise ValueError(
                f"turn for player {turn.player!r}, but optimisers are given for "
                f"{sorted(optimisers)}"
            )
        if not 0 <= turn.part < parts:
            raise ValueError(
                f"turn for player {turn.player!r} sees part {turn.part}, but `parts` is {parts}: "
                f"parts are counted from 0"
            )
    if not 0 <= ema_decay < 1:
        raise ValueError(f"`ema_decay` is {ema_decay}: it must lie in [0, 1)")
    rules = Rules(mesh, trainable, parts=parts, accumulate=accumulate, compute=compute)
    moves = Counter(turn.player for turn in turns)  # in the order in which they first move

    def step(state: TrainState, batch: PyTree) -> tuple[TrainState, Metrics]:
        step_key = jax.random.fold_in(state.key, state.step)
        players, metrics = dict(state.players), {}
        for index, turn in enumerate(turns):
            examples = with_keys(batch, jax.random.fold_in(step_key, index))
            others = {name: each.model for name, each in players.items() if name != turn.player}
            player, reported = _move(
                turn, players[turn.player], others, optimisers[turn.player], examples,
                state.step, rules
            )  # fmt: skip
            players[turn.player] = player
            metrics |= {f"{turn.player}/{name}": value for name, value in reported.items()}
        for name, count in moves.items():
            made = players[name].skips.total - state.players[name].skips.total < count
            players[name] = _average(players[name], state.step, ema_decay, trainable, made=made)
        if len(moves) == 2:
            first, second = (metrics[f"{name}/gradient_norm"] for name in moves)
            metrics["gradient_ratio"] = first / second
        return pin((TrainState(state.step + 1, state.key, players), metrics), mesh)

    return TrainStep(step)


def _needed(program: Any, arrays: list[Array]) -> Memory | None:
    found = program.memory_analysis()
    if found is None:  # not every platform tells
        return None
    state = sum(math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.itemsize for leaf in arrays)
    return Memory(state=state, working=found.temp_size_in_bytes)


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


def _move(
    turn: Turn,
    player: Player,
    others: Mapping[str, Any],
    optimiser: optax.GradientTransformation,
    examples: tuple[PyTree, Key[Array, " batch"]],
    step: Int[Array, ""],
    rules: Rules,
) -> tuple[Player, Metrics]:
    slope, value, metrics = gradient(turn, player.model, others, examples, step, rules=rules)
    norm = optax.tree.norm(slope)
    # The norm is needed anyway, and finite only where every number of the gradient is.
    good = jnp.isfinite(value) & jnp.isfinite(norm)
    learned, fixed = eqx.partition(player.model, rules.trainable(player.model))
    kept, rest = eqx.partition(player.opt_state, eqx.is_array)

    def update(learned: PyTree, kept: PyTree) -> tuple[PyTree, PyTree]:
        # What this turn does not move has gradient 0 for the optimiser, so that its state keeps
        # its form; the update made of that, of momentum and weight decay, is dropped.
        gradients = jax.tree.map(
            lambda leaf, found: jnp.zeros_like(leaf) if found is None else found, learned, slope
        )
        with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an integer power
            updates, opt_state = optimiser.update(gradients, eqx.combine(kept, rest), learned)
        changed = eqx.apply_updates(learned, updates)
        changed = jax.tree.map(
            lambda old, new, found: old if found is None else new, learned, changed, slope
        )
        return changed, _alike(eqx.filter(opt_state, eqx.is_array), kept)

    # A branch: with a `where` for each array, XLA:CPU copies every moment that it updates in
    # place, and the update takes twice as long.
    learned, kept = jax.lax.cond(good, update, lambda *now: now, learned, kept)
    skips = Skips(
        in_a_row=jnp.where(good, 0, player.skips.in_a_row + 1),
        total=player.skips.total + jnp.where(good, 0, 1),
    )
    reported = {
        **metrics,
        "loss": value,
        "gradient_norm": norm,
        "skipped": skips.in_a_row.astype(jnp.float32),
        "skipped_total": skips.total.astype(jnp.float32),
    }
    model, opt_state = eqx.combine(learned, fixed), eqx.combine(kept, rest)
    return Player(model, opt_state, player.ema, skips), reported


def _alike(new: PyTree, old: PyTree) -> PyTree:
    """Returns an optimiser's new state if it has the form of the old one."""

    def form(state: PyTree) -> PyTree:
        return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state)

    if form(new) != form(old):
        raise TypeError(
            "the step changed the form of the state: an optimiser has to return a state like "
            "the one it was given"
        )
    return new


def _average(
    player: Player,
    step: Int[Array, ""],
    decay: float,
    trainable: Trainable,
    *,
    made: Bool[Array, ""],
) -> Player:
    if player.ema is None:
        return player
    count = step.astype(jnp.float32)
    decay_now = jnp.minimum(jnp.float32(decay), (1 + count) / (10 + count))

    def follow(ema: Float[Array, "..."], new: Float[Array, "..."]) -> Float[Array, "..."]:
        weight = (1 - decay_now).astype(ema.dtype)
        return jnp.where(made, ema + weight * (new - ema), ema)

    spec = trainable(player.model)
    # What is not trained stays as it is, in the average's own buffers.
    moving, still = eqx.partition(player.ema, spec)
    moving = jax.tree.map(follow, moving, eqx.filter(player.model, spec))
    return Player(player.model, player.opt_state, eqx.combine(moving, still), player.skips)


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
            _, keys = with_keys(batch, jax.random.fold_in(state.key, index))
            others = {name: model for name, model in models.items() if name != turn.player}
            model = models[turn.player]
            value, reported = turn.loss(model, others, batch, keys=keys, step=state.step)
            reported = {**reported, "loss": value}
            metrics |= {f"{turn.player}/{name}": number for name, number in reported.items()}
        return pin(metrics, mesh)

    return evaluate
