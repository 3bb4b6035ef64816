"""Measure a trained run: `python -m apps.evaluate run=runs/NAME`."""

import dataclasses
import json
import math
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from apps import command_line, config
from apps.manual import Door
from apps.metrics.meanings import MEANINGS
from apps.schema import ConfigError

if TYPE_CHECKING:  # what brings jax is imported once the settings are right
    from rich.console import Console

    from apps.build import Trained
    from apps.data import Source
    from apps.judges.recognition import Recognition
    from apps.measuring import Results

DOOR = Door(
    command="python -m apps.evaluate",
    purpose=(
        "Measure how good a trained run is on the records of its test split: an autoencoder by "
        "what it makes of each from the mean of its latent, a vocoder from its mel spectrum, an "
        "upsampler from its lower rate, a GAN by how its signals differ from them as a set; new "
        "series by the published scores too, beside those of real ones. Prints a table and saves "
        "it as JSON in the run folder."
    ),
    examples=(
        ("run=runs/NAME", "the run as it stands, by the averaged weights"),
        ("run=runs/NAME checkpoint=best", "the checkpoint that scored best while training"),
        ("run=runs/NAME seeds=10", "new series judged by ten networks of each kind"),
        ("run=runs/NAME data=elsewhere/recordings", "the recordings have moved"),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """What to measure.

    Attributes:
        run: the folder of a trained run
        split: the records to measure on
        data: where the run's recordings or arrays are now, if they have moved
        batch_size: records at once; changes the time it takes, not the result
        seed: of the new signals by which sets are compared
        seeds: networks of each kind that judge new series, each from a start of its own; 0 leaves
            these judges out, who take most of the time
        output: the file to save to; null saves to evaluation-….json in the run folder
        weights: the moving average of the weights (ema), or the last step's (model)
        checkpoint: latest, best (on the test split), or the number of a step
        labels: what recordings are of, as in data.labels, for a run that was trained without: where
            labels are known, a classifier that learns the training split judges what is made
    """

    run: Path
    split: Literal["test", "train"] = "test"
    data: Path | None = None
    batch_size: int = 32
    seed: int = 0
    seeds: int = 5
    output: Path | None = None
    weights: Literal["ema", "model"] = "ema"
    checkpoint: Literal["latest", "best"] | int = "latest"
    labels: str | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1, got {self.batch_size}")
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"seed must be at least 0 and below 2³², got {self.seed}")
        if self.seeds < 0:
            raise ConfigError(f"seeds must be at least 0, got {self.seeds}")


def main(words: list[str] | None = None) -> int:
    """Answer the command; see `command_line.enter` for the exit codes."""
    return command_line.enter(DOOR, Evaluate, evaluate, sys.argv[1:] if words is None else words)


def evaluate(wanted: Evaluate) -> int:
    """Measure the run, print the table and save it.

    Raises:
        ConfigError: If the run or its data cannot be used.
    """
    config.load(wanted.run)  # a folder that holds no run is refused before jax is imported
    from rich.console import Console

    from apps import build
    from apps.engine import compilation, memory

    console = Console(highlight=False, soft_wrap=True)
    compilation.keep_compilations()
    memory.keep_memory()
    run = build.trained(wanted.run, checkpoint=wanted.checkpoint, averaged=wanted.weights == "ema")
    records = _records(wanted, run)
    path = wanted.output or wanted.run / f"evaluation-{wanted.split}-{run.step:07d}.json"
    results, shown = _measured(wanted, run, records, path, console)
    report = {
        "run": str(wanted.run),
        "step": run.step,
        "weights": wanted.weights,
        "split": wanted.split,
        "records": len(records),
        "metrics": results,
        "pictures": {title: each.name for title, each in shown.items()},
    }
    console.print(_table(report))
    try:
        _save(path, report)
    except OSError as error:
        raise ConfigError(f"output={path} cannot be written: {error}") from error
    console.print(f"saved to {path}", markup=False)
    if path.resolve().parent == wanted.run.resolve() and (report := _report(wanted.run)):
        console.print(f"shown in {report}", markup=False)
    return 0


def _report(run: Path) -> Path | None:
    from apps import pages

    return pages.attempt(lambda: pages.write_run(run))


def _measured(
    wanted: Evaluate, run: "Trained", records: "Source", path: Path, console: "Console"
) -> tuple["Results", dict[str, Path]]:
    """All metrics, and the pictures that were drawn beside the file they go to."""
    from apps import measuring
    from apps.judges.generation import LEAST

    results = measuring.measure(
        run,
        records,
        batch_size=wanted.batch_size,
        seed=wanted.seed,
        judge=_recogniser(wanted, run, console),
        console=console,
    )
    sets = measuring.drawn(run, records, seed=wanted.seed) if wanted.seeds else None
    if sets is None:
        return results, {}
    if len(records) < LEAST or run.signal.length < 2:
        console.print(
            f"{len(records)} records of {run.signal.length} steps are too few for the scores of "
            f"new series, which need {LEAST} of 2 steps"
        )
        return results, {}
    results |= measuring.generation_scores(
        sets, seeds=wanted.seeds, seed=wanted.seed, console=console
    )
    picture = measuring.draw_planes(sets, path.with_suffix(".png"), seed=wanted.seed)
    return results, {"New series over real ones: PCA and t-SNE": picture}


def _recogniser(wanted: Evaluate, run: "Trained", console: "Console") -> "Recognition | None":
    """A classifier of the run's kind of records, if it is known what they are of.

    Raises:
        ConfigError: If labels cannot be read.
    """
    from apps import measuring

    data = _moved(wanted, run)
    if wanted.labels is not None:
        if not hasattr(data, "labels") or run.signal.labels:
            why = "has labels already" if run.signal.labels else f"is of {data.kind}, without any"
            raise ConfigError(f"labels={wanted.labels}: the run {why}; leave labels out")
        data = dataclasses.replace(data, labels=wanted.labels)  # pyright: ignore
    if not getattr(data, "labels", None):
        return None
    try:
        return measuring.recogniser(
            data,
            split=wanted.split,
            told=bool(run.signal.labels),
            kept=wanted.run,
            console=console,
        )
    except (ValueError, OSError) as error:
        raise ConfigError(str(error)) from error


def _records(wanted: Evaluate, run: "Trained") -> "Source":
    from apps import build

    try:
        records = build.records(_moved(wanted, run), wanted.split)
    except (ValueError, OSError) as error:
        raise ConfigError(f"{error} (data=PATH says where the data is now)") from error
    if records.signal.channels != run.signal.channels:
        raise ConfigError(
            f"data={wanted.data} has {records.signal.channels} channels where the run has "
            f"{run.signal.channels}"
        )
    for name in ("labels", "covariates"):
        there, here = getattr(records.signal, name), getattr(run.signal, name)
        if there != here:
            raise ConfigError(
                f"data={wanted.data} has the {name} {', '.join(there) or 'none'} where the run has "
                f"{', '.join(here) or 'none'}"
            )
    return records


def _moved(wanted: Evaluate, run: "Trained") -> Any:
    """The settings of the run's data, where it is now."""
    data = run.config.data
    if wanted.data is None:
        return data
    place = {"audio_folder": "root", "arrays": "path"}.get(data.kind)
    if place is None:
        raise ConfigError(f"data={wanted.data}: this run makes its data ({data.kind})")
    return dataclasses.replace(data, **{place: wanted.data})  # pyright: ignore


def _table(report: Mapping[str, Any]) -> Any:
    from rich.table import Table

    table = Table(
        title=f"{report['records']} records of the {report['split']} split, "
        f"step {report['step']}, {report['weights']} weights",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    controlled = any("control" in value for value in report["metrics"].values())
    numbers = ("mean", "± std", "real")[: 3 if controlled else 2]
    for name in ("metric", *numbers, "unit", "better"):
        table.add_column(name, justify="right" if name in numbers else "left")
    for name, value in report["metrics"].items():
        spread = "" if value["std"] is None else f"{value['std']:.3f}"
        real = [f"{value['control']['mean']:.3f}" if "control" in value else ""] * controlled
        table.add_row(name, f"{value['mean']:.3f}", spread, *real, *MEANINGS.get(name, ("", "")))
    return table


def _save(path: Path, report: Mapping[str, Any]) -> None:
    """Write the report whole or not at all. A number that is not finite is null: JSON has none."""

    def exact(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: exact(each) for key, each in value.items()}
        if isinstance(value, list):
            return [exact(each) for each in value]
        return value if value is not None and math.isfinite(value) else None

    metrics = exact(report["metrics"])
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    half.write_text(
        json.dumps({**report, "metrics": metrics}, indent=2, ensure_ascii=False) + "\n",
        encoding="utf-8",
    )
    half.replace(path)


if __name__ == "__main__":
    sys.exit(main())
