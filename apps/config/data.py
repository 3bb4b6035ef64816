"""What can be set of the data: one schema for each kind."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from apps.schema import ConfigError, above, at_least, below, between


@dataclass(frozen=True, kw_only=True)
class Plucks:
    """Plucked strings after Karplus and Strong, made on the fly.

    Attributes:
        kind: chooses this data
        length: samples per record
        rate: samples per second, Hz
        count: records of the training split; the test split has as many of its own
        seed: chooses the records, apart from train.seed
        lowest: the lowest note, MIDI number; 45 is A2, 110 Hz
        highest: the highest note, MIDI number; 69 is A4, 440 Hz
        hiss: standard deviation of the noise floor; full scale is 1
    """

    kind: Literal["plucks"] = "plucks"
    length: int = 4096
    rate: int = 8000
    count: int = 2048
    seed: int = 0
    lowest: int = 45
    highest: int = 69
    hiss: float = 2e-3

    def __post_init__(self) -> None:
        at_least(1, self, "data", "length", "rate", "count")
        at_least(0, self, "data", "seed")
        between(0, 127, self, "data", "lowest", "highest")
        between(0, 1, self, "data", "hiss")


@dataclass(frozen=True, kw_only=True)
class Sines:
    """Sine waves of random frequency and phase in every channel (the recipe of TimeGAN).

    Attributes:
        kind: chooses this data
        length: samples per record
        channels: sines per record
        count: records of the training split; the test split has as many of its own
        seed: chooses the records, apart from train.seed
    """

    kind: Literal["sines"] = "sines"
    length: int = 24
    channels: int = 5
    count: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        at_least(1, self, "data", "length", "channels", "count")
        at_least(0, self, "data", "seed")


@dataclass(frozen=True, kw_only=True)
class Tones:
    """Sine waves of a few known frequencies: a toy whose right answer is known.

    Attributes:
        kind: chooses this data
        length: samples per record
        rate: samples per second, Hz; null makes a series of them
        modes: how many frequencies there are
        lowest: cycles in a record at the lowest of them
        spacing: cycles in a record from one to the next
        count: records of the training split; the test split has as many of its own
        seed: chooses the records, apart from train.seed
        labels: frequency takes that of each record as its label; null has none
        covariates: amplitude takes its course as what is known at every sample, a level that
            changes once, suddenly; null keeps it the same all through, and tells nobody
    """

    kind: Literal["tones"] = "tones"
    length: int = 128
    rate: int | None = 8000
    modes: int = 8
    lowest: float = 4.0
    spacing: float = 4.0
    count: int = 4096
    seed: int = 0
    labels: Literal["frequency"] | None = None
    covariates: Literal["amplitude"] | None = None

    def __post_init__(self) -> None:
        at_least(1, self, "data", "length", "rate", "modes", "count")
        above(0, self, "data", "lowest", "spacing")
        at_least(0, self, "data", "seed")
        highest = self.lowest + (self.modes - 1) * self.spacing
        if highest >= self.length / 2:
            raise ConfigError(
                f"data.modes={self.modes} reach {highest:g} cycles in data.length={self.length} "
                f"samples; stay below {self.length / 2:g}, by fewer modes or a smaller spacing"
            )


@dataclass(frozen=True, kw_only=True)
class AudioFolder:
    """Your recordings: every audio file under a folder.

    Attributes:
        kind: chooses this data
        root: the folder, searched with all its sub-folders
        length: samples per training crop
        rate: samples per second, Hz, to which files are resampled; null keeps theirs, if all agree
        channels: 1 mixes every file down to mono; otherwise files must have as many
        on_bad: what to do with a file that cannot be used, skip (and say so) or refuse to start
        test_pattern: regular expression; files in whose path it is found are the test split
        test_fraction: share of files in the test split where there is no test_pattern
        seed: chooses that share
        peak: every file is scaled to this peak, 0 to 1; null leaves files as loud as they are
        labels: folder takes each file's folder as its label, a regular expression what its first
            group finds in the path; null has none
    """

    kind: Literal["audio_folder"] = "audio_folder"
    root: Path
    length: int = 16_384
    rate: int | None = None
    channels: int = 1
    on_bad: Literal["skip", "refuse"] = "skip"
    test_pattern: str | None = None
    test_fraction: float = 0.1
    seed: int = 0
    peak: float | None = 0.9
    labels: str | None = None

    def __post_init__(self) -> None:
        at_least(1, self, "data", "length", "rate", "channels")
        at_least(0, self, "data", "seed")
        above(0, self, "data", "test_fraction", "peak")
        below(1, self, "data", "test_fraction")
        between(0, 1, self, "data", "peak")
        for name, pattern in (("test_pattern", self.test_pattern), ("labels", self.labels)):
            try:
                groups = re.compile(pattern or "").groups
            except re.error as error:
                raise ConfigError(
                    f"data.{name} is not a regular expression, {pattern!r}: {error}"
                ) from error
            if name == "labels" and pattern not in (None, "folder") and not groups:
                raise ConfigError(
                    f"data.labels must be folder or a regular expression with a group, such as "
                    f"([0-9])_, got {pattern!r}"
                )


@dataclass(frozen=True, kw_only=True)
class Arrays:
    """Your arrays: records [N, L, C], or one long series [T, C] that is cut into windows.

    Attributes:
        kind: chooses this data
        path: the file, npy, npz, csv or parquet
        key: which array of an npz file; null takes the only one
        length: samples per window of a long series; null takes records as they are
        stride: samples from one window to the next
        scaling: how channels are scaled, by what the training split holds, to 0 to 1 (min-max), by
            mean and deviation (standard), or by median and quartiles (robust)
        split_by: by time the last part is the test split, by window a random one; none holds
            nothing out, so that both splits are everything; null decides
        missing: values that are missing, NaN or an empty cell, are refused, or interpolated in time
        test_fraction: share of the records in the test split
        seed: chooses that share
        date_column: the column of a csv or parquet that holds dates, which is kept aside; auto
            takes the first if it holds dates, null has none
        newest_first: whether a long series without dates begins with its newest row
        covariates: columns that are known at every step and given to the model, not made by it: by
            name, or by number from 1
        labels: which array of an npz file has the class of each record, a whole number or word;
            null has none
    """

    kind: Literal["arrays"] = "arrays"
    path: Path
    key: str | None = None
    length: int | None = None
    stride: int = 1
    scaling: Literal["min-max", "standard", "robust", "none"] = "min-max"
    split_by: Literal["time", "window", "none"] | None = None
    missing: Literal["refuse", "interpolate"] = "refuse"
    test_fraction: float = 0.1
    seed: int = 0
    date_column: str | None = "auto"
    newest_first: bool = False
    covariates: tuple[str | int, ...] = ()
    labels: str | None = None

    def __post_init__(self) -> None:
        at_least(1, self, "data", "length", "stride")
        at_least(0, self, "data", "seed")
        above(0, self, "data", "test_fraction")
        below(1, self, "data", "test_fraction")
