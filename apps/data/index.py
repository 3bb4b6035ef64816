"""What the files of a folder were found to hold, remembered between starts.

Looking through 10⁵ files takes half a minute or hours, by their length. A file whose size and
date are what they were is not looked through again.
"""

import contextlib
import functools
import hashlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Collection, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from pathlib import Path
from typing import TypeAlias

import soundfile

from apps.data.audio import AudioInfo, examine
from apps.data.checks import FileError, UnopenedError, why
from apps.data.listing import Stamp
from apps.data.notices import tell_once
from apps.user_cache import user_cache

Finding: TypeAlias = AudioInfo | FileError
"""What a file holds, or why it cannot be used."""

_FORMAT = 1  # another one whenever `examine` finds other faults than before
_MOST_THREADS = 8
_AT_ONCE = 1024  # files handed to the threads together: the rest of 10⁵ waits outside of memory
_TELL_EVERY = 5.0  # seconds between two lines of progress
_SAVE_EVERY = 60.0  # seconds of work that a kill may undo
# Written twice within one tick of the file system's clock, a file could change and keep its
# stamp; the coarsest tick is that of FAT. So young files are looked through again.
_TICK = 2_000_000_000
_LOG = logging.getLogger(__name__)


def findings(
    root: Path, stamps: Mapping[str, Stamp | None], wanted: Collection[str]
) -> dict[str, Finding]:
    """What each of the wanted files holds; only those are opened that are new or were changed.

    What is found is kept in the user's cache folder. If that cannot be written there is one
    warning, and the next start looks again.

    Args:
        root: The folder.
        stamps: All its files, by name below it.
        wanted: Names among them.
    """
    index = _Index(root, stamps)
    found = {name: known for name in wanted if (known := index.known(name)) is not None}
    fresh = [name for name in wanted if name not in found]
    told = time.monotonic()
    try:
        with contextlib.closing(_examined(root, fresh)) as examined:
            for name, finding in examined:
                found[name] = finding
                index.keep(name, finding)
                if time.monotonic() - told > _TELL_EVERY and len(found) < len(wanted):
                    told = time.monotonic()
                    _LOG.warning(
                        "%s: examined %s of %s files; the next start remembers them",
                        root, f"{len(found):,}", f"{len(wanted):,}"
                    )  # fmt: skip
    finally:
        index.save()
    return found


def _examined(root: Path, names: Sequence[str]) -> Generator[tuple[str, Finding], None, None]:
    """Look through files, in order; several at once, since decoding leaves Python free."""
    look = functools.partial(_examine, os.fspath(root))
    pool = ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1))
    try:
        for at in range(0, len(names), _AT_ONCE):
            some = names[at : at + _AT_ONCE]
            yield from zip(some, pool.map(look, some), strict=True)
    finally:
        pool.shutdown(cancel_futures=True)  # whoever breaks this off waits for none to begin


def _examine(root: str, name: str) -> Finding:
    try:
        return examine(os.path.join(root, name))
    except FileError as error:
        return error


class _Index:
    """The findings of one folder, on the disk.

    Two lines: a header with a digest of the second, and the findings as JSON. What is damaged, or
    of another folder, format or libsndfile (another one may read more), is as good as absent.
    """

    def __init__(self, root: Path, stamps: Mapping[str, Stamp | None]) -> None:
        self._root, self._stamps = root.resolve(), stamps
        self._now = time.time_ns()
        self._saved_at = time.monotonic()
        try:
            self._path: Path | None = user_cache("recordings") / f"{_name(self._root)}.json"
        except OSError as error:
            tell_once(_LOG, f"what is found in sound files is not kept: {why(error)}")
            self._path = None
        kept = {} if self._path is None else _read(self._path, self._head())
        # Of files that are gone or were changed, nothing is known any more.
        self._rows = {name: row for name, row in kept.items() if self._holds(name, row)}
        self._dirty = len(self._rows) < len(kept)

    def known(self, name: str) -> Finding | None:
        """What was found in a file, if it is still what it was."""
        row = self._rows.get(name)
        if row is None:
            return None
        held = row[2:]
        return FileError(self._root / name, held[0]) if len(held) == 1 else AudioInfo(*held)

    def keep(self, name: str, finding: Finding) -> None:
        """Take note of what was found in a file."""
        stamp = self._stamps[name]
        if isinstance(finding, UnopenedError):  # perhaps not so next time
            return
        if stamp is None or abs(self._now - stamp.changed) <= _TICK:
            return
        held = [finding.reason] if isinstance(finding, FileError) else astuple(finding)
        self._rows[name] = [*stamp, *held]
        self._dirty = True
        if time.monotonic() - self._saved_at > _SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Write what is known, all or nothing."""
        if not self._dirty or self._path is None:
            return
        body = json.dumps(self._rows, separators=(",", ":"))
        try:
            _replace(self._path, _header(self._head(), body) + "\n" + body)
        except OSError as error:
            place = f"{self._path.parent}: {why(error)}"
            tell_once(_LOG, f"what is found in sound files is not kept: {place}")
        self._dirty, self._saved_at = False, time.monotonic()

    def _head(self) -> dict[str, object]:
        return {
            "format": _FORMAT,
            "libsndfile": soundfile.__libsndfile_version__,
            "root": os.fspath(self._root),
        }

    def _holds(self, name: str, row: list) -> bool:
        stamp = self._stamps.get(name)
        return stamp is not None and row[:2] == list(stamp)


def _name(root: Path) -> str:
    return hashlib.blake2b(os.fsencode(root), digest_size=16).hexdigest()


def _header(head: Mapping[str, object], body: str) -> str:
    digest = hashlib.blake2b(body.encode(), digest_size=16).hexdigest()
    return json.dumps({**head, "digest": digest})


def _read(path: Path, head: Mapping[str, object]) -> dict[str, list]:
    try:
        header, _, body = path.read_text(encoding="utf-8").partition("\n")
    except (OSError, UnicodeDecodeError):
        return {}
    # The digest vouches for every row: none is checked by itself.
    return json.loads(body) if header == _header(head, body) else {}


def _replace(path: Path, text: str) -> None:
    """Write a file so that at no time there is half of it, whoever else writes it as well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    number, half = tempfile.mkstemp(dir=path.parent, prefix=path.stem)
    try:
        with open(number, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(half, path)
    except BaseException:
        os.unlink(half)
        raise
