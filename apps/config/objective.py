"""What can be set of the objective: one schema for each family, and the critic that judges it."""

from dataclasses import dataclass, field
from typing import Literal

from apps.config.training import AdamW
from apps.schema import ConfigError, at_least


@dataclass(frozen=True, kw_only=True)
class Adversarial:
    """What a critic's presence adds to an objective.

    Attributes:
        adversarial: how the critic's scores become losses of both players
        adversarial_weight: weight of persuading the critic
        feature_weight: weight of the difference of the critic's features of made and real signals
        adversarial_from: the step at which the critic enters
        critic_turns: turns of the critic for one of the other player, each on records of its own
        gradient_penalty: weight of (|gradient of the critic| - 1)² between made and real signals
        r1: weight of half the squared gradient of the critic at real signals
    """

    adversarial: Literal["least_squares", "hinge", "non_saturating", "wasserstein"] = (
        "least_squares"
    )
    adversarial_weight: float = 1.0
    feature_weight: float = 2.0
    adversarial_from: int = 0
    critic_turns: int = 1
    gradient_penalty: float = 0.0
    r1: float = 0.0

    def __post_init__(self) -> None:
        at_least(0, self, "objective", "adversarial_weight", "feature_weight", "adversarial_from")
        at_least(0, self, "objective", "gradient_penalty", "r1")
        at_least(1, self, "objective", "critic_turns")


@dataclass(frozen=True, kw_only=True)
class _Elbo:
    """A likeness, and a price for information.

    Attributes:
        reconstruction: the likeness beside l1: spectra on the mel scale (audio only), spectra,
            spectra relative to their power as in RAVE, squares of the difference (l2 their mean,
            sum_of_squares their sum over a signal), or none
        n_ffts: window lengths of the spectra, samples
        bands: mel bands of each window length
        reconstruction_weight: weight of that likeness
        l1_weight: weight of the mean absolute difference of the signals
        kl_weight: weight of the divergence from the standard normal, per nat and latent step
        kl_warmup_steps: steps over which kl_weight rises linearly from 0
        free_bits: nats per latent channel and latent step that cost nothing
    """

    reconstruction: Literal["log_mel", "stft", "relative_stft", "l2", "sum_of_squares", "none"] = (
        "log_mel"
    )
    n_ffts: tuple[int, ...] = (64, 128, 256, 512)
    bands: tuple[int, ...] = (10, 20, 40, 64)
    reconstruction_weight: float = 1.0
    l1_weight: float = 10.0
    kl_weight: float = 1e-4
    kl_warmup_steps: int = 0
    free_bits: float = 0.0

    def __post_init__(self) -> None:
        at_least(4, self, "objective", "n_ffts")
        at_least(1, self, "objective", "bands")
        at_least(0, self, "objective", "reconstruction_weight", "l1_weight", "kl_weight")
        at_least(0, self, "objective", "kl_warmup_steps", "free_bits")
        if self.reconstruction == "log_mel":
            _one_count_for_each_window(self)


@dataclass(frozen=True, kw_only=True)
class Vae(_Elbo):
    """A variational autoencoder: a likeness, and a price for information.

    Attributes:
        kind: chooses this objective
        prior_from: the step from which model.prior alone is trained, on a learning rate that rises
            and falls once more; null has none
    """

    kind: Literal["vae"] = "vae"
    prior_from: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "objective", "prior_from")


@dataclass(frozen=True, kw_only=True)
class VaeGan(_Elbo, Adversarial):
    """A variational autoencoder that from one step on keeps its encoder and faces a critic.

    Attributes:
        kind: chooses this objective
    """

    kind: Literal["vae_gan"] = "vae_gan"
    adversarial_from: int = 1000

    def __post_init__(self) -> None:
        _Elbo.__post_init__(self)
        Adversarial.__post_init__(self)


@dataclass(frozen=True, kw_only=True)
class Gan(Adversarial):
    """A decoder of noise, and a critic.

    Attributes:
        kind: chooses this objective
    """

    kind: Literal["gan"] = "gan"
    feature_weight: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.adversarial_from:
            raise ConfigError(
                f"objective.adversarial_from={self.adversarial_from} would leave a gan without "
                f"anything to train; take 0"
            )


@dataclass(frozen=True, kw_only=True)
class Vocoder(Adversarial):
    """A decoder of mel spectrograms; the critic, if there is one, makes it sharp.

    Attributes:
        kind: chooses this objective
        n_fft: window length of the spectrogram that is decoded, samples; its hop is the product of
            model.strides
        mel_bands: bands of that spectrogram
        low: where its lowest band begins, Hz
        high: where its highest band ends, Hz; null is half the rate
        n_ffts: window lengths of further spectra to be alike, samples; none in HiFi-GAN
        bands: mel bands of each of them
        mel_weight: weight of the difference of log-mels, its own and the further ones
    """

    kind: Literal["vocoder"] = "vocoder"
    n_fft: int = 256
    mel_bands: int = 40
    low: float = 0.0
    high: float | None = None
    n_ffts: tuple[int, ...] = ()
    bands: tuple[int, ...] = ()
    mel_weight: float = 45.0

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(4, self, "objective", "n_fft", "n_ffts")
        at_least(1, self, "objective", "mel_bands", "bands")
        at_least(0, self, "objective", "low", "mel_weight")
        _one_count_for_each_window(self)


@dataclass(frozen=True, kw_only=True)
class Upsampler(Adversarial):
    """A low rate made into a high one: what resampling gives, and what it cannot know.

    Attributes:
        kind: chooses this objective
        factor: of the rates; the product of model.strides
        low_rate: what a sample of the low rate is, for sound of an anti-aliasing filter (filtered),
            for series the mean of a block of samples (mean) or the first of it (points)
        n_ffts: window lengths of the spectra, samples of the high rate
        stft_weight: weight of the likeness of spectra
        log_spectral_weight: weight of their log-spectral distance, by which upsamplers are compared
        l1_weight: weight of the mean absolute difference of the signals
        l2_weight: weight of the mean squared difference of the signals
    """

    kind: Literal["upsampler"] = "upsampler"
    factor: int = 4
    low_rate: Literal["filtered", "mean", "points"] = "filtered"
    n_ffts: tuple[int, ...] = (64, 128, 256, 512)
    stft_weight: float = 1.0
    log_spectral_weight: float = 0.0
    l1_weight: float = 5.0
    l2_weight: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(2, self, "objective", "factor")
        at_least(4, self, "objective", "n_ffts")
        at_least(0, self, "objective", "stft_weight", "log_spectral_weight")
        at_least(0, self, "objective", "l1_weight", "l2_weight")


@dataclass(frozen=True, kw_only=True)
class Critic:
    """Who judges: one critic or several, whose losses are averaged.

    Attributes:
        wave: whether WaveGAN's critic, strided convolutions down to one score, is there
        scales: critics of the signal as it is, halved, halved again, …
        stack: the layers of each of scales, HiFi-GAN's or RAVE's
        periods: critics that see every so many samples side by side, one for each period
        n_ffts: critics of the spectrum, one for each window length, samples
        spectrum: what n_ffts see, the complex spectrum in bands as in DAC, or its magnitude
        channels: of each critic's first layer; the others grow from it
        phase_shuffle: samples by which the layers of wave are shifted at random, at most
        optimiser: of the critics
    """

    wave: bool = False
    scales: int = 0
    stack: Literal["hifigan", "rave"] = "hifigan"
    periods: tuple[int, ...] = ()
    n_ffts: tuple[int, ...] = ()
    spectrum: Literal["complex", "magnitude"] = "complex"
    channels: int = 16
    phase_shuffle: int = 0
    optimiser: AdamW = field(default_factory=AdamW)

    def __post_init__(self) -> None:
        at_least(0, self, "critic", "scales", "phase_shuffle")
        at_least(1, self, "critic", "channels")
        at_least(2, self, "critic", "periods")
        at_least(4, self, "critic", "n_ffts")
        if not (self.wave or self.scales or self.periods or self.n_ffts):
            raise ConfigError(
                "critic judges nothing: set at least one of critic.wave, critic.scales, "
                "critic.periods and critic.n_ffts"
            )
        if self.phase_shuffle and not self.wave:
            raise ConfigError(
                f"critic.phase_shuffle={self.phase_shuffle} is of critic.wave, which is false"
            )


Objective = Vae | VaeGan | Gan | Vocoder | Upsampler


def _one_count_for_each_window(objective: "_Elbo | Vocoder") -> None:
    if len(objective.bands) != len(objective.n_ffts):
        raise ConfigError(
            f"objective.bands needs one number for each of objective.n_ffts "
            f"{list(objective.n_ffts)}, got {list(objective.bands)}"
        )


def check_windows(length: int, objective: Objective) -> None:
    """Refuse spectra without a window, or with one that reaches beyond both ends of the records.

    Raises:
        ConfigError: With the windows that would do.
    """
    match objective:
        case Vae() | VaeGan():
            needed = objective.reconstruction not in ("l2", "sum_of_squares", "none")
        case Upsampler():
            needed = objective.stft_weight > 0 or objective.log_spectral_weight > 0
        case Vocoder() if objective.n_ffts:
            needed = True
        case _:
            needed = False
    if not needed or isinstance(objective, Gan):
        return
    if not objective.n_ffts:
        raise ConfigError(
            f"objective.n_ffts=[] leaves objective={objective.kind} without the spectra that it "
            f"compares; give at least one window length"
        )
    longest = max(objective.n_ffts)
    if length <= longest // 2:
        raise ConfigError(
            f"objective.n_ffts={list(objective.n_ffts)} has windows of {longest} samples, and "
            f"data.length is {length}; take windows of at most {2 * length - 1} samples, or longer "
            f"records"
        )
