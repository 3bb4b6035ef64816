"""The report of what was generated: what was made, by which run, and how to make it again."""

import shlex
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from apps.pages import embedded, series, skeleton, sounds
from apps.pages.markup import Markup, element, join
from apps.pages.run import FILE, facts
from apps.pages.skeleton import section

_ROWS = 4000  # of a csv: more cannot be seen
_ALL = "overview"  # the picture of everything
_TABLES = 64  # that are read: series draws the first of them, and says of how many
_PICTURES = 4  # that are taken in


def write(
    folder: Path,
    files: Sequence[Path],
    *,
    run: Path,
    step: int,
    settings: dict[str, Any],
    defaults: dict[str, Any],
) -> Path:
    """Write the report of one call of `python -m apps.generate`.

    Args:
        folder: Where the files are, and the report will be.
        files: What was made.
        run: By which run.
        step: Of which step's weights.
        settings: What was asked for, by the names of the words.
        defaults: What each is where nothing is asked for.

    Raises:
        OSError: If the file cannot be written.
    """
    return skeleton.write(
        folder / FILE, page(folder, files, run=run, step=step, settings=settings, defaults=defaults)
    )


def page(
    folder: Path,
    files: Sequence[Path],
    *,
    run: Path,
    step: int,
    settings: dict[str, Any],
    defaults: dict[str, Any],
) -> str:
    """The report."""
    signals = [path for path in files if path.suffix in (".wav", ".csv", ".npy")]
    count = len({_stem(path) for path in signals})
    mode = str(settings["mode"])
    name = run.resolve().name
    what = f"{count} signal{'s' * (count != 1)}, mode {mode}, made by {name}, step {step:,}."
    kept = {
        key: value
        for key, value in settings.items()
        if value != defaults.get(key) and key not in ("run", "output")
    }
    words = [f"run={run}", *(f"{key}={value}" for key, value in kept.items())]
    command = " ".join(["python -m apps.generate", *map(shlex.quote, words)])
    rows = {
        "made": f"{datetime.now().astimezone():%Y-%m-%d %H:%M}",
        "run": run.resolve(),
        "step": f"{step:,}",
        **{key: str(settings[key]) for key in ("weights", "seed")},
        **{key: str(value) for key, value in kept.items()},
        "folder": folder.resolve(),
    }
    names = element("ul", *(element("li", path.name) for path in files), class_="told")
    return skeleton.page(
        folder.resolve().name,
        section("What was made", made(files), name="made"),
        section("How to make it again", element("code", command, class_="code"), name="again"),
        section("Files", names, name="files"),
        kind="Generated",
        headline=join([element("p", what, class_="result"), facts(rows)]),
    )


def made(files: Sequence[Path]) -> Markup | None:
    """Sounds to hear, series to see, and pictures of what is neither."""
    heard = sounds.shown(_paired([path for path in files if path.suffix == ".wav"]))
    drawn, columns = _drawn(_paired([path for path in files if path.suffix == ".csv"]))
    curves = [series.pairs(drawn, columns), series.together(drawn, [], columns)]
    seen = heard is not None or any(curves)
    # The overview shows what is shown here already; others show what is not.
    left = [path for path in files if path.suffix == ".png" and not (seen and path.stem == _ALL)]
    pictures = [embedded.picture(path, alt=path.stem, title=path.stem) for path in left[:_PICTURES]]
    return join([heard, *curves, *pictures]) or None


def _paired(files: Sequence[Path]) -> list[sounds.Pair]:
    """What was made, each with its reference, in order."""
    references = {_stem(path): path for path in files if path.stem.endswith("-reference")}
    return [
        sounds.Pair(_stem(path), path, references.get(_stem(path)))
        for path in files
        if not path.stem.endswith("-reference")
    ]


def _stem(path: Path) -> str:
    for ending in ("-reconstruction", "-reference", "-vocoded"):
        if path.stem.endswith(ending):
            return path.stem.removesuffix(ending)
    return path.stem


def _drawn(tables: Sequence[sounds.Pair]) -> tuple[list[series.Drawn], list[str]]:
    drawn, columns = [], []
    for pair in tables[:_TABLES]:
        try:
            columns, signal = _csv(pair.made)
            reference = None if pair.reference is None else _csv(pair.reference)[1]
        except (OSError, ValueError):
            continue
        drawn.append(series.Drawn(pair.name, signal, reference))
    return drawn, columns


def _csv(path: Path) -> tuple[list[str], Any]:
    """The names and the first rows of a csv as we write it."""
    with path.open(encoding="utf-8") as file:
        first = file.readline().rstrip("\n").split(",")
        rest = np.loadtxt(file, delimiter=",", ndmin=2, max_rows=_ROWS)
    try:
        return [], np.concatenate([[[float(each) for each in first]], rest])
    except ValueError:  # names
        return first, rest
