"""Measure a trained run: `python -m apps.evaluate run=runs/NAME`."""

import dataclasses
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from apps import command_line, config
from apps.manual import Door
from apps.metrics.meanings import MEANINGS
from apps.schema import ConfigError

if TYPE_CHECKING:  # what brings jax is imported once the settings are right
    from apps.build import Trained
    from apps.data import Source
    from apps.judges.recognition import Recognition

DOOR = Door(
    command="python -m apps.evaluate",
    purpose=(
        "Measure how good a trained run is on the records of its test split: an autoencoder by "
        "what it makes of each from the mean of its latent, a vocoder from its mel spectrum, an "
        "upsampler from its lower rate, a GAN by how its signals differ from them as a set. Prints "
        "a table and saves it as JSON in the run folder."
    ),
    examples=(
        ("run=runs/NAME", "the run as it stands, by the averaged weights"),
        ("run=runs/NAME checkpoint=best", "the checkpoint that scored best while training"),
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
    output: Path | None = None
    weights: Literal["ema", "model"] = "ema"
    checkpoint: Literal["latest", "best"] | int = "latest"
    labels: str | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1, got {self.batch_size}")
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"seed must be at least 0 and below 2³², got {self.seed}")


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
    results = measure(run, records, wanted=wanted, console=console)
    report = {
        "run": str(wanted.run),
        "step": run.step,
        "weights": wanted.weights,
        "split": wanted.split,
        "records": len(records),
        "metrics": results,
    }
    path = wanted.output or wanted.run / f"evaluation-{wanted.split}-{run.step:07d}.json"
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


def measure(
    run: "Trained", records: "Source", *, wanted: Evaluate, console: Any
) -> dict[str, dict[str, Any]]:
    """Measure every record.

    Args:
        run: The run.
        records: What to measure on.
        wanted: The settings.
        console: Where to show the progress.

    Returns:
        For each metric its mean, and its standard deviation over records; the latter is None for
        a metric of the whole set. Some of these have a control: the same of real signals.
    """
    from rich.progress import track

    from apps import build
    from apps.judges.listening import Listening

    batches = track(
        _batches(records, wanted.batch_size),
        "measuring",
        total=-(-len(records) // wanted.batch_size),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    objective = build.objective(run.config, run.signal, seed=wanted.seed)
    listening = None if run.signal.rate is None else Listening(run.signal.rate)
    recognition = _recognition(run, wanted=wanted, console=console)

    def look(made: Any, real: Any) -> None:
        for judge in filter(None, (listening, recognition)):
            judge.look(made, real)

    scores = objective.scores(run.model, batches, look=look)
    if listening is not None:
        scores = {**scores, **listening.scores()}
    results = _summaries(scores, len(records), console)
    if recognition is not None:
        results |= {
            name: {"mean": each.value, "std": None, "control": {"mean": each.control, "std": None}}
            for name, each in recognition.scores().items()
        }
    return results


def _summaries(scores: Mapping[str, Any], count: int, console: Any) -> dict[str, Any]:
    """Means over the records that can be measured; where these are not all, it is said."""
    import numpy as np

    results, fewer = {}, []
    for name, values in scores.items():
        measured = values[~np.isnan(values)]
        if len(measured) < len(values):
            fewer.append(f"{name} {len(measured)}")
        if len(measured):
            spread = float(measured.std()) if len(values) == count else None
            results[name] = {"mean": float(measured.mean()), "std": spread}
            if len(measured) < len(values):
                results[name]["records"] = len(measured)
    if fewer:
        console.print(
            f"on fewer than {count} records, the others being too short, silent or without pitch: "
            f"{', '.join(fewer)}"
        )
    return results


def _recognition(run: "Trained", *, wanted: Evaluate, console: Any) -> "Recognition | None":
    """A classifier of the run's kind of records, if it is known what they are of.

    Raises:
        ConfigError: If labels cannot be read.
    """
    import time

    from rich.progress import track

    from apps import build
    from apps.judges.recognition import recognition

    data = _moved(wanted, run)
    if wanted.labels is not None:
        if not hasattr(data, "labels") or run.signal.labels:
            why = "has labels already" if run.signal.labels else f"is of {data.kind}, without any"
            raise ConfigError(f"labels={wanted.labels}: the run {why}; leave labels out")
        data = dataclasses.replace(data, labels=wanted.labels)  # pyright: ignore
    if not getattr(data, "labels", None):
        return None
    try:
        splits = {split: build.records(data, split) for split in ("train", "test")}
    except (ValueError, OSError) as error:
        raise ConfigError(str(error)) from error
    began = time.perf_counter()
    judge = recognition(
        splits["train"],
        splits.pop(wanted.split),
        splits.popitem()[1],
        told=bool(run.signal.labels),
        kept=wanted.run,
        progress=lambda steps: track(
            steps, "learning", console=console, transient=True, disable=not console.is_terminal
        ),
    )
    console.print(
        f"a recogniser, there in {time.perf_counter() - began:.0f} s, knows the labels of "
        f"{100 * judge.accuracy:.1f} % of the {wanted.split} split"
    )
    return judge


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


def _batches(records: "Source", size: int) -> "Iterator[Any]":
    from apps.data import batch_of

    for start in range(0, len(records), size):
        indices = range(start, min(start + size, len(records)))
        yield batch_of(records, indices, [records.example(index, None) for index in indices])


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
