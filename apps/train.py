"""Train a signal decoder from a config: `python -m apps.train experiment=plucks_vae`."""

import importlib.metadata
import json
import os
import platform
import shlex
import sys
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from apps import command_line, config, supervised
from apps.config import Config
from apps.manual import Door
from apps.schema import ConfigError, differences

if TYPE_CHECKING:  # what brings jax is imported once the config is right
    from jax.sharding import Mesh
    from rich.console import Console

    from apps.data import Loader, Signal, Source
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
    from apps import build
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
    if code:
        return code
    farewell(console, folder, needs_input=wanted.objective.kind in ("vocoder", "upsampler"))
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
        run.log.message(str(error))
        return 1
    except Exception as error:
        known = isinstance(error, RecordError | CheckpointError)
        if company.size == 1:
            if not known:
                raise
            run.log.message(str(error))
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
    run.log.message(text)
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
    from apps.engine.silence import Silence

    company = company or ALONE
    same(wanted, company)
    try:
        training, test = build.source(wanted, "train"), build.source(wanted, "test")
        signal = training.signal
        aim, mesh = build.objective(wanted, signal), build.mesh(wanted)
        loader = build.loader(wanted, training, devices=mesh, parts=aim.parts)
        step = build.step(wanted, aim, mesh)
        template = build.template(wanted, signal, mesh)
        checkpoints = stack.enter_context(build.checkpoints(wanted, folder, aim, company=company))
        company.agreed(lambda: begin_folder(wanted, folder, signal))
        log = stack.enter_context(Log(folder, console=console) if company.first else Silence())
        found = checkpoints.restore(template)
    except (ValueError, OSError, InUseError, CheckpointError) as error:
        raise ConfigError(str(error)) from error
    introduce(console, wanted, records=(training, test), mesh=mesh)
    done, state = found or (0, build.begun(wanted, signal, mesh))
    tabulate(console, state, aim.product, signal.length)
    tell_start(console, wanted, folder, done)
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


def find_folder(wanted: Config) -> Path:
    """Return the folder of the run, new or to be resumed; nothing is written.

    Raises:
        ConfigError: If the folder holds something else, or a run with other settings.
    """
    if wanted.run is None:
        name = f"{wanted.name or wanted.data.kind}-{command_line.stamp()}"
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

    path = folder / SIGNAL
    if path.is_file():
        try:
            stored = {"labels": [], **json.loads(path.read_bytes())}  # 0.1.0 knew of no labels
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


def introduce(
    console: "Console",
    wanted: Config,
    *,
    records: tuple["Source", "Source"],
    mesh: "Mesh",
) -> None:
    """Say on what a run stands: versions, devices, seed, config, data."""
    names = ("convt1d", "jax", "equinox", "optax", "orbax-checkpoint")
    versions = " · ".join(f"{name} {version(name)}" for name in names)
    signal = records[0].signal
    rate = f" at {signal.rate} Hz" if signal.rate else ""
    device = mesh.devices.flat[0]
    rows = {
        "versions": f"{versions} · Python {platform.python_version()}",
        "devices": f"{mesh.size} × {device.device_kind}{shared(mesh)}",
        "config": f"{config.digest(wanted)}, seed {wanted.train.seed}",
        "data": f"{wanted.data.kind}: {len(records[0])} records to train on and "
        f"{len(records[1])} to test, {signal.length} samples × {signal.channels}{rate}",
    }
    for name, text in rows.items():
        console.print(f"[bold]{name:<9}[/bold]{text}", highlight=False, soft_wrap=True)


def shared(mesh: "Mesh") -> str:
    """Say how the devices are divided, where they are."""
    import jax

    copies, sharers = mesh.shape["data"], mesh.shape["fsdp"]
    words = [f"in {jax.process_count()} processes"] if jax.process_count() > 1 else []
    if sharers > 1:
        words.append(f"{copies} × {sharers} that share one copy of the state")
    return ", ".join(["", *words])


def version(package: str) -> str:
    """Return the installed version of a package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "(from its folder)"


def tabulate(console: "Console", state: "TrainState", product: str, length: int) -> None:
    """Show the layers of the network that is used afterwards, and the size of the others."""
    import equinox as eqx
    import jax
    from rich.table import Table

    import convt1d

    rows = convt1d.summary(state.players[product].model, length)
    total = sum(row.parameters for row in rows)
    title = f"{product}, {total:,} parameters"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("layer", no_wrap=True)
    table.add_column("kind", no_wrap=True)
    for column in ("output", "parameters", "receptive\nfield"):
        table.add_column(column, justify="right")
    for row in rows:
        short = row.name.replace("stages.", "").replace("branches.", "")
        output = f"{row.length} × {row.channels}"
        table.add_row(short, row.kind, output, f"{row.parameters:,}", f"{row.receptive_field:,}")
    console.print(table)
    for name, player in state.players.items():
        if name != product:
            learned = eqx.filter(player.model, convt1d.trainable(player.model))
            count = sum(leaf.size for leaf in jax.tree.leaves(learned))
            console.print(f"[italic]{name}, {count:,} parameters[/italic]", highlight=False)


def tell_start(console: "Console", wanted: Config, folder: Path, done: int) -> None:
    """Say where the run begins, and what has changed since it was begun."""
    steps, name = wanted.train.steps, shown(folder)
    changed = config.differences(config.load(folder), wanted)
    if done >= steps:
        text = f"{name} is at step {done} of {steps}; train.steps={done + steps} would go on"
    elif done:
        text = f"resuming {name} at step {done} of {steps}"
    else:
        text = f"training in {name}"
    lines = [text, *(f"  {each}" for each in changed)]
    console.print("\n".join(lines), soft_wrap=True, markup=False)  # a name may look like markup


def farewell(console: "Console", folder: Path, *, needs_input: bool) -> None:
    """Say where to look and what to do next."""
    from rich.markup import escape

    run = shlex.quote(f"run={shown(folder)}")
    rows = {
        "hear, see": shown(folder / "samples"),
        "curves": f"tensorboard --logdir {shlex.quote(shown(folder / 'tensorboard'))}",
        "measure": f"python -m apps.evaluate {run}",
        "generate": f"python -m apps.generate {run}" + (" input=FILE" if needs_input else ""),
    }
    for name, text in rows.items():
        console.print(f"[bold]{name:<11}[/bold]{escape(text)}", highlight=False, soft_wrap=True)


def shown(path: Path) -> str:
    """Return a path as one would type it here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


if __name__ == "__main__":
    sys.exit(main())
