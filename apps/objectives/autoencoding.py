"""What a trained autoencoder is asked for: reconstructions, draws, latents, and how good it is."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray

from apps.engine.sample import Sample
from apps.metrics import audio, series
from apps.objectives.batches import (
    Conditions,
    chosen,
    conditions_of,
    filled,
    joined,
    label_of,
    signal_of,
)
from apps.objectives.draws import Signals, Unscale, beside, blocks, normal, of_class
from apps.objectives.objective import Look


class Autoencoder(Protocol):
    """What this objective asks of a model."""

    @property
    def latent(self) -> int:
        """Channels of the latent."""
        ...

    def latent_length(self, length: int, /) -> int:
        """Latent steps of a signal of this length."""
        ...

    def from_noise(self, noise: Float[Array, "batch steps latent"], /) -> Array:
        """The latents that standard normal noise stands for."""
        ...

    @property
    def encode(self) -> Callable[..., tuple[Array, Array]]:
        """Mean and log standard deviation of the latent of signals, and of their conditions."""
        ...

    @property
    def decode(self) -> Callable[..., Array]:
        """The signals of latents, and of conditions, at least as long as what was encoded."""
        ...


def best(rate: int | None) -> str:
    """The metric by which checkpoints are compared."""
    return "mean_absolute_error" if rate is None else "mel_distance"


def samples(
    model: Autoencoder,
    batch: Any,
    names: Sequence[str] | None = None,
    *,
    rate: int | None,
    labels: Sequence[str] = (),
    seed: int = 0,
    draws: int = 2,
    unscale: Unscale | None = None,
) -> list[Sample]:
    """Reconstructions of a batch beside it, and signals decoded from the prior.

    Of what is known of the batch's records, the draws are given that of the first ones.

    Args:
        model: The autoencoder.
        batch: Held-out signals.
        names: What to call the reconstructions; default by number.
        rate: Samples per second; None for series.
        labels: Names of the classes; empty for data without labels.
        seed: Chooses the draws from the prior.
        draws: How many of them.
        unscale: From the model's units to the data's; None where they are the same.

    Returns:
        First the reconstructions, then the draws.
    """
    unscale = unscale or _unchanged
    signal = np.asarray(signal_of(batch))
    made, reference = unscale(reconstruct(model, batch)), unscale(signal)
    names = names or [str(index + 1) for index in range(len(signal))]
    shown = [
        Sample(f"reconstruction {name}", signal, rate, wanted)
        for name, signal, wanted in zip(names, made, reference, strict=True)
    ]
    if draws:
        of = chosen(batch, np.arange(draws) % len(signal))
        given, label = conditions_of(of), label_of(of)
        drawn = unscale(sample(model, draws, length=signal.shape[1], seed=seed, given=given))
        shown += [
            Sample(f"sample {index + 1}{of_class(labels, label, index)}", each, rate)
            for index, each in enumerate(drawn)
        ]
    return shown


def scores(
    model: Autoencoder,
    batches: Iterable[Any],
    *,
    rate: int | None,
    unscale: Unscale | None = None,
    seed: int = 0,
    look: Look | None = None,
) -> dict[str, NDArray[np.float64]]:
    """How well each signal is reconstructed from the mean of its latent.

    Args:
        model: The autoencoder.
        batches: Signals, in batches; the last may be smaller. Where labels or covariates of them
            are known, the new series are drawn for the same.
        rate: Samples per second; None for series.
        unscale: From the model's units to the data's; None where they are the same.
        seed: Of the new series whose correlations are compared with those of the signals.
        look: Sees each batch of what is made beside the records.

    Returns:
        One number per signal for each metric: mel_distance, stft_distance, si_sdr (dB) for audio,
        mean_absolute_error, root_mean_square_error for series (in the data's units), and kl (nats
        per latent step). For series, correlation_difference is a single number for all of them.

    Raises:
        ValueError: If there is no batch.
    """
    unscale = unscale or _unchanged
    rows: list[dict[str, NDArray[np.float64]]] = []
    real: list[Any] = []
    for batch, made, nats in _reconstructed(model, batches):
        shown, wanted = unscale(made), unscale(np.asarray(signal_of(batch)))
        if look is not None:
            look(shown, wanted)
        measured = _measure(shown, wanted, rate=rate)
        rows.append({**measured, "kl": nats.astype(np.float64)})
        if rate is None:
            real.append(batch)
    if not rows:
        raise ValueError("batches is empty; there is nothing to measure")
    results = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    if real:
        every = joined(real)
        wanted, given = np.asarray(signal_of(every)), conditions_of(every)
        new = sample(model, len(wanted), length=wanted.shape[1], seed=seed, given=given)
        apart = series.correlation_difference(unscale(new), unscale(wanted))
        results["correlation_difference"] = np.asarray([apart])
    return results


def reconstruct(model: Autoencoder, batch: Any) -> Signals:
    """Decode the mean of the latent.

    Args:
        model: The autoencoder.
        batch: Signals, and what is known of them.

    Returns:
        Host array of the shape of the signals.
    """
    made, _ = jax.device_get(_pass(model, beside(model, batch)))
    return made


def sample(
    model: Autoencoder, count: int, *, length: int, seed: int, given: Conditions = ()
) -> Signals:
    """Decode draws from the prior. The latent of draw i depends on the seed, i and length alone.

    Args:
        model: The autoencoder.
        count: How many.
        length: Samples of each.
        seed: Chooses the draws.
        given: The conditions of each, of a conditional model.

    Returns:
        Host array of shape (count, length, channels).
    """
    latent = prior(model, count, length=length, seed=seed)
    return decode(model, latent, length=length, given=given)


def draw(model: Autoencoder, batch: Any, *, unscale: Unscale, seed: int) -> Signals:
    """New signals for what is known of a batch's records, in the data's units.

    Args:
        model: The autoencoder.
        batch: As many records as signals are wanted.
        unscale: From the model's units to the data's.
        seed: Chooses the draws.
    """
    count, length = signal_of(batch).shape[:2]
    drawn = noise(model, count, length=length, seed=seed)
    parts = [
        decode(
            model,
            carried(model, drawn[some]),
            length=length,
            given=chosen(conditions_of(batch), some),
        )
        for some in blocks(count)
    ]
    return unscale(np.concatenate(parts))


def noise(model: Autoencoder, count: int, *, length: int, seed: int) -> Signals:
    """Draw the standard normal noise that latents are made of.

    Args:
        model: The autoencoder.
        count: How many.
        length: Samples of the signals they are to become.
        seed: Chooses the draws; from 0, below 2³².

    Returns:
        Host array of shape (count, steps, latent).
    """
    return normal(count, steps=model.latent_length(length), latent=model.latent, seed=seed)


def prior(model: Autoencoder, count: int, *, length: int, seed: int) -> Signals:
    """Draw latents from the model's prior; see `noise`."""
    return carried(model, noise(model, count, length=length, seed=seed))


def carried(model: Autoencoder, noise: Signals) -> Signals:
    """The latents that standard normal noise stands for.

    Args:
        model: The autoencoder, whose prior says where they lie.
        noise: Shape (count, steps, latent).

    Returns:
        Host array of the same shape.
    """
    return jax.device_get(_carry(model, beside(model, noise)))


def posterior(model: Autoencoder, batch: Any) -> Signals:
    """Encode signals to the means of their latents.

    Args:
        model: The autoencoder.
        batch: Signals, and what is known of them.

    Returns:
        Host array of shape (batch, steps, latent).
    """
    return jax.device_get(_encode(model, beside(model, batch)))


def decode(model: Autoencoder, latent: Signals, *, length: int, given: Conditions = ()) -> Signals:
    """Decode latents.

    Args:
        model: The autoencoder.
        latent: Shape (batch, steps, latent).
        length: Samples to keep of each signal.
        given: The conditions of each, of a conditional model.

    Returns:
        Host array of shape (batch, length, channels).
    """
    return jax.device_get(_decode(model, beside(model, latent), beside(model, given)))[:, :length]


def _unchanged(signal: Signals) -> Signals:
    return signal


@eqx.filter_jit
def _pass(
    model: Autoencoder, batch: Any
) -> tuple[Float[Array, "batch length channels"], Float[Array, " batch"]]:
    """Reconstruction from the mean of the latent, and nats per latent step."""
    signal, given = signal_of(batch), conditions_of(batch)
    mean, log_std = model.encode(signal, *given)
    nats = 0.5 * (jnp.square(mean) + jnp.expm1(2.0 * log_std) - 2.0 * log_std)
    return model.decode(mean, *given)[:, : signal.shape[1]], nats.sum(axis=2).mean(axis=1)


@eqx.filter_jit
def _encode(model: Autoencoder, batch: Any) -> Float[Array, "batch steps latent"]:
    return model.encode(signal_of(batch), *conditions_of(batch))[0]


@eqx.filter_jit
def _carry(model: Autoencoder, noise: Float[Array, "batch steps latent"]) -> Array:
    return model.from_noise(noise)


@eqx.filter_jit
def _decode(
    model: Autoencoder, latent: Float[Array, "batch steps latent"], given: Conditions
) -> Float[Array, "batch length channels"]:
    return model.decode(latent, *given)


def _reconstructed(
    model: Autoencoder, batches: Iterable[Any]
) -> Iterator[tuple[Any, Signals, Signals]]:
    """Batches, their reconstructions and their nats.

    A batch smaller than the first is filled up with zeros, so that one program serves all.
    """
    size = None
    for batch in batches:
        count = len(signal_of(batch))
        size = size or count
        made, nats = jax.device_get(_pass(model, beside(model, filled(batch, size))))
        yield batch, made[:count], nats[:count]


def _measure(
    made: Signals, reference: Signals, *, rate: int | None
) -> dict[str, NDArray[np.float64]]:
    if rate is None:
        return {
            "mean_absolute_error": series.mean_absolute_error(made, reference),
            "root_mean_square_error": series.root_mean_square_error(made, reference),
        }
    return audio.resemblance(made, reference, rate=rate)
