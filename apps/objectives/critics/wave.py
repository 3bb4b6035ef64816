"""WaveGAN's critic: strided convolutions of the waveform, phase shuffle between them."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from apps.objectives.critics.layers import Label, Layer, convolution, labelled
from convt1d import Conv1d

SLOPE = 0.2
LAST = 16
"""The convolutions go on until this many positions, or fewer, are left."""


class WaveCritic(eqx.Module):
    """Convolutions of 25 taps and stride 4, the channels doubling, then one dense score.

    No normalisation: the critic is meant for a gradient penalty, which a batch norm would break.

    Source: Donahue, McAuley and Puckette, Adversarial audio synthesis (2019), table 4.
    """

    layers: tuple[Layer, ...]
    score: Conv1d
    label: Label | None
    phase_shuffle: int = eqx.field(static=True)

    def __init__(
        self,
        signal_channels: int,
        *,
        length: int,
        channels: int,
        phase_shuffle: int,
        dense: bool,
        classes: int,
        key: PRNGKeyArray,
    ) -> None:
        widths, left = [signal_channels], length
        while left > LAST or len(widths) == 1:
            widths.append(channels * 2 ** (len(widths) - 1))
            left = -(-left // 4)
        keys = jax.random.split(key, len(widths) + 1)
        self.layers = tuple(
            convolution(widths[i], widths[i + 1], 25, stride=4, slope=SLOPE, key=keys[i])
            for i in range(len(widths) - 1)
        )
        self.score = Conv1d(
            widths[-1], 1, left if dense else 1, padding="VALID", w_init="equinox", key=keys[-2]
        )
        self.label = Label(classes, widths[-1], key=keys[-1]) if classes else None
        self.phase_shuffle = phase_shuffle

    def __call__(
        self,
        signal: Float[Array, "batch length channels"],
        *,
        keys: Key[Array, " batch"] | None,
        label: Int[Array, " batch"] | None,
    ) -> tuple[Float[Array, "batch positions"], tuple[Array, ...]]:
        """Scores and features."""
        features: list[Array] = []
        for i, layer in enumerate(self.layers):
            if i and keys is not None and self.phase_shuffle:
                layer_keys = jax.vmap(lambda key, i=i: jax.random.fold_in(key, i))(keys)
                signal = shuffle_phase(signal, self.phase_shuffle, keys=layer_keys)
            signal = jax.nn.leaky_relu(layer(signal), SLOPE)
            features.append(signal)
        scores = self.score(signal)[..., 0]
        seen = jnp.mean(signal, axis=1, keepdims=True)  # a dense score has one position
        seen = jnp.broadcast_to(seen, (*scores.shape, seen.shape[2]))
        return labelled(scores, self.label, label, seen), tuple(features)


def shuffle_phase(
    signal: Float[Array, "batch length channels"], most: int, *, keys: Key[Array, " batch"]
) -> Float[Array, "batch length channels"]:
    """Shift each example by its own number of samples from -most to most, reflecting at the ends.

    A transposed convolution of stride s leaves a pattern of period s at one phase; after the
    shuffle a critic cannot tell fakes by that phase.

    Args:
        signal: What to shift.
        most: Largest shift, in samples.
        keys: One key per example.

    Raises:
        ValueError: If the signal is too short to be reflected so far.

    Source: Donahue, McAuley and Puckette, Adversarial audio synthesis (2019), section 3.3.
    """
    length = signal.shape[1]
    if not 0 <= most < length:
        raise ValueError(
            f"`most` (={most}) must lie in 0 ... {length - 1}: a signal of {length} samples cannot "
            "be reflected further; use a smaller phase_shuffle"
        )
    shifts = jax.vmap(lambda key: jax.random.randint(key, (), 0, 2 * most + 1))(keys)
    beyond = jnp.pad(signal, ((0, 0), (most, most), (0, 0)), mode="reflect")
    # 2·most + 1 slices and a choice instead of a gather, whose gradient would be a scatter.
    shifted = jnp.zeros_like(signal)
    for shift in range(2 * most + 1):
        chosen = (shifts == shift)[:, None, None]
        shifted = jnp.where(chosen, beyond[:, shift : shift + length], shifted)
    return shifted
