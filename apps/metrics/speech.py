"""Quality and intelligibility of speech, by the packages `pesq` and `pystoi` where they are.

They are the extra `speech`: PESQ has to be compiled. What is not installed is not measured.
"""

import importlib.util
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from apps.metrics.audio import Clips, Scores, channels_first

_NARROW, _WIDE = 8_000, 16_000  # rates in Hz at which PESQ is defined
_STOI_LEAST = (256 + 29 * 128) / 10_000  # seconds: 30 frames of 256 samples at 10 kHz

Row = NDArray[np.floating[Any]]  # (length,)
Measure = Callable[[Row, Row, int], float]  # of what was made, what it should be, and their rate


def speech_scores(signal: Clips, reference: Clips, *, rate: int) -> dict[str, Scores]:
    """PESQ and STOI, each if its package is installed; higher is better.

    pesq is the mean opinion score of ITU-T P.862.1 (narrow band, at 8 kHz) of sounds of less than
    16 kHz, and of P.862.2 (wide band, at 16 kHz) of others; sounds of other rates are resampled.
    stoi is the short-time objective intelligibility of Taal et al. (2011).

    Args:
        signal: What was made.
        reference: What it should be.
        rate: Samples per second.

    Returns:
        One number per clip for each, the mean over channels. NaN says that a clip cannot be
        measured: PESQ needs a quarter of a second in which somebody speaks, STOI 0.4 s without
        the pauses.

    Raises:
        ValueError: If the shapes differ.
    """
    made, wanted = channels_first(signal, reference)
    found: dict[str, Scores] = {}
    if importlib.util.find_spec("pesq"):
        narrow = rate < _WIDE
        found["pesq"] = _each(_pesq_narrow if narrow else _pesq_wide, made, wanted, rate=rate)
    if importlib.util.find_spec("pystoi"):
        found["stoi"] = _each(_stoi, made, wanted, rate=rate)
    return found


def _each(measure: Measure, made: Clips, wanted: Clips, *, rate: int) -> Scores:
    """Of each clip the mean over its channels."""
    scores = np.empty(made.shape[:2])
    for at in np.ndindex(scores.shape):
        scores[at] = measure(made[at], wanted[at], rate)
    return scores.mean(axis=1)


def _pesq_narrow(made: Row, wanted: Row, rate: int) -> float:
    return _pesq(made, wanted, rate, to=_NARROW, mode="nb")


def _pesq_wide(made: Row, wanted: Row, rate: int) -> float:
    return _pesq(made, wanted, rate, to=_WIDE, mode="wb")


def _pesq(made: Row, wanted: Row, rate: int, *, to: int, mode: str) -> float:
    import pesq  # pyright: ignore[reportMissingImports]

    if not (made.any() and wanted.any()):  # it divides by the peak of both
        return np.nan
    # Asked for values, it raises for a fault of ours alone, not for a clip.
    first, second = (soxr.resample(row, rate, to) for row in (wanted, made))
    score = pesq.pesq(to, first, second, mode, on_error=pesq.PesqError.RETURN_VALUES)
    return float(score) if score > 0 else np.nan


def _stoi(made: Row, wanted: Row, rate: int) -> float:
    import pystoi  # pyright: ignore[reportMissingImports]

    if len(wanted) < _STOI_LEAST * rate or not wanted.any():
        return np.nan
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Not enough STFT frames", category=RuntimeWarning)
        try:
            return float(pystoi.stoi(wanted, made, rate))  # which resamples as the original does
        except RuntimeWarning:
            return np.nan
