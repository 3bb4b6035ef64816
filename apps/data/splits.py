"""One series, or ready-made windows, cut into splits that share no value of it."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy.lib.stride_tricks import sliding_window_view

from apps.data.checks import SPLITS

SPLIT_BY = ("time", "window", "none")


class Part(NamedTuple):
    """One split: its windows, where each begins in the file, and the rows they are made of."""

    windows: Float64[np.ndarray, "windows length channels"]
    starts: Sequence[int]
    rows: Float64[np.ndarray, "rows channels"]


def pieces(
    values: np.ndarray, length: int, stride: int, by: str, fraction: float
) -> Iterator[tuple[str, Float64[np.ndarray, "time channels"]]]:
    """What belongs together in time and to one split, as views that can be written."""
    if values.ndim == 3:
        yield from ((f"window {place}", window) for place, window in enumerate(values))
        return
    series = values.reshape(len(values), -1)
    if by == "window" and stride >= length:
        for start in range(0, len(series) - length + 1, stride):
            yield f"rows {start} to {start + length - 1}", series[start : start + length]
    elif by == "none":
        yield "the series", series
    elif by == "time":
        border = _border(len(series), fraction)
        yield "the training split", series[:border]
        yield "the test split", series[border:]


def _border(rows: int, fraction: float) -> int:
    """The first row of the test split."""
    return rows - round(fraction * rows)


def cut(
    series: Float64[np.ndarray, "time channels"],
    length: int,
    stride: int,
    by: str,
    fraction: float,
    seed: int,
) -> dict[str, Part]:
    """The windows of each split of one series."""
    if by == "none":
        windows = _windows(series, length, stride)
        whole = Part(windows, range(0, len(windows) * stride, stride), series)
        return dict.fromkeys(SPLITS, whole)
    if by == "window":
        if stride < length:
            raise ValueError(
                f"split_by='window' with stride={stride} below length={length}: overlapping "
                "windows would show the training split what is held out; use split_by='time' or "
                f"a stride of at least {length}"
            )
        windows = _windows(series, length, stride)
        starts = range(0, len(windows) * stride, stride)
        return pick(windows, starts, by, fraction, seed)
    border = _border(len(series), fraction)
    parts = {}
    for split, first, rows in (("train", 0, series[:border]), ("test", border, series[border:])):
        windows = _windows(rows, length, stride)
        parts[split] = Part(windows, range(first, first + len(windows) * stride, stride), rows)
    return parts


def _windows(
    rows: Float64[np.ndarray, "time channels"], length: int, stride: int
) -> Float64[np.ndarray, "windows length channels"]:
    """Every `stride`-th window, as a view that takes no memory."""
    if len(rows) < length:
        return np.empty((0, length, rows.shape[1]))
    return sliding_window_view(rows, length, axis=0)[::stride].swapaxes(1, 2)


def pick(
    windows: Float64[np.ndarray, "windows length channels"],
    starts: Sequence[int],
    by: str,
    fraction: float,
    seed: int,
) -> dict[str, Part]:
    """Each split's windows: the last ones are held out, random ones, or none at all."""
    count = len(windows)
    if by == "none":
        rows = windows.reshape(-1, windows.shape[2])
        return dict.fromkeys(SPLITS, Part(windows, starts, rows))
    order = np.arange(count) if by == "time" else np.random.default_rng(seed).permutation(count)
    held_out = min(max(1, round(fraction * count)), count)
    chosen = {
        "train": np.sort(order[: count - held_out]),
        "test": np.sort(order[count - held_out :]),
    }
    parts = {}
    for split, places in chosen.items():
        picked = windows[places]
        rows = picked.reshape(-1, picked.shape[2])
        parts[split] = Part(picked, [starts[place] for place in places], rows)
    return parts
