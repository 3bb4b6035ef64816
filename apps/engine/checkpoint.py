"""Saving a run and finding it again, whatever happened in between; orbax does the writing.

A checkpoint has three items: `train` (step, key, models, optimisers), `ema` (the moving averages,
all that inference needs) and `meta` (the config, the metrics and the shapes, as JSON). Arrays are
stored by their path, so that what is in a file can be read off without the program that wrote it.
"""

import functools
import logging
import math
import shutil
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers as policies

from apps.engine import integrity, renaming
from apps.engine.company import ALONE, Company, ElsewhereError
from apps.engine.lock import Lock
from apps.engine.quiet import Quiet, reason_of
from apps.engine.state import TrainState
from apps.engine.stored import (
    FORMAT,
    absent_counts,
    check_fit,
    fill,
    named_arrays,
    read_meta,
    shapes,
    stored_steps,
    target,
    unreadable,
)
from apps.engine.stored import CheckpointError as CheckpointError
from apps.engine.stored import restore_ema as restore_ema

_UNFINISHED = "*.orbax-checkpoint-tmp*"
_RETIRED = "retired"
# Orbax looks for its parts by a pattern with the folder's name in it: with these it finds none, or
# those of another run, and what it saves cannot be read.
_PATTERN = frozenset("*?[]\\")
_ROOM = 1.1  # bytes needed on the disk for a byte of the state: small files, metadata
_logger = logging.getLogger("apps.engine.checkpoint")


class Checkpoints:
    """The checkpoints of a run, held by one process at a time, or by several that train together.

    Saves run in the background and appear at once and whole, sealed with the digest of every
    file, or not at all. The newest `keep_latest` and the `keep_best` best by `best_metric` stay,
    also over a restart.

    Args:
        folder: Where they lie; it is made.
        keep_latest: How many of the newest to keep.
        keep_best: How many of the best to keep besides.
        best_metric: The name of the metric that says which is best; None keeps only the newest.
        best_mode: `"min"` or `"max"`.
        config: What to store beside the arrays: anything JSON can hold.
        company: The processes that train together. Each writes its part of the arrays; all call
            every method in the same order. They see one folder, on a disk they share. A save
            that fails in one of them ends that one: the others cannot go on without it.

    Raises:
        ValueError: if a number or the mode is out of range.
        CheckpointError: if the folder cannot be written, or every checkpoint in it is damaged.
        InUseError: if another process trains in it.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        keep_latest: int = 3,
        keep_best: int = 1,
        best_metric: str | None = None,
        best_mode: str = "min",
        config: Mapping[str, Any] | None = None,
        company: Company = ALONE,
    ) -> None:
        if keep_latest < 1:
            raise ValueError(f"`keep_latest` is {keep_latest}: at least 1 is needed to resume")
        if keep_best < 0:
            raise ValueError(f"`keep_best` is {keep_best}: it must be 0 or more")
        if best_mode not in ("min", "max"):
            raise ValueError(f"`best_mode` is {best_mode!r}: it must be 'min' or 'max'")
        # Orbax refuses a relative path, and in the background only at the second save.
        self.folder = Path(folder).resolve()
        if odd := sorted(_PATTERN & set(self.folder.as_posix())):
            raise ValueError(
                f"checkpoints cannot be kept in {self.folder}, whose name has {' '.join(odd)} in "
                f"it: choose a folder without"
            )
        self._config = dict(config or {})
        self.best_metric, self._best_mode = best_metric, best_mode
        self._saving: int | None = None
        self._company, self._lock = company, None
        self._quiet: Quiet | None = None
        try:
            company.agreed(self._take)
            self._quiet = Quiet()
            self._manager = self._open(keep_latest, keep_best if best_metric is not None else 0)
        except BaseException:
            self._release()
            raise

    def steps(self) -> list[int]:
        """Returns the steps there are, oldest first."""
        return sorted(self._manager.all_steps())

    def save(
        self,
        step: int,
        state: TrainState,
        metrics: Mapping[str, float] | None = None,
        *,
        force: bool = False,
    ) -> bool:
        """Begins to save a state, which may be donated as soon as this returns.

        A save that fails, here or in the background, costs that checkpoint and nothing else: one
        warning says why, and the earlier ones stay.

        Args:
            step: Steps made so far.
            state: The state.
            metrics: Stored with it; `best_metric` is looked up among them.
            force: Wait until it is on the disk, and raise if it cannot be.

        Returns:
            Whether this step is saved, or on its way.

        Raises:
            CheckpointError: with `force`, if it could not be saved.
        """
        self._settle()
        if step in self._manager.all_steps():
            return True
        try:
            if self._company.agreed(lambda: self._make_room(state)):
                self._manager.reload()
            self._begin(step, state, dict(metrics or {}))
            if force:
                self._manager.wait_until_finished()
        except Exception as error:
            text = self._failed(step, error)
            alone = self._company.size == 1 or isinstance(error, CheckpointError | ElsewhereError)
        else:
            return True
        if force or not alone:
            raise CheckpointError(text)
        _logger.warning(text)
        return False

    def restore(self, template: TrainState) -> tuple[int, TrainState] | None:
        """Returns the newest state that is whole, and its step; None if there is none at all.

        Newer ones that are damaged are named in one line and set aside as `40.bad`.

        Args:
            template: A state, or one of shapes (`abstract_state`), whose arrays say where they
                are to lie.

        Raises:
            CheckpointError: if the checkpoint is of another model or cannot be loaded, or every
                one is damaged.
        """
        self._settle()
        damaged: dict[int, str] = {}
        wanted = {
            item: {name: target(name, leaf) for name, leaf in arrays.items()}
            for item, arrays in named_arrays(template).items()
        }
        for step in reversed(self.steps()):
            reason = self._company.agreed(functools.partial(self._damage, step))
            if reason is None:
                meta = read_meta(self.folder, step)
                counts = absent_counts(wanted, meta)
                there = {
                    item: {name: leaf for name, leaf in arrays.items() if name not in counts}
                    for item, arrays in wanted.items()
                }
                check_fit(there, meta)
                try:
                    state = fill(template, {**self._load(step, there, meta), **counts})
                except Exception as error:  # of memory, say: a whole checkpoint is not set aside
                    raise CheckpointError(
                        f"checkpoint {step} is as it was written, and cannot be loaded: "
                        f"{reason_of(error)}"
                    ) from error
                if damaged:
                    going_on = f"going on from {step}"
                    self._company.agreed(
                        functools.partial(self._set_aside, damaged, going_on=going_on)
                    )
                    self._manager.reload()
                return step, state
            damaged[step] = reason
        if damaged:
            raise CheckpointError(_all_damaged(self.folder, damaged))
        return None

    def wait(self) -> None:
        """Waits until what was begun is on the disk; warns if it could not be written."""
        self._settle()

    def close(self) -> None:
        """Waits for the last save and lets other processes in."""
        self._settle()
        self._manager.close()
        del self._manager
        self._release()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _take(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = Lock(self.folder / "lock")
        except OSError as error:
            raise CheckpointError(
                f"checkpoints cannot be written to {self.folder}: {error.strerror}"
            ) from error
        self._remove_leftovers()
        self._set_aside_unreadable()

    def _release(self) -> None:
        if self._quiet is not None:
            self._quiet.end()
        if self._lock is not None:
            self._lock.release()

    def _damage(self, step: int) -> str | None:
        return integrity.damage(self.folder / str(step))

    def _open(self, keep_latest: int, keep_best: int) -> ocp.CheckpointManager:
        keep: list[policies.PreservationPolicy] = [policies.LatestN(keep_latest)]
        if keep_best:
            keep.append(
                policies.BestN(
                    get_metric_fn=self._quality,
                    reverse=self._best_mode == "min",
                    n=keep_best,
                    keep_checkpoints_without_metrics=False,
                )
            )
        options = ocp.CheckpointManagerOptions(
            preservation_policy=policies.AnyPreservationPolicy(keep),
            # The policy decides alone, but without `best_fn` the metrics are not written, and
            # after a restart the best checkpoint is deleted.
            best_fn=self._quality if keep_best else None,
            best_mode=self._best_mode,
            cleanup_tmp_directories=True,
            # Deleting takes many steps, and a kill among them would leave what looks like a
            # damaged checkpoint; so an old one is first renamed, and removed at the next save.
            todelete_subdir=_RETIRED,
            async_options=ocp.AsyncOptions(
                # Runs when all files are written and before the folder gets its final name, so a
                # checkpoint is never seen without its seal.
                post_finalization_callback=self._seal,
                # Where folders cannot be made, those made in the background have the threads that
                # write into them wait for five minutes, and the process with them.
                create_directories_asynchronously=False,
            ),
        )
        return ocp.CheckpointManager(self.folder, options=options)

    def _quality(self, metrics: Mapping[str, float]) -> float:
        worst = math.inf if self._best_mode == "min" else -math.inf
        return metrics.get(self.best_metric or "", worst)

    def _begin(self, step: int, state: TrainState, metrics: dict[str, float]) -> None:
        items = named_arrays(state)
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        meta = {
            "format": FORMAT,
            "step": step,
            "config": self._config,
            "metrics": finite,
            "best": {"metric": self.best_metric, "mode": self._best_mode},
            "arrays": shapes(items),
        }
        arguments: dict[str, Any] = {
            item: ocp.args.StandardSave(arrays) for item, arrays in items.items() if arrays
        }
        arguments["meta"] = ocp.args.JsonSave(meta)
        best = {name: value for name, value in finite.items() if name == self.best_metric}
        self._saving = step
        self._manager.save(
            step, args=ocp.args.Composite(**arguments), metrics=best or None, force=True
        )

    def _seal(self) -> None:
        for folder in self.folder.glob(f"{self._saving}{_UNFINISHED[1:]}"):
            integrity.seal(folder)

    def _load(
        self, step: int, wanted: Mapping[str, Mapping[str, Any]], meta: Mapping[str, Any]
    ) -> dict[str, Any]:
        arguments = {
            item: ocp.args.StandardRestore(renaming.on_disk(arrays, meta))
            for item, arrays in wanted.items()
            if arrays
        }
        restored = self._manager.restore(step, args=ocp.args.Composite(**arguments))
        found = {name: leaf for item in arguments for name, leaf in restored[item].items()}
        return renaming.in_memory(found, meta)

    def _make_room(self, state: TrainState) -> bool:
        """Sees to a place for a state; returns whether what was there before has gone."""
        gone = not self.folder.exists()
        if gone:
            _logger.warning(f"{self.folder} is gone: a new one begins here")
            self.folder.mkdir(parents=True)
        arrays = named_arrays(state)
        needed = _ROOM * sum(leaf.nbytes for item in arrays.values() for leaf in item.values())
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise CheckpointError(
                f"it needs {needed / 1e6:.1f} MB, and {free / 1e6:.1f} MB are free in {self.folder}"
            )
        return gone

    def _settle(self) -> None:
        try:
            self._manager.wait_until_finished()
            self._remove_leftovers()
        except Exception as error:
            text = self._failed(self._saving, error)
            if self._company.size > 1:
                raise CheckpointError(text) from error
            _logger.warning(text)

    def _failed(self, step: int | None, error: Exception) -> str:
        reason = reason_of(error)
        # The half-written folder fills the disk, and the list of steps is no longer what is there.
        for _ in range(20):
            time.sleep(0.05)  # files that were on their way when the first one failed
            if not self._remove_leftovers():
                break
        self._manager.reload()
        traceback.clear_frames(error.__traceback__)  # they hold the writes that failed with it
        return f"checkpoint {step} was not saved: {reason}. Earlier ones are kept"

    def _remove_leftovers(self) -> bool:
        """Removes half-written and retired checkpoints; returns whether there were any."""
        if not self._company.first:
            return False
        found = [*self.folder.glob(_UNFINISHED), *self.folder.glob(_RETIRED)]
        for folder in found:
            shutil.rmtree(folder, ignore_errors=True)
        return bool(found)

    def _set_aside_unreadable(self) -> None:
        # Orbax reads the metrics of every step before it can be asked for any.
        steps = stored_steps(self.folder)
        found = {step: unreadable(self.folder / str(step)) for step in steps}
        damaged = {step: reason for step, reason in found.items() if reason is not None}
        if damaged and len(damaged) == len(steps):
            raise CheckpointError(_all_damaged(self.folder, damaged))
        self._set_aside(damaged, going_on="using the others")

    def _set_aside(self, damaged: Mapping[int, str], *, going_on: str) -> None:
        # While a bad step is there, orbax silently refuses to save that number again.
        for step, reason in sorted(damaged.items()):
            target = self.folder / f"{step}.bad"
            count = 1
            while target.exists():
                count += 1
                target = self.folder / f"{step}.bad-{count}"
            (self.folder / str(step)).rename(target)
            _logger.warning(
                f"checkpoint {step} is damaged ({reason}): set aside as {target.name}, {going_on}"
            )


def _all_damaged(folder: Path, damaged: Mapping[int, str]) -> str:
    listed = "; ".join(f"{step}: {reason}" for step, reason in sorted(damaged.items()))
    return (
        f"every checkpoint in {folder} is damaged ({listed}). "
        f"Put back a copy, or begin anew in another run folder"
    )
