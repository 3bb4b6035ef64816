"""Sine waves of a few known frequencies: a toy whose right answer is known."""

import numpy as np

from apps.data.cache import BoundedCache
from apps.data.checks import SPLITS, check_choice, check_whole
from apps.data.source import Example, Signal


class Tones:
    """x[t] = a·sin(2π·f·t + φ), f being one of a few frequencies, drawn evenly.

    The frequencies are (`lowest` + k·`spacing`) / `length` cycles per sample, k from 0 to
    `modes` - 1. Phase and amplitude (0.5 to 0.9) are drawn evenly. What has learnt such a set makes
    every frequency and none between: `apps.metrics.modes` says how far it has come.

    With covariates, the amplitude is another one (0 to 0.9) from a sample on that is drawn evenly:
    the label and this course say all of an example but its phase.

    Args:
        split: 'train' or 'test'.
        length: Samples of an example.
        rate: Samples a second; None makes a series of them.
        modes: Number of frequencies.
        lowest: Cycles in an example at the lowest of them.
        spacing: Cycles in an example from one to the next.
        count: Number of examples; a larger count keeps the first ones as they are.
        seed: Of the whole set.
        labels: Whether the frequency is an example's label.
        covariates: Whether the amplitude changes, and is known at each sample.
        cache_megabytes: Memory in which examples are kept once made.

    Raises:
        ValueError: If an argument is out of range, or the highest frequency is not below half of
            the rate.
    """

    crops = False

    def __init__(
        self,
        *,
        split: str,
        length: int = 128,
        rate: int | None = 8000,
        modes: int = 8,
        lowest: float = 4.0,
        spacing: float = 4.0,
        count: int = 4096,
        seed: int = 0,
        labels: bool = False,
        covariates: bool = False,
        cache_megabytes: float = 64,
    ):
        check_choice("split", split, SPLITS)
        check_whole("modes", modes)
        check_whole("count", count)
        check_whole("seed", seed, least=0)
        for name, value in (("lowest", lowest), ("spacing", spacing)):
            if not value > 0:
                raise ValueError(f"{name}={value!r} must be above 0")
        self.frequencies = tuple((lowest + k * spacing) / length for k in range(modes))
        if self.frequencies[-1] >= 0.5:
            raise ValueError(
                f"modes={modes} from lowest={lowest:g} with spacing={spacing:g} reach "
                f"{self.frequencies[-1] * length:g} cycles in length={length} samples: stay below "
                f"{length / 2:g}"
            )
        unit, name = (length, "cycles") if rate is None else (rate, "Hz")
        names = tuple(f"{frequency * unit:g} {name}" for frequency in self.frequencies)
        self.signal = Signal(
            kind="series" if rate is None else "audio",
            length=length,
            channels=1,
            rate=rate,
            labels=names if labels else (),
            covariates=("amplitude",) if covariates else (),
        )
        self._entropy = (seed, SPLITS.index(split))
        self._count = count
        self._cache = BoundedCache(cache_megabytes)

    def __len__(self) -> int:
        return self._count

    def name(self, index: int) -> str:
        """`tones 12`."""
        return f"tones {index}"

    def label(self, index: int) -> int:
        """The place of the example's frequency among `frequencies`."""
        return int(self._generator(index).integers(len(self.frequencies)))

    def example(self, index: int, rng: np.random.Generator | None = None) -> Example:
        """The tone of one example; `rng` is not used (nothing to crop)."""
        del rng
        return self._cache.get(index, lambda: self._make(index))

    def covariates(self, index: int) -> Example:
        """The amplitude at each sample of one example."""
        return np.asarray(self._draw(index)[2], np.float32)[:, None]

    def _generator(self, index: int) -> np.random.Generator:
        if not 0 <= index < self._count:
            raise IndexError(f"tones {index}: there are {self._count}")
        return np.random.default_rng((*self._entropy, index))

    def _draw(self, index: int) -> tuple[float, float, np.ndarray | float]:
        """Frequency, phase, and the amplitude: one number, or one for each sample."""
        rng = self._generator(index)
        frequency = self.frequencies[int(rng.integers(len(self.frequencies)))]
        phase, amplitude = rng.uniform(0.0, 2 * np.pi), rng.uniform(0.5, 0.9)
        if not self.signal.covariates:
            return frequency, phase, amplitude
        length = self.signal.length
        other, change = rng.uniform(0.0, 0.9), rng.integers(length)
        return frequency, phase, np.where(np.arange(length) < change, amplitude, other)

    def _make(self, index: int) -> Example:
        frequency, phase, amplitude = self._draw(index)
        time = np.arange(self.signal.length)
        wave = amplitude * np.sin(2 * np.pi * frequency * time + phase)
        return wave.astype(np.float32)[:, None]
