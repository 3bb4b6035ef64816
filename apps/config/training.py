"""What can be set of the training: the optimiser, how long, and what is kept of it."""

from dataclasses import dataclass
from typing import Literal

from apps.schema import ConfigError, above, at_least, below, between


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
        devices: one, all, or how many; of each process, where there are several
        fsdp: devices that share one copy of weights, averages and optimiser; 1 gives each its own
        precision: of the arithmetic; weights, optimiser and spectra are float32 in either
        accumulate: parts that a batch is computed in, one after the other, for less memory
        max_skipped: updates in a row that may be skipped for gradients that are not finite, before
            the run stops
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
    fsdp: int = 1
    precision: Literal["float32", "bfloat16"] = "float32"
    accumulate: int = 1
    max_skipped: int = 10
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
        at_least(0, self, "train", "ema_decay", "max_skipped")
        at_least(1, self, "train", "accumulate", "fsdp")
        if self.batch_size % self.accumulate:
            raise ConfigError(
                f"train.accumulate must divide train.batch_size {self.batch_size}, got "
                f"{self.accumulate}"
            )
        below(1, self, "train", "ema_decay")
        if isinstance(self.devices, int):
            at_least(1, self, "train", "devices")
        if self.seed >= 2**31:
            raise ConfigError(f"train.seed must be below 2³¹, got {self.seed}")
