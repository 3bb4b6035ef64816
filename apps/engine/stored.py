"""What lies in a checkpoint: arrays by path and a description; and reading one to use it."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import equinox as eqx
import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.sharding import SingleDeviceSharding

from apps.engine import integrity, renaming
from apps.engine.state import TrainState

FORMAT = 2  # 1: without the counts of skipped updates
_Tree = TypeVar("_Tree")
_Arrays = dict[str, Any]
_logger = logging.getLogger("apps.engine.checkpoint")


class CheckpointError(RuntimeError):
    """A checkpoint cannot be written, read, or does not fit the model."""


def named_arrays(state: TrainState) -> dict[str, _Arrays]:
    """Returns a state's arrays (or shapes) by item, `train` or `ema`, and by path.

    Without static fields and empty leaves: orbax gives a None back where the template has one,
    and says nothing.
    """
    items: dict[str, _Arrays] = {"train": {}, "ema": {}}
    for name, leaf in _leaves(state).items():
        parts = name.split(".")
        averaged = parts[0] == "players" and parts[2] == "ema"
        items["ema" if averaged else "train"][name] = leaf
    return items


def shapes(items: Mapping[str, _Arrays]) -> dict[str, dict[str, list[Any]]]:
    """Returns dtype and shape of every array, as JSON can hold them."""
    return {
        item: {name: [str(leaf.dtype), list(leaf.shape)] for name, leaf in arrays.items()}
        for item, arrays in items.items()
    }


def target(name: str, leaf: Any) -> jax.ShapeDtypeStruct:
    """Returns the shape and the place an array is restored to.

    Raises:
        ValueError: if the template does not say where it is to lie.
    """
    if leaf.sharding is None:
        raise ValueError(f"the template does not say where {name} lies: use `abstract_placed`")
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)


def fill(template: _Tree, found: Mapping[str, Any], prefix: str = "") -> _Tree:
    """Returns the template with its arrays replaced by those found under their path.

    Raises:
        CheckpointError: if one is missing.
    """
    missing = [name for name in _leaves(template, prefix) if found.get(name) is None]
    if missing:
        raise CheckpointError(f"{missing[0]} and {len(missing) - 1} others are missing")

    def replace(path: Any, leaf: Any) -> Any:
        return found[_name(path, prefix)] if _is_array(leaf) else leaf

    return jax.tree_util.tree_map_with_path(replace, template)


def check_fit(wanted: Mapping[str, _Arrays], meta: Mapping[str, Any]) -> None:
    """Refuses a checkpoint whose arrays are not those of the model.

    Args:
        wanted: The template's arrays by item and path.
        meta: The checkpoint's description.

    Raises:
        CheckpointError: with the first array that differs, or is there only once.
    """
    stored, here = meta["arrays"], shapes(wanted)
    found = {name: entry for item in here for name, entry in stored.get(item, {}).items()}
    needed = {name: entry for arrays in here.values() for name, entry in arrays.items()}
    differing = [
        f"{name} is {_told(found.get(name))} there and {_told(needed.get(name))} here"
        for name in sorted(found.keys() | needed.keys())
        if found.get(name) != needed.get(name)
    ]
    if differing:
        others = f" (and {len(differing) - 1} more)" if len(differing) > 1 else ""
        raise CheckpointError(
            f"checkpoint {meta['step']} is of another model or optimiser: {differing[0]}{others}. "
            f"Use the config it was trained with, or another run folder"
        )


def absent_counts(wanted: Mapping[str, _Arrays], meta: Mapping[str, Any]) -> _Arrays:
    """Returns zeros for the counts of skipped updates that a checkpoint of format 1 has not.

    Args:
        wanted: The template's arrays by item and path.
        meta: The checkpoint's description.
    """
    if meta["format"] > 1:
        return {}
    return {
        name: jax.device_put(np.zeros(leaf.shape, leaf.dtype), leaf.sharding)
        for name, leaf in wanted["train"].items()
        if name.split(".")[-2:-1] == ["skips"]
    }


def read_meta(folder: str | Path, step: int | None = None) -> dict[str, Any]:
    """Returns a checkpoint's description: format, step, config, metrics, best, arrays.

    Args:
        folder: The folder of the checkpoints.
        step: Which; the newest that can be read when None.

    Raises:
        CheckpointError: if there is none, it is damaged, or of a newer format.
    """
    folder = Path(folder).resolve()
    reasons = []
    for number in reversed(stored_steps(folder)) if step is None else [step]:
        path = folder / str(number)
        reason = unreadable(path)
        if reason is None:
            meta = json.loads((path / "meta" / "metadata").read_bytes())
            if meta["format"] > FORMAT:
                raise CheckpointError(
                    f"checkpoint {number} has format {meta['format']}, this program reads up to "
                    f"{FORMAT}: use the newer program that wrote it"
                )
            return renaming.renewed(meta)
        reasons.append(f"{number}: {reason}")
    raise CheckpointError(
        f"no checkpoint in {folder} can be read" + (f" ({'; '.join(reasons)})" if reasons else "")
    )


def stored_steps(folder: Path) -> list[int]:
    """Returns the steps that are saved in a folder, oldest first."""
    found = folder.glob("[0-9]*") if folder.is_dir() else ()
    return sorted(int(path.name) for path in found if path.name.isdigit())


def unreadable(path: Path) -> str | None:
    """Returns what is wrong with a checkpoint's description, or None; the arrays are not read."""
    try:
        json.loads((path / "_CHECKPOINT_METADATA").read_bytes())
    except FileNotFoundError:
        pass  # nothing that is restored depends on it
    except (OSError, ValueError, RecursionError):
        return "_CHECKPOINT_METADATA is not as it was written"
    if reason := integrity.damage(path, parts=("meta", "metrics")):
        return reason
    try:
        sound = _is_description(json.loads((path / "meta" / "metadata").read_bytes()), path.name)
    except (OSError, ValueError, RecursionError):
        sound = False
    return None if sound else "meta/metadata is not a description of it"


def _is_description(meta: Any, name: str) -> bool:
    """Whether this is what `Checkpoints` writes; of a newer format no more is known."""
    if not isinstance(meta, dict) or not isinstance(meta.get("format"), int):
        return False
    if meta["format"] > FORMAT:
        return True
    best, metrics, arrays = (meta.get(key) for key in ("best", "metrics", "arrays"))
    return (
        str(meta.get("step")) == name
        and isinstance(best, dict)
        and isinstance(best.get("metric"), str | None)
        and isinstance(metrics, dict)
        and all(isinstance(value, int | float) for value in metrics.values())
        and isinstance(arrays, dict)
        and all(isinstance(arrays.get(item), dict) for item in ("train", "ema"))
        and all(map(_is_shape, [*arrays["train"].values(), *arrays["ema"].values()]))
    )


def _is_shape(entry: Any) -> bool:
    """Whether this is a dtype and a shape."""
    return (
        isinstance(entry, list)
        and len(entry) == 2
        and isinstance(entry[0], str)
        and isinstance(entry[1], list)
        and all(isinstance(size, int) for size in entry[1])
    )


def restore_ema(
    folder: str | Path,
    models: Mapping[str, _Tree],
    *,
    step: int | str | None = None,
    averaged: bool = True,
) -> tuple[int, dict[str, _Tree]]:
    """Reads trained players for use: their moving averages, onto one device.

    A player that keeps no average is read as it was trained. Nothing is written or renamed, so a
    run that is still training may be read; a damaged checkpoint is named and passed over.

    Args:
        folder: The folder of the checkpoints.
        models: The players wanted, of arrays or of shapes (`eqx.filter_eval_shape`).
        step: A step, `"best"`, or None for the newest.
        averaged: False reads every player as it was trained, even where it keeps an average.

    Returns:
        The step, and the players.

    Raises:
        CheckpointError: if there is no such checkpoint, it is damaged, or it does not fit.
        ValueError: if `step` is another word.
    """
    folder = Path(folder).resolve()
    reasons: list[str] = []
    for number in _candidates(folder, step):
        path = folder / str(number)
        try:
            reason = unreadable(path) or integrity.damage(path, parts=("ema",))
            if reason is None:
                meta = read_meta(folder, number)
                return number, _read_players(path, meta, models, averaged=averaged)
        except CheckpointError:
            raise
        except Exception as error:  # orbax's of any kind; a training run may delete it meanwhile
            reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        reasons.append(f"{number}: {reason}")
        _logger.warning(f"checkpoint {number} is damaged ({reason}): passed over")
    raise CheckpointError(
        f"no checkpoint {'' if step is None else f'{step!r} '}in {folder}"
        + (f" can be used ({'; '.join(reasons)})" if reasons else "")
    )


def _candidates(folder: Path, step: int | str | None) -> list[int]:
    steps = stored_steps(folder)
    if step is None:
        return steps[::-1]
    if step == "best":
        metas = [
            read_meta(folder, number)
            for number in steps
            if unreadable(folder / str(number)) is None
        ]
        rule = metas[-1]["best"] if metas else {"metric": None, "mode": "min"}
        judged = [meta for meta in metas if rule.get("metric") in meta["metrics"]]
        judged.sort(
            key=lambda meta: meta["metrics"][rule["metric"]], reverse=rule.get("mode") == "max"
        )
        if metas and not judged:
            raise CheckpointError(
                f"no checkpoint in {folder} was evaluated, so none is best: take the newest"
            )
        return [meta["step"] for meta in judged]
    if step in steps:
        return [int(step)]
    if isinstance(step, int):
        return []
    raise ValueError(f"`step` is {step!r}: it must be a number, 'best' or None")


def _read_players(
    path: Path, meta: Mapping[str, Any], models: Mapping[str, _Tree], *, averaged: bool
) -> dict[str, _Tree]:
    here = SingleDeviceSharding(jax.devices()[0])
    players = {}
    for name, model in models.items():
        prefix = f"players.{name}.ema."
        kept = averaged and any(n.startswith(prefix) for n in meta["arrays"]["ema"])
        item = "ema" if kept else "train"
        if item == "train":
            prefix = f"players.{name}.model."
        stored = {n: e for n, e in meta["arrays"][item].items() if n.startswith(prefix)}
        if not stored:
            raise CheckpointError(f"checkpoint {meta['step']} has no player {name!r}")
        wanted = _leaves(model, prefix)
        check_fit({item: wanted}, {"step": meta["step"], "arrays": {item: stored}})
        if item == "train" and (reason := integrity.damage(path, parts=("train",))):
            raise ValueError(reason)
        goal = {n: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=here) for n, a in wanted.items()}
        goal = renaming.on_disk(goal, meta)
        arguments = ocp.args.PyTreeRestore(
            goal,
            restore_args=ocp.checkpoint_utils.construct_restore_args(goal),
            partial_restore=True,
        )
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
            found = renaming.in_memory(reader.restore(path / item, args=arguments), meta)
        players[name] = fill(model, found, prefix)
    return players


def _leaves(tree: Any, prefix: str = "") -> _Arrays:
    pairs = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {_name(path, prefix): leaf for path, leaf in pairs if _is_array(leaf)}


def _name(path: Any, prefix: str) -> str:
    return prefix + jax.tree_util.keystr(path, simple=True, separator=".")


def _is_array(leaf: Any) -> bool:
    return eqx.is_array(leaf) or isinstance(leaf, jax.ShapeDtypeStruct)


def _told(entry: list[Any] | None) -> str:
    return "missing" if entry is None else f"{entry[0]}{tuple(entry[1])}"
