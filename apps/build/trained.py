"""From a run folder to a model that can be used."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax

from apps import config as settings
from apps.build.networks import model
from apps.build.objectives import objective
from apps.config import Config
from apps.data import Signal
from apps.engine.checkpoint import CheckpointError, restore_ema
from apps.schema import ConfigError

SIGNAL = "signal.json"
"""The file of a run folder that says what one example is; to use a run, its data is not needed."""


def stored_signal(folder: Path) -> Signal:
    """Read what one example of a run is.

    Raises:
        ConfigError: If the file is missing or damaged.
    """
    try:
        return Signal.from_dict(json.loads((folder / SIGNAL).read_text(encoding="utf-8")))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(f"{folder / SIGNAL} is missing or damaged: {error}") from error


class Trained(NamedTuple):
    """A run, ready for use: its settings, its kind of signal, and the model at one step."""

    config: Config
    signal: Signal
    step: int
    model: Any


def trained(folder: Path, *, checkpoint: int | str = "latest", averaged: bool = True) -> Trained:
    """Read a run folder; its data is not needed.

    Args:
        folder: The run folder.
        checkpoint: A step, ``"best"`` or ``"latest"``.
        averaged: Whether to take the moving average of the weights, where the run keeps one.

    Raises:
        ConfigError: If the folder holds no run, there is no such checkpoint, or it is damaged.
    """
    config = settings.load(folder)
    step = None if checkpoint == "latest" else checkpoint
    try:
        signal = stored_signal(folder)
        player = objective(config, signal).product
        shapes = eqx.filter_eval_shape(model, config, signal, key=jax.random.key(0))
        found, models = restore_ema(
            folder / "checkpoints", {player: shapes}, step=step, averaged=averaged
        )
    except (CheckpointError, OSError) as error:
        raise ConfigError(f"run={folder} cannot be used: {error}") from error
    return Trained(config, signal, found, models[player])
