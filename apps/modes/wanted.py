"""What can be asked of `python -m apps.generate`, and which runs can do it."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from apps.config import Config
from apps.schema import ConfigError

MODES = {
    "vae": ("sample", "reconstruct", "interpolate", "impute"),
    "vae_gan": ("sample", "reconstruct", "interpolate", "impute"),
    "gan": ("sample",),
    "vocoder": ("vocode",),
    "upsampler": ("upsample",),
}
"""By a run's objective the modes it has, the first one by default."""


@dataclass(frozen=True, kw_only=True)
class Generate:
    """What to make.

    Attributes:
        run: the folder of a trained run
        mode: new signals, signals through the model and back, signals between two, series whose
            gaps are filled (impute), a higher rate, or sound from mel spectra; null takes what the
            run is for
        count: how many; of an input folder or the test records, at most
        seed: chooses the draws from the prior; the same seed makes the same signals
        draws: guesses beside the best one, by which impute shows how sure it is
        label: what signals are to be, or those of input are, of a run that was given labels; null
            takes all in turn for new ones
        covariates: a csv, npy or npz with what is known at each sample, of a run that was given
            covariates; null takes those of test records, and with them their labels
        length: samples of each new signal; null makes them as long as those trained on
        input: a file, or a folder of files, of any length and rate; null takes test records to
            reconstruct, and draws from the prior to interpolate
        to: the file where an interpolation from input ends
        output: the folder to write to; null makes a new one in the run folder
        weights: the moving average of the weights (ema), or the last step's (model)
        checkpoint: latest, best (on the test split), or the number of a step
    """

    run: Path
    mode: Literal["sample", "reconstruct", "interpolate", "impute", "upsample", "vocode"] | None = (
        None
    )
    count: int = 8
    seed: int = 0
    draws: int = 8
    label: str | None = None
    covariates: Path | None = None
    length: int | None = None
    input: Path | None = None
    to: Path | None = None
    output: Path | None = None
    weights: Literal["ema", "model"] = "ema"
    checkpoint: Literal["latest", "best"] | int = "latest"

    def __post_init__(self) -> None:
        if self.draws < 0:
            raise ConfigError(f"draws must be at least 0, got {self.draws}")
        if self.count < 1:
            raise ConfigError(f"count must be at least 1, got {self.count}")
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"seed must be at least 0 and below 2³², got {self.seed}")
        if self.length is not None and self.length < 1:
            raise ConfigError(f"length must be at least 1, got {self.length}")
        if self.input is not None and self.mode == "sample":
            raise ConfigError(f"input={self.input} has no use in mode=sample; say mode=reconstruct")
        if self.input is None and self.mode in ("impute", "upsample", "vocode"):
            raise ConfigError(f"mode={self.mode} needs input=FILE, or a folder of files")
        if self.to is not None and self.mode != "interpolate":
            raise ConfigError(f"to={self.to} has no use in mode={self.mode}; say mode=interpolate")
        if self.mode == "interpolate" and (self.input is None) != (self.to is None):
            raise ConfigError("mode=interpolate goes from input=FILE to=FILE; give both, or none")
        if self.length is not None and (self.mode == "reconstruct" or self.input is not None):
            raise ConfigError(
                f"length={self.length} is for new signals; those made from others are as long"
            )
        for name in ("label", "covariates"):
            value = getattr(self, name)
            if value is not None and self.mode == "reconstruct" and self.input is None:
                raise ConfigError(
                    f"{name}={value} is for signals of your own; test records have theirs: leave "
                    f"it out, or give input=FILE"
                )


def settled(wanted: Generate, config: Config) -> Generate:
    """Return the settings with the mode that is meant, for a run with such a config.

    Raises:
        ConfigError: If such a run does not have the mode, or no labels.
    """
    kind = config.objective.kind
    modes = MODES[kind]
    through = wanted.input is not None and "reconstruct" in modes
    chosen = wanted.mode or ("reconstruct" if through else modes[0])
    if chosen not in modes:
        able = " or ".join(each for each, theirs in MODES.items() if chosen in theirs)
        raise ConfigError(
            f"mode={chosen} is of runs with objective={able}; run={wanted.run} has "
            f"objective={kind}, whose modes are {', '.join(modes)}"
        )
    for name, theirs in (("label", "labels"), ("covariates", "covariates")):
        value = getattr(wanted, name)
        if value is not None and not getattr(config.data, theirs, None):
            raise ConfigError(f"{name}={value}: run={wanted.run} was trained without {theirs}")
    return dataclasses.replace(wanted, mode=chosen)
