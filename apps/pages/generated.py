"""The report of what was generated: what was made, by which run, and how to make it again."""

import shlex
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.pages import embedded, series, skeleton, sounds
from apps.pages.markup import Markup, element, join
from apps.pages.run import FILE, facts
from apps.pages.skeleton import section

if TYPE_CHECKING:
    from apps.data import Table

_LARGEST = 8_000_000  # bytes of a csv that is drawn; a larger one is seen in its picture
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


def _drawn(tables: Sequence[sounds.Pair]) -> tuple[list[series.Drawn], tuple[str, ...]]:
    """What is in the tables that can be read, and what their columns are called."""
    from apps.data import read_table

    def read(path: Path) -> "Table":
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"{path.name} is too large to be drawn")
        return read_table(path, keep_missing=True)

    drawn, columns = [], ()
    for pair in tables[:_TABLES]:
        try:
            table = read(pair.made)
            reference = None if pair.reference is None else read(pair.reference).values
        except (OSError, ValueError):
            continue
        columns = table.columns
        drawn.append(series.Drawn(pair.name, table.values, reference))
    return drawn, columns
