"""The config in its run folder: written once, read back, compared."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from apps import schema
from apps.config.migration import migrated
from apps.config.whole import Config
from apps.schema import ConfigError, Difference, from_dict, merged, nearest, shown, to_dict

FILE = "config.yaml"
"""The file of a run folder that holds its config; written once, when the run starts."""

MAY_CHANGE = frozenset(
    (
        *("name", "data.root", "data.path", "train.workers", "train.steps"),
        *("train.devices", "train.fsdp"),
        *("train.max_skipped", "train.accumulate", "model.rematerialise"),
        *("train.log_every", "train.sample_every", "train.evaluate_every", "train.save_every"),
        *("train.samples", "train.evaluate_records", "train.keep_latest", "train.keep_best"),
    )
)
"""Settings that may differ when a run is resumed: how long, how often, where, on what.

None of them enters a step, save `train.steps` through the schedule of the learning rate, and
`train.devices`, `train.fsdp`, `train.accumulate` and `model.rematerialise` through the order of
additions (a relative 1e-7).
"""


def differences(old: Config, new: Config) -> list[Difference]:
    """List the settings in which two configs differ, leaving out the run's own folder."""
    return schema.differences(stored(old), stored(new))


def digest(config: Config) -> str:
    """Name the config by eight hexadecimal digits: equal for equal settings, wherever it runs."""
    text = json.dumps(stored(config), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def stored(config: Config) -> dict[str, Any]:
    """Return what is kept of a config: all but where it runs, in which folder and processes."""
    return {k: v for k, v in to_dict(config).items() if k not in ("run", "distributed")}


def save(config: Config, folder: Path) -> None:
    """Write the config into a run folder, once.

    Raises:
        FileExistsError: If the folder holds a config already.
    """
    path = folder / FILE
    if path.exists():
        raise FileExistsError(f"{path} exists; the config of a run is written once")
    write(path, yaml.safe_dump(stored(config), allow_unicode=True, sort_keys=False))


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all, whatever happens meanwhile.

    Raises:
        OSError: If it cannot be written; it names the file, as the error of a full disk does not.
    """
    half = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        half.write_text(text, encoding="utf-8")
        half.replace(path)
    except OSError as error:
        with suppress(OSError):
            half.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error


def load(folder: Path | str, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read the config of a run.

    Args:
        folder: The run folder.
        overrides: Values to use instead of the stored ones: `{"data": {"root": path}}` where the
            recordings have moved.

    Raises:
        ConfigError: If the folder holds no run, a link leads out of it, or the values are not a
            config.
    """
    folder = Path(folder)
    if not (folder / FILE).is_file():
        runs = sorted(path.parent.name for path in folder.parent.glob(f"*/{FILE}"))
        there = nearest(folder.name, runs) or (
            f"; runs beside it: {', '.join(runs)}" if runs else ""
        )
        raise ConfigError(f"run={folder} is not a run ({FILE} is missing){there}")
    _refuse_links_out(folder)
    try:
        values = yaml.safe_load((folder / FILE).read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date that is none, say
        raise ConfigError(f"{folder / FILE} is damaged: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{folder / FILE} is damaged: it must hold settings, got {shown(values)}")
    values = merged(migrated(values), overrides or {})
    return dataclasses.replace(from_dict(Config, values), run=folder)


def _refuse_links_out(folder: Path) -> None:
    """Refuse a run of somebody's that would have us write or read elsewhere."""
    for path in folder.iterdir():
        if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
            raise ConfigError(
                f"{path} is a link out of the run folder; copy what it leads to into the folder"
            )
