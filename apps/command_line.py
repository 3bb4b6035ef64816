"""From the words of a command to a config: Hydra composes, the schemas check, a person is answered.

Hydra does what it is good at: groups of YAML files, and sweeps. What a setting may be is decided
by the schemas alone, so every message is ours on every version of Hydra; misspelt keys are found
before Hydra is imported, and a path is quoted before its grammar sees it.
"""

import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import yaml

from apps import config, manual
from apps.config import Config
from apps.manual import Door
from apps.schema import ConfigError, Schema, from_dict, nearest, resolved, settings, to_dict

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


class Stopped(Exception):
    """A signal asked the job to stop; it has saved all there was."""


def enter(door: Door, schema: type[Schema], job: Callable[[Schema], int], words: list[str]) -> int:
    """Answer a command: read the config and do the job, or say what is wrong.

    Args:
        door: What the command is, for `--help`.
        schema: What it takes. A `Config` is composed from `conf/`, anything else is its defaults
            and `key=value`.
        job: What is done with the config; returns the exit code.
        words: The command's words, without the program's name.

    Returns:
        The exit code: 0 well, 2 a setting is wrong, 130 stopped by Ctrl-C before there was
        anything to save; otherwise the job's.
    """
    try:
        sorted_words = sort(words)
        if sorted_words.topic is not None:
            print(manual.page(door, schema, sorted_words.folders, topic=sorted_words.topic))
            return 0
        if sorted_words.multirun:
            return _sweep(schema, job, sorted_words)
        settled = read(schema, sorted_words)
        if sorted_words.show:
            print(yaml.safe_dump(to_dict(settled), allow_unicode=True, sort_keys=False), end="")
            return 0
        return job(settled)
    except Stopped:
        return 0
    except ConfigError as error:
        if os.environ.get("HYDRA_FULL_ERROR"):
            raise
        print(f"{error}\n({door.command} --help tells what can be set)", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


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
    values = _values([_prepare(word, schema, {}, sweep=False) for word in words.overrides])
    return resolved(from_dict(schema, values), start)


def _read_run(words: Words, start: Path) -> Config:
    groups = _groups(words.folders)
    prepared = [_prepare(word, Config, groups, sweep=False) for word in words.overrides]
    chosen = [word for word in prepared if _is_choice(word, groups)]
    values = _values([word for word in prepared if word not in chosen])
    run = values.get("run")
    stored = start / Path(run).expanduser() if isinstance(run, str) else None
    if stored is not None and (stored / config.FILE).is_file() and not chosen:
        return config.load(stored, values)
    return from_dict(Config, _compose(prepared, words.folders))


def _groups(folders: Sequence[Path]) -> dict[str, list[str]]:
    """List the groups and their choices."""
    groups: dict[str, list[str]] = {}
    for folder in folders:
        for path in sorted(folder.glob("*/*.yaml")):
            groups.setdefault(path.parent.name, []).append(path.stem)
    return groups


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+")


def _is_choice(word: str, groups: Mapping[str, Any]) -> bool:
    return _key(word) in groups or _key(word).startswith(("hydra.", "hydra/"))


def _prepare(word: str, schema: type, groups: Mapping[str, list[str]], *, sweep: bool) -> str:
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


def _values(prepared: Sequence[str]) -> dict[str, Any]:
    """Return the values alone, nested by their dotted keys."""
    if not prepared:
        return {}
    from omegaconf import OmegaConf

    node = OmegaConf.create({})
    for override in _parse(prepared):
        OmegaConf.update(node, override.key_or_group, override.value(), force_add=True)
    return _plain(node)


def _parse(prepared: Sequence[str], *, sweep: bool = False) -> list[Any]:
    """Return Hydra's reading of the words."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser, parsed = OverridesParser.create(), []
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
        parsed.append(override)
    return parsed


def _compose(prepared: Sequence[str], folders: Sequence[Path]) -> dict[str, Any]:
    """Let Hydra put the chosen YAML files together, and the values on top."""
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        with hydra.initialize_config_dir(str(folders[-1]), job_name="train", **_version_base()):
            return _plain(hydra.compose("train", overrides=[*prepared, *_search(folders)]))
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        raise ConfigError(f"the config cannot be composed: {error}") from error


def _search(folders: Sequence[Path]) -> list[str]:
    """Tell Hydra of the folders besides its main one."""
    several = ",".join(quoted(f"file://{folder.as_posix()}") for folder in folders[:-1])
    return [f"hydra.searchpath=[{several}]"] if several else []


def _version_base() -> dict[str, Any]:
    """Hydra 1.3 asks for the version whose defaults are meant; 1.4 asks to leave it out."""
    import hydra

    return {"version_base": "1.3"} if hydra.__version__.startswith("1.3.") else {}


def _plain(node: Any) -> dict[str, Any]:
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


def _sweep(schema: type[Schema], job: Callable[[Schema], int], words: Words) -> int:
    """Do the job once for every combination of the values given, each in a folder of its own.

    Hydra's sweepers and launchers do it, in one folder for the sweep: `run=`, or a new one.
    """
    if schema is not Config:
        raise ConfigError("--multirun is for training; give one value for each setting")
    import hydra

    groups = _groups(words.folders)
    prepared = [_prepare(word, schema, groups, sweep=True) for word in words.overrides]
    for each in _one_by_one(prepared):  # a wrong value is refused before the first run
        read(schema, words._replace(overrides=tuple(each)))
    own = [word for word in prepared if _key(word) != "run"]
    folder = _values([word for word in prepared if _key(word) == "run"]).get("run")
    folder = str(Path(folder or f"runs/sweep-{stamp()}").expanduser().absolute())
    codes = []

    def one(node: Any) -> None:
        from hydra.core.hydra_config import HydraConfig

        run = Path(folder, str(HydraConfig.get().job.num))
        settled = from_dict(Config, {**_plain(node), "run": run})
        try:
            codes.append(job(cast("Schema", resolved(settled, Path.cwd()))))
        except Stopped:  # and so is the sweep
            raise SystemExit(0) from None
        except ConfigError as error:
            print(f"{run}: {error}", file=sys.stderr)
            raise SystemExit(2) from None

    ours = [f"hydra.sweep.dir={quoted(folder)}", *_search(words.folders)]
    sys.argv = [sys.argv[0], "--multirun", *own, *ours]
    hydra.main(config_path=str(words.folders[-1]), config_name="train", **_version_base())(one)()
    return max(codes, default=1)


def _one_by_one(prepared: Sequence[str]) -> Iterator[list[str]]:
    """Yield words for single runs, in which every value of a sweep occurs once."""
    choices = []
    for word, override in zip(prepared, _parse(prepared, sweep=True), strict=True):
        if override.is_discrete_sweep():
            key = word.partition("=")[0]
            choices.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        elif not override.is_sweep_override():
            choices.append([word])
    yield [each[0] for each in choices]
    for place, several in enumerate(choices):
        for value in several[1:]:
            yield [value if at == place else each[0] for at, each in enumerate(choices)]


def stamp() -> str:
    """Return a part of a folder's name that no other run has, even one begun in the same second."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
