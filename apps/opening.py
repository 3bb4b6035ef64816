"""What a person is told of a run: on what it stands, where it begins, and what to do with it."""

import importlib.metadata
import platform
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from apps import config
from apps.config import Config

if TYPE_CHECKING:  # what brings jax is imported once the config is right
    from jax.sharding import Mesh
    from rich.console import Console

    from apps.data import Source
    from apps.engine.state import TrainState


def introduce(
    console: "Console",
    wanted: Config,
    *,
    records: tuple["Source", "Source"],
    mesh: "Mesh",
) -> None:
    """Say on what a run stands: versions, devices, seed, config, data."""
    signal = records[0].signal
    rate = f" at {signal.rate} Hz" if signal.rate else ""
    rows = {
        **stands_on(mesh),
        "config": f"{config.digest(wanted)}, seed {wanted.train.seed}",
        "data": f"{wanted.data.kind}: {len(records[0])} records to train on and "
        f"{len(records[1])} to test, {signal.length} samples × {signal.channels}{rate}",
    }
    for name, text in rows.items():
        console.print(f"[bold]{name:<9}[/bold]{text}", highlight=False, soft_wrap=True)


def stands_on(mesh: "Mesh") -> dict[str, str]:
    """Name versions and devices."""
    names = ("convt1d", "jax", "equinox", "optax", "orbax-checkpoint")
    versions = " · ".join(f"{name} {version(name)}" for name in names)
    device = mesh.devices.flat[0]
    return {
        "versions": f"{versions} · Python {platform.python_version()}",
        "devices": f"{mesh.size} × {device.device_kind}{shared(mesh)}",
    }


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


def farewell(console: "Console", folder: Path, *, report: Path | None, needs_input: bool) -> None:
    """Say where to look and what to do next."""
    from rich.markup import escape

    run = shlex.quote(f"run={shown(folder)}")
    rows = {
        **({} if report is None else {"report": shown(report)}),
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
