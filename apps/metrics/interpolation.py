"""What raising the rate of a series without learning gives: the errors that a model has to beat.

Arrays are (series, length, variables). A sample i of the low rate stands at sample
`factor·i + offset` of the high one: 0 for every so many-th sample, (factor - 1)/2 for means of
blocks, which stand in the middle of theirs. Before the first and after the last of them linear and
cubic go on with its value: a cubic that is continued beyond its knots runs away.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.signal import resample

from apps.metrics import series
from apps.metrics.series import Scores, Series


def linear(low: Series, *, factor: int, length: int, offset: float) -> NDArray[np.float64]:
    """On straight lines (`numpy.interp`).

    Args:
        low: At the low rate.
        factor: Of the rates.
        length: Samples to make.
        offset: Where the first sample of the low rate stands, in samples of the high one.
    """
    known, wanted = _places(low, factor=factor, length=length, offset=offset)
    rows = np.asarray(low, np.float64)
    return np.stack(
        [np.stack([np.interp(wanted, known, variable) for variable in row.T], 1) for row in rows]
    )


def cubic(low: Series, *, factor: int, length: int, offset: float) -> NDArray[np.float64]:
    """By cubic splines without knots at their last but one points (`scipy`'s default).

    Args:
        low: At the low rate.
        factor: Of the rates.
        length: Samples to make.
        offset: Where the first sample of the low rate stands, in samples of the high one.
    """
    known, wanted = _places(low, factor=factor, length=length, offset=offset)
    rows = np.asarray(low, np.float64)
    if len(known) == 1:
        return np.repeat(rows, length, axis=1)
    return CubicSpline(known, rows, axis=1)(np.clip(wanted, known[0], known[-1]))


def fourier(low: Series, *, factor: int, length: int, offset: float) -> NDArray[np.float64]:
    """By the spectrum of the series as one period of itself (`scipy.signal.resample`).

    Args:
        low: At the low rate.
        factor: Of the rates.
        length: Samples to make.
        offset: Where the first sample of the low rate stands, in samples of the high one.
    """
    rows = np.asarray(low, np.float64)
    count = factor * rows.shape[1]
    made: NDArray[np.float64] = resample(rows, count, axis=1)  # pyright: ignore[reportAssignmentType]
    if offset:
        turns = np.fft.rfftfreq(count)[None, :, None] * offset
        made = np.fft.irfft(np.fft.rfft(made, axis=1) * np.exp(-2j * np.pi * turns), count, axis=1)
    return made[:, :length]


METHODS: dict[str, Callable[..., NDArray[np.float64]]] = {
    "linear": linear,
    "cubic": cubic,
    "fourier": fourier,
}


def errors(
    low: Series, wanted: Series, *, factor: int, offset: float
) -> dict[str, tuple[Scores, Scores, NDArray[np.float64]]]:
    """How far each method is from what it should make.

    Args:
        low: At the low rate.
        wanted: At the high rate.
        factor: Of the rates.
        offset: Where the first sample of the low rate stands, in samples of the high one.

    Returns:
        By method: mean absolute and root mean square error of each series, and the mean square of
        each variable of each series.
    """
    found = {}
    for name, method in METHODS.items():
        made = method(low, factor=factor, length=wanted.shape[1], offset=offset)
        found[name] = (
            series.mean_absolute_error(made, wanted),
            series.root_mean_square_error(made, wanted),
            squares(made, wanted),
        )
    return found


def squares(made: Series, wanted: Series) -> NDArray[np.float64]:
    """The mean square of the difference over time, for each variable of each series."""
    difference = np.asarray(made, np.float64) - np.asarray(wanted, np.float64)
    return np.square(difference).mean(axis=1)


def ratio(made: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """The root mean square error as a multiple of another method's, of all series.

    Variable by variable, then the geometric mean: variables of any unit count alike.

    Args:
        made: Mean squares, as `squares` gives them.
        other: Those of the other method. Variables in which it makes no error are left out.
    """
    ours, theirs = (np.sqrt(each.mean(axis=0)) for each in (made, other))
    counted = theirs > 0
    if not counted.any():
        return 1.0
    tiny = np.finfo(np.float64).tiny
    return float(np.exp(np.log(np.maximum(ours, tiny)[counted] / theirs[counted]).mean()))


def _places(
    low: Series, *, factor: int, length: int, offset: float
) -> tuple[NDArray[Any], NDArray[Any]]:
    return factor * np.arange(np.shape(low)[1]) + offset, np.arange(length)
