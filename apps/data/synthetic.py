"""Signals made on the fly: example i is a function of (seed, split, i) and of nothing else."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from apps.data.cache import BoundedCache
from apps.data.checks import SPLITS, check_choice, check_whole
from apps.data.source import Example, Signal

_FADE_SECONDS = 0.01  # a string cut off at full swing would end in a click


@dataclass(frozen=True)
class Pluck:
    """One stroke on a string.

    Attributes:
        frequency: Fundamental, in Hz.
        decay: Time in which the fundamental falls by 60 dB, in seconds.
        position: Where the string is plucked, as a part of its length: its harmonics of order
            1/position are missing.
        brightness: From 0 (dark) to 1 (the bare noise burst).
        amplitude: Peak of the sound.
    """

    frequency: float
    decay: float
    position: float
    brightness: float
    amplitude: float


class Plucks:
    """Plucked strings in equal temperament (A4 = 440 Hz), each with its own touch.

    Note, decay (0.8 to 3 s), place (0.1 to 0.5 of the string), brightness (0.15 to 0.5) and
    amplitude (0.5 to 0.95) are drawn evenly; the last 10 ms are faded out.

    Args:
        split: 'train' or 'test'.
        length: Samples of an example.
        rate: Samples a second.
        count: Number of examples; a larger count keeps the first ones as they are.
        seed: Of the whole set.
        lowest: MIDI number of the lowest note; 45 is A2, 110 Hz.
        highest: MIDI number of the highest note; 69 is A4, 440 Hz.
        hiss: Standard deviation of the white noise below the string, as of any recording. Without
            it a spectral loss is spent on the logarithms of silence.
        cache_megabytes: Memory in which examples are kept once made.

    Raises:
        ValueError: If an argument is out of range, or the highest note leaves less than four
            harmonics below rate / 2.

    Source: Karplus and Strong, "Digital synthesis of plucked-string and drum timbres", Computer
        Music Journal 7(2), 1983; Jaffe and Smith, "Extensions of the Karplus-Strong plucked-string
        algorithm", ibid.
    """

    crops = False

    def __init__(
        self,
        *,
        split: str,
        length: int = 4096,
        rate: int = 8000,
        count: int = 2048,
        seed: int = 0,
        lowest: int = 45,
        highest: int = 69,
        hiss: float = 2e-3,
        cache_megabytes: float = 256,
    ):
        check_choice("split", split, SPLITS)
        check_whole("count", count)
        if not 0 <= hiss < 1:
            raise ValueError(f"hiss={hiss!r} must be at least 0 and below 1")
        check_whole("seed", seed, least=0)
        check_whole("lowest", lowest, least=0, most=127)
        check_whole("highest", highest, least=lowest, most=127)
        self.signal = Signal(kind="audio", length=length, channels=1, rate=rate)
        if note_frequency(highest) > rate / 8:
            raise ValueError(
                f"highest={highest} is {note_frequency(highest):.0f} Hz, which leaves less than "
                f"four harmonics at rate={rate}: take a lower note or a rate of at least "
                f"{math.ceil(8 * note_frequency(highest))}"
            )
        self._entropy = (seed, SPLITS.index(split))
        self._count = count
        self._rate = rate
        self._notes = (lowest, highest)
        self._hiss = hiss
        self._cache = BoundedCache(cache_megabytes)

    def __len__(self) -> int:
        return self._count

    def name(self, index: int) -> str:
        """`plucks 12`."""
        return f"plucks {index}"

    def pluck(self, index: int) -> Pluck:
        """The numbers drawn for an example."""
        return self._draw(self._generator(index))

    def example(self, index: int, rng: np.random.Generator | None = None) -> Example:
        """The sound of one stroke, from its attack on; `rng` is not used (nothing to crop)."""
        del rng
        return self._cache.get(index, lambda: self._make(index))

    def _generator(self, index: int) -> np.random.Generator:
        if not 0 <= index < self._count:
            raise IndexError(f"plucks {index}: there are {self._count}")
        return np.random.default_rng((*self._entropy, index))

    def _draw(self, rng: np.random.Generator) -> Pluck:
        lowest, highest = self._notes
        return Pluck(
            frequency=note_frequency(int(rng.integers(lowest, highest + 1))),
            decay=rng.uniform(0.8, 3.0),
            position=rng.uniform(0.1, 0.5),
            brightness=rng.uniform(0.15, 0.5),
            amplitude=rng.uniform(0.5, 0.95),
        )

    def _make(self, index: int) -> Example:
        rng = self._generator(index)
        pluck = self._draw(rng)
        sound = string(pluck, length=self.signal.length, rate=self._rate, rng=rng)
        sound += self._hiss * rng.standard_normal(len(sound))
        return sound.astype(np.float32)[:, None]


def note_frequency(note: int) -> float:
    """Frequency in Hz of a MIDI note number in equal temperament."""
    return 440.0 * 2.0 ** ((note - 69) / 12)


def string(pluck: Pluck, *, length: int, rate: int, rng: np.random.Generator) -> np.ndarray:
    """The sound of one stroke, float64 [length].

    A burst of noise, one period long, runs round a loop of a delay line of N samples, the loop
    filter ρ·((1 − S) + S·z⁻¹), and a first-order all-pass (C + z⁻¹)/(1 + C·z⁻¹) that makes up
    the fraction of a sample by which N misses the period:

        y = x · (1 + C·z⁻¹) / (1 + C·z⁻¹ − ρ·z⁻ᴺ·((1 − S) + S·z⁻¹)·(C + z⁻¹))

    Args:
        pluck: What to play.
        length: Samples to make.
        rate: Samples a second.
        rng: Of the noise.
    """
    period = rate / pluck.frequency
    omega = 2 * math.pi / period
    rho, stretch = loop_filter(pluck.frequency, pluck.decay, rate)
    lag = math.atan2(stretch * math.sin(omega), 1 - stretch + stretch * math.cos(omega)) / omega
    # The all-pass is asked for 0.1 to 1.1 samples: near 0 its pole would lie on the unit circle.
    whole = math.floor(period - lag - 0.1)
    fraction = period - lag - whole
    allpass = math.sin(omega * (1 - fraction) / 2) / math.sin(omega * (1 + fraction) / 2)

    loop = np.zeros(whole + 3)
    loop[0] = 1.0
    loop[1] = allpass
    loop[whole:] -= rho * np.convolve([1 - stretch, stretch], [allpass, 1.0])
    sound = lfilter([1.0, allpass], loop, excitation(pluck, length=length, period=period, rng=rng))

    sound *= pluck.amplitude / np.abs(sound).max()
    fade = min(length, round(_FADE_SECONDS * rate))
    sound[length - fade :] *= 0.5 + 0.5 * np.cos(np.pi * np.arange(1, fade + 1) / fade)
    return sound


def excitation(pluck: Pluck, *, length: int, period: float, rng: np.random.Generator) -> np.ndarray:
    """One period of noise, as dark as the touch asks, less itself where the string was plucked.

    The difference also takes its mean away, which a loop of gain 1 would never lose.
    """
    count = math.ceil(period)
    delay = max(1, round(pluck.position * period))
    noise = rng.uniform(-1.0, 1.0, count)
    dark = lfilter([pluck.brightness], [1.0, pluck.brightness - 1.0], noise)
    burst = np.zeros(max(length, count + delay))
    burst[:count] += dark
    burst[delay : delay + count] -= dark
    return burst[:length]


def loop_filter(frequency: float, decay: float, rate: int) -> tuple[float, float]:
    """(ρ, S) with which the fundamental falls by 60 dB in `decay` seconds.

    One turn must leave G = 10^(−3 / (frequency·decay)). At S = 1/2 the average leaves
    cos(ω/2): where that is too much, ρ takes the rest; where it is too little (high notes),
    ρ = 1 and S solves |1 − S + S·e^(−jω)| = G. (Jaffe and Smith 1983: "decay alteration".)

    Args:
        frequency: In Hz.
        decay: In seconds.
        rate: Samples a second.
    """
    gain = 10 ** (-3 / (frequency * decay))
    omega = 2 * math.pi * frequency / rate
    average = math.cos(omega / 2)
    if gain <= average:
        return gain / average, 0.5
    product = (1 - gain**2) / (2 * (1 - math.cos(omega)))  # S·(1 − S)
    return 1.0, (1 - math.sqrt(1 - 4 * product)) / 2


class Sines:
    """The sine waves of TimeGAN: x[t, c] = (sin(f·t + φ) + 1) / 2, f and φ ~ U(0, 0.1).

    Frequency (radians a step) and phase are drawn anew for every example and channel.

    Args:
        split: 'train' or 'test'.
        length: Time steps of an example.
        channels: Independent waves of an example.
        count: Number of examples; a larger count keeps the first ones as they are.
        seed: Of the whole set.
        cache_megabytes: Memory in which examples are kept once made.

    Raises:
        ValueError: If an argument is out of range.

    Source: Yoon, Jarrett and van der Schaar, "Time-series generative adversarial networks",
        NeurIPS 2019, section 5 and its code.
    """

    crops = False

    def __init__(
        self,
        *,
        split: str,
        length: int = 24,
        channels: int = 5,
        count: int = 10_000,
        seed: int = 0,
        cache_megabytes: float = 256,
    ):
        check_choice("split", split, SPLITS)
        check_whole("count", count)
        check_whole("seed", seed, least=0)
        self.signal = Signal(kind="series", length=length, channels=channels)
        self._entropy = (seed, SPLITS.index(split))
        self._count = count
        self._cache = BoundedCache(cache_megabytes)

    def __len__(self) -> int:
        return self._count

    def name(self, index: int) -> str:
        """`sines 12`."""
        return f"sines {index}"

    def example(self, index: int, rng: np.random.Generator | None = None) -> Example:
        """The waves of one example; `rng` is not used (nothing to crop)."""
        del rng
        return self._cache.get(index, lambda: self._make(index))

    def _make(self, index: int) -> Example:
        if not 0 <= index < self._count:
            raise IndexError(f"sines {index}: there are {self._count}")
        rng = np.random.default_rng((*self._entropy, index))
        frequency, phase = rng.uniform(0.0, 0.1, (2, self.signal.channels))
        time = np.arange(self.signal.length)[:, None]  # [length, 1]
        return ((np.sin(frequency * time + phase) + 1) / 2).astype(np.float32)
