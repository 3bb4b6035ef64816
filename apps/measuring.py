"""What `python -m apps.evaluate` measures: record by record, and sets against sets."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress, track

from apps import build, pictures
from apps.build import Trained
from apps.data import Source, batch_of
from apps.judges import generation
from apps.judges.listening import Listening
from apps.judges.recognition import Recognition, recognition
from apps.metrics import projections
from apps.objectives.batches import joined, signal_of
from apps.objectives.objective import Objective

Results = dict[str, dict[str, Any]]
"""For each metric its mean, its standard deviation over records or seeds, or None of a set that was
measured once; and, where there is one, a control: the same of real signals."""


class Sets(NamedTuple):
    """As many new signals as there are records, and the records, in the data's units."""

    made: NDArray[np.floating[Any]]
    real: NDArray[np.floating[Any]]


def measure(
    run: Trained,
    records: Source,
    *,
    batch_size: int,
    seed: int,
    judge: Recognition | None,
    console: Console,
) -> Results:
    """Measure every record.

    Args:
        run: The run.
        records: What to measure on.
        batch_size: Records at once.
        seed: Of the new signals by which sets are compared.
        judge: A classifier that has a look as well.
        console: Where to show the progress.
    """
    batches = track(
        _batches(records, batch_size),
        "measuring",
        total=-(-len(records) // batch_size),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    listening = None if run.signal.rate is None else Listening(run.signal.rate)

    def look(made: Any, real: Any) -> None:
        for each in filter(None, (listening, judge)):
            each.look(made, real)

    scores = _objective(run, seed).scores(run.model, batches, look=look)
    if listening is not None:
        scores = {**scores, **listening.scores()}
    results = summaries(scores, len(records), console)
    if judge is not None:
        results |= {
            name: {"mean": each.value, "std": None, "control": {"mean": each.control, "std": None}}
            for name, each in judge.scores().items()
        }
    return results


def summaries(scores: Mapping[str, Any], count: int, console: Console) -> Results:
    """Means over the records that can be measured; where these are not all, it is said."""
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


def recogniser(data: Any, *, split: str, told: bool, kept: Path, console: Console) -> Recognition:
    """A classifier of the records, by their labels.

    Args:
        data: The settings of the data, with labels.
        split: The records that are to be measured on.
        told: Whether what makes signals of no record is told the records' labels.
        kept: The folder in which it is kept.
        console: Where to show the progress.

    Raises:
        ValueError: If labels cannot be read.
        OSError: If records cannot.
    """
    splits = {each: build.records(data, each) for each in ("train", "test")}
    began = time.perf_counter()
    judge = recognition(
        splits["train"],
        splits.pop(split),
        splits.popitem()[1],
        told=told,
        kept=kept,
        progress=lambda steps: track(
            steps, "learning", console=console, transient=True, disable=not console.is_terminal
        ),
    )
    console.print(
        f"a recogniser, there in {time.perf_counter() - began:.0f} s, knows the labels of "
        f"{100 * judge.accuracy:.1f} % of the {split} split"
    )
    return judge


def drawn(run: Trained, records: Source, *, seed: int) -> Sets | None:
    """New series for what is known of the records; None of sounds, and where none are drawn."""
    draw = _objective(run, seed).draw
    if run.signal.kind != "series" or draw is None:
        return None
    every = joined(list(_batches(records, 1024)))
    real = run.signal.unscale(np.asarray(signal_of(every)))
    return Sets(draw(run.model, every), real)


def generation_scores(sets: Sets, *, seeds: int, seed: int, console: Console) -> Results:
    """The published scores of a set of made series, each by several seeds, with their control.

    Args:
        sets: From `drawn`.
        seeds: Networks that are trained for each.
        seed: Chooses them.
        console: Where to show the progress.
    """
    bar = Progress(console=console, transient=True, disable=not console.is_terminal)
    with bar:
        task = bar.add_task("judging", total=generation.work(sets.real))
        found = generation.generation_scores(
            sets.made,
            sets.real,
            seeds=seeds,
            seed=seed,
            advance=lambda count: bar.advance(task, count),
        )
    return {
        name: {
            "mean": float(values.mean()),
            "std": float(values.std()),
            "seeds": len(values),
            "values": values.tolist(),
            "control": {"mean": float(control.mean()), "std": float(control.std())},
        }
        for name, (values, control) in found.items()
    }


def draw_planes(sets: Sets, path: Path, *, seed: int) -> Path:
    """Draw both sets as points: PCA and t-SNE."""
    pairs = {
        name: project(sets.made, sets.real, seed=seed)
        for name, project in projections.PROJECTIONS.items()
    }
    return pictures.save(pictures.planes(pairs), path)


def _objective(run: Trained, seed: int) -> Objective:
    return build.objective(run.config, run.signal, seed=seed)


def _batches(records: Source, size: int) -> Iterator[Any]:
    for start in range(0, len(records), size):
        indices = range(start, min(start + size, len(records)))
        yield batch_of(records, indices, [records.example(index, None) for index in indices])
