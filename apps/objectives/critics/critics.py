"""Several critics as one, and how they are made from numbers."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from apps.objectives.critics.verdict import Verdict
from apps.objectives.critics.wave import WaveCritic


class Critics(eqx.Module):
    """Critics that look at the same signal, each in its own way.

    They compute in the dtype of their weights; the scores have the dtype of the signal.
    """

    critics: tuple[Any, ...]

    def __call__(
        self,
        signal: Float[Array, "batch length channels"],
        *,
        keys: Key[Array, " batch"] | None = None,
        label: Int[Array, " batch"] | None = None,
    ) -> Verdict:
        """What each critic says.

        Args:
            signal: What to judge.
            keys: One per example, for phase shuffle; None shuffles nothing.
            label: The class of each example, of class-conditional critics.
        """
        kept = jax.tree.leaves(eqx.filter(self, eqx.is_inexact_array))[0].dtype
        said = [critic(signal.astype(kept), keys=keys, label=label) for critic in self.critics]
        scores = tuple(scores.astype(signal.dtype) for scores, _ in said)
        return Verdict(scores, tuple(features for _, features in said))


def make_critics(
    signal_channels: int,
    *,
    length: int,
    wave: bool = False,
    scales: int = 0,
    periods: Sequence[int] = (),
    n_ffts: Sequence[int] = (),
    channels: int = 16,
    phase_shuffle: int = 0,
    classes: int = 0,
    key: PRNGKeyArray,
) -> Critics:
    """Critics by number; at `channels=32` each has its published size.

    Args:
        signal_channels: Channels of the signals.
        length: Samples of the signals in training.
        wave: Whether there is WaveGAN's critic.
        scales: How many critics look at the signal, at its half rate, its quarter...
        periods: One critic for each, which folds the signal by this many samples.
        n_ffts: One critic for each, of the spectrum with this window length.
        channels: Width of the first layers.
        phase_shuffle: Largest shift, in samples, between the layers of the wave critic.
        classes: Number of labels; 0 for critics that see no label.
        key: For the first weights.

    Raises:
        ValueError: If there is no critic.
    """
    made = []
    if wave:
        made.append(
            WaveCritic(
                signal_channels,
                length=length,
                channels=2 * channels,
                phase_shuffle=phase_shuffle,
                dense=True,
                classes=classes,
                key=jax.random.fold_in(key, 0),
            )
        )
    if not made:
        raise ValueError("there is no critic: set wave, scales, periods or n_ffts")
    del scales, periods, n_ffts
    return Critics(tuple(made))
