"""What can be set of the network."""

import math
from dataclasses import dataclass, field
from typing import Literal

from apps.schema import ConfigError, at_least


@dataclass(frozen=True, kw_only=True)
class Prior:
    """A distribution of latents that is learnt: noise, carried along a field of velocities.

    Attributes:
        channels: of the network that says where noise is carried
        blocks: its residual units
        kernel_size: of its convolutions along the latent; 1 sees each step by itself
        steps: in which noise is carried when signals are made
    """

    channels: int = 256
    blocks: int = 4
    kernel_size: int = 1
    steps: int = 25

    def __post_init__(self) -> None:
        at_least(1, self, "model.prior", "channels", "blocks", "kernel_size", "steps")


@dataclass(frozen=True, kw_only=True)
class Model:
    """The convolutions of a decoder, and of the encoder that is its mirror image.

    Attributes:
        latent: channels of the latent; a vocoder's are its mel bands, an upsampler has one
        strides: factors from latent to signal, in the decoder's order; their product is the hop
        channels: channels before each stride of the decoder and, with one more, after the last,
            where a convolution then makes the signal
        stride_kernels: taps of each transposed convolution; empty takes twice the stride
        kernel_size: taps of the convolution at the signal
        residual_kernels: taps of the dilated convolutions; with several, as many branches after
            each stride are averaged
        dilations: of the residual units after each stride; empty has no such units
        units: how many of these units follow each stride; empty takes all everywhere
        residual: what follows a dilated convolution: one of a single tap (pointwise), one of as
            many taps (twice), or nothing (single)
        compress: by how much channels are fewer inside of a residual unit
        shortcut: whether a convolution of one tap lies beside a residual unit, instead of nothing
        activation: between layers
        slope: of leaky_relu, below zero
        padding: same looks both ways, causal only back, so that it streams without delay
        padding_mode: what convolutions see beyond the ends, zeros or the signal reflected
        bias: whether convolutions have one
        weight_norm: whether every convolution is weight-normalised
        lstm: recurrent layers at the latent
        bands: filters of the bank in whose bands an autoencoder works, as RAVE's; 1 has none
        entry: conv has a latent for every hop and takes signals of any length, dense has one for a
            whole signal of data.length
        level: whether an autoencoder's series are a level and what the convolutions make, as in
            TimeVAE; it, trend and seasons need entry=dense
        trend: degree of the trend that is added to them; 0 has none
        seasons: seasons of each cycle that is added to them; empty has none
        season_lengths: steps of a season in each cycle; empty takes 1
        prior: what an autoencoder's latents are drawn from where objective.prior_from has it
            learnt; elsewhere it is the standard normal distribution
        output: keeps the signal in a range, tanh in -1 to 1, sigmoid in 0 to 1; modulated is the
            tanh of a wave times its own loudness, which reaches far below full level
        rematerialise: whether the steps between two strides are computed again for the gradient
            instead of kept: a third more time, less memory (on CPUs hardly)
    """

    latent: int = 16
    strides: tuple[int, ...] = (4, 4, 2)
    channels: tuple[int, ...] = (64, 32, 16, 8)
    stride_kernels: tuple[int, ...] = ()
    kernel_size: int = 7
    residual_kernels: tuple[int, ...] = (7,)
    dilations: tuple[int, ...] = (1, 3, 9)
    units: tuple[int, ...] = ()
    residual: Literal["pointwise", "twice", "single"] = "pointwise"
    compress: int = 1
    shortcut: bool = False
    activation: Literal["snake", "snake_beta", "elu", "leaky_relu", "relu"] = "snake"
    slope: float = 0.2
    padding: Literal["same", "causal"] = "same"
    padding_mode: Literal["zeros", "reflect"] = "zeros"
    bias: bool = True
    weight_norm: bool = True
    lstm: int = 0
    bands: int = 1
    entry: Literal["conv", "dense"] = "conv"
    level: bool = False
    trend: int = 0
    seasons: tuple[int, ...] = ()
    season_lengths: tuple[int, ...] = ()
    prior: Prior = field(default_factory=Prior)
    output: Literal["tanh", "modulated", "sigmoid", "none"] = "tanh"
    rematerialise: bool = False

    def __post_init__(self) -> None:
        at_least(1, self, "model", "latent", "strides", "channels", "stride_kernels")
        at_least(1, self, "model", "kernel_size", "residual_kernels", "dilations")
        at_least(1, self, "model", "compress", "bands")
        at_least(0, self, "model", "lstm", "slope", "units", "trend")
        at_least(1, self, "model", "seasons", "season_lengths")
        self._check_components()
        if self.bands > 1 and self.entry == "dense":
            raise ConfigError(
                f"model.bands={self.bands} are of signals of any length, and model.entry=dense "
                f"makes whole ones; take model.bands=1 or model.entry=conv"
            )
        count = len(self.strides)
        if count == 0:
            raise ConfigError("model.strides needs at least one number, got []")
        for name, counts in (("channels", (count, count + 1)), ("stride_kernels", (0, count))):
            if len(getattr(self, name)) not in counts:
                raise ConfigError(
                    f"model.{name} needs {counts[0]} or {counts[1]} numbers for the {count} "
                    f"model.strides, got {list(getattr(self, name))}"
                )
        if len(self.units) not in (0, count) or max(self.units, default=0) > len(self.dilations):
            raise ConfigError(
                f"model.units needs 0 or {count} numbers of at most {len(self.dilations)}, the "
                f"number of model.dilations, got {list(self.units)}"
            )
        if not self.residual_kernels:
            raise ConfigError("model.residual_kernels needs at least one number, got []")

    def _check_components(self) -> None:
        if len(self.season_lengths) not in (0, len(self.seasons)):
            raise ConfigError(
                f"model.season_lengths needs 0 or {len(self.seasons)} numbers, as many as "
                f"model.seasons, got {list(self.season_lengths)}"
            )
        if self.composed and self.entry != "dense":
            raise ConfigError(
                "model.level, model.trend and model.seasons are of whole signals, and model.entry="
                "conv makes signals of any length; take model.entry=dense"
            )

    @property
    def composed(self) -> bool:
        """Whether signals have a level, a trend or seasons besides what convolutions make."""
        return self.level or self.trend > 0 or bool(self.seasons)

    @property
    def hop(self) -> int:
        """Samples of the signal for one step of the coarsest layer."""
        return math.prod(self.strides) * self.bands
