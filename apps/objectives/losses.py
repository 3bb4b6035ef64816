"""Distances and divergences: pure functions of arrays. Weights belong to the objective.

Signals are `[batch, length, channels]`. Every function is differentiable everywhere, silence and
equality included.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from convt1d._spectral import log_mel, magnitude

Signal = Float[Array, "batch length channels"]


def l1(signal: Signal, reference: Signal) -> Scalar:
    """Mean absolute difference.

    Args:
        signal: What was made.
        reference: What it should be.

    Returns:
        The mean over everything.
    """
    return jnp.mean(jnp.abs(signal - reference))


def l2(signal: Signal, reference: Signal) -> Scalar:
    """Mean squared difference.

    Args:
        signal: What was made.
        reference: What it should be.

    Returns:
        The mean over everything.
    """
    return jnp.mean(jnp.square(signal - reference))


def kl_divergence(
    mean: Float[Array, "batch steps latent"],
    log_std: Float[Array, "batch steps latent"],
    *,
    free_bits: float = 0.0,
) -> Float[Array, " latent"]:
    r"""Divergence of a diagonal normal from the standard normal, for each latent channel.

    $$ D_j = \max(\lambda, \tfrac12 \langle \mu_j^2 + \sigma_j^2 - 1 - 2 \log \sigma_j \rangle) $$

    The mean ⟨·⟩ is over batch and steps. With λ > 0 a channel below λ costs a constant and so is
    not pressed further towards carrying nothing.

    Args:
        mean: μ.
        log_std: log σ.
        free_bits: λ in nats per channel and latent step.

    Returns:
        Nats per latent step, one number for each channel; their sum is what an objective weighs.

    Source:
        Kingma and Welling, Auto-Encoding Variational Bayes (2014), appendix B; the maximum is
        eq. 15 of Kingma et al., Improved Variational Inference with Inverse Autoregressive Flow
        (2016), each channel being a group.
    """
    # expm1(2 log σ) is σ² - 1 without the cancellation near σ = 1.
    nats = 0.5 * (jnp.square(mean) + jnp.expm1(2.0 * log_std) - 2.0 * log_std)
    average = jnp.mean(nats, axis=tuple(range(nats.ndim - 1)))
    return jnp.maximum(average, jnp.asarray(free_bits, average.dtype))


def log_mel_distance(
    signal: Signal,
    reference: Signal,
    *,
    rate: float,
    n_ffts: Sequence[int] = (64, 128, 256, 512),
    bands: Sequence[int] = (10, 20, 40, 64),
    floor: float = 1e-5,
) -> Scalar:
    """Sum over scales of the mean absolute difference of log10 mel magnitudes.

    HTK triangles up to half the rate, hop n_fft / 4, periodic Hann window, centred frames.

    Args:
        signal: What was made.
        reference: What it should be.
        rate: Samples per second.
        n_ffts: Window length of each scale, in samples.
        bands: Number of mel triangles of each scale.
        floor: Mel magnitudes below it count as it.

    Returns:
        The sum over scales.

    Raises:
        ValueError: If `n_ffts` and `bands` differ in number.

    Source:
        Kumar et al., High-Fidelity Audio Compression with Improved RVQGAN (2023), section 3.3.
    """
    if len(n_ffts) != len(bands) or not n_ffts:
        raise ValueError(
            f"n_ffts has {len(n_ffts)} scales and bands has {len(bands)}; give one count of mel "
            "bands for each window length, and at least one"
        )
    distance = jnp.zeros((), signal.dtype)
    for n_fft, count in zip(n_ffts, bands, strict=True):
        levels = log_mel(signal, n_fft, rate=rate, bands=count, floor=floor)
        wanted = log_mel(reference, n_fft, rate=rate, bands=count, floor=floor)
        distance = distance + jnp.mean(jnp.abs(levels - wanted))
    return distance


def multi_resolution_stft(
    signal: Signal,
    reference: Signal,
    *,
    n_ffts: Sequence[int] = (64, 128, 256, 512),
    floor: float = 1e-5,
) -> Scalar:
    r"""Spectral convergence plus distance of log magnitudes, averaged over resolutions.

    $$ \frac{\lVert |Y| - |X| \rVert_F}{\lVert |Y| \rVert_F}
       + \langle | \log |Y| - \log |X| | \rangle $$

    The norms are taken for each example by itself, so that a loud one does not hide the others.

    Args:
        signal: x, what was made.
        reference: y, what it should be.
        n_ffts: Window length of each resolution, in samples; the hop is a quarter of it.
        floor: Magnitudes below it count as it; so does the norm of a silent reference.

    Returns:
        The mean over resolutions.

    Raises:
        ValueError: If there is no resolution.

    Source:
        Yamamoto, Song and Kim, Parallel WaveGAN (2020), eq. 4 to 6; the floor is auraloss's
        (Steinmetz and Reiss, 2020).
    """
    if not n_ffts:
        raise ValueError("n_ffts is empty; give at least one window length")
    total = jnp.zeros((), signal.dtype)
    for n_fft in n_ffts:
        made = jnp.maximum(magnitude(signal, n_fft), jnp.asarray(floor, signal.dtype))
        wanted = jnp.maximum(magnitude(reference, n_fft), jnp.asarray(floor, signal.dtype))
        axes = tuple(range(1, made.ndim))
        difference = _norm(made - wanted, axes)
        convergence = jnp.mean(difference / _norm(wanted, axes))
        total = total + convergence + jnp.mean(jnp.abs(jnp.log(wanted) - jnp.log(made)))
    return total / len(n_ffts)


def _norm(values: Float[Array, "batch ..."], axes: tuple[int, ...]) -> Float[Array, " batch"]:
    """Euclidean norm with gradient zero at zero (two equal signals)."""
    power = jnp.sum(jnp.square(values), axis=axes)
    positive = power > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, power, jnp.ones_like(power))), power)
