"""A whole run: all the groups, and what of one does not go with another."""

from dataclasses import dataclass, field
from pathlib import Path

from apps.config.data import Arrays, AudioFolder, Plucks, Sines, Tones
from apps.config.distributed import Distributed
from apps.config.model import Model
from apps.config.objective import Critic, Gan, Objective, Upsampler, Vae, VaeGan, Vocoder
from apps.config.training import AdamW, Train
from apps.schema import ConfigError


@dataclass(frozen=True, kw_only=True)
class Config:
    """A whole run.

    Attributes:
        name: what the run's default folder is called after; empty takes the kind of data
        run: the run's folder; a run that is there is resumed; null makes a new one under runs/
        data: the signals
        model: the network
        objective: what is trained for
        critic: who judges what is made; null where nobody does
        optimiser: by which steps
        train: how long, on what, and what is kept of it
        distributed: the processes that train together
    """

    name: str = ""
    run: Path | None = None
    data: Plucks | Sines | Tones | AudioFolder | Arrays = field(default_factory=Plucks)
    model: Model = field(default_factory=Model)
    objective: Objective = field(default_factory=Vae)
    critic: Critic | None = None
    optimiser: AdamW = field(default_factory=AdamW)
    train: Train = field(default_factory=Train)
    distributed: Distributed = field(default_factory=Distributed)

    def __post_init__(self) -> None:
        if any(character in self.name for character in "/\\:"):
            raise ConfigError(f"name must not contain / \\ or :, got {self.name!r}")
        _check_data(self)
        _check_critic(self)
        _check_model(self)
        _check_prior(self)
        free = getattr(self.objective, "free_bits", 0.0)
        if free and self.train.accumulate > 1:
            raise ConfigError(
                f"objective.free_bits={free} is granted to a whole batch, and "
                f"train.accumulate={self.train.accumulate} sees it in parts; set one of them to "
                f"its default"
            )


def _is_series(config: Config) -> bool:
    data = config.data
    return isinstance(data, Sines | Arrays) or (isinstance(data, Tones) and data.rate is None)


def _check_data(config: Config) -> None:
    """Refuse an objective or a model that has no use for such data."""
    data, objective = config.data, config.objective
    series = _is_series(config)
    if series and getattr(objective, "reconstruction", None) == "log_mel":
        raise ConfigError(
            f"objective.reconstruction=log_mel is for audio, and data={data.kind} is none; take "
            f"objective=vae_series, or stft, l2 or none"
        )
    if series and isinstance(objective, Vocoder):
        raise ConfigError(f"objective=vocoder is for audio, and data={data.kind} is none")
    for name, none in (("labels", "null"), ("covariates", "[]")):
        given = getattr(data, name, None)
        if given and not isinstance(objective, Vae | VaeGan | Gan):
            raise ConfigError(
                f"data.{name}={given} are of use to objective=vae, vae_gan and gan, and "
                f"{objective.kind} takes none; take data.{name}={none}"
            )
    scaling = data.scaling if isinstance(data, Arrays) else "none"
    if scaling in ("standard", "robust") and config.model.output != "none":
        raise ConfigError(
            f"model.output={config.model.output} has bounds, and data.scaling={scaling} has none; "
            f"take model.output=none or data.scaling=min-max"
        )


def _check_critic(config: Config) -> None:
    """Refuse a critic that nobody faces, and an objective that lacks one."""
    kind = config.objective.kind
    if config.critic is None and isinstance(config.objective, Gan | VaeGan):
        raise ConfigError(f"objective={kind} needs a critic; choose one, as in critic=hifigan")
    if config.critic is not None and isinstance(config.objective, Vae):
        raise ConfigError(
            f"objective={kind} faces no critic; take critic=null, or objective=vae_gan"
        )


def _check_prior(config: Config) -> None:
    """Refuse a prior that is never trained, or that would have to know conditions."""
    begins = getattr(config.objective, "prior_from", None)
    if begins is None:
        return
    if begins >= config.train.steps:
        raise ConfigError(
            f"objective.prior_from={begins} leaves the prior untrained, since train.steps is "
            f"{config.train.steps}; take an earlier step"
        )
    for name in ("labels", "covariates"):
        if given := getattr(config.data, name, None):
            raise ConfigError(
                f"objective.prior_from={begins}: a prior that is learnt knows no conditions, and "
                f"data.{name} is {given}; take objective.prior_from=null"
            )


def _check_model(config: Config) -> None:
    """Refuse a network that the objective cannot use."""
    objective, model = config.objective, config.model
    if model.composed and not isinstance(objective, Vae | VaeGan):
        raise ConfigError(
            f"model.level, model.trend and model.seasons are of autoencoders, and objective="
            f"{objective.kind} is none; leave them out"
        )
    if isinstance(objective, Upsampler) and objective.factor != model.hop:
        raise ConfigError(
            f"objective.factor must be the product of model.strides {list(model.strides)}, "
            f"{model.hop}, got {objective.factor}"
        )
    if isinstance(objective, Upsampler) and objective.low_rate != "filtered":
        if not _is_series(config):
            raise ConfigError(
                f"objective.low_rate={objective.low_rate} is for series, and data="
                f"{config.data.kind} is none; take objective.low_rate=filtered"
            )
        if model.lstm:
            raise ConfigError(
                f"model.lstm={model.lstm} sees a whole series, and an upsampler of series takes "
                f"those of any length; take model.lstm=0"
            )
    if model.bands > 1 and not isinstance(objective, Vae | VaeGan):
        raise ConfigError(
            f"model.bands={model.bands} are of autoencoders, and objective={objective.kind} is "
            f"none; take model.bands=1"
        )
    if isinstance(objective, Upsampler | Vocoder) and model.entry == "dense":
        raise ConfigError(
            f"model.entry=dense makes a whole signal of one latent, and objective="
            f"{objective.kind} signals of any length; take model.entry=conv"
        )
