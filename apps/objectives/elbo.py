"""The evidence lower bound: a likeness of signals, and a price on the information in the latent.

reconstruction_weight · likeness + l1_weight · L1 + kl_weight · Σ max(free_bits, KL)
"""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, Scalar

from apps.objectives import losses
from apps.objectives.autoencoding import Autoencoder
from apps.objectives.batches import conditions_of, signal_of

RECONSTRUCTIONS = ("log_mel", "stft", "relative_stft", "l2", "sum_of_squares", "none")


@dataclass(frozen=True)
class Elbo:
    """Minus the evidence lower bound, with weights.

    Attributes:
        rate: Samples per second of audio; None for series.
        reconstruction: The likeness that is added to L1: "log_mel" (audio only), "stft",
            "relative_stft" (RAVE's), "l2", "sum_of_squares" (l2 times the numbers in a signal, as a
            normal likelihood has it, so that weights need not change with the length) or "none".
        n_ffts: Window lengths of the spectra, in samples.
        bands: Mel triangles of each window length, for "log_mel".
        reconstruction_weight: Weight of the likeness; 0 leaves it out.
        l1_weight: Weight of the mean absolute difference; 0 leaves it out.
        kl_weight: Weight of the divergence after the warm-up, per nat and latent step.
        kl_warmup_steps: Steps over which the weight rises linearly from 0; 0 has no warm-up.
        free_bits: Nats per channel and latent step that cost nothing.

    Raises:
        ValueError: If the reconstruction is not among its choices, or needs a rate and has none.
    """

    rate: int | None
    reconstruction: str = "log_mel"
    n_ffts: tuple[int, ...] = (64, 128, 256, 512)
    bands: tuple[int, ...] = (10, 20, 40, 64)
    reconstruction_weight: float = 1.0
    l1_weight: float = 10.0
    kl_weight: float = 1e-4
    kl_warmup_steps: int = 0
    free_bits: float = 0.0

    def __post_init__(self) -> None:
        if self.reconstruction not in RECONSTRUCTIONS:
            near = difflib.get_close_matches(self.reconstruction, RECONSTRUCTIONS, n=1)
            guess = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(
                f"reconstruction is {self.reconstruction!r}{guess}; choose from "
                f"{', '.join(RECONSTRUCTIONS)}"
            )
        if self.reconstruction == "log_mel" and self.rate is None:
            raise ValueError(
                "reconstruction is 'log_mel', which needs the sampling rate of audio; choose stft, "
                "l2 or none for series"
            )

    def loss(
        self,
        model: Autoencoder,
        batch: Any,
        keys: Key[Array, " batch"],
        step: Int[Array, ""],
    ) -> tuple[Scalar, dict[str, Scalar], Float[Array, "batch length channels"]]:
        """The loss of a batch.

        Args:
            model: The autoencoder.
            batch: Signals, and the conditions of each if the model takes some.
            keys: One per example, for its latent.
            step: Updates made so far.

        Returns:
            The loss; its metrics reconstruction, l1, kl (nats per latent step) and kl_weight (as
            it stands at this step); and the signals that were made.
        """
        signal, given = signal_of(batch), conditions_of(batch)
        mean, log_std = model.encode(signal, *given)
        noise = jax.vmap(lambda key: jax.random.normal(key, mean.shape[1:], mean.dtype))(keys)
        made = model.decode(mean + jnp.exp(log_std) * noise, *given)[:, : signal.shape[1]]
        zero = jnp.zeros((), made.dtype)
        likeness = self._likeness() if self.reconstruction_weight else None
        spectral = zero if likeness is None else likeness(made, signal)
        difference = losses.l1(made, signal) if self.l1_weight else zero
        cost = losses.kl_divergence(mean, log_std, free_bits=self.free_bits).sum()
        weight = self._kl_weight(step).astype(made.dtype)
        value = self.reconstruction_weight * spectral + self.l1_weight * difference + weight * cost
        metrics = {
            "reconstruction": spectral,
            "l1": difference,
            "kl": losses.kl_divergence(mean, log_std).sum(),
            "kl_weight": weight,
        }
        return value, metrics, made

    def _likeness(self) -> Callable[[Array, Array], Scalar] | None:
        match self.reconstruction:
            case "log_mel":
                assert self.rate is not None
                rate, n_ffts, bands = self.rate, self.n_ffts, self.bands
                return lambda x, y: losses.log_mel_distance(
                    x, y, rate=rate, n_ffts=n_ffts, bands=bands
                )
            case "stft":
                return lambda x, y: losses.multi_resolution_stft(x, y, n_ffts=self.n_ffts)
            case "relative_stft":
                return lambda x, y: losses.relative_distance(x, y, n_ffts=self.n_ffts)
            case "l2":
                return losses.l2
            case "sum_of_squares":
                return lambda x, y: losses.l2(x, y) * float(np.prod(y.shape[1:]))
            case _:
                return None

    def _kl_weight(self, step: Int[Array, ""]) -> Scalar:
        if self.kl_warmup_steps == 0:
            return jnp.asarray(self.kl_weight, jnp.float32)
        return self.kl_weight * jnp.minimum(step.astype(jnp.float32) / self.kl_warmup_steps, 1.0)
