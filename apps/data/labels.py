"""Classes of recordings, read from where they lie or from what they are called."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

BY_FOLDER = "folder"
_LISTED = 5  # files without a label that one message names; the rest is counted


def labels_of(root: Path, names: Sequence[str], rule: str) -> dict[str, str]:
    """The label of each file.

    Args:
        root: The folder of all, for messages.
        names: Paths of the files below it, with forward slashes.
        rule: 'folder' for the name of the folder that a file lies in; or a regular expression,
            searched for in its path below the root, whose first group is the label.

    Returns:
        Label by name.

    Raises:
        ValueError: If `rule` is not a regular expression with a group, or a file has no label.
    """
    if rule == BY_FOLDER:
        found = {name: PurePosixPath(name).parent.name for name in names}
        why = "lie in no folder below the root: move them into one for each class"
    else:
        found = _by_pattern(names, rule)
        why = f"do not match labels={rule!r}: rename or move them, or widen the expression"
    missing = [name for name in names if not found[name]]
    if missing:
        more = f" and {len(missing) - _LISTED} more" if len(missing) > _LISTED else ""
        raise ValueError(
            f"{root}: {len(missing)} of {len(names)} files have no label, since they {why}: "
            + ", ".join(missing[:_LISTED])
            + more
        )
    return found


def classes(labels: Iterable[str]) -> tuple[str, ...]:
    """Each label once: by number where all of them are numbers, else by the alphabet."""
    found = set(labels)
    if all(label.isdecimal() for label in found):
        return tuple(sorted(found, key=lambda label: (int(label), label)))
    return tuple(sorted(found))


def _by_pattern(names: Sequence[str], pattern: str) -> dict[str, str]:
    try:
        rule = re.compile(pattern)
    except re.error as error:
        raise ValueError(
            f"labels={pattern!r} is neither 'folder' nor a regular expression: {error}"
        ) from error
    if rule.groups < 1:
        raise ValueError(
            f"labels={pattern!r} has no group: put what is to be the label in parentheses, or "
            "say 'folder' for the name of the folder a file lies in"
        )
    matches = {name: rule.search(name) for name in names}
    return {name: (match[1] or "") if match else "" for name, match in matches.items()}
