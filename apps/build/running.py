"""From settings to a run: devices, state, steps, checkpoints, and what is shown of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
import optax
from jax.sharding import Mesh

import convt1d
from apps import config as settings
from apps.build.networks import critic, model
from apps.build.objectives import objective
from apps.build.optimisers import optimiser
from apps.config import Config
from apps.data import Signal, Source, fixed_batch, pieces
from apps.engine.checkpoint import Checkpoints
from apps.engine.company import ALONE, Company, join
from apps.engine.loop import Cadence
from apps.engine.mesh import abstract_placed, make_mesh, whole
from apps.engine.phases import PhasedStep, make_phased_step
from apps.engine.sample import Sample
from apps.engine.state import TrainState, abstract_state, averaged, init_state
from apps.objectives.adversary import CRITIC
from apps.objectives.objective import Objective
from apps.schema import ConfigError


def company(config: Config) -> Company:
    """Return the processes that train together, this one among them; call it before all else.

    Raises:
        ConfigError: If they do not meet.
    """
    asked = config.distributed
    if asked.coordinator is None:
        return ALONE
    try:
        return join(
            asked.coordinator,
            processes=asked.processes,
            rank=asked.rank,
            heartbeat=asked.heartbeat,
            patience=asked.patience,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error


def mesh(config: Config) -> Mesh:
    """Return the devices that train."""
    train = config.train
    return make_mesh(train.devices, train.batch_size, fsdp=train.fsdp, accumulate=train.accumulate)


def optimisers(config: Config, aim: Objective) -> dict[str, optax.GradientTransformation]:
    """Return the optimiser of each player, on a schedule as long as the player plays."""
    steps = config.train.steps
    again = getattr(config.objective, "prior_from", None)
    made = {aim.product: optimiser(config.optimiser, steps=steps, again=again)}
    if config.critic is not None:
        begins, turns = _critic_turns(aim)
        updates = max(steps - begins, 1) * turns
        made[CRITIC] = optimiser(config.critic.optimiser, steps=updates)
    return made


def _critic_turns(aim: Objective) -> tuple[int, int]:
    """The step at which the critic enters, and its turns in each step from then on."""
    for phase in aim.phases:
        if turns := [turn.player for turn in phase.turns].count(CRITIC):
            return phase.start, turns
    raise ValueError("the config has a critic, and no phase of the objective asks for one")


def state(config: Config, signal: Signal) -> TrainState:
    """Return the state before the first step; the weights follow from `train.seed` alone."""
    first, later = jax.random.split(jax.random.key(config.train.seed))
    aim = objective(config, signal)
    models: dict[str, Any] = {aim.product: model(config, signal, key=first)}
    judge = critic(config, signal, key=jax.random.fold_in(first, 1))
    if judge is not None:
        models[CRITIC] = judge
    return init_state(
        models,
        optimisers(config, aim),
        key=later,
        ema=(aim.product,) if config.train.ema_decay > 0 else False,
        trainable=convt1d.trainable,
    )


def template(config: Config, signal: Signal, devices: Mesh) -> TrainState:
    """Return the state's shapes and places, for a checkpoint to fill; nothing is computed."""
    return abstract_placed(abstract_state(lambda: state(config, signal)), devices)


def begun(config: Config, signal: Signal, devices: Mesh) -> TrainState:
    """Return the state before the first step, on the devices."""
    shapes, fixed = eqx.partition(template(config, signal, devices), _is_shape)
    draw = jax.jit(
        lambda: eqx.filter(state(config, signal), eqx.is_array),
        # Drawn where they are to lie: no device ever holds more than its part.
        out_shardings=jax.tree.map(lambda leaf: leaf.sharding, shapes),
    )
    # Hundreds of small random draws, made once: optimising them takes longer than all of them.
    made = draw.lower().compile(compiler_options={"xla_backend_optimization_level": "0"})
    return eqx.combine(made(), fixed)


def _is_shape(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)


def step(config: Config, aim: Objective, devices: Mesh) -> PhasedStep:
    """Return the training step of each phase."""
    return make_phased_step(
        aim.phases,
        optimisers(config, aim),
        mesh=devices,
        ema_decay=config.train.ema_decay,
        trainable=convt1d.trainable,
        parts=aim.parts,
        accumulate=config.train.accumulate,
        compute=config.train.precision,
    )


def cadence(config: Config) -> Cadence:
    """Return how often to do what."""
    train = config.train
    return Cadence(
        log=train.log_every,
        sample=train.sample_every,
        evaluate=train.evaluate_every,
        save=train.save_every,
    )


def checkpoints(
    config: Config, folder: Path, aim: Objective, *, company: Company = ALONE
) -> Checkpoints:
    """Open the checkpoints of a run folder, which then belongs to these processes alone."""
    return Checkpoints(
        folder / "checkpoints",
        keep_latest=config.train.keep_latest,
        keep_best=config.train.keep_best,
        best_metric=f"test/{aim.best}",
        config=settings.stored(config),
        company=company,
    )


def sampler(
    config: Config, records: Source, aim: Objective, *, devices: Mesh, company: Company = ALONE
) -> Callable[[TrainState], list[Sample]]:
    """Return what shows the fixed test examples as a state hears them, in the first process."""
    count = min(config.train.samples, len(records))
    batch = fixed_batch(records, count)
    names = [records.name(index * len(records) // count) for index in range(count)]

    def show(now: TrainState) -> list[Sample]:
        model = whole(averaged(now)[aim.product], devices)
        return aim.samples(model, batch, names) if company.first else []

    return show


def beside(config: Config, records: Source) -> list[Sample]:
    """Return test examples for what is made to be held against, where no sample has its own."""
    if config.train.sample_every == 0 or config.objective.kind != "gan":
        return []
    count = min(max(config.train.samples, 8), len(records))
    batch = fixed_batch(records, count)
    names = [records.name(index * len(records) // count) for index in range(count)]
    signals = records.signal.unscale(getattr(batch, "signal", batch))
    return [Sample(n, s, records.signal.rate) for n, s in zip(names, signals, strict=True)]


def evaluator(
    config: Config, records: Source, aim: Objective, *, devices: Mesh, company: Company = ALONE
) -> Callable[[TrainState], dict[str, float]]:
    """Return what measures a state on fixed test examples, once for all processes."""
    examples = fixed_batch(records, config.train.evaluate_records)
    batches = list(pieces(examples, config.train.batch_size))

    def evaluate(now: TrainState) -> dict[str, float]:
        model = whole(averaged(now)[aim.product], devices)

        def measure() -> dict[str, float]:
            scores = aim.scores(model, batches)
            return {name: float(np.mean(values)) for name, values in scores.items()}

        return company.agreed(measure)

    return evaluate
