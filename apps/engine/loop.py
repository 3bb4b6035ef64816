"""When to step, log, evaluate, show samples, save and stop."""

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jax.sharding import Mesh

from apps.engine.checkpoint import Checkpoints
from apps.engine.company import ALONE, Company
from apps.engine.log import Log, fetch
from apps.engine.memory import give_back
from apps.engine.mesh import place_batch
from apps.engine.phases import Phase, PhasedStep
from apps.engine.sample import Sample
from apps.engine.signals import StopSignal
from apps.engine.silence import Silence
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
    """Losses or gradients were not finite numbers, more often in a row than is allowed."""


def train(
    state: TrainState,
    *,
    step: Step | PhasedStep,
    batches: Callable[[int], Iterator[Any]],
    mesh: Mesh,
    steps: int,
    cadence: Cadence,
    checkpoints: Checkpoints,
    log: Log | Silence,
    evaluate: Callable[[TrainState], Mapping[str, float]] | None = None,
    sample: Callable[[TrainState], Sequence[Sample]] | None = None,
    stop: StopSignal,
    company: Company = ALONE,
    names: Callable[[int], Sequence[str]] | None = None,
    max_skipped: int = 0,
    watch: Callable[[Mapping[str, float]], str | None] | None = None,
) -> TrainState:
    """Trains until `steps` updates are made or a signal asks to stop, and saves.

    The host runs one step ahead of the device: the metrics of step n are fetched while step
    n + 1 runs.

    Args:
        state: Where to begin, laid onto the mesh; it is donated.
        step: From `make_train_step` or, if the run has phases, `make_phased_step`.
        batches: Of a number of updates made: the host batches from there on.
        mesh: Where the batches go.
        steps: Updates in the whole run, those before a resume included.
        cadence: How often to do what.
        checkpoints: Where to save.
        log: Where to write.
        evaluate: Of a state: held-out metrics; they are logged as `test/name`.
        sample: Of a state: examples to be seen and heard.
        stop: The flag that ends the run early.
        company: The processes that train together; if one is to stop, all stop at one step.
        names: Of a number of updates made: the records in that batch, for error messages.
        max_skipped: How many updates of a player in a row may be skipped because a loss or a
            gradient is not finite; one more ends the run.
        watch: Of the metrics of each step that is logged: a sentence that a person ought to read,
            or None. It is printed when it is new.

    Returns:
        The state at the end; it is saved.

    Raises:
        NonFiniteError: if more updates in a row were skipped; the state, which none of them has
            changed, is saved.
        CheckpointError: if the last state cannot be saved.
    """
    begun = done = int(fetch(state.step))
    if done >= steps:
        return state
    clock = log.clock
    log.begin(done, steps=steps, devices=mesh.size)
    reader = _Reader(
        log, every=cadence.log, steps=steps, skips=_Skips(state, names, max_skipped), watch=watch
    )
    course = step if isinstance(step, PhasedStep) else PhasedStep((Phase("", 0, ()),), (step,))
    told, measured = course.phase(done) if course.is_last(0) else None, None
    halt: tuple[int, str] | None = None
    stream = batches(done)
    tested: dict[str, float] = {}
    best_metric = checkpoints.best_metric
    clock.turn("step")
    while done < steps and reader.failure is None:
        halt = company.stop_at(done, stop.received)
        if halt is not None and done >= halt[0]:
            break
        if course.phase(done) is not told:
            reader.write()  # in the order of the steps; the next one is to be compiled anyway
            told = course.phase(done)
            log.message(f"step {done}: {told.name}")
        now = course.at(done)
        with clock.during("data"):
            batch = next(stream)
        with clock.during("step" if now is measured else "compile"):
            state, metrics = now(state, place_batch(batch, mesh))
        if now is not measured:
            measured = now
            give_back()
            _tell_memory(log, now)
        done += 1
        reader.ahead(done, metrics)
        tested = {}
        if evaluate is not None and _due(done, cadence.evaluate, steps):
            reader.check()
            with clock.during("evaluate"):
                tested = {f"test/{name}": float(value) for name, value in evaluate(state).items()}
            reader.write(tested)
            if course.is_last(done - 1):  # earlier, what is measured may be yet to come
                _expect(best_metric, {**reader.numbers, **tested})
                best_metric = None  # told once is enough
        if sample is not None and _due(done, cadence.sample, steps):
            reader.write()
            with clock.during("samples"):
                log.samples(done, sample(state))
        if _due(done, cadence.save, steps) and done < steps:
            reader.write()
            with clock.during("save"):
                checkpoints.save(done, state, {**reader.numbers, **tested})
            log.times()
    if done == begun:
        return state
    reader.write()
    if halt is not None and done < steps:
        log.message(f"{halt[1]}: saving step {done} and leaving")
    clock.turn("save")
    checkpoints.save(done, state, {**reader.numbers, **tested}, force=True)
    if reader.failure is not None:
        raise NonFiniteError(
            f"{reader.failure}. The run stops; none of it is in the model, which is saved at step "
            f"{done}. Look at these records, lower the learning rate, or allow more of them in a "
            f"row than {max_skipped} (`max_skipped`)"
        )
    return state


def _tell_memory(log: Log | Silence, step: Step) -> None:
    memory = getattr(step, "memory", None)
    if memory is not None:
        state, working = (f"{count / 1e6:.3g} MB" for count in memory)
        log.message(f"each device holds {state} of state, and {working} more while it computes")


def _due(done: int, every: int, steps: int) -> bool:
    return every > 0 and (done % every == 0 or done == steps)


def _expect(best_metric: str | None, metrics: Mapping[str, float]) -> None:
    if best_metric is not None and best_metric not in metrics:
        _logger.warning(
            f"`best_metric` is {best_metric!r}, which is not measured, so no checkpoint is best; "
            f"measured are {', '.join(sorted(metrics))}"
        )


class _Reader:
    """Reads the metrics of a step while the next one runs, and says what is to be known of them.

    Attributes:
        numbers: The metrics read last.
        failure: Why the run has to stop, or None.
    """

    def __init__(
        self,
        log: Log | Silence,
        *,
        every: int,
        steps: int,
        skips: "_Skips",
        watch: Callable[[Mapping[str, float]], str | None] | None,
    ) -> None:
        self.numbers: dict[str, float] = {}
        self.failure: str | None = None
        self._log, self._every, self._steps = log, every, steps
        self._skips, self._watch = skips, watch
        self._said: str | None = None
        self._waiting: tuple[int, Metrics] | None = None
        self._unwritten: int | None = None

    def ahead(self, done: int, metrics: Metrics) -> None:
        """Takes the metrics of the step now running, and writes those of the one before."""
        self.write()
        self._waiting = (done, metrics)

    def check(self) -> None:
        """Waits for the metrics at hand, and tells of updates that were skipped."""
        if self._waiting is None:
            return
        done, metrics = self._waiting
        self._waiting = None
        self.numbers = {name: float(value) for name, value in fetch(metrics).items()}
        self._unwritten = done
        self._log.step(done, self.numbers)
        for sentence, too_many in self._skips.told(done, self.numbers):
            if too_many and self.failure is None:
                self.failure = sentence
            else:
                self._log.warn(sentence)

    def write(self, tested: Mapping[str, float] | None = None) -> None:
        """Logs the metrics at hand, once, if their step is one to log or was evaluated."""
        self.check()
        if self._unwritten is None:
            return
        if tested or _due(self._unwritten, self._every, self._steps):
            with self._log.clock.during("log"):
                self._log.scalars(self._unwritten, {**self.numbers, **(tested or {})})
            if self._watch is not None:
                said = self._watch(self.numbers)
                if said is not None and said != self._said:
                    self._log.warn(f"step {self._unwritten}: {said}")
                self._said = said
        self._unwritten = None


class _Skips:
    """Words for the updates that the step did not make."""

    def __init__(
        self, state: TrainState, names: Callable[[int], Sequence[str]] | None, most: int
    ) -> None:
        players = state.players.items()
        self._totals = fetch([(name, player.skips.total) for name, player in players])
        self._names, self._most = names, most

    def told(self, done: int, numbers: Mapping[str, float]) -> Iterator[tuple[str, bool]]:
        """Yields a sentence for each player whose update was skipped, and if it is one too many."""
        before, self._totals = self._totals, []
        for name, total in before:
            now = numbers.get(f"{name}/skipped_total", total)  # absent: it has no turn
            self._totals.append((name, now))
            if now > total:
                in_a_row = int(numbers[f"{name}/skipped"])
                yield self._sentence(done, name, in_a_row, numbers), in_a_row > self._most

    def _sentence(self, done: int, player: str, in_a_row: int, numbers: Mapping[str, float]) -> str:
        shown = {word: numbers[f"{player}/{word}"] for word in ("loss", "gradient_norm")}
        reasons = [
            f"{word} is {value}" for word, value in shown.items() if not math.isfinite(value)
        ]
        reason = ", ".join(reasons) or "a loss or gradient was not finite"
        records = "" if self._names is None else f" on {', '.join(self._names(done - 1))}"
        count = f", {in_a_row} in a row" if in_a_row > 1 else ""
        return f"step {done}: the update of {player!r} is skipped{count}: {reason}{records}"
