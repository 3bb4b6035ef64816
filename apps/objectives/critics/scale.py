"""Critics of the waveform at several scales: the signal itself, its average over two, over four."""

import math
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from apps.objectives.critics.layers import Label, Layer, convolution, labelled


@dataclass(frozen=True)
class Stack:
    """The layers of a critic at one scale.

    Attributes:
        widths: Output channels of each convolution, in multiples of `channels`.
        kernel_sizes: Its taps.
        strides: Its stride.
        groups: Its groups at the published width; a narrow critic has fewer, see `LEAST`.
        score: Taps of the convolution that makes the score.
        slope: Of the leaky ReLU.
        overlap: Whether the average that halves the rate is over four samples, or over two.
    """

    widths: tuple[int, ...]
    kernel_sizes: tuple[int, ...]
    strides: tuple[int, ...]
    groups: tuple[int, ...]
    score: int
    slope: float
    overlap: bool


STACKS = {
    # Kong, Kim and Bae, HiFi-GAN (2020), appendix B, after MelGAN: 128 channels first.
    "hifigan": Stack(
        widths=(4, 4, 8, 16, 32, 32, 32),
        kernel_sizes=(15, 41, 41, 41, 41, 41, 5),
        strides=(1, 2, 2, 4, 4, 1, 1),
        groups=(1, 4, 16, 16, 16, 16, 1),
        score=3,
        slope=0.1,
        overlap=True,
    ),
    # Caillon and Esling, RAVE (2021), version 2: 96 channels first.
    "rave": Stack(
        widths=(3, 6, 12, 24),
        kernel_sizes=(15, 15, 15, 15),
        strides=(4, 4, 4, 4),
        groups=(1, 1, 1, 1),
        score=1,
        slope=0.2,
        overlap=False,
    ),
}


LEAST = 8
"""Input channels of a group, as in the narrowest published one. Of fewer, the groups would save no
time and, unrolled over 41 taps, take minutes to compile."""


class ScaleCritic(eqx.Module):
    """Convolutions of a signal whose rate has been halved so many times."""

    layers: tuple[Layer, ...]
    score: Layer
    label: Label | None
    halvings: int = eqx.field(static=True)
    slope: float = eqx.field(static=True)
    overlap: bool = eqx.field(static=True)

    def __init__(
        self,
        signal_channels: int,
        *,
        halvings: int,
        channels: int,
        stack: Stack,
        norm: str,
        classes: int,
        key: PRNGKeyArray,
    ) -> None:
        widths = [signal_channels, *(channels * width for width in stack.widths)]
        keys = jax.random.split(key, len(widths) + 1)
        self.layers = tuple(
            convolution(
                widths[i],
                widths[i + 1],
                stack.kernel_sizes[i],
                stride=stack.strides[i],
                groups=_groups(stack.groups[i], widths[i], widths[i + 1]),
                padding=stack.kernel_sizes[i] // 2,
                slope=stack.slope,
                norm=norm,
                key=keys[i],
            )
            for i in range(len(stack.widths))
        )
        self.score = convolution(
            widths[-1],
            1,
            stack.score,
            padding=stack.score // 2,
            slope=1.0,
            norm=norm,
            key=keys[-2],
        )
        self.label = Label(classes, widths[-1], key=keys[-1]) if classes else None
        self.halvings, self.slope, self.overlap = halvings, stack.slope, stack.overlap

    def __call__(
        self,
        signal: Float[Array, "batch length channels"],
        *,
        keys: Key[Array, " batch"] | None,
        label: Int[Array, " batch"] | None,
    ) -> tuple[Float[Array, "batch positions"], tuple[Array, ...]]:
        """Scores and features."""
        del keys
        for _ in range(self.halvings):
            signal = halve(signal, overlap=self.overlap)
        features: list[Array] = []
        for layer in self.layers:
            signal = jax.nn.leaky_relu(layer(signal), self.slope)
            features.append(signal)
        scores = self.score(signal)[..., 0]
        return labelled(scores, self.label, label, signal), tuple(features)


def _groups(published: int, inputs: int, outputs: int) -> int:
    return math.gcd(min(published, max(inputs // LEAST, 1)), inputs, outputs)


def halve(
    signal: Float[Array, "batch length channels"], *, overlap: bool
) -> Float[Array, "batch half channels"]:
    """Averages over four samples, two from the last (zeros beyond the ends), or over pairs.

    Source: `torch.nn.AvgPool1d(4, 2, padding=2)` of HiFi-GAN, `avg_pool1d(x, 2)` of RAVE.
    """
    length = signal.shape[1]
    if overlap:
        signal = jnp.pad(signal, ((0, 0), (2, 2 - length % 2), (0, 0)))
    signal = signal[:, : signal.shape[1] // 2 * 2]
    pairs = signal.reshape(signal.shape[0], -1, 2, signal.shape[2]).mean(axis=2)
    return (pairs[:, 1:] + pairs[:, :-1]) / 2 if overlap else pairs
