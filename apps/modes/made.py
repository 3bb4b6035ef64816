"""Signals that were made, on their way to files."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from apps import pictures
from apps.build import Trained
from apps.data import Dates, write_signal
from apps.modes.wanted import Generate

Array = NDArray[np.floating[Any]]


class Made(NamedTuple):
    """A signal that was made, in the units of the data."""

    name: str
    signal: Array
    reference: Array | None = None
    dates: Dates | None = None
    columns: tuple[str, ...] = ()


def write(folder: Path, made: Sequence[Made], *, run: Trained, wanted: Generate) -> list[Path]:
    """Write the signals, a picture of them, and what they were made with.

    Args:
        folder: Where; made if it is not there.
        made: The signals.
        run: What made them.
        wanted: The settings.

    Returns:
        The files, the picture first.
    """
    signal = run.signal
    suffix = "wav" if signal.kind == "audio" else "csv"
    rows = [pictures.Comparison(*each[:3]) for each in made]
    files = [pictures.save(pictures.grid(rows, rate=signal.rate), folder / "overview.png")]
    for stem, each in zip(stems([each.name for each in made]), made, strict=True):
        parts = {stem: each.signal}
        if each.reference is not None:
            parts = {f"{stem}-reconstruction": each.signal, f"{stem}-reference": each.reference}
        for name, values in parts.items():
            files.append(folder / f"{name}.{suffix}")
            write_signal(
                files[-1],
                values,
                signal.rate,
                columns=signal.columns or each.columns,
                dates=each.dates,
            )
    if signal.kind == "series" and len({each.signal.shape for each in made}) == 1:
        files.append(folder / "signals.npz")
        write_signal(files[-1], np.stack([each.signal for each in made]))
    names = [each.name for each in made]
    return [*files, note(folder, run=run, wanted=wanted, names=names)]


def note(folder: Path, *, run: Trained, wanted: Generate, names: Sequence[str]) -> Path:
    """Write down what signals were made with."""
    about = {
        "run": str(wanted.run),
        "step": run.step,
        "weights": wanted.weights,
        "mode": wanted.mode,
        "seed": wanted.seed,
        "label": wanted.label,
        "covariates": None if wanted.covariates is None else str(wanted.covariates),
        "rate": run.signal.rate,
        "signals": list(names),
    }
    path = folder / "generated.json"
    path.write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def stems(names: Sequence[str]) -> list[str]:
    """File names without an ending: readable, of plain characters, no two alike."""
    plain = [re.sub(r"[^\w-]+", "-", Path(each).with_suffix("").as_posix()) for each in names]
    often = Counter(plain)
    return [
        name if often[name] == 1 else f"{name}-{index + 1:02d}" for index, name in enumerate(plain)
    ]
