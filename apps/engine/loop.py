"""When to step, log, evaluate, show samples, save and stop."""

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jax.sharding import Mesh

from apps.engine.checkpoint import Checkpoints
from apps.engine.log import Log, fetch
from apps.engine.mesh import place_batch
from apps.engine.sample import Sample
from apps.engine.signals import StopSignal
from apps.engine.state import TrainState
from apps.engine.step import Metrics, Step

_logger = logging.getLogger("apps.engine.loop")


@dataclass(frozen=True)
class Cadence:
    """How often something is done, in steps; 0 is never. The last step does everything.

    Which checkpoint is best is judged among those saved at a step that was also evaluated.

    Attributes:
        log: Write the metrics of the step.
        evaluate: Run the held-out evaluation.
        sample: Show the fixed held-out examples.
        save: Write a checkpoint.
    """

    log: int = 10
    evaluate: int = 200
    sample: int = 200
    save: int = 200

    def __post_init__(self) -> None:
        for name, every in vars(self).items():
            if every < 0:
                raise ValueError(f"`{name}` is {every}: a number of steps, or 0 for never")


class NonFiniteError(RuntimeError):
    """A loss or a gradient is not a finite number."""


def train(
    state: TrainState,
    *,
    step: Step,
    batches: Callable[[int], Iterator[Any]],
    mesh: Mesh,
    steps: int,
    cadence: Cadence,
    checkpoints: Checkpoints,
    log: Log,
    evaluate: Callable[[TrainState], Mapping[str, float]] | None = None,
    sample: Callable[[TrainState], Sequence[Sample]] | None = None,
    stop: StopSignal,
    names: Callable[[int], Sequence[str]] | None = None,
) -> TrainState:
    """Trains until `steps` updates are made or a signal asks to stop, and saves.

    The host runs one step ahead of the device: the metrics of step n are fetched while step
    n + 1 runs.

    Args:
        state: Where to begin, laid onto the mesh; it is donated.
        step: From `make_train_step`.
        batches: Of a number of updates made: the host batches from there on.
        mesh: Where the batches go.
        steps: Updates in the whole run, those before a resume included.
        cadence: How often to do what.
        checkpoints: Where to save.
        log: Where to write.
        evaluate: Of a state: held-out metrics; they are logged as `test/name`.
        sample: Of a state: examples to be seen and heard.
        stop: The flag that ends the run early.
        names: Of a number of updates made: the records in that batch, for error messages.

    Returns:
        The state at the end; it is saved.

    Raises:
        NonFiniteError: if a loss or a gradient is not finite; the step is not saved.
        CheckpointError: if the last state cannot be saved.
    """
    begun = done = int(fetch(state.step))
    if done >= steps:
        return state
    log.begin(done, steps=steps, devices=mesh.size)
    watch = _Watch(log, cadence.log, steps, names)
    stream = batches(done)
    tested: dict[str, float] = {}
    best_metric = checkpoints.best_metric
    while done < steps and not stop.requested:
        state, metrics = step(state, place_batch(next(stream), mesh))
        done += 1
        watch.ahead(done, metrics)
        tested = {}
        if evaluate is not None and _due(done, cadence.evaluate, steps):
            watch.check()
            tested = {f"test/{name}": float(value) for name, value in evaluate(state).items()}
            watch.write(tested)
            _expect(best_metric, {**watch.numbers, **tested})
            best_metric = None  # told once is enough
        if sample is not None and _due(done, cadence.sample, steps):
            watch.write()
            log.samples(done, sample(state))
        if _due(done, cadence.save, steps) and done < steps:
            watch.write()
            checkpoints.save(done, state, {**watch.numbers, **tested})
    if done == begun:
        return state
    watch.write()
    if stop.requested:
        log.message(f"{stop.received}: saving step {done} and leaving")
    checkpoints.save(done, state, {**watch.numbers, **tested}, force=True)
    return state


def _due(done: int, every: int, steps: int) -> bool:
    return every > 0 and (done % every == 0 or done == steps)


def _expect(best_metric: str | None, metrics: Mapping[str, float]) -> None:
    if best_metric is not None and best_metric not in metrics:
        _logger.warning(
            f"`best_metric` is {best_metric!r}, which is not measured, so no checkpoint is best; "
            f"measured are {', '.join(sorted(metrics))}"
        )


class _Watch:
    """Reads the metrics of a step while the next one runs, and stops a run that has diverged."""

    def __init__(
        self,
        log: Log,
        every: int,
        steps: int,
        names: Callable[[int], Sequence[str]] | None,
    ) -> None:
        self.numbers: dict[str, float] = {}
        self._log, self._every, self._steps, self._names = log, every, steps, names
        self._waiting: tuple[int, Metrics] | None = None
        self._unwritten: int | None = None

    def ahead(self, done: int, metrics: Metrics) -> None:
        """Takes the metrics of the step now running, and writes those of the one before."""
        self.write()
        self._waiting = (done, metrics)

    def check(self) -> None:
        """Waits for the metrics at hand and refuses those that are not finite."""
        if self._waiting is None:
            return
        done, metrics = self._waiting
        self._waiting = None
        self.numbers = {name: float(value) for name, value in fetch(metrics).items()}
        self._unwritten = done
        self._log.step(done, self.numbers)
        for name, value in self.numbers.items():
            if name.split("/")[-1] in ("loss", "gradient_norm") and not math.isfinite(value):
                raise NonFiniteError(self._explain(done, name, value))

    def write(self, tested: Mapping[str, float] | None = None) -> None:
        """Logs the metrics at hand, once, if their step is one to log or was evaluated."""
        self.check()
        if self._unwritten is None:
            return
        if tested or _due(self._unwritten, self._every, self._steps):
            self._log.scalars(self._unwritten, {**self.numbers, **(tested or {})})
        self._unwritten = None

    def _explain(self, done: int, name: str, value: float) -> str:
        records = "" if self._names is None else f" on {', '.join(self._names(done - 1))}"
        return (
            f"step {done}: {name} is {value}{records}. The run stops; its last checkpoint is good. "
            f"Look at these records, or lower the learning rate"
        )
