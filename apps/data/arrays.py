"""Time series from one file: ready-made windows, or one long series to be windowed."""

import logging
import os
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from apps.data.array_files import read_labels, read_table
from apps.data.checks import SPLITS, FileError, check_choice, check_fraction, check_whole
from apps.data.columns import divided
from apps.data.csv_files import AUTO
from apps.data.dates import Dates
from apps.data.labels import classes
from apps.data.missing import CHOICES, WhollyMissingError, interpolate
from apps.data.notices import tell_once
from apps.data.scaling import Scaling
from apps.data.source import Example, Signal
from apps.data.splits import SPLIT_BY, Part, cut, pick, pieces
from apps.data.table import Table

_NOTHING_HELD_OUT = (
    "nothing is held out, the test split is all that is trained on, and no score tells memory "
    "from skill"
)
_LOG = logging.getLogger(__name__)


class Arrays:
    """Windows of an array file, scaled by what the training split holds.

    An array [N, L, C] is N ready-made windows. An array [T, C] or [T], or a csv or parquet with a
    row for each time step, is one series, cut into windows of `length` at every `stride`-th step.
    A column of dates is kept aside and names the windows; no model sees it.

    Except by 'none', the splits never share a value of one series:

    - by 'time' the last `test_fraction` of the rows is the test split, and windows are cut from
      each part on its own (ready-made windows: the last ones);
    - by 'window' a random `test_fraction` of the windows is. For one series this is refused if
      stride < length, since its windows then overlap. Ready-made windows are taken as they are:
      if their maker let them overlap, neither way can undo it;
    - by 'none' both splits are all there is: nothing is held out, and a line is logged that says
      so. So the published tables of generated series are made, whose scores compare sets.

    Columns can be covariates: what is known at each step and given to a model, not made by it.
    They are scaled as the rest is, and are no channels of the signal. Ready-made windows can have
    labels; what is known of a part of a long series is a covariate.

    Args:
        path: `.npy`, `.npz`, `.csv` or `.parquet`.
        split: 'train' or 'test'.
        key: Which array of an npz; None takes the only one.
        length: Time steps of a window; ready-made windows have their own, and may only repeat it.
        stride: Time steps from one window's beginning to the next one's.
        scaling: 'min-max' (to [0, 1]), 'standard' (mean 0, deviation 1), 'robust' (median 0,
            interquartile range 1) or 'none', channel by channel, fitted on the training split;
            test values may lie outside.
        split_by: 'time', 'window' or 'none'; None means by time for one series, by window for
            ready-made ones.
        missing: 'refuse' what is missing (NaN; in a csv also an empty cell, NA, null or ?), or
            'interpolate' it in time, channel by channel: along the series but never from one
            split into the other, or within each window where windows are split or ready-made.
            The first and the last value are carried to the ends. A line is logged that says how
            many values were filled in.
        test_fraction: The part held out; by 'none' it has no use.
        seed: Of the random choice.
        date_column: The name of a column of dates; 'auto' takes the first one if it holds dates,
            None has none. Dates that fall are turned around, so that the last part is the newest.
        newest_first: The same for one series without dates, of which nothing says so.
        covariates: Columns that are given and not made: by name, or by number from 1.
        labels: Which array of an npz has the class of each ready-made window, a whole number or
            word each; None has none.

    Raises:
        FileError: If the file cannot be read, has not two or three axes, has missing values that
            are refused or cannot be interpolated, no such columns or no such labels.
        ValueError: If an argument is out of range, or a split would hold no window.
    """

    crops = False

    def __init__(
        self,
        *,
        path: str | os.PathLike[str],
        split: str,
        key: str | None = "data",
        length: int | None = None,
        stride: int = 1,
        scaling: str = "min-max",
        split_by: str | None = None,
        missing: str = "refuse",
        test_fraction: float = 0.1,
        seed: int = 0,
        date_column: str | None = AUTO,
        newest_first: bool = False,
        covariates: Sequence[str | int] = (),
        labels: str | None = None,
    ):
        check_choice("split", split, SPLITS)
        check_fraction("test_fraction", test_fraction)
        check_whole("stride", stride)
        check_whole("seed", seed, least=0)
        if length is not None:
            check_whole("length", length)
        if split_by is not None:
            check_choice("split_by", split_by, SPLIT_BY)
        check_choice("missing", missing, CHOICES)
        if split_by == "none":
            tell_once(_LOG, f"{path}: data.split_by=none: {_NOTHING_HELD_OUT}")
        table = read_table(
            path,
            key=key,
            beside=labels,
            keep_missing=True,
            date_column=date_column,
            newest_first=newest_first,
        )
        values, rank = table.values, table.values.ndim
        length = _window_length(path, values, length)
        by = split_by or ("window" if rank == 3 else "time")
        if gaps := table.missing():
            if missing == "refuse":
                raise FileError(path, f"{gaps}; data.missing=interpolate fills in what is missing")
            _fill(path, table, list(pieces(values, length, stride, by, test_fraction)))
        if rank == 3:
            parts = pick(values, range(len(values)), by, test_fraction, seed)
        else:
            series = values.reshape(len(values), -1)  # [time, channels]
            parts = cut(series, length, stride, by, test_fraction, seed)
        _check_parts(path, parts, values, length, stride, test_fraction)
        self._columns = divided(path, table, covariates)
        self._labels = None if labels is None else _labels(path, labels, values)
        rows = parts["train"].rows
        self._made = self._columns.made if covariates else slice(None)  # which copies nothing
        self._scaling = Scaling.fit(scaling, rows[:, self._made])
        given = self._columns.given
        self._given_scaling = Scaling.fit(scaling, rows[:, given]) if given else None
        self._windows, self._starts = parts[split].windows, parts[split].starts
        self._dates = table.dates
        self._label = f"{os.path.basename(path)} {'window' if rank == 3 else 'row'}"
        self.signal = Signal(
            kind="series",
            length=self._windows.shape[1],
            channels=len(self._columns.made),
            scaling=None if scaling == "none" else self._scaling,
            columns=tuple(table.columns[place] for place in self._columns.made if table.columns),
            labels=classes(self._labels or ()),
            covariates=self._columns.names,
            covariate_scaling=None if scaling == "none" else self._given_scaling,
        )

    def __len__(self) -> int:
        return len(self._starts)

    def name(self, index: int) -> str:
        """`stock.npz window 7`, or `stock.csv row 7` by the window's first row; from 0.

        With dates, `stock.csv row 7, 2024-01-31`; rows are counted in time order.
        """
        start = self._starts[index]
        when = "" if self._dates is None else f", {self._dates.texts[start]}"
        return f"{self._label} {start}{when}"

    def dates(self, index: int) -> Dates | None:
        """When the rows of one window were, where the file says it."""
        start = self._starts[index]
        return self._dates and self._dates.part(slice(start, start + self.signal.length))

    def example(self, index: int, rng: np.random.Generator | None = None) -> Example:
        """One window, scaled; `rng` is not used (nothing to crop)."""
        del rng
        window = self._windows[index][:, self._made]
        return self._scaling.scale(window).astype(np.float32)

    def covariates(self, index: int) -> Example:
        """What is given at each step of one window, scaled."""
        assert self._given_scaling is not None
        window = self._windows[index][:, self._columns.given]
        return self._given_scaling.scale(window).astype(np.float32)

    def label(self, index: int) -> int:
        """The place of one window's class among the signal's labels."""
        assert self._labels is not None
        return self.signal.labels.index(self._labels[self._starts[index]])


def _labels(path: str | os.PathLike[str], key: str, values: np.ndarray) -> tuple[str, ...]:
    if values.ndim != 3:
        raise FileError(
            path,
            f"labels={key!r} are of ready-made windows, and this is one long series: what is "
            "known of a part of it is a column, for data.covariates",
        )
    return read_labels(path, key=key, count=len(values))


def _window_length(path: str | os.PathLike[str], values: np.ndarray, length: int | None) -> int:
    if values.ndim == 3:
        own = int(values.shape[1])
        if length not in (None, own):
            raise ValueError(
                f"length={length}: the windows in {path} are {own} long; leave length out"
            )
        return own
    if values.ndim not in (1, 2):
        raise FileError(
            path,
            f"has {values.ndim} axes; [windows, length, channels] or [time, channels] is meant",
        )
    if length is None:
        raise ValueError(f"{path} is one long series: give the windows' length=")
    return length


def _fill(
    path: str | os.PathLike[str],
    table: Table,
    pieces: Sequence[tuple[str, Float64[np.ndarray, "time channels"]]],
) -> None:
    """Interpolate the table's values where they stand, and say so."""
    try:
        filled = interpolate(pieces)
    except WhollyMissingError as error:
        raise FileError(
            path,
            f"{table.column(error.channel)} has no value in {error.where}, and nothing to "
            "interpolate: leave that column or that part out",
        ) from error
    if filled:
        values = f"{filled:,} of {table.values.size:,} values"
        tell_once(_LOG, f"{path}: {values} were missing and are interpolated")


def _check_parts(
    path: str | os.PathLike[str],
    parts: dict[str, Part],
    values: np.ndarray,
    length: int,
    stride: int,
    fraction: float,
) -> None:
    for split in SPLITS:
        if len(parts[split].starts) == 0:
            unit = "windows" if values.ndim == 3 else "rows"
            raise ValueError(
                f"{path}: no window for the {split} split: {len(values)} {unit}, length={length}, "
                f"stride={stride}, test_fraction={fraction}; take a shorter length or another "
                "fraction"
            )
