"""The generative adversarial network: a decoder of noise, and a critic it learns to please.

Two players, `"critic"` and `"decoder"`. In each step the critic takes its turns, each on records
of its own, and then the decoder takes one. What is known of the records, their labels and
covariates, is told to the decoder and to the critic.
"""

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, Int, Key, Scalar
from numpy.typing import NDArray

from apps.engine.phases import Phase
from apps.engine.sample import Sample
from apps.engine.turn import Turn
from apps.metrics import sets
from apps.objectives.adversary import CRITIC, Adversary
from apps.objectives.batches import (
    Conditions,
    chosen,
    conditions,
    conditions_of,
    covariates_of,
    filled,
    signal_of,
)
from apps.objectives.draws import Signals, Unscale, beside, blocks, normal, of_class
from apps.objectives.objective import Look, Objective

PLAYER = "decoder"
_SHOWN = 8  # draws shown at least, so that a collapse can be seen


def objective(
    *,
    rate: int | None,
    length: int,
    labels: Sequence[str],
    unscale: Unscale,
    seed: int,
    adversary: Adversary,
    critic_turns: int = 1,
) -> Objective:
    """The generative adversarial network, as the application takes it.

    Args:
        rate: Samples per second of audio; None for series.
        length: Samples of a signal.
        labels: Names of the classes; empty for data without labels.
        unscale: From the model's units to the data's.
        seed: Of the draws that are measured.
        adversary: The rules of the game.
        critic_turns: Turns of the critic for one of the decoder.

    Raises:
        ValueError: If there is no turn for the critic, or features are to be matched.
    """
    return Objective(
        product=PLAYER,
        phases=(
            Phase(
                "adversarial: critic against decoder",
                0,
                tuple(turns(adversary, length=length, critic_turns=critic_turns)),
            ),
        ),
        parts=critic_turns,
        scores=functools.partial(scores, rate=rate, unscale=unscale, seed=seed),
        samples=functools.partial(samples, rate=rate, labels=labels, unscale=unscale),
        best="frechet_distance",
        draw=functools.partial(draw, unscale=unscale, seed=seed),
        watch=adversary.watch,
    )


def turns(adversary: Adversary, *, length: int, critic_turns: int = 1) -> list[Turn]:
    """The critic's turns, turn i on part i of the step's records, then the decoder's one.

    Args:
        adversary: The rules of the game.
        length: Samples of a signal.
        critic_turns: How many turns the critic has.

    Returns:
        Turns of "critic" and one of "decoder", whose metrics are those of `Adversary.persuade`.

    Raises:
        ValueError: If there is no turn for the critic, or features are to be matched.
    """
    if critic_turns < 1:
        raise ValueError(f"critic_turns is {critic_turns}; give at least 1")
    if adversary.feature_weight:
        raise ValueError(
            f"feature_weight is {adversary.feature_weight}, but what is made of noise has no "
            "record of its own whose features it could match; give 0"
        )

    def fake(others: Mapping[str, Any], batch: Any, keys: Key[Array, " batch"]) -> Array:
        return drawn(others[PLAYER], keys, length=length, given=conditions_of(batch))

    def pleasing(
        model: Any,
        others: Mapping[str, Any],
        batch: Any,
        *,
        keys: Key[Array, " batch"],
        step: Int[Array, ""],
    ) -> tuple[Scalar, dict[str, Scalar]]:
        del step
        drawing, looking = jax.vmap(jax.random.split, out_axes=1)(keys)
        given = conditions_of(batch)
        made = drawn(model, drawing, length=length, given=given)
        return adversary.persuade(others[CRITIC], made, signal_of(batch), keys=looking, given=given)

    critic = [adversary.turn(fake, part=part) for part in range(critic_turns)]
    return [*critic, Turn(PLAYER, pleasing)]


def drawn(
    model: Any, keys: Key[Array, " batch"], *, length: int, given: Conditions = ()
) -> Float[Array, "batch length channels"]:
    """A signal for each key: noise, decoded.

    Args:
        model: The decoder.
        keys: One per signal.
        length: Samples of each.
        given: The conditions of each, of a conditional decoder.
    """
    shape = (latent_length(model, length), model.latent)
    latent = jax.vmap(lambda key: jax.random.normal(key, shape, np.float32))(keys)
    return model(latent, *given)[:, :length]


def latent_length(model: Any, length: int) -> int:
    """Steps of a decoder's latent for a signal of so many samples."""
    return 1 if model.length is not None else math.ceil(length / model.hop)


def sample(
    model: Any,
    count: int,
    *,
    length: int,
    seed: int,
    given: Conditions = (),
) -> Signals:
    """Decode draws from the prior. The latent of draw i depends on the seed, i and length alone.

    Args:
        model: The decoder.
        count: How many.
        length: Samples of each.
        seed: Chooses the draws; from 0, below 2³².
        given: The conditions of each, of a conditional decoder.

    Returns:
        Host array of shape (count, length, channels).
    """
    latent = normal(count, steps=latent_length(model, length), latent=model.latent, seed=seed)
    return decode(model, latent, length=length, given=given)


def draw(model: Any, batch: Any, *, unscale: Unscale, seed: int) -> Signals:
    """New signals for what is known of a batch's records, in the data's units.

    Args:
        model: The decoder.
        batch: As many records as signals are wanted.
        unscale: From the model's units to the data's.
        seed: Chooses the draws.
    """
    count, length = signal_of(batch).shape[:2]
    latent = normal(count, steps=latent_length(model, length), latent=model.latent, seed=seed)
    parts = [
        decode(model, latent[some], length=length, given=chosen(conditions_of(batch), some))
        for some in blocks(count)
    ]
    return unscale(np.concatenate(parts))


def decode(
    model: Any,
    latent: Signals,
    *,
    length: int,
    given: Conditions = (),
) -> Signals:
    """Decode latents.

    Args:
        model: The decoder.
        latent: Shape (count, steps, latent).
        length: Samples to keep of each signal.
        given: The conditions of each, of a conditional decoder.

    Returns:
        Host array of shape (count, length, channels).
    """
    made = _decode(model, beside(model, latent), beside(model, given))
    return jax.device_get(made)[:, :length]


def samples(
    model: Any,
    batch: Any,
    names: Sequence[str] | None = None,
    *,
    rate: int | None,
    labels: Sequence[str] = (),
    unscale: Unscale,
    seed: int = 0,
) -> list[Sample]:
    """Draws from the prior, of one class after the other, with the covariates of the batch.

    Args:
        model: The decoder.
        batch: Held-out signals, of which only number, length and covariates matter.
        names: Of the records, which nothing here resembles.
        rate: Samples per second; None for series.
        labels: Names of the classes; empty for data without labels.
        unscale: From the model's units to the data's.
        seed: Chooses the draws.

    Returns:
        As many as there are records, and at least eight or one of each class.
    """
    del names
    real = signal_of(batch)
    count = max(len(real), len(labels), _SHOWN)
    label = np.arange(count) % len(labels) if labels else None
    covariates = chosen(covariates_of(batch), np.arange(count) % len(real))
    given = conditions(label, covariates)
    made = unscale(sample(model, count, length=real.shape[1], seed=seed, given=given))
    return [
        Sample(f"sample {index + 1}{of_class(labels, label, index)}", signal, rate)
        for index, signal in enumerate(made)
    ]


def scores(
    model: Any,
    batches: Iterable[Any],
    *,
    rate: int | None,
    unscale: Unscale,
    seed: int = 0,
    look: Look | None = None,
) -> dict[str, NDArray[np.float64]]:
    """How far a set of draws is from a set of records, as sets.

    As many are drawn as there are records, of the same classes and covariates.

    Args:
        model: The decoder.
        batches: Records, in batches.
        rate: Samples per second; None for series.
        unscale: From the model's units to the data's.
        seed: Chooses the draws.
        look: Sees each batch of what is made.

    Returns:
        A single number for the set: frechet_distance, see `apps.metrics.sets`.

    Raises:
        ValueError: If there are fewer than two records.
    """
    real: list[Signals] = []
    made: list[Signals] = []
    size = 0
    for batch in batches:
        signal = signal_of(batch)
        size = size or len(signal)
        at = sum(map(len, real))
        # Draws by number, filled up to the size of the first batch: one program serves all.
        steps = latent_length(model, signal.shape[1])
        latent = normal(at + size, steps=steps, latent=model.latent, seed=seed)[at:]
        given = filled(conditions_of(batch), size)
        drawn = decode(model, latent, length=signal.shape[1], given=given)
        real.append(unscale(np.asarray(signal)))
        made.append(unscale(drawn[: len(signal)]))
        if look is not None:
            look(made[-1], None)
    if sum(map(len, real)) < 2:
        raise ValueError(
            f"there are {sum(map(len, real))} records; a set to be measured has 2 or more"
        )
    features = [sets.features(np.concatenate(rows), rate=rate) for rows in (made, real)]
    return {"frechet_distance": np.asarray([sets.frechet_distance(*features)])}


@eqx.filter_jit
def _decode(model: Any, latent: Array, given: Conditions) -> Array:
    return model(latent, *given)
