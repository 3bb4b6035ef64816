"""A digest of every file of a checkpoint, so that a flipped bit does not train on unseen.

Neither the file format nor its compression carries a checksum: one wrong bit restores without a
word and gives other weights.
"""

import hashlib
import json
import os
from collections.abc import Collection
from pathlib import Path

SEAL = "integrity.json"
# Orbax writes these after the seal; nothing is restored from them.
_UNSEALED = ("_CHECKPOINT_METADATA", "commit_success.txt", SEAL)


def seal(folder: Path) -> None:
    """Writes the digests of a folder's files into it, and waits until they are on the disk."""
    digests = {
        path.relative_to(folder).as_posix(): _digest(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).as_posix() not in _UNSEALED
    }
    with (folder / SEAL).open("w", encoding="utf-8") as file:
        json.dump({"sha256": digests}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def damage(folder: Path, parts: Collection[str] | None = None) -> str | None:
    """Returns what is wrong with a sealed folder, in a few words, or None if it is as written.

    Args:
        folder: The folder.
        parts: Subfolders to look at; all of them when None.
    """
    if link := _first_link(folder):
        return f"{link} is a link"  # it could lead out of the run folder
    try:
        digests: dict[str, str] = json.loads((folder / SEAL).read_bytes())["sha256"]
        for name, digest in digests.items():
            if parts is not None and name.split("/")[0] not in parts:
                continue
            if ".." in Path(name).parts or Path(name).is_absolute():
                return f"{SEAL} is not as it was written"  # never look outside the folder
            if _digest(folder / name) != digest:
                return f"{name} is not as it was written"
    except FileNotFoundError as error:
        return f"{Path(error.filename).relative_to(folder).as_posix()} is missing"
    except OSError as error:
        return f"{error.filename} cannot be read: {error.strerror}"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return f"{SEAL} is not as it was written"
    return None


def _first_link(folder: Path) -> str | None:
    if folder.is_symlink():
        return folder.name
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            if (path := Path(place, name)).is_symlink():
                return path.relative_to(folder).as_posix()
    return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
