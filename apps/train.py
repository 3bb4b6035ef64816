"""Train a signal decoder from a config: `python -m apps.train experiment=plucks_vae`."""

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from apps import command_line, config, supervised
from apps.config import Config
from apps.manual import Door
from apps.opening import farewell, introduce, stands_on, tabulate, tell_start
from apps.run_folder import begin_folder, find_folder
from apps.schema import ConfigError, differences

if TYPE_CHECKING:  # what brings jax is imported once the config is right
    from jax.sharding import Mesh
    from rich.console import Console

    from apps.data import Loader, Source
    from apps.engine.checkpoint import Checkpoints
    from apps.engine.company import Company
    from apps.engine.log import Log
    from apps.engine.phases import PhasedStep
    from apps.engine.signals import StopSignal
    from apps.engine.silence import Silence
    from apps.engine.state import TrainState
    from apps.objectives.objective import Objective

DOOR = Door(
    command="python -m apps.train",
    purpose=(
        "Train a model of signals, sounds or series, from a config; watch and hear it learn. "
        "All it makes lands in one run folder. Naming that folder again goes on from the last "
        "checkpoint, to the bit."
    ),
    examples=(
        ("experiment=plucks_vae", "the demonstration, on strings made on the fly"),
        ("experiment=fsdd_vae data.root=FOLDER", "spoken digits, downloaded to FOLDER"),
        ("data=audio_folder data.root=FOLDER data.rate=16000", "your own recordings"),
        ("data=arrays data.path=FILE data.length=128 objective=vae_series", "your time series"),
        ("run=runs/NAME train.steps=5000", "go on with a run, and make it longer"),
        ("experiment=sines_vae optimiser.learning_rate=3e-4,1e-3 -m", "one run for each value"),
    ),
)


def main(words: list[str] | None = None) -> int:
    """Answer the command; `command_line.enter` tells the exit codes."""
    words = sys.argv[1:] if words is None else words

    def job(wanted: Config) -> int:
        if wanted.distributed.coordinator is None:
            return train(wanted)
        if not {"-m", "--multirun"}.isdisjoint(words):
            raise ConfigError(
                "several processes train one run: start each run of a sweep by itself"
            )
        rank = wanted.distributed.rank
        who = "this process" if rank is None else f"process {rank}"
        return supervised.run(work, words, who=who)

    return command_line.enter(DOOR, Config, job, words)


def work(words: list[str]) -> int:
    """Answer the command as one of several processes."""
    return command_line.enter(DOOR, Config, train, words)


def train(wanted: Config) -> int:
    """Train until the last step, or until asked to stop.

    Returns:
        The exit code: 0 for a whole run, 1 if it broke off.

    Raises:
        ConfigError: If the settings do not fit the data, the devices, or the run that is resumed.
        Stopped: If a signal asked to stop; all is saved.
    """
    alone = wanted.distributed.coordinator is None
    folder = find_folder(wanted) if alone else None  # before a second is spent on imports
    from apps import build, pages
    from apps.engine import compilation, memory
    from apps.engine.signals import StopSignal
    from apps.engine.terminal import terminal

    company = build.company(wanted)
    console = terminal(quiet=not company.first)
    compilation.keep_compilations()
    memory.keep_memory()
    folder = folder or Path(agreed(company, lambda: str(find_folder(wanted))))
    with ExitStack() as stack:
        run = prepare(wanted, folder, console, stack, company=company)
        stop = stack.enter_context(StopSignal())
        code = proceed(wanted, run, stop)
    company.leave()
    report = pages.attempt(lambda: pages.write_run(folder)) if company.first else None
    if code:
        return code
    needs_input = wanted.objective.kind in ("vocoder", "upsampler")
    farewell(console, folder, report=report, needs_input=needs_input)
    if stop.requested:
        raise command_line.Stopped
    return 0


def proceed(wanted: Config, run: "Run", stop: "StopSignal") -> int:
    """Take the steps that are left; what breaks the run off is told in one line."""
    from apps import build
    from apps.data import RecordError
    from apps.engine import loop
    from apps.engine.checkpoint import CheckpointError
    from apps.engine.company import is_loss

    company = run.company
    try:
        loop.train(
            run.state,
            step=run.step,
            batches=run.loader.batches,
            mesh=run.mesh,
            steps=wanted.train.steps,
            cadence=build.cadence(wanted),
            checkpoints=run.checkpoints,
            log=run.log,
            evaluate=build.evaluator(wanted, run.test, run.aim, devices=run.mesh, company=company),
            sample=build.sampler(wanted, run.test, run.aim, devices=run.mesh, company=company),
            stop=stop,
            company=company,
            names=run.loader.names,
            watch=run.aim.watch() if run.aim.watch else None,
            max_skipped=wanted.train.max_skipped,
        )
    except loop.NonFiniteError as error:  # in all processes alike
        run.log.warn(str(error))
        return 1
    except Exception as error:
        known = isinstance(error, RecordError | CheckpointError)
        if company.size == 1:
            if not known:
                raise
            run.log.warn(str(error))
            return 1
        if known:
            text = str(error)
        elif is_loss(error):
            text = f"process {company.rank} ends: another process was lost. {supervised.ADVICE}"
        else:
            text = traceback.format_exc()
        part(run, text)
    return 0


def part(run: "Run", text: str) -> NoReturn:
    """Say why, and end this one of several processes: it would wait for the others in vain."""
    run.log.warn(text)
    run.log.close()
    if not run.company.first:
        print(text, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def agreed(company: "Company", find: Callable[[], str]) -> str:
    """Return what the first process finds, in all of them.

    Raises:
        ConfigError: If it finds an error.
    """
    try:
        return company.agreed(find)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(str(error)) from error


class Run(NamedTuple):
    """All that a loop needs."""

    aim: "Objective"
    state: "TrainState"
    step: "PhasedStep"
    loader: "Loader"
    test: "Source"
    mesh: "Mesh"
    checkpoints: "Checkpoints"
    log: "Log | Silence"
    company: "Company"


def prepare(
    wanted: Config,
    folder: Path,
    console: "Console",
    stack: ExitStack,
    *,
    company: "Company | None" = None,
) -> Run:
    """Make the objects, begin or resume in the folder, and say what is about to happen.

    Raises:
        ConfigError: If anything is not as the settings have it.
    """
    from apps import build
    from apps.engine.checkpoint import CheckpointError
    from apps.engine.company import ALONE
    from apps.engine.lock import InUseError
    from apps.engine.log import Log
    from apps.engine.messages import Overheard
    from apps.engine.silence import Silence

    company = company or ALONE
    same(wanted, company)
    earlier = stack.enter_context(Overheard(aloud=True))
    try:
        training, test = build.source(wanted, "train"), build.source(wanted, "test")
        signal = training.signal
        aim, mesh = build.objective(wanted, signal), build.mesh(wanted)
        loader = build.loader(wanted, training, devices=mesh, parts=aim.parts)
        step = build.step(wanted, aim, mesh)
        template = build.template(wanted, signal, mesh)
        checkpoints = stack.enter_context(build.checkpoints(wanted, folder, aim, company=company))
        company.agreed(lambda: begin_folder(wanted, folder, signal))
        about = stands_on(mesh)
        log = (
            Silence()
            if not company.first
            else Log(folder, console=console, about=about, earlier=earlier.texts)
        )
        stack.enter_context(log)
        earlier.leave()
        found = checkpoints.restore(template)
    except (ValueError, OSError, InUseError, CheckpointError) as error:
        raise ConfigError(str(error)) from error
    introduce(console, wanted, records=(training, test), mesh=mesh)
    done, state = found or (0, build.begun(wanted, signal, mesh))
    tabulate(console, state, aim.product, signal.length)
    tell_start(console, wanted, folder, done)
    log.records(build.beside(wanted, test))
    return Run(aim, state, step, loader, test, mesh, checkpoints, log, company)


def same(wanted: Config, company: "Company") -> None:
    """See that this process was started with the settings of the first.

    Raises:
        ConfigError: If it was not.
    """
    here = config.stored(wanted)
    there = company.agreed(lambda: here)
    if changed := differences(there, here):
        listed = "".join(f"\n  {each}" for each in changed)
        raise ConfigError(
            f"process {company.rank} was started with other settings than the first:{listed}\n"
            f"Start all processes with the same words, but for distributed.rank"
        )


if __name__ == "__main__":
    sys.exit(main())
