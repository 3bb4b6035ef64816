"""Several critics as one, and how they are made from numbers."""

from collections.abc import Sequence
from typing import TypeAlias

import equinox as eqx
import jax
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from apps.objectives.critics.period import PeriodCritic
from apps.objectives.critics.scale import STACKS, ScaleCritic
from apps.objectives.critics.spectrum import SPECTRA, SpectrumCritic
from apps.objectives.critics.verdict import Verdict
from apps.objectives.critics.wave import WaveCritic

Critic: TypeAlias = WaveCritic | ScaleCritic | PeriodCritic | SpectrumCritic


class Critics(eqx.Module):
    """Critics that look at the same signal, each in its own way.

    They compute in the dtype of their weights; the scores have the dtype of the signal.
    """

    critics: tuple[Critic, ...]

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

        Raises:
            ValueError: If labels are missing, or given to critics that know none.
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
    dense: bool = True,
    stack: str = "hifigan",
    spectrum: str = "complex",
    key: PRNGKeyArray,
) -> Critics:
    """Critics by number; at `channels=32` each has its published size.

    Args:
        signal_channels: Channels of the signals.
        length: Samples of the signals in training.
        wave: Whether there is WaveGAN's critic.
        scales: How many critics look at the signal, at its half rate, its quarter...
        periods: One critic for each, of every so many samples: HiFi-GAN's are 2, 3, 5, 7, 11.
        n_ffts: One critic for each, of the spectrum with this window length.
        channels: Width of the first layers: these of the periods and the spectra, 2, 3 and 4
            times as many of the wave's and of the stacks "rave" and "hifigan".
        phase_shuffle: Largest shift, in samples, between the layers of the wave critic.
        classes: Number of labels; 0 for critics that see no label.
        dense: Whether the wave critic scores the signal as a whole, which fixes its length;
            otherwise it scores each position.
        stack: The layers at each scale: "hifigan" or "rave".
        spectrum: "complex", in five bands as in DAC, or "magnitude", as in UnivNet.
        key: For the first weights.

    Raises:
        ValueError: If there is no critic, a choice is none of its choices, or the length is too
            short for a critic.
    """
    _check(length, periods, n_ffts, phase_shuffle=phase_shuffle, stack=stack, spectrum=spectrum)
    keys = iter(jax.random.split(key, 1 + scales + len(periods) + len(n_ffts)))
    made: list[Critic] = []
    wave_key = next(keys)
    if wave:
        made.append(
            WaveCritic(
                signal_channels,
                length=length,
                channels=2 * channels,
                phase_shuffle=phase_shuffle,
                dense=dense,
                classes=classes,
                key=wave_key,
            )
        )
    made += [
        ScaleCritic(
            signal_channels,
            halvings=halvings,
            channels=channels,
            stack=STACKS[stack],
            norm="spectral" if stack == "hifigan" and not halvings else "weight",
            classes=classes,
            key=next(keys),
        )
        for halvings in range(scales)
    ]
    made += [
        PeriodCritic(
            signal_channels, period=period, channels=channels, classes=classes, key=next(keys)
        )
        for period in periods
    ]
    made += [
        SpectrumCritic(
            signal_channels,
            n_fft=n_fft,
            spectrum=spectrum,
            channels=channels,
            classes=classes,
            key=next(keys),
        )
        for n_fft in n_ffts
    ]
    if not made:
        raise ValueError("there is no critic: set wave, scales, periods or n_ffts")
    return Critics(tuple(made))


def _check(
    length: int,
    periods: Sequence[int],
    n_ffts: Sequence[int],
    *,
    phase_shuffle: int,
    stack: str,
    spectrum: str,
) -> None:
    for name, value, choices in (("stack", stack, STACKS), ("spectrum", spectrum, SPECTRA)):
        if value not in choices:
            raise ValueError(f"{name} is {value!r}; choose from {', '.join(choices)}")
    for period in periods:
        if not 2 <= period <= length:
            raise ValueError(
                f"periods holds {period}; each must lie in 2 ... {length}, the signal's length"
            )
    for n_fft in n_ffts:
        if n_fft < 4 or n_fft // 2 >= length:
            raise ValueError(
                f"n_ffts holds {n_fft}; each must be at least 4, and at most {2 * (length - 1)} "
                f"for signals of {length} samples"
            )
    if not 0 <= phase_shuffle <= 4:
        raise ValueError(
            f"phase_shuffle is {phase_shuffle}; give 0 (none) to 4: larger shifts hide the signal "
            "itself in layers of few samples"
        )
