"""Distances and divergences: pure functions of arrays. Weights belong to the objective.

Signals are `[batch, length, channels]`. Every function is differentiable everywhere, silence and
equality included.
"""

import difflib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Scalar

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
    _check_scales(n_ffts)
    total = jnp.zeros((), signal.dtype)
    for n_fft in n_ffts:
        made = jnp.maximum(magnitude(signal, n_fft), jnp.asarray(floor, signal.dtype))
        wanted = jnp.maximum(magnitude(reference, n_fft), jnp.asarray(floor, signal.dtype))
        axes = tuple(range(1, made.ndim))
        difference = _norm(made - wanted, axes)
        convergence = jnp.mean(difference / _norm(wanted, axes))
        total = total + convergence + jnp.mean(jnp.abs(jnp.log(wanted) - jnp.log(made)))
    return total / len(n_ffts)


def relative_distance(
    signal: Signal,
    reference: Signal,
    *,
    n_ffts: Sequence[int] = (2048, 1024, 512, 256, 128),
    floor: float = 1e-7,
) -> Scalar:
    r"""Distance of magnitudes relative to the reference's power, and of their logarithms.

    $$ \sum_n \frac{\lVert |X| - |Y| \rVert^2}{\lVert |Y| \rVert^2}
       + \langle | \log(|X| + \epsilon) - \log(|Y| + \epsilon) | \rangle $$

    The norms are taken for each example by itself: its loss depends on it alone.

    Args:
        signal: x, what was made.
        reference: y, what it should be.
        n_ffts: Window length of each scale, in samples; the hop is a quarter of it.
        floor: ε; a silent reference counts as one of this magnitude everywhere.

    Returns:
        The sum over scales.

    Raises:
        ValueError: If there is no scale.

    Source:
        Caillon and Esling, RAVE (2021), eq. 4; Défossez et al., SING (2018), for the logarithm.
    """
    _check_scales(n_ffts)
    total = jnp.zeros((), signal.dtype)
    for n_fft in n_ffts:
        made, wanted = magnitude(signal, n_fft), magnitude(reference, n_fft)
        axes = tuple(range(1, made.ndim))
        least = jnp.asarray(floor, made.dtype)
        error = jnp.mean(jnp.square(made - wanted), axis=axes)
        power = jnp.maximum(jnp.mean(jnp.square(wanted), axis=axes), jnp.square(least))
        logarithms = jnp.abs(jnp.log(made + least) - jnp.log(wanted + least))
        total = total + jnp.mean(error / power) + jnp.mean(logarithms)
    return total


def _check_scales(n_ffts: Sequence[int]) -> None:
    if not n_ffts:
        raise ValueError("n_ffts is empty; give at least one window length")


def _norm(values: Float[Array, "batch ..."], axes: tuple[int, ...]) -> Float[Array, " batch"]:
    """Euclidean norm with gradient zero at zero (two equal signals)."""
    power = jnp.sum(jnp.square(values), axis=axes)
    positive = power > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, power, jnp.ones_like(power))), power)


# ------------------------------------------------------------------------------ games with a critic


class Game(NamedTuple):
    """The two sides of an adversarial loss.

    Attributes:
        critic: `critic(real_scores, made_scores)`: what a critic minimises.
        maker: `maker(made_scores)`: what the maker of the signals minimises.
    """

    critic: Callable[[Array, Array], Scalar]
    maker: Callable[[Array], Scalar]


GAMES = {
    # Mao et al., Least squares GANs (2017), eq. 9 without its halves, as HiFi-GAN has it.
    "least_squares": Game(
        lambda real, made: jnp.mean(jnp.square(1 - real)) + jnp.mean(jnp.square(made)),
        lambda made: jnp.mean(jnp.square(1 - made)),
    ),
    # Lim and Ye, Geometric GAN (2017); Miyato et al., Spectral normalization (2018), eq. 16, 17.
    "hinge": Game(
        lambda real, made: jnp.mean(jax.nn.relu(1 - real)) + jnp.mean(jax.nn.relu(1 + made)),
        lambda made: -jnp.mean(made),
    ),
    # Goodfellow et al., Generative adversarial nets (2014), with scores as log odds.
    "non_saturating": Game(
        lambda real, made: jnp.mean(jax.nn.softplus(-real)) + jnp.mean(jax.nn.softplus(made)),
        lambda made: jnp.mean(jax.nn.softplus(-made)),
    ),
    # Arjovsky, Chintala and Bottou, Wasserstein GAN (2017), eq. 2, without weight clipping.
    "wasserstein": Game(
        lambda real, made: jnp.mean(made) - jnp.mean(real),
        lambda made: -jnp.mean(made),
    ),
}


def game(kind: str) -> Game:
    """An adversarial loss by name.

    Args:
        kind: "least_squares", "hinge", "non_saturating" or "wasserstein".

    Raises:
        ValueError: If there is none of that name.
    """
    if kind not in GAMES:
        near = difflib.get_close_matches(kind, GAMES, n=1)
        guess = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"kind is {kind!r}{guess}; choose from {', '.join(GAMES)}")
    return GAMES[kind]


def feature_matching(made: Sequence[Sequence[Array]], real: Sequence[Sequence[Array]]) -> Scalar:
    r"""Mean absolute difference of activations: over each map, then maps, then critics.

    A mean everywhere, so that neither the width nor the number of critics changes the balance
    with other losses. HiFi-GAN and DAC sum over maps and critics instead: their weight, times the
    number of maps and critics, is the weight here.

    Args:
        made: Of each critic, its features of what was made.
        real: The same of what it should be.

    Source:
        Larsen et al., Autoencoding beyond pixels using a learned similarity metric (2016);
        Kumar et al., MelGAN (2019), eq. 3.
    """
    critics = [
        jnp.mean(
            jnp.stack(
                [
                    jnp.mean(jnp.abs(_at_least_single(first) - _at_least_single(second)))
                    for first, second in zip(mine, theirs, strict=True)
                ]
            )
        )
        for mine, theirs in zip(made, real, strict=True)
    ]
    return jnp.mean(jnp.stack(critics))


def _at_least_single(values: Array) -> Array:
    return values.astype(jnp.float32) if jnp.finfo(values.dtype).bits < 32 else values


def gradient_penalty(
    score: Callable[[Signal], Float[Array, " batch"]],
    real: Signal,
    made: Signal,
    *,
    keys: Key[Array, " batch"],
) -> Scalar:
    r"""$\langle (\lVert \nabla D(\hat x) \rVert - 1)^2 \rangle$ at points between real and made.

    $\hat x = \epsilon x + (1 - \epsilon) \tilde x$ with one ε ~ U(0, 1) per example. The norm is
    over all samples and channels of an example; its gradient is zero where the slope is.

    Args:
        score: D, one number per example, from that example alone.
        real: x.
        made: x̃.
        keys: One per example, for ε.

    Source:
        Gulrajani et al., Improved training of Wasserstein GANs (2017), eq. 3, two-sided.
    """
    share = jax.vmap(lambda key: jax.random.uniform(key, (1, 1), real.dtype))(keys)
    slope = _slope(score, made + share * (real - made))
    return jnp.mean(jnp.square(_norm(slope, (1, 2)) - 1))


def squared_slope(score: Callable[[Signal], Float[Array, " batch"]], signal: Signal) -> Scalar:
    r"""$\langle \lVert \nabla D(x) \rVert^2 \rangle$: at real signals, half of it weighs R1.

    Args:
        score: D, one number per example, from that example alone.
        signal: x.

    Source:
        Mescheder, Geiger and Nowozin, Which training methods for GANs do actually converge?
        (2018), eq. 9.
    """
    return jnp.mean(jnp.sum(jnp.square(_slope(score, signal)), axis=(1, 2)))


def _slope(score: Callable[[Signal], Float[Array, " batch"]], signal: Signal) -> Signal:
    """Gradient of each example's score: examples do not meet, so the sum's gradient holds all."""
    return jax.grad(lambda x: jnp.sum(score(x)))(signal)
