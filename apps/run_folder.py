"""The folder of a run: found, begun, or refused before anything is lost."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from apps import config
from apps.config import Config
from apps.schema import ConfigError, differences
from apps.words import stamp

if TYPE_CHECKING:
    from apps.data import Signal


def find_folder(wanted: Config) -> Path:
    """Return the folder of the run, new or to be resumed; nothing is written.

    Raises:
        ConfigError: If the folder holds something else, or a run with other settings.
    """
    if wanted.run is None:
        name = f"{wanted.name or wanted.data.kind}-{stamp()}"
        return Path.cwd() / "runs" / name
    folder = wanted.run
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"run={folder} is a file; choose a folder")
    if not (folder / config.FILE).is_file():
        there = sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []
        # These are left by a run that was killed before it began.
        foreign = [n for n in there if not n.startswith(("checkpoints", "signal.", config.FILE))]
        if foreign:
            some = ", ".join(foreign[:3]) + (", …" if len(foreign) > 3 else "")
            raise ConfigError(f"run={folder} holds {some} and no run; choose a new folder")
        if any((folder / "checkpoints").glob("[0-9]*")):
            raise ConfigError(
                f"run={folder} holds checkpoints and no {config.FILE}, without which weights of "
                f"the same shapes could be taken for others; put it back, or choose a new folder"
            )
        return folder
    changed = config.differences(config.load(folder), wanted)
    refused = [each for each in changed if each.key not in config.MAY_CHANGE]
    if refused:
        listed = "".join(f"\n  {each}" for each in refused)
        free = ", ".join(sorted(config.MAY_CHANGE))
        raise ConfigError(
            f"run={folder} was begun with other settings:{listed}\nTake these back, or choose "
            f"another run= folder. What may change in a run: {free}"
        )
    return folder


def begin_folder(wanted: Config, folder: Path, signal: "Signal") -> None:
    """Write what a run begins with, or see that its data are still of the kind it began with.

    Raises:
        ConfigError: If the data are of another kind now.
    """
    from apps.build import SIGNAL
    from apps.data.source import LATER

    path = folder / SIGNAL
    if path.is_file():
        try:
            stored = {**LATER, **json.loads(path.read_bytes())}
        except (ValueError, TypeError) as error:
            raise ConfigError(
                f"{path} is damaged: {error}. It says what the data are; delete it if they are "
                f"those that the run began with"
            ) from error
        if changed := differences(stored, json.loads(json.dumps(signal.to_dict()))):
            listed = "".join(f"\n  {each}" for each in changed)
            raise ConfigError(f"the data are not those that run={folder} began with:{listed}")
    else:
        config.write(path, json.dumps(signal.to_dict(), indent=1))
    if not (folder / config.FILE).is_file():
        config.save(wanted, folder)  # last: a folder with a config is a run
