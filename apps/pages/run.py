"""The report of a run: what it is, what came of it, how it learnt, what it took."""

import shlex
from pathlib import Path
from typing import Any

from apps import config
from apps.metrics.meanings import MEANINGS
from apps.pages import (
    embedded,
    learning,
    network,
    scores,
    series,
    settings,
    skeleton,
    sounds,
    spent,
    told,
)
from apps.pages.markup import Markup, duration, element, join, number
from apps.pages.reading import Read, read
from apps.pages.skeleton import section

FILE = "report.html"


def write(folder: Path, output: Path | None = None) -> Path:
    """Write the report of a run.

    Args:
        folder: The run folder.
        output: The file; by default `report.html` in the run folder.

    Raises:
        ConfigError: If the folder holds no run.
        OSError: If the file cannot be written.
    """
    run = read(folder)
    return skeleton.write(output or folder / FILE, page(run))


def page(run: Read) -> str:
    """The report of a run."""
    found = network.network(run)
    best = "" if isinstance(found, str) else found.best
    return skeleton.page(
        run.name,
        section("What it makes", made(run), name="made"),
        section("Scores", scores.shown(run.evaluations), name="scores"),
        section("How it learnt", learning.shown(run, best=best), name="learning"),
        section("Warnings", told.shown(run), name="warnings"),
        section("Where the time went", spent.shown(run), name="time"),
        section("The network", network.shown(found), name="network"),
        section("Settings", settings.shown(run.config), name="settings"),
        section("What to do with it", _commands(run), name="commands"),
        kind=f"A run: {network.kind(run.config)}",
        headline=_headline(run, best),
    )


def made(run: Read, *, share: int = 1) -> Markup | None:
    """What the run made of test examples, last: sounds to hear, series to see.

    Args:
        run: The run.
        share: With how many runs the page is shared.
    """
    pairs, records = sounds.of_a_run(run.folder)
    if pairs:
        beside = sounds.shown(records, least=2 * share) if records else None
        own = sounds.shown(pairs, least=share * (2 if records else 1))
        return join([own, element("h3", "Records of the data, to compare") if beside else None,
                     beside])  # fmt: skip
    file = series.last(run.folder)
    drawn = series.read(file) if file is not None else []
    if drawn:
        return _series(run, drawn)
    pictures = sorted((run.folder / "samples").glob("step-*.png"))
    if not pictures:
        return None
    return embedded.picture(pictures[-1], alt="Samples of the run's last step")


def result(run: Read, best: str) -> str:
    """What came of the run, in one sentence."""
    steps = run.config.train.steps
    far = f"All {steps:,} steps are made" if run.step >= steps else (
        f"Step {run.step:,} of {steps:,}"
    )  # fmt: skip
    name = best if best in run.tests and run.tests[best].finite() else next(
        (name for name, line in run.tests.items() if line.finite()), ""
    )  # fmt: skip
    if name:
        points = run.tests[name].finite()
        unit = MEANINGS.get(name, ("", ""))[0].removeprefix("the data's")
        text = f"{far}: on the test split {name} is {number(points[-1][1])} {unit}".rstrip()
        top = run.tests[name].best(learning.better_of(name, best))
        if top is not None and top[0] != points[-1][0]:
            text += f", and was best at step {top[0]:,.0f} with {number(top[1])}"
        return f"{text}."
    loss = next((c for n, c in run.curves.items() if n.endswith("/loss") and c.finite()), None)
    if loss is None:
        return f"{far}; nothing was measured."
    return f"{far}: the loss of {loss.label.rpartition('/')[0]} is {number(loss.finite()[-1][1])}."


def facts(rows: dict[str, Any]) -> Markup:
    """Pairs of what and which."""
    parts = [
        join([element("dt", name), element("dd", text)]) for name, text in rows.items() if text
    ]
    return element("dl", *parts, class_="facts")


def _headline(run: Read, best: str) -> Markup:
    about = run.stretches[-1]["about"] if run.stretches else {}
    seconds = sum(run.seconds.values())
    rows = {
        "ended": f"{run.ended:%Y-%m-%d %H:%M}" if run.ended else "",
        "took": duration(seconds) if seconds else "",
        "data": str(run.config.data.kind).replace("_", " "),
        "devices": about.get("devices", ""),
        "versions": about.get("versions", ""),
        "seed": run.config.train.seed,
        "config": config.digest(run.config),
        "folder": run.folder.resolve(),
    }
    rows["seed"] = str(rows["seed"])
    return join([element("p", result(run, best), class_="result"), facts(rows)])


def _series(run: Read, drawn: list[series.Drawn]) -> Markup | None:
    from apps import build
    from apps.schema import ConfigError

    try:
        columns = build.stored_signal(run.folder).columns
    except ConfigError:
        columns = ()
    kept = series.read(run.folder / "samples" / "records.npz")
    real = [each.signal for each in kept]
    real += [each.reference for each in drawn if each.reference is not None]
    beside = series.pairs(drawn, columns)
    new = series.together(drawn, real, columns)
    return join(
        [
            beside,
            element("h3", "New series over real ones") if new and beside else None,
            new,
        ]
    )


def _commands(run: Read) -> Markup:
    words = shlex.quote(f"run={run.folder}")
    needs = run.config.objective.kind in ("vocoder", "upsampler")
    commands = (
        f"python -m apps.train {words}",
        f"python -m apps.evaluate {words}",
        f"python -m apps.generate {words}" + (" input=FILE" if needs else ""),
        f"python -m apps.report {words}",
    )
    return element("p", element("code", "\n".join(commands), class_="code"))
