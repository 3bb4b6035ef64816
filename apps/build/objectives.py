"""From settings to what is trained, and how well it must do."""

from apps import config as settings
from apps.config import Config
from apps.data import Signal
from apps.objectives import gan, upsampler, vae, vae_gan, vocoder
from apps.objectives.adversary import Adversary
from apps.objectives.elbo import Elbo
from apps.objectives.objective import Objective


def objective(config: Config, signal: Signal, *, seed: int = 0) -> Objective:
    """Return the objective for such signals.

    Args:
        config: The settings.
        signal: What one example is.
        seed: Of the draws by which sets of signals are measured.

    Raises:
        ConfigError: If the signals are too short for it.
    """
    wanted = config.objective
    settings.check_windows(signal.length, wanted)
    match wanted:
        case settings.Vae():
            return vae.objective(
                elbo(wanted, signal), unscale=signal.unscale, labels=signal.labels, seed=seed,
                prior_from=wanted.prior_from
            )  # fmt: skip
        case settings.VaeGan():
            return vae_gan.objective(
                elbo(wanted, signal), unscale=signal.unscale, labels=signal.labels, seed=seed,
                adversary=adversary(wanted), adversarial_from=wanted.adversarial_from,
                critic_turns=wanted.critic_turns
            )  # fmt: skip
        case settings.Gan():
            return gan.objective(
                rate=signal.rate, length=signal.length, labels=signal.labels,
                unscale=signal.unscale, seed=seed, adversary=adversary(wanted),
                critic_turns=wanted.critic_turns
            )  # fmt: skip
        case settings.Vocoder():
            return vocoder.objective(
                rate=signal.rate, n_ffts=wanted.n_ffts, bands=wanted.bands,
                mel_weight=wanted.mel_weight,
                adversary=None if config.critic is None else adversary(wanted),
                adversarial_from=wanted.adversarial_from, critic_turns=wanted.critic_turns
            )  # fmt: skip
        case settings.Upsampler():
            return upsampler.objective(
                rate=signal.rate, factor=wanted.factor, unscale=signal.unscale,
                n_ffts=wanted.n_ffts, stft_weight=wanted.stft_weight,
                log_spectral_weight=wanted.log_spectral_weight, l1_weight=wanted.l1_weight,
                l2_weight=wanted.l2_weight,
                adversary=None if config.critic is None else adversary(wanted),
                adversarial_from=wanted.adversarial_from, critic_turns=wanted.critic_turns
            )  # fmt: skip


def elbo(wanted: settings.Vae | settings.VaeGan, signal: Signal) -> Elbo:
    """Return the bound that autoencoders of such signals minimise."""
    return Elbo(
        rate=signal.rate, reconstruction=wanted.reconstruction, n_ffts=wanted.n_ffts,
        bands=wanted.bands, reconstruction_weight=wanted.reconstruction_weight,
        l1_weight=wanted.l1_weight, kl_weight=wanted.kl_weight,
        kl_warmup_steps=wanted.kl_warmup_steps, free_bits=wanted.free_bits
    )  # fmt: skip


def adversary(wanted: settings.Adversarial) -> Adversary:
    """Return the rules of the game with the critic."""
    return Adversary(
        kind=wanted.adversarial,
        weight=wanted.adversarial_weight,
        feature_weight=wanted.feature_weight,
        gradient_penalty=wanted.gradient_penalty,
        r1=wanted.r1,
    )
