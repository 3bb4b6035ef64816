"""What `--help` says: the page a person reads first."""

import dataclasses
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from apps.schema import ConfigError, Setting, descriptions, expected, nearest, settings

_WIDTH = 96


class Door(NamedTuple):
    """A command, as its help tells of it.

    Attributes:
        command: What to type: ``python -m apps.train``.
        purpose: What it does, in a sentence or two.
        examples: Pairs of what to type after the command, and what that does.
    """

    command: str
    purpose: str
    examples: tuple[tuple[str, str], ...]


def page(door: Door, schema: type, folders: Sequence[Path] = (), *, topic: str = "") -> str:
    """Write the help.

    Args:
        door: The command.
        schema: What it takes.
        folders: Where the YAML files of groups and experiments are; none if it has no groups.
        topic: A group, whose settings are then listed; empty for the first page.

    Raises:
        ConfigError: If there is no such topic.
    """
    listed = list(settings(schema))
    topics = list(dict.fromkeys(each.key.partition(".")[0] for each in listed if "." in each.key))
    if topic:
        if topic not in topics:
            guess = nearest(topic, topics)
            raise ConfigError(f"no help on {topic!r}; there is some on {', '.join(topics)}{guess}")
        below = [each for each in listed if each.key.startswith(f"{topic}.")]
        return "\n".join([f"{descriptions(schema).get(topic, topic)}:", *_settings(below)])
    if topics:
        usage = "[experiment=NAME] [GROUP=NAME …] [KEY=VALUE …] [run=FOLDER]"
        groups = {path.parent.name for folder in folders for path in folder.glob("*/*.yaml")}
        parts = [
            line for group in sorted(groups - {"experiment"}) for line in _choices(folders, group)
        ]
        choices = ["Experiments, each a whole run:", *_choices(folders, "experiment")]
        choices += ["", "Groups, the parts to choose:", *parts]
        others = ", ".join(each for each in topics if each != "train")
        head = f"Settings (more by --help GROUP: {others}):"
    else:
        usage, choices, head = "[KEY=VALUE …]", [], "Settings:"
    shown = [each for each in listed if each.key.partition(".")[0] not in {*topics} - {"train"}]
    examples = [
        line
        for words, text in door.examples
        for line in (f"  {door.command} {words}".rstrip(), f"      {text}")
    ]
    return "\n".join(
        [
            *textwrap.wrap(door.purpose, _WIDTH),
            *("", f"  {door.command} {usage}", ""),
            *choices,
            *([""] if choices else []),
            *("Examples:", *examples, ""),
            *(head, *_settings(shown), ""),
            *_options(sweeps=bool(topics)),
        ]
    )


def purpose(path: Path) -> str:
    """Return what a YAML file says of itself: its first comment line, apart from Hydra's own."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") and not line.startswith("# @"):
            return line.lstrip("# ")
        if line and not line.startswith("#"):
            break
    return ""


def _choices(folders: Sequence[Path], group: str) -> list[str]:
    paths = sorted(
        {path.stem: path for f in reversed(folders) for path in f.glob(f"{group}/*.yaml")}.items()
    )
    return _aligned([(f"{group}={stem}", purpose(path)) for stem, path in paths], width=26)


def _settings(listed: Sequence[Setting]) -> list[str]:
    """List the settings as one types them, with their defaults."""
    rows = []
    for each in dict.fromkeys(listed):
        given = each.default is dataclasses.MISSING
        shown = f"<{expected(each.hint)}>" if given else _shown(each.default)
        plain = given or (expected(each.hint).startswith(("a ", "true")) and "null" not in shown)
        takes = "" if plain else f" ({expected(each.hint)})"
        rows.append((f"{each.key}={shown}", f"{each.text}{takes}"))
    return _aligned(rows, width=34)


def _shown(default: object) -> str:
    if isinstance(default, tuple):
        return "[" + ",".join(map(str, default)) + "]"
    return "null" if default is None else str(default).lower()


def _options(*, sweeps: bool) -> list[str]:
    rows = [("-h, --help [GROUP]", "this page, or the settings of a group")]
    rows += [("-c, --cfg", "print the whole config, and stop")]
    if sweeps:
        rows += [
            (
                "-m, --multirun",
                "one run for each combination of KEY=VALUE,VALUE; run=FOLDER goes on",
            )
        ]
        rows += [("-cd, --config-dir DIR", "find groups and experiments of your own in DIR")]
    return ["Options:", *_aligned(rows, width=26)]


def _aligned(rows: Sequence[tuple[str, str]], *, width: int) -> list[str]:
    lines = []
    for left, right in rows:
        wrapped = textwrap.wrap(right, _WIDTH - width - 2) or [""]
        lines.append(
            f"  {left:<{width}}{wrapped[0]}" if len(left) < width else f"  {left} {wrapped[0]}"
        )
        lines += [" " * (width + 2) + line for line in wrapped[1:]]
    return lines
