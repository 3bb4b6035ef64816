"""From plain values to frozen dataclasses and back; whatever does not fit is refused by its name.

A schema is a frozen dataclass whose fields are numbers, words, paths, tuples, or schemas again.
Where a field may hold one of several schemas, each has a `kind` that chooses it. The description
of a field is its line under `Attributes:` in the docstring of its class: one text serves the
reader of the code, `--help` and the error messages.
"""

import dataclasses
import difflib
import inspect
import json
import math
import os
import re
import reprlib
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

Schema = TypeVar("Schema")


class ConfigError(ValueError):
    """A setting that cannot be; the message names the key, its value and the remedy."""


class Setting(NamedTuple):
    """One thing that can be set: its dotted key, what it takes, its default and its meaning."""

    key: str
    hint: Any
    default: Any  # `dataclasses.MISSING` where it must be given
    text: str

    @property
    def takes_text(self) -> bool:
        """Whether any word at all can be its value, as with a path."""
        return any(each in (str, Path) for each in _alternatives(self.hint))


def to_dict(config: Any) -> dict[str, Any]:
    """Return the settings as plain values: nested dicts, lists, numbers, words.

    Args:
        config: An instance of a schema.

    Returns:
        A new dict, which YAML and JSON can hold and `from_dict` reads back to an equal config.
    """
    return {field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config)}


def from_dict(schema: type[Schema], values: Mapping[str, Any], *, at: str = "") -> Schema:
    """Build the schema from plain values.

    Args:
        schema: The dataclass to build.
        values: Its settings by name. What is absent keeps its default.
        at: Where this schema hangs in the whole, ``"model."`` say; for messages.

    Returns:
        The checked instance.

    Raises:
        ConfigError: If a key is unknown, a value has the wrong type, a needed key is absent, or
            the schema's own checks refuse the values.
    """
    return _build(schema, values, at=at, known=[setting.key for setting in settings(schema, at=at)])


def settings(schema: type, *, at: str = "") -> Iterator[Setting]:
    """Iterate over all that can be set, in the order in which the schema states it.

    Args:
        schema: The dataclass.
        at: The prefix of the keys.
    """
    hints, texts = typing.get_type_hints(schema), descriptions(schema)
    for field in dataclasses.fields(schema):
        key, hint = f"{at}{field.name}", hints[field.name]
        if inner := schemas_of(hint):
            for each in inner:
                yield from settings(each, at=f"{key}.")
        else:
            default = field.default
            if field.default_factory is not dataclasses.MISSING:
                default = field.default_factory()
            yield Setting(key, hint, default, texts.get(field.name, ""))


def schemas_of(hint: Any) -> tuple[type, ...]:
    """Return the schemas a field with this type may hold; none for a plain setting."""
    return tuple(
        each
        for each in _alternatives(hint)
        if isinstance(each, type) and dataclasses.is_dataclass(each)
    )


def descriptions(schema: type) -> dict[str, str]:
    """Return the line under `Attributes:` of each field of the schema, those it inherits too."""
    texts = {}
    for each in reversed(schema.__mro__):
        _, _, attributes = inspect.cleandoc(each.__doc__ or "").partition("Attributes:\n")
        found = re.findall(r"^    (\w+): (.+(?:\n {8,}\S.*)*)", attributes, flags=re.MULTILINE)
        texts |= {name: " ".join(text.split()) for name, text in found}
    return texts


def expected(hint: Any) -> str:
    """Say in words what a setting of this type takes: ``"a whole number or null"``."""
    words = []
    for each in _alternatives(hint):
        if typing.get_origin(each) is Literal:
            words.extend(str(choice) for choice in typing.get_args(each))
        elif typing.get_origin(each) is tuple:
            kinds = _alternatives(typing.get_args(each)[0])
            words.append(
                "a list of " + " or ".join(f"{_NAMES[k].split(' ', 1)[1]}s" for k in kinds)
            )
        else:
            words.append(_NAMES[each])
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]


def nearest(word: str, choices: Sequence[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the choice most like the word, or nothing.

    The last part of a dotted key is compared too, so that ``steps`` finds ``train.steps``.
    """
    last = word.rpartition(".")[2]
    outer_first = sorted(choices, key=lambda choice: choice.count("."))
    by_last = {choice.rpartition(".")[2]: choice for choice in reversed(outer_first)}
    if last in by_last:
        return f"; did you mean {by_last[last]!r}?"
    for match in difflib.get_close_matches(word, choices, n=1, cutoff=0.6):
        return f"; did you mean {match!r}?"
    for match in difflib.get_close_matches(last, by_last, n=1, cutoff=0.6):
        return f"; did you mean {by_last[match]!r}?"
    return ""


def shown(value: Any) -> str:
    """Return a value for a message, cut short: one from a file may be of any size, even endless."""
    return _REPR.repr(value)


def flat(values: Mapping[str, Any], *, at: str = "") -> dict[str, Any]:
    """Return nested values by their dotted keys."""
    by_key = {}
    for key, value in values.items():
        deeper = isinstance(value, Mapping)
        by_key |= flat(value, at=f"{at}{key}.") if deeper else {f"{at}{key}": value}
    return by_key


class Difference(NamedTuple):
    """A setting with two values; one that is missing is None."""

    key: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.key}: {json.dumps(self.old)} → {json.dumps(self.new)}"


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """List the settings in which two nested dicts of plain values differ."""
    before, after = flat(old), flat(new)
    keys = dict.fromkeys([*before, *after])
    pairs = (Difference(key, before.get(key), after.get(key)) for key in keys)
    return [each for each in pairs if each.old != each.new]


def merged(values: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested values with new ones on top."""
    result = dict(values)
    for key, value in new.items():
        inner = result.get(key)
        both = isinstance(inner, Mapping) and isinstance(value, Mapping)
        result[key] = merged(inner or {}, value) if both else value
    return result


def resolved(config: Schema, start: Path) -> Schema:
    """Make every path of a config absolute, against the folder its command was given in."""
    return _resolved(config, start)


def at_least(least: float, schema: Any, at: str, *names: str) -> None:
    """Refuse a named value below `least`; tuples are checked item by item, None never."""
    for name, value in _each(schema, names):
        if value < least:
            raise ConfigError(f"{at}.{name} must be at least {least}, got {value}")


def above(bound: float, schema: Any, at: str, *names: str) -> None:
    """Refuse a named value that is not above `bound`; see `at_least`."""
    for name, value in _each(schema, names):
        if value <= bound:
            raise ConfigError(f"{at}.{name} must be above {bound}, got {value}")


def below(bound: float, schema: Any, at: str, *names: str) -> None:
    """Refuse a named value that is not below `bound`; see `at_least`."""
    for name, value in _each(schema, names):
        if value >= bound:
            raise ConfigError(f"{at}.{name} must be below {bound}, got {value}")


def between(low: float, high: float, schema: Any, at: str, *names: str) -> None:
    """Refuse a named value outside [low, high]; see `at_least`."""
    for name, value in _each(schema, names):
        if not low <= value <= high:
            raise ConfigError(f"{at}.{name} must lie between {low} and {high}, got {value}")


_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 200
_REPR.maxlist = _REPR.maxtuple = _REPR.maxdict = 12

_NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a word",
    Path: "a path",
    types.NoneType: "null",
}


def _build(schema: type[Schema], values: Mapping[str, Any], *, at: str, known: list[str]) -> Schema:
    """Build the schema; a misspelt key is looked up among the known ones, all of the whole."""
    hints, texts = typing.get_type_hints(schema), descriptions(schema)
    if unknown := [key for key in values if key not in hints]:
        name = unknown[0] if isinstance(unknown[0], str) else shown(unknown[0])
        raise ConfigError(_unknown(f"{at}{name[:200]}", known))
    arguments = {
        key: _convert(value, hints[key], key=f"{at}{key}", text=texts.get(key, ""), known=known)
        for key, value in values.items()
    }
    for field in dataclasses.fields(typing.cast("Any", schema)):
        unset = field.default is field.default_factory is dataclasses.MISSING
        if unset and field.name not in arguments:
            text = texts.get(field.name, "it has no default")
            raise ConfigError(f"{at}{field.name} must be set: {text}")
    return schema(**arguments)


def _unknown(key: str, known: list[str]) -> str:
    if key in known:  # of another member of the same group
        group = key.split(".", 1)[0]
        return f"{key} is a setting of another choice of {group}= than the one made here"
    here = sorted(other for other in known if other.rpartition(".")[0] == key.rpartition(".")[0])
    hint = nearest(key, known) or f"; choose from {', '.join(here)}"
    return f"{key} is not a setting{hint}"


def _convert(value: Any, hint: Any, *, key: str, text: str, known: list[str]) -> Any:
    """Return the value as the type says, or refuse it."""
    if inner := schemas_of(hint):
        if value is None and types.NoneType in _alternatives(hint):
            return None
        if not isinstance(value, Mapping):
            raise ConfigError(
                f"{key} holds settings of its own, got {shown(value)}; set {key}.… instead"
            )
        return _build(_chosen(inner, value, key=key), value, at=f"{key}.", known=known)
    for alternative in _alternatives(hint):
        converted = _fit(value, alternative)
        if converted is not _NO_FIT:
            return converted
    choices = [str(c) for each in _alternatives(hint) for c in typing.get_args(each)]
    guess = nearest(value, choices) if isinstance(value, str) and choices else ""
    meaning = f" ({text})" if text else ""
    raise ConfigError(f"{key} must be {expected(hint)}, got {shown(value)}{guess}{meaning}")


def _chosen(schemas: tuple[type, ...], values: Mapping[str, Any], *, key: str) -> type:
    """Return the schema that the value of `kind` names; without one, the first."""
    if "kind" not in values or len(schemas) == 1:
        return schemas[0]
    by_kind = {str(each.__dataclass_fields__["kind"].default): each for each in schemas}
    kind = values["kind"] if isinstance(values["kind"], str) else shown(values["kind"])
    if kind not in by_kind:
        choices = ", ".join(by_kind)
        raise ConfigError(
            f"{key}.kind must be one of {choices}, got {shown(kind)}{nearest(kind, list(by_kind))}"
        )
    return by_kind[kind]


_NO_FIT = object()
_EXACT = 2**53  # from here on a float no longer holds every whole number


def _fit(value: Any, hint: Any) -> Any:
    """Return the value in the one plain type, or `_NO_FIT`."""
    if typing.get_origin(hint) is Literal:
        return value if value in typing.get_args(hint) else _NO_FIT
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            return _NO_FIT
        kinds = _alternatives(typing.get_args(hint)[0])
        items = tuple(
            next((fit for kind in kinds if (fit := _fit(item, kind)) is not _NO_FIT), _NO_FIT)
            for item in value
        )
        return _NO_FIT if _NO_FIT in items else items
    if hint is types.NoneType:
        return None if value is None else _NO_FIT
    if hint is Path:
        fits = isinstance(value, Path) or (isinstance(value, str) and _is_name(value))
        return Path(value) if fits else _NO_FIT
    if hint is str:
        return value if isinstance(value, str) and "\0" not in value else _NO_FIT
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if hint in (int, float) and number:
        return _number(value, hint)
    return value if hint is bool and isinstance(value, bool) else _NO_FIT


def _number(value: float, hint: type) -> Any:
    """Return the number in the type, 1e4 as a whole one too; `_NO_FIT` if it cannot be exact."""
    if hint is float:
        fits = isinstance(value, float) or abs(value) < _EXACT
        return float(value) if fits and math.isfinite(value) else _NO_FIT
    return int(value) if abs(value) < _EXACT and value == int(value) else _NO_FIT


def _is_name(text: str) -> bool:
    """Whether a file can be called so."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def _alternatives(hint: Any) -> tuple[Any, ...]:
    union = typing.get_origin(hint) in (types.UnionType, typing.Union)
    return typing.get_args(hint) if union else (hint,)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _each(schema: Any, names: tuple[str, ...]) -> list[tuple[str, Any]]:
    """Return the named values, those in tuples one by one, without those that are None."""
    spread = []
    for name in names:
        value = getattr(schema, name)
        spread += [(name, item) for item in (value if isinstance(value, tuple) else (value,))]
    return [(name, item) for name, item in spread if item is not None]


def _resolved(value: Any, start: Path) -> Any:
    if isinstance(value, Path):
        return Path(os.path.abspath(start / value.expanduser()))
    if isinstance(value, tuple):
        return tuple(_resolved(each, start) for each in value)
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    inner = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    changed = {name: _resolved(each, start) for name, each in inner.items()}
    return dataclasses.replace(value, **changed) if changed != inner else value
