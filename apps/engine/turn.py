"""One player's move: what it minimises, and the gradient of that on its part of a batch."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.typing import DTypeLike
from jaxtyping import Array, Int, Key, PyTree, Scalar

from apps.engine.mesh import gather, pin, spread
from apps.engine.state import Trainable

Metrics = dict[str, Array]


@dataclass(frozen=True)
class Turn:
    """One player's move in a step: it is trained, the others are held fixed.

    Attributes:
        player: Who moves.
        loss: `loss(model, others, batch, *, keys, step) -> (scalar, metrics)`: the others' models
            by name, a key for each example, this turn's own, the number of steps made so far, and
            scalar metrics by name. Accumulated gradients are the large batch's if it is a mean
            over examples.
        part: Which part of the step's batch it sees: part p of P is the records p, p + P, …
        moves: Of the player's model: a tree of booleans, the leaves that this turn may change.
            None is every trainable leaf.
    """

    player: str
    loss: Callable[..., tuple[Scalar, Mapping[str, Scalar]]]
    part: int = 0
    moves: Callable[[Any], PyTree] | None = None


@dataclass(frozen=True)
class Rules:
    """What holds for every turn of a step.

    Attributes:
        mesh: Where state and batch lie.
        trainable: Of a model: which leaves are trained.
        parts: Into how many parts a step's batch is divided.
        accumulate: In how many pieces, one after the other, a turn's gradient is computed.
        compute: The type in which the models compute; weights, losses and gradients keep theirs.
    """

    mesh: Mesh
    trainable: Trainable
    parts: int = 1
    accumulate: int = 1
    compute: DTypeLike = jnp.float32

    def __post_init__(self) -> None:
        for name in ("parts", "accumulate"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` is {getattr(self, name)}: it must be 1 or more")
        if not jnp.issubdtype(self.compute, jnp.floating):
            raise ValueError(f"`compute` is {self.compute}: it must be a floating-point type")


def with_keys(batch: PyTree, key: Key[Array, ""]) -> tuple[PyTree, Key[Array, " batch"]]:
    """Returns a batch with a key for each example.

    Example e has `fold_in(key, e)`: the same noise in whatever part or piece of the batch, and on
    whatever device, it comes to lie.
    """
    count = jax.tree.leaves(batch)[0].shape[0]
    return batch, jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(count))


def gradient(
    turn: Turn,
    model: Any,
    others: Mapping[str, Any],
    examples: tuple[PyTree, Key[Array, " batch"]],
    step: Int[Array, ""],
    *,
    rules: Rules,
) -> tuple[PyTree, Scalar, Metrics]:
    """Returns the gradient of a turn's loss by the leaves that move, the loss and its metrics.

    Args:
        turn: The move.
        model: The player's network.
        others: The other players' networks, by name.
        examples: The step's whole batch, with its keys.
        step: Updates made so far.
        rules: What holds for every turn.

    Raises:
        ValueError: if the batch cannot be divided as the rules have it, or nothing moves.
    """
    moving, still = eqx.partition(model, _moving(turn, model, rules.trainable))
    if not jax.tree.leaves(moving):
        raise ValueError(f"the turn of player {turn.player!r} moves nothing: look at its `moves`")
    others = {name: _ready(other, rules) for name, other in others.items()}

    def loss(
        moving: PyTree, batch: PyTree, keys: Key[Array, " batch"]
    ) -> tuple[Scalar, Mapping[str, Scalar]]:
        # Inside, so that the gradient by the weights as they are kept comes back in their type
        # and to their place.
        now = _ready(eqx.combine(moving, still), rules)
        value, metrics = turn.loss(now, others, batch, keys=keys, step=step)
        return _at_least_float32((value, dict(metrics)))

    differentiate = jax.value_and_grad(loss, has_aux=True)
    _check_size(examples, rules)
    part = jax.tree.map(functools.partial(_part, index=turn.part, count=rules.parts), examples)
    if rules.accumulate == 1:
        (value, metrics), slope = differentiate(moving, *spread(part, rules.mesh))
        return pin(slope, rules.mesh), value, metrics

    def add(total: PyTree, piece: Any) -> tuple[PyTree, tuple[Scalar, Mapping[str, Scalar]]]:
        found, slope = differentiate(moving, *piece)
        return pin(jax.tree.map(jnp.add, total, slope), rules.mesh), found

    pieces = jax.tree.map(functools.partial(_pieces, count=rules.accumulate), part)
    nothing = pin(jax.tree.map(jnp.zeros_like, moving), rules.mesh)
    total, found = jax.lax.scan(add, nothing, spread(pieces, rules.mesh, axis=1))
    value, metrics = jax.tree.map(lambda each: jnp.mean(each, axis=0), found)
    return jax.tree.map(lambda each: each / rules.accumulate, total), value, metrics


def _moving(turn: Turn, model: Any, trainable: Trainable) -> PyTree:
    learned = eqx.filter(model, trainable(model))
    if turn.moves is not None:
        learned = eqx.filter(learned, turn.moves(model))
    return jax.tree.map(lambda leaf: leaf is not None, learned, is_leaf=lambda leaf: leaf is None)


def _ready(model: Any, rules: Rules) -> Any:
    """Returns a model as it computes: in the type for it, and whole on every device."""
    learned, fixed = eqx.partition(model, rules.trainable(model))
    learned = jax.tree.map(lambda leaf: leaf.astype(rules.compute), learned)
    return gather(eqx.combine(learned, fixed), rules.mesh)


def _at_least_float32(tree: Any) -> Any:
    def widen(value: Any) -> Array:
        value = jnp.asarray(value)
        return value.astype(jnp.promote_types(value.dtype, jnp.float32))

    return jax.tree.map(widen, tree)


def _check_size(examples: tuple[PyTree, Key[Array, " batch"]], rules: Rules) -> None:
    count = len(examples[1])
    if count % (rules.parts * rules.accumulate * rules.mesh.size):
        raise ValueError(
            f"the batch of {count} records cannot be divided into {rules.parts} parts × "
            f"{rules.accumulate} pieces × {rules.mesh.size} devices: use a multiple of "
            f"{rules.parts * rules.accumulate * rules.mesh.size}"
        )


def _part(leaf: Array, *, index: int, count: int) -> Array:
    # By stride, so that every device has its share of every part and nothing is moved.
    return leaf if count == 1 else leaf.reshape(-1, count, *leaf.shape[1:])[:, index]


def _pieces(leaf: Array, *, count: int) -> Array:
    return jnp.moveaxis(leaf.reshape(-1, count, *leaf.shape[1:]), 1, 0)
