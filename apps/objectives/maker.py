"""A player that makes of each record a signal like it: alone, then also to please a critic."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key, PyTree, Scalar

from apps.engine.phases import Phase
from apps.engine.turn import Turn
from apps.objectives.adversary import CRITIC, Adversary
from apps.objectives.batches import conditions_of, signal_of

Likeness = Callable[
    [Any, Any, Key[Array, " batch"], Int[Array, ""]], tuple[Scalar, dict[str, Scalar], Array]
]
"""`likeness(model, batch, keys, step)`: the loss, its metrics, and the signal that was made."""


def phases(
    player: str,
    likeness: Likeness,
    adversary: Adversary | None,
    *,
    adversarial_from: int,
    critic_turns: int,
    names: tuple[str, str],
    moves: Callable[[Any], PyTree] | None = None,
) -> tuple[Phase, ...]:
    """Training alone until a step, and from then on against a critic, if there is one.

    Args:
        player: Who makes the signals.
        likeness: What it is trained for in both phases.
        adversary: The rules of the game; None has no second phase.
        adversarial_from: The step at which the critic enters; 0 has no first phase.
        critic_turns: How many turns the critic has for one of the player.
        names: What the phases are called.
        moves: Which leaves of the model still move in the second phase; None is all.

    Raises:
        ValueError: If there is no turn for the critic.
    """
    if critic_turns < 1:
        raise ValueError(f"critic_turns is {critic_turns}; give at least 1")
    first = Phase(names[0], 0, (alone(player, likeness),))
    if adversary is None:
        return (first,)
    turns = against(player, likeness, adversary, critic_turns=critic_turns, moves=moves)
    second = Phase(names[1], adversarial_from, turns)
    return (first, second) if adversarial_from else (second,)


def alone(player: str, likeness: Likeness) -> Turn:
    """The player's turn without a critic; its metrics are those of the likeness."""

    def loss(
        model: Any,
        others: Mapping[str, Any],
        batch: Any,
        *,
        keys: Key[Array, " batch"],
        step: Int[Array, ""],
    ) -> tuple[Scalar, dict[str, Scalar]]:
        del others
        value, metrics, _ = likeness(model, batch, keys, step)
        return value, metrics

    return Turn(player, loss)


def against(
    player: str,
    likeness: Likeness,
    adversary: Adversary,
    *,
    critic_turns: int,
    moves: Callable[[Any], PyTree] | None = None,
) -> tuple[Turn, ...]:
    """The critic's turns, turn i on part i of the records, and the player's one.

    Args:
        player: Who makes the signals.
        likeness: What it is trained for beside the critic's verdict.
        adversary: The rules of the game.
        critic_turns: How many turns the critic has.
        moves: Which leaves of the player's model move; None is all.

    Returns:
        Turns of "critic" and one of the player, whose metrics are those of the likeness and of
        `Adversary.persuade`.
    """

    def fake(others: Mapping[str, Any], batch: Any, keys: Key[Array, " batch"]) -> Array:
        # Of the loss nothing is used here, and so nothing of it is computed.
        return likeness(others[player], batch, keys, jnp.zeros((), int))[2]

    def loss(
        model: Any,
        others: Mapping[str, Any],
        batch: Any,
        *,
        keys: Key[Array, " batch"],
        step: Int[Array, ""],
    ) -> tuple[Scalar, dict[str, Scalar]]:
        drawing, looking = jax.vmap(jax.random.split, out_axes=1)(keys)
        value, metrics, made = likeness(model, batch, drawing, step)
        pleasing, told = adversary.persuade(
            others[CRITIC], made, signal_of(batch), keys=looking, given=conditions_of(batch)
        )
        return value + pleasing, {**metrics, **told}

    critic = [adversary.turn(fake, part=part) for part in range(critic_turns)]
    return (*critic, Turn(player, loss, moves=moves))
