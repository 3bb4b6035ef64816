"""The names of arrays in checkpoints of earlier formats, and what they are called now."""

import re
from collections.abc import Mapping
from typing import Any

_RENAMED = {
    # Since format 2 a stage may have several branches of residual units, and what follows the
    # dilated convolution of a unit need not have a single tap.
    2: (
        (re.compile(r"\.units\.(\d+)\."), r".branches.0.\1."),
        (re.compile(r"(\.branches\.\d+\.\d+)\.pointwise\."), r"\1.mixing."),
    ),
}


def present_name(name: str, stored_format: int) -> str:
    """Returns what an array of a checkpoint of this format is called now."""
    for since, rules in sorted(_RENAMED.items()):
        if stored_format < since:
            for pattern, replacement in rules:
                name = pattern.sub(replacement, name)
    return name


def renewed(meta: dict[str, Any]) -> dict[str, Any]:
    """Returns a checkpoint's description with its arrays under their present names.

    Each item's names on the disk, where they differ, come under `names`: by the present name.
    """
    arrays: dict[str, dict[str, Any]] = {}
    names: dict[str, str] = {}
    for item, entries in meta["arrays"].items():
        present = {name: present_name(name, meta["format"]) for name in entries}
        arrays[item] = {present[name]: entry for name, entry in entries.items()}
        names |= {now: name for name, now in present.items() if now != name}
    return {**meta, "arrays": arrays, "names": names}


def on_disk(arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any]:
    """Returns arrays by the names that they have in the checkpoint."""
    names = meta.get("names", {})
    return {names.get(name, name): leaf for name, leaf in arrays.items()}


def in_memory(found: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any]:
    """Returns arrays that were read from the checkpoint by their present names."""
    present = {old: new for new, old in meta.get("names", {}).items()}
    return {present.get(name, name): leaf for name, leaf in found.items()}
