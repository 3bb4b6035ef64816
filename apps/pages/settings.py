"""All settings of a run, those that differ from the defaults first."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from apps import config
from apps.config import Config
from apps.pages.markup import Markup, folded, join, table
from apps.schema import descriptions, flat


class Value(NamedTuple):
    """A setting of a run; a default that there is not is `dataclasses.MISSING`."""

    key: str
    value: Any
    default: Any
    text: str


def values(settings: Any, *, at: str = "") -> Iterator[Value]:
    """All settings, with what they would be if nobody had set them."""
    texts = descriptions(type(settings))
    for each in dataclasses.fields(settings):
        value, key = getattr(settings, each.name), f"{at}{each.name}"
        if key in ("run", "distributed"):  # where it runs, which is no part of what is run
            continue
        if dataclasses.is_dataclass(value):
            yield from values(value, at=f"{key}.")
            continue
        default = each.default
        if each.default_factory is not dataclasses.MISSING:
            default = each.default_factory()
        if each.name != "kind":
            yield Value(key, value, default, texts.get(each.name, ""))


def shown(settings: Config) -> Markup:
    """Two tables: what was set, and, folded, what was left as it is."""
    every = list(values(settings))
    changed = [each for each in every if each.value != each.default]
    rest = [each for each in every if each.value == each.default]
    set_ = table(
        ("setting", "value", "default", "what it is"),
        [(each.key, word(each.value), word(each.default), each.text) for each in changed],
        caption="What differs from the defaults",
        texts=(3,),
    )
    left = table(
        ("setting", "value", "what it is"),
        [(each.key, word(each.value), each.text) for each in rest],
        caption="What is as it would be",
        texts=(2,),
    )
    return join([set_, folded(f"The other {len(rest)} settings", left)])


def word(value: Any) -> str:
    """A value as one types it."""
    if value is dataclasses.MISSING:
        return "none"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(word, value))}]"
    if isinstance(value, bool) or value is None:
        return "null" if value is None else str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def differing(runs: Sequence[Config]) -> list[tuple[str, list[str]]]:
    """The settings in which runs differ, and what each of them has; a dash where it has none."""
    every: list[Mapping[str, Any]] = [flat(config.stored(run)) for run in runs]
    keys = dict.fromkeys(key for each in every for key in each)
    rows = [(key, [word(each[key]) if key in each else "–" for each in every]) for key in keys]
    return [(key, row) for key, row in rows if len(set(row)) > 1 and key != "name"]
