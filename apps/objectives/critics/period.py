"""HiFi-GAN's period critics: what samples a fixed number apart have to do with one another."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from apps.objectives.critics.layers import Label, Layer, convolution, labelled

SLOPE = 0.1
WIDTHS = (1, 4, 16, 32, 32)  # in multiples of `channels`, which is 32 as published
STRIDES = (3, 3, 3, 3, 1)


class PeriodCritic(eqx.Module):
    """Convolutions along every p-th sample: a signal becomes p signals, each an example.

    The published critic folds the signal to `(length / p, p)` and convolves with kernels `(5, 1)`:
    the columns never meet, so that this is the same and one-dimensional.

    Source: Kong, Kim and Bae, HiFi-GAN (2020), section 2.3.
    """

    layers: tuple[Layer, ...]
    score: Layer
    label: Label | None
    period: int = eqx.field(static=True)

    def __init__(
        self,
        signal_channels: int,
        *,
        period: int,
        channels: int,
        classes: int,
        key: PRNGKeyArray,
    ) -> None:
        widths = [signal_channels, *(channels * width for width in WIDTHS)]
        keys = jax.random.split(key, len(widths) + 1)
        self.layers = tuple(
            convolution(
                widths[i],
                widths[i + 1],
                5,
                stride=STRIDES[i],
                padding=2,
                slope=SLOPE,
                norm="weight",
                key=keys[i],
            )
            for i in range(len(WIDTHS))
        )
        self.score = convolution(
            widths[-1], 1, 3, padding=1, slope=1.0, norm="weight", key=keys[-2]
        )
        self.label = Label(classes, widths[-1], key=keys[-1]) if classes else None
        self.period = period

    def __call__(
        self,
        signal: Float[Array, "batch length channels"],
        *,
        keys: Key[Array, " batch"] | None,
        label: Int[Array, " batch"] | None,
    ) -> tuple[Float[Array, "batch positions"], tuple[Array, ...]]:
        """Scores and features, of shape (batch, period, frames, channels)."""
        del keys
        batch = signal.shape[0]
        signal = fold(signal, self.period)
        features: list[Array] = []
        for layer in self.layers:
            signal = jax.nn.leaky_relu(layer(signal), SLOPE)
            features.append(signal.reshape(batch, self.period, *signal.shape[1:]))
        scores = self.score(signal).reshape(batch, -1)
        seen = signal.reshape(batch, -1, signal.shape[2])
        return labelled(scores, self.label, label, seen), tuple(features)


def fold(
    signal: Float[Array, "batch length channels"], period: int
) -> Float[Array, "folded frames channels"]:
    """Every p-th sample from sample 0, from sample 1, ...: p examples of each.

    A length that is no multiple of the period is filled up by reflection.
    """
    batch, length, channels = signal.shape
    signal = jnp.pad(signal, ((0, 0), (0, -length % period), (0, 0)), mode="reflect")
    rows = signal.reshape(batch, -1, period, channels).swapaxes(1, 2)
    return rows.reshape(batch * period, -1, channels)
