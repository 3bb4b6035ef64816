"""The game between a critic and whoever makes signals: both sides' losses, and when it is lost.

D(x) is one number per example: the mean of a critic's scores over positions, then over critics.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, Scalar

from apps.engine.step import Turn
from apps.objectives import losses
from apps.objectives.batches import Conditions, conditions_of, signal_of
from apps.objectives.collapse import Watch
from apps.objectives.critics import Critics, Verdict

CRITIC = "critic"

Fake = Callable[[Mapping[str, Any], Any, Key[Array, " batch"]], Array]
"""`fake(others, batch, keys)`: a made signal for each record of the batch."""


@dataclass(frozen=True)
class Adversary:
    """The rules of the game.

    Attributes:
        kind: "least_squares", "hinge", "non_saturating" or "wasserstein".
        weight: Of the adversarial part of the maker's loss.
        feature_weight: Of the distance in features, in the maker's loss; 0 leaves it out.
        gradient_penalty: Weight of (‖∇D‖ - 1)² between real and made signals; 0 leaves it out.
        r1: γ, of which half weighs ‖∇D‖² at real signals; 0 leaves it out.
    """

    kind: str = "least_squares"
    weight: float = 1.0
    feature_weight: float = 0.0
    gradient_penalty: float = 0.0
    r1: float = 0.0

    def __post_init__(self) -> None:
        losses.game(self.kind)
        for name in ("weight", "feature_weight", "gradient_penalty", "r1"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; give 0 or more")

    def turn(self, fake: Fake, *, part: int = 0) -> Turn:
        """The critic's turn.

        Its metrics: real and fake (mean D), accuracy (the share of pairs of a real and a made
        record that D puts in the right order: 0.5 by chance, 1 when it tells all apart) and
        penalty (as it is added to the loss).

        Args:
            fake: Makes the signals that the critic is to find out. No gradient passes through it.
            part: Which part of a step's batch this turn sees.
        """

        def loss(
            model: Critics,
            others: Mapping[str, Any],
            batch: Any,
            *,
            keys: Key[Array, " batch"],
            step: Int[Array, ""],
        ) -> tuple[Scalar, dict[str, Scalar]]:
            del step
            real, given = signal_of(batch), conditions_of(batch)
            making, looking, mixing = _split(keys, 3)
            made = jax.lax.stop_gradient(fake(others, batch, making)).astype(real.dtype)
            verdict = _judged(
                model,
                _pairs(real, made),
                jax.tree.map(lambda each: _pairs(each, each), given),
                keys=_pairs(*_split(looking, 2)),
            )
            value = _mean(
                [losses.game(self.kind).critic(*_apart(scores)) for scores in verdict.scores]
            )
            penalty = self._penalty(model, real, made, mixing, given)
            real_means, made_means = _apart(verdict.means())
            return value + penalty, {
                "real": jnp.mean(real_means),
                "fake": jnp.mean(made_means),
                "accuracy": _share_in_order(real_means, made_means),
                "penalty": penalty,
            }

        return Turn(CRITIC, loss, part=part)

    def persuade(
        self,
        critic: Critics,
        made: Float[Array, "batch length channels"],
        real: Float[Array, "batch length channels"],
        *,
        keys: Key[Array, " batch"],
        given: Conditions = (),
    ) -> tuple[Scalar, dict[str, Scalar]]:
        """The maker's side: how much its signals displease the critic.

        Args:
            critic: Held fixed.
            made: The maker's signals; the gradient passes through them.
            real: What the critic has them compared with: the same records where features are.
            keys: One per example, for phase shuffle.
            given: The conditions of each made signal, for critics that know some.

        Returns:
            weight · adversarial + feature_weight · features, and as metrics these two by
            themselves and `diversity`: the deviation between the made records of the batch over
            that between the real ones; near 0 they are all alike.
        """
        verdict = _judged(critic, made, given, keys=keys)
        persuade = losses.game(self.kind).maker
        adversarial = _mean([persuade(scores) for scores in verdict.scores])
        features = jnp.zeros((), adversarial.dtype)
        if self.feature_weight:
            # The same keys: shuffled phases must be the same in both, or features would not meet.
            wanted = jax.lax.stop_gradient(_judged(critic, real, given, keys=keys))
            features = losses.feature_matching(verdict.features, wanted.features)
            features = features.astype(adversarial.dtype)
        return self.weight * adversarial + self.feature_weight * features, {
            "adversarial": adversarial,
            "features": features,
            "diversity": _diversity(made, real),
        }

    def watch(self) -> Callable[[Mapping[str, float]], str | None]:
        """A reader of logged metrics that says in words when the game is lost."""
        return Watch(self.kind)

    def _penalty(
        self,
        model: Critics,
        real: Array,
        made: Array,
        keys: Key[Array, " batch"],
        given: Conditions,
    ) -> Scalar:
        mixing, looking = _split(keys, 2)

        def score(signal: Array) -> Float[Array, " batch"]:
            return _judged(model, signal, given, keys=looking).means()

        penalty = jnp.zeros((), real.dtype)
        if self.gradient_penalty:
            share = losses.gradient_penalty(score, real, made, keys=mixing)
            penalty = penalty + self.gradient_penalty * share
        if self.r1:
            penalty = penalty + 0.5 * self.r1 * losses.squared_slope(score, real)
        return penalty


def _judged(
    critic: Critics, signal: Array, given: Conditions, *, keys: Key[Array, " batch"]
) -> Verdict:
    """What a critic says of signals with these conditions: covariates are channels that it sees."""
    label, covariates = given or (None, None)
    if covariates is not None:
        signal = jnp.concatenate([signal, covariates.astype(signal.dtype)], axis=-1)
    return critic(signal, keys=keys, label=label)


def _split(keys: Key[Array, " batch"], count: int) -> Key[Array, "count batch"]:
    """So many independent keys for each example."""
    return jax.vmap(lambda key: jax.random.split(key, count), out_axes=1)(keys)


def _pairs(real: Array, made: Array) -> Array:
    """Real and made records in turn, as one batch: over several devices none has to move."""
    both = jnp.stack([real, made], axis=1)
    return both.reshape(-1, *real.shape[1:])


def _apart(both: Array) -> tuple[Array, Array]:
    """What `_pairs` joined."""
    both = both.reshape(-1, 2, *both.shape[1:])
    return both[:, 0], both[:, 1]


def _mean(parts: list[Scalar]) -> Scalar:
    return jnp.mean(jnp.stack(parts))


def _share_in_order(real: Float[Array, " batch"], made: Float[Array, " batch"]) -> Scalar:
    """Share of pairs in which the real record scores higher; a tie counts half."""
    # Over several devices a product sums what each has; a slice has every device write to each.
    alone = jnp.eye(made.shape[0], dtype=made.dtype)
    everywhere = jnp.matmul(alone, made, precision=jax.lax.Precision.HIGHEST)
    difference = jnp.sign(real[:, None] - everywhere[None, :])
    return 0.5 + 0.5 * jnp.mean(difference)


def _diversity(made: Array, real: Array) -> Scalar:
    """Deviation between made records over that between real ones; 1 of a single record."""
    if made.shape[0] < 2:
        return jnp.ones((), jnp.float32)
    made, real = (jax.lax.stop_gradient(x).astype(jnp.float32) for x in (made, real))
    spread = [jnp.sqrt(jnp.mean(jnp.var(x, axis=0))) for x in (made, real)]
    return spread[0] / jnp.maximum(spread[1], jnp.asarray(1e-8, jnp.float32))
