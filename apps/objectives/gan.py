"""The generative adversarial network: a decoder of noise, and a critic it learns to please.

Two players, `"critic"` and `"decoder"`. In each step the critic takes its turns, each on records
of its own, and then the decoder takes one. A decoder of labelled data is called with a label too.
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
from apps.objectives.batches import label_of, signal_of
from apps.objectives.draws import Signals, Unscale, beside, normal
from apps.objectives.objective import Objective

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
        return drawn(others[PLAYER], keys, length=length, label=label_of(batch))

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
        label = label_of(batch)
        made = drawn(model, drawing, length=length, label=label)
        return adversary.persuade(others[CRITIC], made, signal_of(batch), keys=looking, label=label)

    critic = [adversary.turn(fake, part=part) for part in range(critic_turns)]
    return [*critic, Turn(PLAYER, pleasing)]


def drawn(
    model: Any, keys: Key[Array, " batch"], *, length: int, label: Int[Array, " batch"] | None
) -> Float[Array, "batch length channels"]:
    """A signal for each key: noise, decoded.

    Args:
        model: The decoder.
        keys: One per signal.
        length: Samples of each.
        label: The class of each, of a conditional decoder.
    """
    shape = (latent_length(model, length), model.latent)
    latent = jax.vmap(lambda key: jax.random.normal(key, shape, np.float32))(keys)
    return _decoded(model, latent, label)[:, :length]


def latent_length(model: Any, length: int) -> int:
    """Steps of a decoder's latent for a signal of so many samples."""
    return 1 if model.length is not None else math.ceil(length / model.hop)


def sample(
    model: Any,
    count: int,
    *,
    length: int,
    seed: int,
    label: NDArray[np.integer[Any]] | None = None,
) -> Signals:
    """Decode draws from the prior. The latent of draw i depends on the seed, i and length alone.

    Args:
        model: The decoder.
        count: How many.
        length: Samples of each.
        seed: Chooses the draws; from 0, below 2³².
        label: The class of each, of a conditional decoder.

    Returns:
        Host array of shape (count, length, channels).
    """
    latent = normal(count, steps=latent_length(model, length), latent=model.latent, seed=seed)
    return decode(model, latent, length=length, label=label)


def decode(
    model: Any,
    latent: Signals,
    *,
    length: int,
    label: NDArray[np.integer[Any]] | None = None,
) -> Signals:
    """Decode latents.

    Args:
        model: The decoder.
        latent: Shape (count, steps, latent).
        length: Samples to keep of each signal.
        label: The class of each, of a conditional decoder.

    Returns:
        Host array of shape (count, length, channels).
    """
    classes = None if label is None else beside(model, np.asarray(label, np.int32))
    made = _decode(model, beside(model, np.asarray(latent, np.float32)), classes)
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
    """Draws from the prior, of one class after the other.

    Args:
        model: The decoder.
        batch: Held-out signals, of which only number and length matter.
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
    made = unscale(sample(model, count, length=real.shape[1], seed=seed, label=label))
    return [
        Sample(f"sample {index + 1}{_of(labels, label, index)}", signal, rate)
        for index, signal in enumerate(made)
    ]


def scores(
    model: Any,
    batches: Iterable[Any],
    *,
    rate: int | None,
    unscale: Unscale,
    seed: int = 0,
) -> dict[str, NDArray[np.float64]]:
    """How far a set of draws is from a set of records, as sets.

    As many are drawn as there are records, of the same classes.

    Args:
        model: The decoder.
        batches: Records, in batches.
        rate: Samples per second; None for series.
        unscale: From the model's units to the data's.
        seed: Chooses the draws.

    Returns:
        A single number for the set: frechet_distance, see `apps.metrics.sets`.

    Raises:
        ValueError: If there are fewer than two records.
    """
    real: list[Signals] = []
    made: list[Signals] = []
    size = 0
    for batch in batches:
        signal, label = signal_of(batch), label_of(batch)
        size = size or len(signal)
        at, missing = sum(map(len, real)), size - len(signal)
        # Draws by number, filled up to the size of the first batch: one program serves all.
        steps = latent_length(model, signal.shape[1])
        latent = normal(at + size, steps=steps, latent=model.latent, seed=seed)[at:]
        label = None if label is None else np.pad(np.asarray(label), (0, max(missing, 0)))
        drawn = decode(model, latent, length=signal.shape[1], label=label)
        real.append(unscale(np.asarray(signal)))
        made.append(unscale(drawn[: len(signal)]))
    if sum(map(len, real)) < 2:
        raise ValueError(
            f"there are {sum(map(len, real))} records; a set to be measured has 2 or more"
        )
    features = [sets.features(np.concatenate(rows), rate=rate) for rows in (made, real)]
    return {"frechet_distance": np.float64(sets.frechet_distance(*features))}  # pyright: ignore


def _of(labels: Sequence[str], label: NDArray[Any] | None, index: int) -> str:
    return "" if label is None else f" of {labels[label[index]]}"


def _decoded(model: Any, latent: Array, label: Array | None) -> Array:
    return model(latent) if label is None else model(latent, label)


@eqx.filter_jit
def _decode(model: Any, latent: Array, label: Array | None) -> Array:
    return _decoded(model, latent, label)
