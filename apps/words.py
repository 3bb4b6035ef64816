"""From the words of a command to a config: Hydra composes, the schemas check.

Hydra does what it is good at: groups of YAML files, and sweeps. What a setting may be is decided
by the schemas alone, so every message is ours on every version of Hydra; misspelt keys are found
before Hydra is imported, and a path is quoted before its grammar sees it.
"""

import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import yaml

from apps import config
from apps.config import Config
from apps.schema import ConfigError, Schema, from_dict, nearest, resolved, settings

CONF = Path(__file__).resolve().parent.parent / "conf"
"""The YAML files of this repository; absolute, so that a door works from any folder."""

_FLAGS = ("--help", "--cfg", "--multirun", "--config-dir")


class Words(NamedTuple):
    """A command's words, sorted: flags, and `key=value` in the order given."""

    overrides: tuple[str, ...] = ()
    multirun: bool = False
    show: bool = False
    topic: str | None = None  # of --help; "" is the first page
    folders: tuple[Path, ...] = (CONF,)  # where groups are looked up, the first one first


def sort(words: Sequence[str]) -> Words:
    """Tell a command's flags from its settings.

    Raises:
        ConfigError: If a flag is unknown or lacks its value.
    """
    known, overrides, rest = Words(), [], list(words)
    while rest:
        word = rest.pop(0)
        flag, _, value = word.partition("=")
        if not word.startswith("-"):
            overrides.append(word)
        elif flag in ("-h", "--help"):
            known = known._replace(topic=value or (rest.pop(0) if rest else ""))
        elif word in ("-c", "--cfg"):
            known = known._replace(show=True)
            if rest[:1] == ["job"]:  # as Hydra has it
                rest.pop(0)
        elif word in ("-m", "--multirun"):
            known = known._replace(multirun=True)
        elif flag in ("-cd", "--config-dir"):
            folder = Path(value or (rest.pop(0) if rest else ""))
            if not folder.is_dir():
                raise ConfigError(f"--config-dir: there is no folder {str(folder)!r}")
            known = known._replace(folders=(folder.resolve(), *known.folders))
        else:
            raise ConfigError(
                f"{word} is not an option; there are {', '.join(_FLAGS)}{nearest(flag, _FLAGS)}"
            )
    return known._replace(overrides=tuple(overrides))


def read(schema: type[Schema], words: Words, *, start: Path | None = None) -> Schema:
    """Read the config that the words ask for.

    A `Config` is composed anew from `conf/` where the words choose a group or where there is no
    run in `run=` yet; else the config stored in that run is taken, with the words' values on top,
    so that `run=FOLDER` alone goes on.

    Args:
        schema: What to read.
        words: The command's words.
        start: The folder that relative paths start from; the present one if None.

    Raises:
        ConfigError: If a key, a value or a choice is wrong; the message says what to write.
    """
    start = start or Path.cwd()
    if schema is Config:
        return cast("Schema", resolved(_read_run(words, start), start))
    values = values_of([prepared_word(word, schema, {}, sweep=False) for word in words.overrides])
    return resolved(from_dict(schema, values), start)


def _read_run(words: Words, start: Path) -> Config:
    groups = groups_in(words.folders)
    prepared = [prepared_word(word, Config, groups, sweep=False) for word in words.overrides]
    chosen = [word for word in prepared if _is_choice(word, groups)]
    values = values_of([word for word in prepared if word not in chosen])
    run = values.get("run")
    stored = start / Path(run).expanduser() if isinstance(run, str) else None
    if stored is not None and (stored / config.FILE).is_file() and not chosen:
        return config.load(stored, values)
    return from_dict(Config, _compose(prepared, words.folders))


def groups_in(folders: Sequence[Path]) -> dict[str, list[str]]:
    """List the groups and their choices."""
    groups: dict[str, list[str]] = {}
    for folder in folders:
        for path in sorted(folder.glob("*/*.yaml")):
            groups.setdefault(path.parent.name, []).append(path.stem)
    return groups


def key_of(word: str) -> str:
    """Return the key that a word sets."""
    return word.partition("=")[0].lstrip("+")


def _is_choice(word: str, groups: Mapping[str, Any]) -> bool:
    return key_of(word) in groups or key_of(word).startswith(("hydra.", "hydra/"))


def prepared_word(word: str, schema: type, groups: Mapping[str, list[str]], *, sweep: bool) -> str:
    """Return the word as Hydra is to read it, or refuse it.

    Words and paths are quoted, since Hydra's grammar has no letters beyond ASCII and a meaning of
    its own for `=`, `(` and `,`. Values are marked as additions (`++`), since the schemas, not the
    YAML files, know which keys there are.
    """
    key, equals, value = word.partition("=")
    key = key.lstrip("+")
    known = {setting.key: setting for setting in settings(schema)}
    keys = [*known, *groups]
    if not equals:
        raise ConfigError(f"{word!r} sets nothing; write key=value{nearest(key, keys)}")
    if key.startswith(("hydra.", "hydra/")) and groups:
        return word
    if key in groups:
        for choice in value.split(",") if sweep else [value]:
            if re.fullmatch(r"[\w.-]+", choice) and choice not in [*groups[key], "null"]:
                options = ", ".join(groups[key])
                guess = nearest(choice, groups[key])
                raise ConfigError(f"{key}={choice} is not there; choose from {options}{guess}")
        return f"{key}={value}"
    if key not in known:
        if any(each.startswith(f"{key}.") for each in known):
            raise ConfigError(f"{key} holds settings of its own; set {key}.… one by one")
        raise ConfigError(f"{key} is not a setting{nearest(key, keys)}")
    several = sweep and key != "run" and "," in value and not Path(value).exists()
    if known[key].takes_text and not several and not _is_quoted(value) and value != "null":
        value = quoted(value)
    return f"++{key}={value}"


def _is_quoted(value: str) -> bool:
    return len(value) > 1 and value[0] == value[-1] and value[0] in "'\""


def quoted(text: str) -> str:
    r"""Quote a value, so that Hydra's grammar reads it as it stands.

    >>> quoted("it's (1, 2)=三")
    "'it\\'s (1, 2)=三'"
    """
    doubled = re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + found[2].replace("'", "\\'"), text)
    return "'" + re.sub(r"(\\*)\$\{", lambda found: 2 * found[1] + "\\${", doubled) + "'"


def values_of(prepared: Sequence[str]) -> dict[str, Any]:
    """Return the values alone, nested by their dotted keys."""
    if not prepared:
        return {}
    from omegaconf import OmegaConf

    node = OmegaConf.create({})
    for override in parsed(prepared):
        OmegaConf.update(node, override.key_or_group, override.value(), force_add=True)
    return plain(node)


def parsed(prepared: Sequence[str], *, sweep: bool = False) -> list[Any]:
    """Return Hydra's reading of the words."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser, found = OverridesParser.create(), []
    for word in prepared:
        given = word.lstrip("+")
        try:
            override = parser.parse_override(word)
        except HydraException as error:
            raise ConfigError(
                f"cannot read {given!r}: write numbers as 1 or 1e-3, lists as [1,2], words without "
                f"brackets and commas, or in quotes within the shell's quotes"
            ) from error
        if override.is_sweep_override() and not sweep:
            key, _, value = given.partition("=")
            raise ConfigError(
                f"{given!r} has several values: a list is {key}=[{value}], "
                f"and one run for each of them needs --multirun"
            )
        found.append(override)
    return found


def _compose(prepared: Sequence[str], folders: Sequence[Path]) -> dict[str, Any]:
    """Let Hydra put the chosen YAML files together, and the values on top."""
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        with hydra.initialize_config_dir(str(folders[-1]), job_name="train", **version_base()):
            return plain(hydra.compose("train", overrides=[*prepared, *search_path(folders)]))
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        raise ConfigError(f"the config cannot be composed: {error}") from error


def search_path(folders: Sequence[Path]) -> list[str]:
    """Tell Hydra of the folders besides its main one."""
    several = ",".join(quoted(f"file://{folder.as_posix()}") for folder in folders[:-1])
    return [f"hydra.searchpath=[{several}]"] if several else []


def version_base() -> dict[str, Any]:
    """Hydra 1.3 asks for the version whose defaults are meant; 1.4 asks to leave it out."""
    import hydra

    return {"version_base": "1.3"} if hydra.__version__.startswith("1.3.") else {}


def plain(node: Any) -> dict[str, Any]:
    """Return an OmegaConf node as plain values, nothing looked up.

    Interpolation (`${…}`) could put what the environment holds into a config that is stored and
    handed on; a value is written where it is used.
    """
    from omegaconf import OmegaConf

    for text in _texts(OmegaConf.to_container(node, resolve=False)):
        if re.search(r"(?<!\\)(\\\\)*\$\{", text):
            raise ConfigError(f"{text!r} is to be looked up; write the value itself")
    return cast("dict[str, Any]", OmegaConf.to_container(node, resolve=True))  # \\${ becomes ${


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def stamp() -> str:
    """Return a part of a folder's name that no other run has, even one begun in the same second."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
