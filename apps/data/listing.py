"""What lies in a folder of recordings: names, sizes and dates; no file is opened."""

import os
from pathlib import Path
from typing import NamedTuple, TypeAlias

from apps.data.audio import AUDIO_SUFFIXES, UNSUPPORTED_SUFFIXES
from apps.data.checks import shown

_TRIED = AUDIO_SUFFIXES | UNSUPPORTED_SUFFIXES

Bad: TypeAlias = tuple[str, str]
"""The name of a file that cannot be used, and why."""


class Stamp(NamedTuple):
    """Changes whenever a file is written.

    Attributes:
        size: In bytes.
        changed: When it was last written, in ns since 1970.
    """

    size: int
    changed: int


class Listing(NamedTuple):
    """The sound files below a folder.

    Attributes:
        stamps: By the path below the folder, with forward slashes, sorted; None for a file that
            is not there, such as what a broken link points to.
        bad: What is called like sound and need not be opened to see that it is none.
    """

    stamps: dict[str, Stamp | None]
    bad: list[Bad]


def list_sounds(root: Path) -> Listing:
    """List the files with an ending of sound in a folder and in those below it.

    Hidden files and folders (a leading dot) are passed over. Links are followed, each folder
    once. A folder that is called like a sound file is not entered.

    Raises:
        ValueError: If there is no such folder, or no sound in it.
    """
    if not root.is_dir():
        what = "is a file, not a folder" if root.exists() else "no such folder"
        raise ValueError(f"root={str(root)!r}: {what}")
    stamps: dict[str, Stamp | None] = {}
    bad: list[Bad] = []
    seen: set[tuple[int, int]] = set()
    waiting = [""]  # folders below the root, each with a slash at its end
    while waiting:
        below = waiting.pop()
        try:
            status = os.stat(root / below)
            with os.scandir(root / below) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            bad.append((shown(below.rstrip("/") or "."), f"cannot be listed: {error.strerror}"))
            continue
        if (status.st_dev, status.st_ino) in seen:  # a link back up, or to where we have been
            continue
        seen.add((status.st_dev, status.st_ino))
        folders = _sort_out(inside, below, stamps, bad)
        waiting.extend(reversed(folders))  # so that the first by name is the next
    if not stamps:
        raise ValueError(
            f"root={str(root)!r} holds no sound files (looked for *.wav, *.flac, *.mp3, *.ogg and "
            "others, also in folders below it)" + first(bad)
        )
    return Listing(dict(sorted(stamps.items())), bad)


def first(bad: list[Bad] | tuple[Bad, ...]) -> str:
    """The first of the bad files, to end a message that nothing is left."""
    return f"; {bad[0][0]}: {bad[0][1]}" if bad else ""


def _sort_out(
    inside: list[os.DirEntry[str]], below: str, stamps: dict[str, Stamp | None], bad: list[Bad]
) -> list[str]:
    """Put one folder's files where they belong; return the folders in it."""
    folders: list[str] = []
    for entry in inside:
        if entry.name.startswith("."):
            continue
        name = below + entry.name
        suffix = os.path.splitext(entry.name)[1].lower()
        if _is_folder(entry):
            if suffix in AUDIO_SUFFIXES:
                bad.append((shown(name), "is a folder, not a file"))
            else:
                folders.append(f"{name}/")
        elif suffix in _TRIED:
            if shown(name) != name:
                bad.append((shown(name), "has line breaks or bytes that are no text in its name"))
            else:
                stamps[name] = _stamp(entry)
    return folders


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _stamp(entry: os.DirEntry[str]) -> Stamp | None:
    try:
        status = entry.stat()
    except OSError:  # opening it will say what is wrong
        return None
    return Stamp(status.st_size, status.st_mtime_ns)
