"""All that can be set: one dataclass per group, one line per setting, and what is refused.

`conf/*.yaml` hold values for these, the command line overrides them, `build.py` makes objects of
them. A check here sees only values; what needs the data or a device is checked where that is at
hand. Steps are optimiser steps, lengths are samples, rates are Hz.
"""

import dataclasses
import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from apps import schema
from apps.schema import (
    ConfigError,
    Difference,
    above,
    at_least,
    below,
    between,
    from_dict,
    merged,
    nearest,
    to_dict,
)

FILE = "config.yaml"
"""The file of a run folder that holds its config; written once, when the run starts."""


@dataclass(frozen=True, kw_only=True)
class Plucks:
    """Plucked strings after Karplus and Strong, made on the fly.

    Attributes:
        kind: chooses this data
        length: samples per record
        rate: samples per second, Hz
        count: records of the training split; the test split has as many of its own
        seed: chooses the records, apart from train.seed
        lowest: the lowest note, MIDI number; 45 is A2, 110 Hz
        highest: the highest note, MIDI number; 69 is A4, 440 Hz
        hiss: standard deviation of the noise floor; full scale is 1
    """

    kind: Literal["plucks"] = "plucks"
    length: int = 4096
    rate: int = 8000
    count: int = 2048
    seed: int = 0
    lowest: int = 45
    highest: int = 69
    hiss: float = 2e-3

    def __post_init__(self) -> None:
        at_least(1, self, "data", "length", "rate", "count")
        at_least(0, self, "data", "seed")
        between(0, 127, self, "data", "lowest", "highest")
        between(0, 1, self, "data", "hiss")


@dataclass(frozen=True, kw_only=True)
class Sines:
    """Sine waves of random frequency and phase in every channel (the recipe of TimeGAN).

    Attributes:
        kind: chooses this data
        length: samples per record
        channels: sines per record
        count: records of the training split; the test split has as many of its own
        seed: chooses the records, apart from train.seed
    """

    kind: Literal["sines"] = "sines"
    length: int = 24
    channels: int = 5
    count: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        at_least(1, self, "data", "length", "channels", "count")
        at_least(0, self, "data", "seed")


@dataclass(frozen=True, kw_only=True)
class AudioFolder:
    """Your recordings: every audio file under a folder.

    Attributes:
        kind: chooses this data
        root: the folder, searched with all its sub-folders
        length: samples per training crop
        rate: samples per second, Hz, to which files are resampled; null keeps theirs, if all agree
        channels: 1 mixes every file down to mono; otherwise files must have as many
        on_bad: what to do with a file that cannot be used, skip (and say so) or refuse to start
        test_pattern: regular expression; files in whose path it is found are the test split
        test_fraction: share of files in the test split where there is no test_pattern
        seed: chooses that share
        peak: every file is scaled to this peak, 0 to 1; null leaves files as loud as they are
    """

    kind: Literal["audio_folder"] = "audio_folder"
    root: Path
    length: int = 16_384
    rate: int | None = None
    channels: int = 1
    on_bad: Literal["skip", "refuse"] = "skip"
    test_pattern: str | None = None
    test_fraction: float = 0.1
    seed: int = 0
    peak: float | None = 0.9

    def __post_init__(self) -> None:
        at_least(1, self, "data", "length", "rate", "channels")
        at_least(0, self, "data", "seed")
        above(0, self, "data", "test_fraction", "peak")
        below(1, self, "data", "test_fraction")
        between(0, 1, self, "data", "peak")
        try:
            re.compile(self.test_pattern or "")
        except re.error as error:
            raise ConfigError(
                f"data.test_pattern is not a regular expression, {self.test_pattern!r}: {error}"
            ) from error


@dataclass(frozen=True, kw_only=True)
class Arrays:
    """Your arrays: records [N, L, C], or one long series [T, C] that is cut into windows.

    Attributes:
        kind: chooses this data
        path: the file, npy, npz or csv
        key: which array of an npz file; null takes the only one
        length: samples per window of a long series; null takes records as they are
        stride: samples from one window to the next
        scaling: how channels are scaled, by what the training split holds
        split_by: by time the last part is the test split, by window a random one; null decides
        test_fraction: share of the records in the test split
        seed: chooses that share
    """

    kind: Literal["arrays"] = "arrays"
    path: Path
    key: str | None = None
    length: int | None = None
    stride: int = 1
    scaling: Literal["min-max", "standard", "none"] = "min-max"
    split_by: Literal["time", "window"] | None = None
    test_fraction: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        at_least(1, self, "data", "length", "stride")
        at_least(0, self, "data", "seed")
        above(0, self, "data", "test_fraction")
        below(1, self, "data", "test_fraction")


@dataclass(frozen=True, kw_only=True)
class Model:
    """A variational autoencoder of convolutions: a decoder, and its mirror image, the encoder.

    Attributes:
        latent: channels of the latent
        strides: factors from latent to signal, in the decoder's order; their product is the hop
        channels: channels before each stride of the decoder and, with one more, after the last,
            where a convolution then makes the signal
        stride_kernels: taps of each transposed convolution; empty takes twice the stride
        kernel_size: taps of the other convolutions
        dilations: of the residual units after each stride; empty has no such units
        activation: between layers
        weight_norm: whether every convolution is weight-normalised
        entry: conv has a latent for every hop and takes signals of any length, dense has one for a
            whole signal of data.length
        output: keeps the signal in a range, tanh in -1 to 1, sigmoid in 0 to 1
    """

    latent: int = 16
    strides: tuple[int, ...] = (4, 4, 2)
    channels: tuple[int, ...] = (64, 32, 16, 8)
    stride_kernels: tuple[int, ...] = ()
    kernel_size: int = 7
    dilations: tuple[int, ...] = (1, 3, 9)
    activation: Literal["snake", "snake_beta", "elu", "leaky_relu", "relu"] = "snake"
    weight_norm: bool = True
    entry: Literal["conv", "dense"] = "conv"
    output: Literal["tanh", "sigmoid", "none"] = "tanh"

    def __post_init__(self) -> None:
        at_least(1, self, "model", "latent", "strides", "channels", "stride_kernels")
        at_least(1, self, "model", "kernel_size", "dilations")
        count = len(self.strides)
        if count == 0:
            raise ConfigError("model.strides needs at least one number, got []")
        for name, counts in (("channels", (count, count + 1)), ("stride_kernels", (0, count))):
            if len(getattr(self, name)) not in counts:
                raise ConfigError(
                    f"model.{name} needs {counts[0]} or {counts[1]} numbers for the {count} "
                    f"model.strides, got {list(getattr(self, name))}"
                )

    @property
    def hop(self) -> int:
        """Samples of the signal for one step of the coarsest layer."""
        return math.prod(self.strides)


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What a variational autoencoder is trained for: a likeness, and a price for information.

    Attributes:
        reconstruction: the likeness beside l1: spectra on the mel scale (audio only), spectra,
            squares of the difference, or none
        n_ffts: window lengths of the spectra, samples
        bands: mel bands of each window length
        reconstruction_weight: weight of that likeness
        l1_weight: weight of the mean absolute difference of the signals
        kl_weight: weight of the divergence from the standard normal, per nat and latent step
        kl_warmup_steps: steps over which kl_weight rises linearly from 0
        free_bits: nats per latent channel and latent step that cost nothing
    """

    reconstruction: Literal["log_mel", "stft", "l2", "none"] = "log_mel"
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
        if self.reconstruction == "log_mel" and len(self.bands) != len(self.n_ffts):
            raise ConfigError(
                f"objective.bands needs one number for each of objective.n_ffts "
                f"{list(self.n_ffts)}, got {list(self.bands)}"
            )


@dataclass(frozen=True, kw_only=True)
class AdamW:
    """The AdamW optimiser and the course of its learning rate.

    Attributes:
        learning_rate: the highest learning rate
        beta1: decay of the mean of gradients, per step
        beta2: decay of the mean of squared gradients, per step
        weight_decay: shrinks every weight by learning_rate times this, per step
        clip: gradients with a larger norm over all weights are scaled down to it; null never
        schedule: course from learning_rate to final · learning_rate at the last step
        final: share of the learning rate that is left at the last step, 0 to 1
        warmup_steps: steps over which the learning rate rises linearly from 0
    """

    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 0.01
    clip: float | None = 1.0
    schedule: Literal["constant", "cosine", "exponential"] = "cosine"
    final: float = 0.01
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        above(0, self, "optimiser", "learning_rate", "clip")
        at_least(0, self, "optimiser", "beta1", "beta2")
        below(1, self, "optimiser", "beta1", "beta2")
        between(0, 1, self, "optimiser", "final")
        at_least(0, self, "optimiser", "weight_decay", "warmup_steps")
        if self.schedule == "exponential" and self.final == 0:
            raise ConfigError(
                "optimiser.final must be above 0 where optimiser.schedule is exponential, got 0.0"
            )


@dataclass(frozen=True, kw_only=True)
class Train:
    """How long, on what, and what is kept of it.

    Attributes:
        steps: optimiser steps of the whole run
        batch_size: records per step, over all devices together
        seed: of the first weights, the order of the data and the noise
        devices: one, all, or how many
        ema_decay: decay per step of the averaged weights that are used afterwards; 0 has none
        workers: threads that read the records of a batch; 0 is fastest for files on local disks
        log_every: steps between two lines of losses
        sample_every: steps between two sets of sounds and pictures; 0 has none
        evaluate_every: steps between two measurements on the test split; 0 has none
        save_every: steps between two checkpoints; the last step is always saved
        samples: test records that are heard and pictured
        evaluate_records: test records that are measured while training, at most
        keep_latest: newest checkpoints to keep
        keep_best: checkpoints to keep that scored best on the test split
    """

    steps: int = 1200
    batch_size: int = 16
    seed: int = 0
    devices: Literal["one", "all"] | int = "one"
    ema_decay: float = 0.999
    workers: int = 0
    log_every: int = 20
    sample_every: int = 200
    evaluate_every: int = 200
    save_every: int = 200
    samples: int = 4
    evaluate_records: int = 256
    keep_latest: int = 2
    keep_best: int = 1

    def __post_init__(self) -> None:
        at_least(1, self, "train", "steps", "batch_size", "log_every", "save_every", "samples")
        at_least(1, self, "train", "evaluate_records", "keep_latest")
        at_least(0, self, "train", "seed", "workers", "sample_every", "evaluate_every", "keep_best")
        at_least(0, self, "train", "ema_decay")
        below(1, self, "train", "ema_decay")
        if isinstance(self.devices, int):
            at_least(1, self, "train", "devices")
        if self.seed >= 2**31:
            raise ConfigError(f"train.seed must be below 2³¹, got {self.seed}")


@dataclass(frozen=True, kw_only=True)
class Config:
    """A whole run.

    Attributes:
        name: what the run's default folder is called after; empty takes the kind of data
        run: the run's folder; a run that is there is resumed; null makes a new one under runs/
        data: the signals
        model: the network
        objective: what is minimised
        optimiser: by which steps
        train: how long, on what, and what is kept of it
    """

    name: str = ""
    run: Path | None = None
    data: Plucks | Sines | AudioFolder | Arrays = field(default_factory=Plucks)
    model: Model = field(default_factory=Model)
    objective: Objective = field(default_factory=Objective)
    optimiser: AdamW = field(default_factory=AdamW)
    train: Train = field(default_factory=Train)

    def __post_init__(self) -> None:
        if any(character in self.name for character in "/\\:"):
            raise ConfigError(f"name must not contain / \\ or :, got {self.name!r}")
        if isinstance(self.data, Sines | Arrays) and self.objective.reconstruction == "log_mel":
            raise ConfigError(
                f"objective.reconstruction=log_mel is for audio, and data={self.data.kind} is "
                f"none; take objective=vae_series, or stft, l2 or none"
            )
        bounded = self.model.output != "none"
        if isinstance(self.data, Arrays) and self.data.scaling == "standard" and bounded:
            raise ConfigError(
                f"model.output={self.model.output} has bounds, and data.scaling=standard has none; "
                f"take model.output=none or data.scaling=min-max"
            )
        if self.data.length is not None:
            check_length(self.data.length, self.model)


def check_length(length: int, model: Model) -> None:
    """Refuse records whose length does not hold a whole number of latents.

    Raises:
        ConfigError: With the nearest lengths that would do.
    """
    if model.entry == "conv" and length % model.hop:
        shorter = length - length % model.hop
        near = " or ".join(str(each) for each in (shorter, shorter + model.hop) if each)
        raise ConfigError(
            f"data.length must be a multiple of {model.hop}, the product of model.strides "
            f"{list(model.strides)}, got {length}; take {near}, or other strides"
        )


MAY_CHANGE = frozenset(
    (
        *("name", "data.root", "data.path", "train.workers", "train.devices", "train.steps"),
        *("train.log_every", "train.sample_every", "train.evaluate_every", "train.save_every"),
        *("train.samples", "train.evaluate_records", "train.keep_latest", "train.keep_best"),
    )
)
"""Settings that may differ when a run is resumed: how long, how often, where, on what.

None of them enters a step, save `train.steps` through the schedule of the learning rate, and
`train.devices` through the order of additions (a relative 1e-7).
"""


def differences(old: Config, new: Config) -> list[Difference]:
    """List the settings in which two configs differ, leaving out the run's own folder."""
    return schema.differences(stored(old), stored(new))


def digest(config: Config) -> str:
    """Name the config by eight hexadecimal digits: equal for equal settings, wherever it runs."""
    text = json.dumps(stored(config), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def stored(config: Config) -> dict[str, Any]:
    """Return what is kept of a config: all but the run's own folder, which may be moved."""
    return {key: value for key, value in to_dict(config).items() if key != "run"}


def save(config: Config, folder: Path) -> None:
    """Write the config into a run folder, once.

    Raises:
        FileExistsError: If the folder holds a config already.
    """
    path = folder / FILE
    if path.exists():
        raise FileExistsError(f"{path} exists; the config of a run is written once")
    half = path.with_name(f"{FILE}.{os.getpid()}.tmp")  # a kill leaves no half-written config
    text = yaml.safe_dump(stored(config), allow_unicode=True, sort_keys=False)
    half.write_text(text, encoding="utf-8")
    half.replace(path)


def load(folder: Path | str, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read the config of a run.

    Args:
        folder: The run folder.
        overrides: Values to use instead of the stored ones: `{"data": {"root": path}}` where the
            recordings have moved.

    Raises:
        ConfigError: If the folder holds no run, or the values are not a config.
    """
    folder = Path(folder)
    if not (folder / FILE).is_file():
        runs = sorted(path.parent.name for path in folder.parent.glob(f"*/{FILE}"))
        there = nearest(folder.name, runs) or (
            f"; runs beside it: {', '.join(runs)}" if runs else ""
        )
        raise ConfigError(f"run={folder} is not a run ({FILE} is missing){there}")
    try:
        values = yaml.safe_load((folder / FILE).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{folder / FILE} is damaged: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{folder / FILE} is damaged: it must hold settings, got {values!r}")
    values = merged(values, overrides or {})
    return dataclasses.replace(from_dict(Config, values), run=folder)
