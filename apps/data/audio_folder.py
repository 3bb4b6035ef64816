"""A folder of recordings: every usable sound file below it is one record."""

import hashlib
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from apps.data.audio import (
    AudioInfo,
    Samples,
    check_channels,
    read_crop,
    read_frames,
    resample,
    resampled_length,
)
from apps.data.cache import BoundedCache
from apps.data.checks import (
    SPLITS,
    FileError,
    check_choice,
    check_fraction,
    check_positive,
    check_whole,
)
from apps.data.index import Finding, findings
from apps.data.labels import classes, labels_of
from apps.data.listing import Bad, first, list_sounds
from apps.data.source import Example, Signal

_LISTED = 20  # bad files named in one message; the rest is counted
_LONGEST_KEPT = 600  # seconds: the first crop of a longer file would wait for all of it
_SILENCE = 2.0**-24  # a peak below one step of 24 bits is not raised to full level
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class _File:
    """One usable file: its path below the root, what it holds, and whether it is kept whole."""

    name: str
    info: AudioInfo
    samples: int  # at the source's rate
    kept: bool


class AudioFolder:
    """Crops of the sound files in a folder and the folders below it.

    Tried is every file with an ending of sound, by content whatever it is called. Passed over
    are hidden files and folders (a leading dot) and all other endings; sound in formats that
    are not supported (m4a, aac, …) counts as bad. Links are followed, each folder once.

    The files of the split are read from end to end when the source is made for the first time:
    those that cannot be opened, are cut off, empty, damaged, not finite, or cannot be mixed are
    bad. What was found is kept in the user's cache folder, and a file is read through again only
    when its size or date changes.

    A training example is a crop at a uniformly random place, of one file, however long it is.
    The fixed example is the first `length` samples. Shorter files are followed by zeros.

    Files of up to ten minutes are kept in memory, decoded and resampled, the shortest first,
    until `cache_megabytes` are planned for; of the others only the frames of a crop are read.

    Args:
        root: The folder.
        split: 'train' or 'test'.
        length: Samples of an example, at `rate`.
        rate: Samples a second to which files are resampled; None keeps their own, which then
            must be one and the same.
        channels: 1 mixes all channels of a file (their mean); any other number must be the
            file's own.
        peak: Each file is scaled to this largest magnitude (of its mix, before resampling);
            silence stays as it is. None leaves the levels as recorded.
        on_bad: 'skip' leaves bad files out and logs a warning with their names; 'refuse' stops.
        test_pattern: Regular expression, searched for in each file's path below the root (with
            forward slashes): a match is a test file.
        test_fraction: Without a pattern, the part of the files held out for test, chosen by a
            hash of seed and path, so that new files do not move old ones; at least one.
        seed: Of that choice.
        labels: What class a file belongs to: 'folder', the name of the folder it lies in; or a
            regular expression, searched for in its path below the root, whose first group is the
            name. Both splits number the classes alike. None has no classes.
        cache_megabytes: Memory for decoded files.

    Attributes:
        bad: (name, reason) of every file left out.

    Raises:
        ValueError: If an argument is out of range, the folder is missing or holds no usable file
            for this split, rates differ without `rate`, a file has no label though `labels` asks
            for one, or a file is bad and on_bad='refuse'.
    """

    crops = True

    def __init__(
        self,
        *,
        root: str | os.PathLike[str],
        split: str,
        length: int,
        rate: int | None = None,
        channels: int = 1,
        peak: float | None = 0.9,
        on_bad: str = "skip",
        test_pattern: str | None = None,
        test_fraction: float = 0.1,
        seed: int = 0,
        labels: str | None = None,
        cache_megabytes: float = 512,
    ):
        check_choice("split", split, SPLITS)
        check_choice("on_bad", on_bad, ("skip", "refuse"))
        check_whole("length", length)
        check_whole("channels", channels)
        check_whole("seed", seed, least=0)
        if rate is not None:
            check_whole("rate", rate)
        if peak is not None:
            check_positive("peak", peak)
        cache = BoundedCache(cache_megabytes)

        self._root = Path(root).expanduser()
        stamps, bad = list_sounds(self._root)
        names = list(stamps)
        chosen = set(_test_names(self._root, names, test_pattern, test_fraction, seed))
        own = [name for name in names if (name in chosen) == (split == "test")]
        self._labels = {} if labels is None else labels_of(self._root, names, labels)
        # Without a rate the files of the other split have a say in it.
        found = findings(self._root, stamps, names if rate is None else own)
        if rate is None:
            rate = _common_rate(self._root, found)
        good, unfit = _fitting(found, own, rate=rate, channels=channels)
        self.bad = tuple(sorted(bad + unfit))
        _report(self._root, self.bad, len(names), on_bad)
        if not good:
            raise ValueError(
                f"{self._root}: none of the {len(own)} {split} files can be used"
                + (
                    first(self.bad)
                    if own
                    else ": hold fewer out for test, by test_fraction or test_pattern"
                )
            )
        self.signal = Signal(
            kind="audio",
            length=length,
            channels=channels,
            rate=rate,
            labels=classes(self._labels.values()),
        )
        self._rate = rate
        self._peak = peak
        self._cache = cache
        self._files = _plan(good, rate=rate, channels=channels, budget=cache.budget)

    def __len__(self) -> int:
        return len(self._files)

    def name(self, index: int) -> str:
        """The file's path below the root, with forward slashes."""
        return self._files[index].name

    def label(self, index: int) -> int:
        """The place of the file's class among the signal's `labels`."""
        return self.signal.labels.index(self._labels[self.name(index)])

    def example(self, index: int, rng: np.random.Generator | None) -> Example:
        """A crop of a file, at a random place (`rng`) or from its beginning (None)."""
        file, length = self._files[index], self.signal.length
        spare = file.samples - length
        start = 0 if rng is None or spare <= 0 else int(rng.integers(spare + 1))
        crop = self._crop(index, start)
        if len(crop) == length:
            return crop
        return np.pad(crop, ((0, length - len(crop)), (0, 0)))

    def _crop(self, index: int, start: int) -> Samples:
        """At most `length` samples; which way they are read depends on the folder alone.

        Were it to depend on what happens to be in memory, a resumed run would not repeat the
        whole run's bits.
        """
        file, length = self._files[index], self.signal.length
        if file.kept:
            whole = self._cache.get(index, lambda: self._whole(file))
            return whole[start : start + length]
        return self._level(
            file,
            read_crop(
                self._root / file.name,
                file.info,
                start=start,
                length=min(length, file.samples - start),
                rate=self._rate,
                channels=self.signal.channels,
            ),
        )

    def _whole(self, file: _File) -> Samples:
        samples = read_frames(
            self._root / file.name, start=0, count=file.info.frames, channels=self.signal.channels
        )
        return self._level(file, resample(samples, file.info.rate, self._rate))

    def _level(self, file: _File, samples: Samples) -> Samples:
        own = file.info.peak_of(self.signal.channels)
        if self._peak is None or own < _SILENCE:
            return samples
        return samples * np.float32(self._peak / own)


def _fitting(
    found: Mapping[str, Finding], names: Sequence[str], *, rate: int, channels: int
) -> tuple[list[tuple[str, AudioInfo]], list[Bad]]:
    """The files that can be used as asked, and those that cannot."""
    good: list[tuple[str, AudioInfo]] = []
    bad: list[Bad] = []
    for name in names:
        finding = found[name]
        try:
            if isinstance(finding, FileError):
                raise finding
            check_channels(name, finding.channels, channels)
            if resampled_length(finding.frames, finding.rate, rate) == 0:
                raise FileError(
                    name, f"its {finding.frames} frames make not one sample at {rate} Hz"
                )
        except FileError as error:
            bad.append((name, error.reason))
        else:
            good.append((name, finding))
    return good, bad


def _test_names(
    root: Path, names: Sequence[str], pattern: str | None, fraction: float, seed: int
) -> list[str]:
    """The names held out for test, whichever split is being made."""
    if pattern is not None:
        try:
            rule = re.compile(pattern)
        except re.error as error:
            raise ValueError(
                f"test_pattern={pattern!r} is not a regular expression: {error}"
            ) from error
        chosen = [name for name in names if rule.search(name)]
        if not chosen:
            raise ValueError(
                f"test_pattern={pattern!r} matches none of the {len(names)} files in {root}, "
                f"of which the first is {names[0]!r}"
            )
        return chosen
    check_fraction("test_fraction", fraction)
    if len(names) == 1:
        raise ValueError(
            f"{root} holds one sound file, {names[0]!r}, and whole files are held out for test: "
            "cut it into two or more"
        )
    ranks = {name: _hash(seed, name) for name in names}
    chosen = [name for name in names if ranks[name] < fraction]
    return chosen or [min(names, key=ranks.__getitem__)]


def _hash(seed: int, name: str) -> float:
    """A number in [0, 1) that depends on seed and name only, on every machine and Python."""
    digest = hashlib.blake2b(f"{seed}:{name}".encode("utf-8", "surrogateescape"), digest_size=8)
    return int.from_bytes(digest.digest(), "big") / 2**64


def _common_rate(root: Path, found: Mapping[str, Finding]) -> int:
    """The rate that all files of both splits have; those that cannot be used have no say."""
    holders: dict[int, str] = {}
    bad: list[Bad] = []
    for name, finding in found.items():
        if isinstance(finding, FileError):
            bad.append((name, finding.reason))
        else:
            holders.setdefault(finding.rate, name)
    if not holders:
        raise ValueError(f"{root}: none of the {len(found)} sound files can be used{first(bad)}")
    if len(holders) > 1:
        rates = ", ".join(f"{rate} Hz ({name})" for rate, name in sorted(holders.items()))
        raise ValueError(f"{root} holds files of different rates: {rates}: choose one with rate=")
    return next(iter(holders))


def _report(root: Path, bad: Sequence[tuple[str, str]], tried: int, on_bad: str) -> None:
    if not bad:
        return
    lines = [f"  {name}: {reason}" for name, reason in bad[:_LISTED]]
    if len(bad) > _LISTED:
        lines.append(f"  and {len(bad) - _LISTED} more")
    listing = "\n".join(lines)
    files = "1 file" if len(bad) == 1 else f"{len(bad)} files"
    if on_bad == "refuse":
        raise ValueError(
            f"{root}: {files} cannot be used (on_bad='skip' leaves them out):\n{listing}"
        )
    _LOG.warning("%s: %s left out, of %d tried:\n%s", root, files, tried, listing)


def _plan(
    found: Sequence[tuple[str, AudioInfo]], *, rate: int, channels: int, budget: int
) -> list[_File]:
    """Which files are kept whole: the shortest first, as many as the budget holds."""
    sizes = [resampled_length(info.frames, info.rate, rate) for _, info in found]
    kept = set()
    for place in sorted(range(len(sizes)), key=lambda place: (sizes[place], place)):
        budget -= sizes[place] * channels * np.dtype(np.float32).itemsize
        if budget < 0 or sizes[place] > _LONGEST_KEPT * rate:
            break
        kept.add(place)
    return [
        _File(name, info, size, place in kept)
        for place, ((name, info), size) in enumerate(zip(found, sizes, strict=True))
    ]
