"""A sweep: one run for every combination of the values given, in one folder that can be resumed.

Hydra's sweepers and launchers do it, here or on a cluster. What becomes of each run is told by a
file of the sweep's folder, since a launcher may run it in another process:

    words.json       the words of the command, so that `run=FOLDER` alone goes on
    0/, 1/, …        the runs
    outcomes/0.json  how run 0 ended; none while it runs, or when it was killed
"""

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from apps import config
from apps.config import Config
from apps.schema import ConfigError, Schema, from_dict, resolved, shown
from apps.words import (
    Words,
    groups_in,
    key_of,
    parsed,
    plain,
    prepared_word,
    quoted,
    read,
    search_path,
    stamp,
    values_of,
    version_base,
)

WORDS, OUTCOMES = "words.json", "outcomes"
# What a launcher, a sweeper or a log may be made of; anything else named there would be called.
_MADE_OF = ("hydra._internal.core_plugins.", "hydra_plugins.", "optuna.samplers.")
_LOGGED_BY = ("logging.", "colorlog.")


class Stopped(Exception):
    """A signal asked the job to stop; it has saved all there was."""


class Outcome(NamedTuple):
    """How a run ended: its exit code, and what went wrong."""

    code: int
    reason: str


def is_begun(schema: type, words: Words) -> bool:
    """Whether `run=` names the folder of a sweep."""
    folder = _folder(words.overrides) if schema is Config else None
    return folder is not None and (folder / WORDS).is_file()


def run(schema: type[Schema], job: Callable[[Schema], int], words: Words) -> int:
    """Do the job for every combination; those that are done already are passed over.

    Args:
        schema: What the job takes; only a `Config` can be swept.
        job: What is done with each config; returns the exit code.
        words: The command's words. In the folder of a sweep they are put on top of its own.

    Returns:
        0 if all runs ended well or a signal asked to stop, else the greatest of their codes.

    Raises:
        ConfigError: If a word is wrong, before the first run.
    """
    if schema is not Config:
        raise ConfigError("--multirun is for training; give one value for each setting")
    folder = _folder(words.overrides) or Path.cwd() / "runs" / f"sweep-{stamp()}"
    given = _merged(_stored(folder), [w for w in words.overrides if key_of(w) != "run"])
    groups = groups_in(words.folders)
    prepared = [prepared_word(word, schema, groups, sweep=True) for word in given]
    singles = list(_one_by_one(prepared))
    for each in singles:  # a wrong value is refused before the first run
        read(schema, words._replace(overrides=tuple(each)))
    refuse_code(_launching(singles[0], words.folders))
    _begin(folder, given)
    print(f"sweep in {folder}; run={folder} goes on with it", flush=True)
    try:
        _launch(lambda settled: _one(folder, settled, job), folder, prepared, words.folders)
    except Stopped:
        print(f"the sweep is stopped; run={folder} goes on with it", file=sys.stderr)
        return 0
    return _report(folder)


def _launch(
    one: Callable[[Config], None], folder: Path, prepared: Sequence[str], folders: Sequence[Path]
) -> None:
    """Let Hydra call the function with the config of every run."""
    import hydra

    def called(node: Any) -> None:
        from hydra.core.hydra_config import HydraConfig

        place = Path(folder, str(HydraConfig.get().job.num))
        try:
            one(resolved(from_dict(Config, {**plain(node), "run": place}), Path.cwd()))
        except Stopped:
            raise SystemExit(0) from None  # any other exception is the end of one run only

    ours = [f"hydra.sweep.dir={quoted(str(folder))}", *search_path(folders)]
    before, sys.argv = sys.argv, [sys.argv[0], "--multirun", *prepared, *ours]
    try:
        hydra.main(config_path=str(folders[-1]), config_name="train", **version_base())(called)()
    except SystemExit as ended:
        if ended.code == 0:
            raise Stopped from None
        raise
    finally:
        sys.argv = before


def _one(folder: Path, settled: Config, job: Callable[[Any], int]) -> None:
    """Do the job for one run, and leave word of how it ended."""
    place = cast("Path", settled.run)
    path = folder / OUTCOMES / f"{place.name}.json"
    if _is_done(path, settled):
        print(f"{place} is done")
        return
    path.unlink(missing_ok=True)
    try:
        outcome = Outcome(job(settled), "")
    except Stopped:  # and so is the sweep
        raise
    except ConfigError as error:
        outcome = Outcome(2, str(error).partition("\n")[0])
        print(f"{place}: {error}", file=sys.stderr)
    except Exception as error:
        traceback.print_exc()
        outcome = Outcome(1, f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")
    _write(path, outcome._asdict())


def _is_done(path: Path, settled: Config) -> bool:
    """Whether this run ended well, with these very settings."""
    if not path.is_file() or _read(path).get("code") != 0:
        return False
    folder = cast("Path", settled.run)
    return (folder / config.FILE).is_file() and not config.differences(config.load(folder), settled)


def _report(folder: Path) -> int:
    """Say in one line what became of the runs; return the exit code."""
    runs = {int(path.name) for path in folder.iterdir() if path.name.isdigit()}
    told = {int(path.stem): _read(path) for path in (folder / OUTCOMES).glob("*.json")}
    failed = {
        number: told.get(number, {"code": 1, "reason": "ended without a word"})
        for number in sorted(runs | set(told))
        if told.get(number, {}).get("code") != 0
    }
    count = len(runs | set(told))
    if not failed:
        print(f"all {count} runs of {folder} are done")
        return 0 if count else 1
    named = "; ".join(
        f"{number} ({each.get('reason') or 'see above'})" for number, each in failed.items()
    )
    print(f"{len(failed)} of {count} runs of {folder} failed: {named}", file=sys.stderr)
    return max(int(each["code"]) for each in failed.values())


def refuse_code(node: Any, at: str = "hydra") -> None:
    """Refuse settings of Hydra's that name something to call, other than its own plugins.

    Args:
        node: Hydra's own settings, as plain values.
        at: Where they hang, for messages.

    Raises:
        ConfigError: With the key that names it.
    """
    if isinstance(node, list):
        for each in node:
            refuse_code(each, at)
    if not isinstance(node, Mapping):
        return
    for key, value in node.items():
        known = {"_target_": _MADE_OF, "()": _LOGGED_BY, "class": _LOGGED_BY}.get(key, ("",))
        if not str(value).startswith(known):
            raise ConfigError(
                f"{at}.{key}={shown(value)} would be called; there may stand what begins with "
                f"{' or '.join(known)}"
            )
        refuse_code(value, f"{at}.{key}")


def _launching(single: Sequence[str], folders: Sequence[Path]) -> Any:
    """Return Hydra's own settings for such words."""
    import hydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    overrides = [*single, *search_path(folders)]
    try:
        with hydra.initialize_config_dir(str(folders[-1]), job_name="train", **version_base()):
            found = hydra.compose("train", overrides=overrides, return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(f"the sweep cannot be composed: {error}") from error
    return OmegaConf.to_container(found.hydra, resolve=False)


def _one_by_one(prepared: Sequence[str]) -> Iterator[list[str]]:
    """Yield words for single runs, in which every value of a sweep occurs once."""
    choices = []
    for word, override in zip(prepared, parsed(prepared, sweep=True), strict=True):
        if override.is_discrete_sweep():
            key = word.partition("=")[0]
            choices.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        elif not override.is_sweep_override():
            choices.append([word])
    yield [each[0] for each in choices]
    for place, several in enumerate(choices):
        for value in several[1:]:
            yield [value if at == place else each[0] for at, each in enumerate(choices)]


def _folder(overrides: Sequence[str]) -> Path | None:
    """Return what `run=` says."""
    words = [prepared_word(w, Config, {}, sweep=False) for w in overrides if key_of(w) == "run"]
    value = values_of(words).get("run")
    return Path(os.path.abspath(Path(value).expanduser())) if isinstance(value, str) else None


def _stored(folder: Path) -> list[str]:
    """Return the words of a sweep that was begun in the folder; none if it is new.

    Raises:
        ConfigError: If it holds something else.
    """
    path = folder / WORDS
    if path.is_file():
        words = _read(path).get("words")
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ConfigError(f"{path} is damaged; give the words of the sweep and another run=")
        return words
    if (folder / config.FILE).is_file():
        raise ConfigError(f"run={folder} is a single run and no sweep; choose another folder")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"run={folder} holds something else and no sweep; choose another folder")
    return []


def _merged(stored: Sequence[str], given: Sequence[str]) -> list[str]:
    """Return the words, of two that set the same key the later one in the place of the first."""
    return list({key_of(word): word for word in (*stored, *given)}.values())


def _begin(folder: Path, words: Sequence[str]) -> None:
    try:
        (folder / OUTCOMES).mkdir(parents=True, exist_ok=True)
        _write(folder / WORDS, {"words": list(words)})
        for path in (folder / OUTCOMES).glob("*.json"):
            if _read(path).get("code") != 0:
                path.unlink()
    except OSError as error:
        raise ConfigError(f"run={folder} cannot be written: {error.strerror}") from error


def _read(path: Path) -> dict[str, Any]:
    """Return what a file of ours holds; nothing if it is damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, values: Mapping[str, Any]) -> None:
    half = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    half.write_text(json.dumps(values, indent=1), encoding="utf-8")
    half.replace(path)
