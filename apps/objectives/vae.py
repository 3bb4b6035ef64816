"""The variational autoencoder: a reconstruction, and a price on the information in the latent.

One player, `"vae"`, with `encode(signal) -> (mean, log_std)` and `decode(latent) -> signal`, all
batched and channels last. The loss is minus the evidence lower bound with weights:

    reconstruction_weight · spectral distance + l1_weight · L1 + kl_weight · Σ max(free_bits, KL)
"""

import difflib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int, Key, Scalar, UInt32
from numpy.typing import NDArray

from apps.engine.mesh import batch_sharding
from apps.engine.phases import Phase
from apps.engine.sample import Sample
from apps.engine.step import Turn
from apps.metrics import audio, series
from apps.objectives import losses
from apps.objectives.objective import Objective

PLAYER = "vae"
RECONSTRUCTIONS = ("log_mel", "stft", "l2", "none")
# Window lengths, and mel triangles of each, that sounds are measured by, whatever they were trained
# by: runs are to be comparable.
_SCALES = {64: 10, 128: 20, 256: 40, 512: 64}

Signals = NDArray[np.floating[Any]]  # host arrays of shape (batch, length, channels)
Unscale = Callable[[Signals], Signals]


class Autoencoder(Protocol):
    """What this objective asks of a model."""

    @property
    def latent(self) -> int:
        """Channels of the latent."""
        ...

    def latent_length(self, length: int, /) -> int:
        """Latent steps of a signal of this length."""
        ...

    def encode(
        self, signal: Float[Array, "batch length channels"], /
    ) -> tuple[Float[Array, "batch steps latent"], Float[Array, "batch steps latent"]]:
        """Mean and log standard deviation of the latent."""
        ...

    def decode(
        self, latent: Float[Array, "batch steps latent"], /
    ) -> Float[Array, "batch length channels"]:
        """The signal of a latent, at least as long as the one it was encoded from."""
        ...


def objective(
    *,
    rate: int | None,
    unscale: Unscale,
    seed: int = 0,
    reconstruction: str = "log_mel",
    n_ffts: Sequence[int] = (64, 128, 256, 512),
    bands: Sequence[int] = (10, 20, 40, 64),
    reconstruction_weight: float = 1.0,
    l1_weight: float = 10.0,
    kl_weight: float = 1e-4,
    kl_warmup_steps: int = 0,
    free_bits: float = 0.0,
) -> Objective:
    """The variational autoencoder, as the application takes it; arguments as of `turns`.

    Args:
        rate: Samples per second of audio; None for series.
        unscale: From the model's units to the data's.
        seed: Of the draws by which sets of signals are measured.
        reconstruction: See `turns`, as for all that follow.
        n_ffts: Window lengths.
        bands: Mel triangles.
        reconstruction_weight: Weight of the reconstruction.
        l1_weight: Weight of the mean absolute difference.
        kl_weight: Weight of the divergence.
        kl_warmup_steps: Steps of its rise.
        free_bits: Nats that cost nothing.
    """
    made = turns(
        rate=rate,
        reconstruction=reconstruction,
        n_ffts=n_ffts,
        bands=bands,
        reconstruction_weight=reconstruction_weight,
        l1_weight=l1_weight,
        kl_weight=kl_weight,
        kl_warmup_steps=kl_warmup_steps,
        free_bits=free_bits,
    )
    return Objective(
        product=PLAYER,
        phases=(Phase("training", 0, tuple(made)),),
        scores=functools.partial(scores, rate=rate, unscale=unscale, seed=seed),
        samples=functools.partial(samples, rate=rate, unscale=unscale),
        best=best(rate),
    )


def best(rate: int | None) -> str:
    """The metric by which checkpoints are compared."""
    return "mean_absolute_error" if rate is None else "mel_distance"


def turns(
    *,
    rate: int | None,
    reconstruction: str = "log_mel",
    n_ffts: Sequence[int] = (64, 128, 256, 512),
    bands: Sequence[int] = (10, 20, 40, 64),
    reconstruction_weight: float = 1.0,
    l1_weight: float = 10.0,
    kl_weight: float = 1e-4,
    kl_warmup_steps: int = 0,
    free_bits: float = 0.0,
) -> list[Turn]:
    """The one turn of a variational autoencoder.

    Args:
        rate: Samples per second of audio; None for series.
        reconstruction: "log_mel" (audio only), "stft", "l2" or "none": what is added to L1.
        n_ffts: Window lengths of the spectral distance, in samples.
        bands: Mel triangles of each window length, for "log_mel".
        reconstruction_weight: Weight of the reconstruction; 0 leaves it out.
        l1_weight: Weight of the mean absolute difference; 0 leaves it out.
        kl_weight: Weight of the divergence after the warm-up, per nat and latent step.
        kl_warmup_steps: Steps over which the weight rises linearly from 0; 0 has no warm-up.
        free_bits: Nats per channel and latent step that cost nothing.

    Returns:
        `[Turn("vae", elbo)]`. Its metrics: reconstruction, l1, kl (nats per latent step) and
        kl_weight (as it stands at this step).

    Raises:
        ValueError: If the reconstruction is not among its choices, or needs a rate and has none.
    """
    if reconstruction not in RECONSTRUCTIONS:
        near = difflib.get_close_matches(reconstruction, RECONSTRUCTIONS, n=1)
        guess = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(
            f"reconstruction is {reconstruction!r}{guess}; choose from {', '.join(RECONSTRUCTIONS)}"
        )
    distance = _distance(reconstruction, rate=rate, n_ffts=tuple(n_ffts), bands=tuple(bands))

    def elbo(
        model: Autoencoder,
        others: Mapping[str, Any],
        batch: Float[Array, "batch length channels"],
        *,
        keys: Key[Array, " batch"],
        step: Int[Array, ""],
    ) -> tuple[Scalar, dict[str, Scalar]]:
        del others
        mean, log_std = model.encode(batch)
        noise = jax.vmap(lambda key: jax.random.normal(key, mean.shape[1:], mean.dtype))(keys)
        signal = model.decode(mean + jnp.exp(log_std) * noise)[:, : batch.shape[1]]
        zero = jnp.zeros((), signal.dtype)
        spectral = distance(signal, batch) if distance and reconstruction_weight else zero
        difference = losses.l1(signal, batch) if l1_weight else zero
        cost = losses.kl_divergence(mean, log_std, free_bits=free_bits).sum()
        weight = _warmed_up(kl_weight, step, kl_warmup_steps).astype(signal.dtype)
        loss = reconstruction_weight * spectral + l1_weight * difference + weight * cost
        return loss, {
            "reconstruction": spectral,
            "l1": difference,
            "kl": losses.kl_divergence(mean, log_std).sum(),
            "kl_weight": weight,
        }

    return [Turn(PLAYER, elbo)]


def samples(
    model: Autoencoder,
    batch: Signals,
    names: Sequence[str] | None = None,
    *,
    rate: int | None,
    seed: int = 0,
    draws: int = 2,
    unscale: Unscale | None = None,
) -> list[Sample]:
    """Reconstructions of a batch beside it, and signals decoded from the prior.

    Args:
        model: The autoencoder.
        batch: Held-out signals.
        names: What to call the reconstructions; default by number.
        rate: Samples per second; None for series.
        seed: Chooses the draws from the prior.
        draws: How many of them.
        unscale: From the model's units to the data's; None where they are the same.

    Returns:
        First the reconstructions, then the draws.
    """
    unscale = unscale or _unchanged
    made, reference = unscale(reconstruct(model, batch)), unscale(batch)
    names = names or [str(index + 1) for index in range(len(batch))]
    shown = [
        Sample(f"reconstruction {name}", signal, rate, wanted)
        for name, signal, wanted in zip(names, made, reference, strict=True)
    ]
    if draws:
        drawn = unscale(sample(model, draws, length=batch.shape[1], seed=seed))
        shown += [Sample(f"sample {index + 1}", each, rate) for index, each in enumerate(drawn)]
    return shown


def scores(
    model: Autoencoder,
    batches: Iterable[Signals],
    *,
    rate: int | None,
    unscale: Unscale | None = None,
    seed: int = 0,
) -> dict[str, NDArray[np.float64]]:
    """How well each signal is reconstructed from the mean of its latent.

    Args:
        model: The autoencoder.
        batches: Signals, in batches; the last may be smaller.
        rate: Samples per second; None for series.
        unscale: From the model's units to the data's; None where they are the same.
        seed: Of the new series whose correlations are compared with those of the signals.

    Returns:
        One number per signal for each metric: mel_distance, stft_distance, si_sdr (dB) for audio,
        mean_absolute_error, root_mean_square_error for series (in the data's units), and kl (nats
        per latent step). For series, correlation_difference is a single number for all of them.

    Raises:
        ValueError: If there is no batch.
    """
    unscale = unscale or _unchanged
    rows: list[dict[str, NDArray[np.float64]]] = []
    real: list[Signals] = []
    for batch, made, nats in _reconstructed(model, batches):
        measured = _measure(unscale(made), unscale(batch), rate=rate)
        rows.append({**measured, "kl": nats.astype(np.float64)})
        if rate is None:
            real.append(batch)
    if not rows:
        raise ValueError("batches is empty; there is nothing to measure")
    results = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    if real:
        wanted = np.concatenate(real)
        new = sample(model, len(wanted), length=wanted.shape[1], seed=seed)
        apart = series.correlation_difference(unscale(new), unscale(wanted))
        results["correlation_difference"] = np.asarray([apart])
    return results


def reconstruct(model: Autoencoder, batch: Signals) -> Signals:
    """Decode the mean of the latent.

    Args:
        model: The autoencoder.
        batch: Signals.

    Returns:
        Host array of the shape of the batch.
    """
    made, _ = jax.device_get(_pass(model, _beside(model, batch)))
    return made


def sample(model: Autoencoder, count: int, *, length: int, seed: int) -> Signals:
    """Decode draws from the prior. The latent of draw i depends on the seed, i and length alone.

    Args:
        model: The autoencoder.
        count: How many.
        length: Samples of each.
        seed: Chooses the draws.

    Returns:
        Host array of shape (count, length, channels).
    """
    return decode(model, prior(model, count, length=length, seed=seed), length=length)


def prior(model: Autoencoder, count: int, *, length: int, seed: int) -> Signals:
    """Draw latents from the standard normal.

    Args:
        model: The autoencoder.
        count: How many.
        length: Samples of the signals they are to become.
        seed: Chooses the draws; from 0, below 2³².

    Returns:
        Host array of shape (count, steps, latent).
    """
    steps = model.latent_length(length)
    drawn = _normal(jax.device_put(np.uint32(seed)), count=count, steps=steps, latent=model.latent)
    return jax.device_get(drawn)


def posterior(model: Autoencoder, batch: Signals) -> Signals:
    """Encode signals to the means of their latents.

    Args:
        model: The autoencoder.
        batch: Signals.

    Returns:
        Host array of shape (batch, steps, latent).
    """
    return jax.device_get(_encode(model, _beside(model, batch)))


def decode(model: Autoencoder, latent: Signals, *, length: int) -> Signals:
    """Decode latents.

    Args:
        model: The autoencoder.
        latent: Shape (batch, steps, latent).
        length: Samples to keep of each signal.

    Returns:
        Host array of shape (batch, length, channels).
    """
    return jax.device_get(_decode(model, _beside(model, latent)))[:, :length]


def _distance(
    reconstruction: str, *, rate: int | None, n_ffts: tuple[int, ...], bands: tuple[int, ...]
) -> Callable[[Array, Array], Scalar] | None:
    if reconstruction == "none":
        return None
    if reconstruction == "l2":
        return losses.l2
    if reconstruction == "stft":
        return lambda x, y: losses.multi_resolution_stft(x, y, n_ffts=n_ffts)
    if rate is None:
        raise ValueError(
            "reconstruction is 'log_mel', which needs the sampling rate of audio; choose stft, l2 "
            "or none for series"
        )
    return lambda x, y: losses.log_mel_distance(x, y, rate=rate, n_ffts=n_ffts, bands=bands)


def _warmed_up(weight: float, step: Int[Array, ""], steps: int) -> Scalar:
    if steps == 0:
        return jnp.asarray(weight, jnp.float32)
    return weight * jnp.minimum(step.astype(jnp.float32) / steps, 1.0)


def _unchanged(signal: Signals) -> Signals:
    return signal


def _beside(model: Autoencoder, array: Signals) -> Array:
    """Lay a host array where the model is, over its devices if they divide the first axis."""
    leaf = next(leaf for leaf in jax.tree.leaves(model) if isinstance(leaf, jax.Array))
    sharding = leaf.sharding
    if isinstance(sharding, NamedSharding) and isinstance(sharding.mesh, Mesh):
        mesh = sharding.mesh
        spread = len(array) % mesh.size == 0
        sharding = batch_sharding(mesh) if spread else NamedSharding(mesh, PartitionSpec())
    return jax.device_put(np.asarray(array, np.float32), sharding)


@eqx.filter_jit
def _pass(
    model: Autoencoder, signal: Float[Array, "batch length channels"]
) -> tuple[Float[Array, "batch length channels"], Float[Array, " batch"]]:
    """Reconstruction from the mean of the latent, and nats per latent step."""
    mean, log_std = model.encode(signal)
    nats = 0.5 * (jnp.square(mean) + jnp.expm1(2.0 * log_std) - 2.0 * log_std)
    return model.decode(mean)[:, : signal.shape[1]], nats.sum(axis=2).mean(axis=1)


@functools.partial(jax.jit, static_argnames=("count", "steps", "latent"))
def _normal(
    seed: UInt32[Array, ""], *, count: int, steps: int, latent: int
) -> Float[Array, "count steps latent"]:
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), jnp.arange(count))
    return jax.vmap(lambda key: jax.random.normal(key, (steps, latent), jnp.float32))(keys)


@eqx.filter_jit
def _encode(
    model: Autoencoder, signal: Float[Array, "batch length channels"]
) -> Float[Array, "batch steps latent"]:
    return model.encode(signal)[0]


@eqx.filter_jit
def _decode(
    model: Autoencoder, latent: Float[Array, "batch steps latent"]
) -> Float[Array, "batch length channels"]:
    return model.decode(latent)


def _reconstructed(
    model: Autoencoder, batches: Iterable[Signals]
) -> Iterator[tuple[Signals, Signals, Signals]]:
    """Batches, their reconstructions and their nats.

    A batch smaller than the first is filled up with zeros, so that one program serves all.
    """
    size = None
    for batch in batches:
        size = size or len(batch)
        missing = max(size - len(batch), 0)
        filled = np.pad(batch, ((0, missing), (0, 0), (0, 0)))
        made, nats = jax.device_get(_pass(model, _beside(model, filled)))
        yield batch, made[: len(batch)], nats[: len(batch)]


def _measure(
    made: Signals, reference: Signals, *, rate: int | None
) -> dict[str, NDArray[np.float64]]:
    if rate is None:
        return {
            "mean_absolute_error": series.mean_absolute_error(made, reference),
            "root_mean_square_error": series.root_mean_square_error(made, reference),
        }
    # Clips too short for a scale are measured on the others, so that any length can be trained.
    scales = {n_fft: count for n_fft, count in _SCALES.items() if n_fft // 2 < made.shape[1]}
    n_ffts, bands = tuple(scales), tuple(scales.values())
    return {
        "mel_distance": audio.mel_distance(made, reference, rate=rate, n_ffts=n_ffts, bands=bands),
        "stft_distance": audio.stft_distance(made, reference, n_ffts=n_ffts),
        "si_sdr": audio.si_sdr(made, reference),
    }
