"""Weight normalisation in numpy, over the first axis, in double precision."""

from typing import Any

import numpy as np


def norms(rows: np.ndarray) -> np.ndarray:
    """The norm of each row, which neither overflows nor vanishes on the way."""
    flat = np.abs(wide(rows)).reshape(len(rows), -1)
    largest = flat.max(axis=1, keepdims=True)
    largest[largest == 0] = 1
    return largest[:, 0] * np.sqrt(np.sum(np.square(flat / largest), axis=1))


def zero_rows(rows: np.ndarray) -> list[int]:
    """Which rows have no direction."""
    return np.flatnonzero(norms(rows) == 0).tolist()


def folded(direction: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """``g v / ‖v‖``."""
    return wide(direction) * _column(wide(gain) / norms(direction), direction)


def unfolded(weight: np.ndarray, dtype: Any, limits: Any) -> tuple[np.ndarray, np.ndarray]:
    """A direction and a gain that give ``weight`` again: the weight itself and its norms.

    The square of a norm must be a normal number of ``dtype``, of which ``limits`` is the finfo.
    Where it would not be, the direction is one of length 1; that of a row of zeros is constant.
    """
    gain = norms(weight)
    low, high = np.sqrt(float(limits.tiny) / float(limits.eps)), np.sqrt(float(limits.max))
    lost = (gain < low) | (gain > high)
    direction = weight.copy()
    if lost.any():
        some = wide(weight[lost])
        some[gain[lost] == 0] = 1
        direction[lost] = (some / _column(norms(some), some)).astype(dtype)
    return direction, gain


def wide(array: np.ndarray) -> np.ndarray:
    """The array in double precision."""
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def _column(row: np.ndarray, like: np.ndarray) -> np.ndarray:
    return row.reshape(-1, *(1 for _ in like.shape[1:]))
