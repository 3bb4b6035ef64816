"""What is trained from which step on: phases, each with a compiled step of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jax.typing import DTypeLike

from apps.engine.state import Trainable, inexact_arrays
from apps.engine.step import Step, make_train_step
from apps.engine.turn import Turn


@dataclass(frozen=True)
class Phase:
    """A stretch of a run in which the same turns are taken.

    Attributes:
        name: What happens in it, in words for the log.
        start: Updates made when it begins; the first phase begins at 0.
        turns: The moves of each step, in order.
    """

    name: str
    start: int
    turns: tuple[Turn, ...]


@dataclass(frozen=True)
class PhasedStep:
    """The step of each phase, chosen by the number of updates made.

    The state has the same form in all of them: a player of a later phase exists from the start,
    and its optimiser counts from its first turn.

    Attributes:
        phases: In order.
        steps: One for each phase, compiled when it is first taken.

    Raises:
        ValueError: if there is no phase, the first does not start at 0, or they are out of order.
    """

    phases: tuple[Phase, ...]
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        if not self.phases:
            raise ValueError("`phases` is empty: a run needs at least one")
        starts = [phase.start for phase in self.phases]
        if starts[0] != 0 or any(a >= b for a, b in pairwise(starts)):
            raise ValueError(
                f"the phases start at {starts}: the first must start at 0, each later one after "
                f"the one before it"
            )

    def index(self, done: int) -> int:
        """Returns which phase the next step is of, after `done` updates."""
        return max(index for index, phase in enumerate(self.phases) if phase.start <= done)

    def is_last(self, done: int) -> bool:
        """Returns whether no other phase follows that of the next step."""
        return self.index(done) == len(self.phases) - 1

    def phase(self, done: int) -> Phase:
        """Returns the phase of the next step."""
        return self.phases[self.index(done)]

    def at(self, done: int) -> Step:
        """Returns the next step."""
        return self.steps[self.index(done)]


def make_phased_step(
    phases: Sequence[Phase],
    optimisers: Mapping[str, optax.GradientTransformation],
    *,
    mesh: Mesh,
    ema_decay: float = 0.999,
    trainable: Trainable = inexact_arrays,
    parts: int = 1,
    accumulate: int = 1,
    compute: DTypeLike = jnp.float32,
) -> PhasedStep:
    """Makes the step of every phase; each is compiled when its phase begins.

    Args:
        phases: In order.
        optimisers: By player.
        mesh: Where the state lies.
        ema_decay: As for `make_train_step`, as are the others.
        trainable: Of a model: which leaves are trained.
        parts: Into how many parts a step's batch is divided, the same in all phases.
        accumulate: In how many pieces, one after the other, a turn's gradient is computed.
        compute: The type in which the models compute.

    Raises:
        ValueError: if the phases are out of order, or a phase's step cannot be made.
    """
    steps = [
        make_train_step(
            phase.turns,
            optimisers,
            mesh=mesh,
            ema_decay=ema_decay,
            trainable=trainable,
            parts=parts,
            accumulate=accumulate,
            compute=compute,
        )
        for phase in phases
    ]
    return PhasedStep(tuple(phases), tuple(steps))
