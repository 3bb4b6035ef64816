"""Runs side by side: where they differ, how they learnt, what came of each."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from apps.config import digest
from apps.pages import learning, network, run, scores, series, settings, skeleton, sounds, spent
from apps.pages.markup import Markup, element, folded, join, table
from apps.pages.reading import Read, read
from apps.pages.skeleton import section


def write(folders: Sequence[Path], output: Path) -> Path:
    """Write a page on several runs.

    Raises:
        ConfigError: If one of the folders holds no run.
        OSError: If the file cannot be written.
    """
    return skeleton.write(output, page(named(folders)))


def named(folders: Sequence[Path]) -> list[Read]:
    """Read runs; those of one name are called by their folders, or by number."""
    runs = [read(folder) for folder in folders]
    names = [each.name for each in runs]
    if len(set(names)) < len(names):
        names = ["/".join(each.folder.resolve().parts[-2:]) for each in runs]
    if len(set(names)) < len(names):
        names = [f"{name} ({at})" for at, name in enumerate(names, start=1)]
    return [replace(run, called=name) for run, name in zip(runs, names, strict=True)]


def page(runs: Sequence[Read]) -> str:
    """The page."""
    networks = [network.network(each) for each in runs]
    return skeleton.page(
        " · ".join(each.name for each in runs),
        section("Where they differ", _differences(runs), name="settings"),
        section("Scores", scores.compared(runs), name="scores"),
        section("How they learnt", learning.compared(runs), name="learning"),
        section("What they make", _made(runs), name="made"),
        section("Where the time went", spent.compared(runs), name="time"),
        kind=f"{len(runs)} runs side by side",
        headline=_headline(runs, networks),
    )


def _headline(runs: Sequence[Read], networks: Sequence[network.Network | str]) -> Markup:
    rows = []
    for each, found in zip(runs, networks, strict=True):
        best = "" if isinstance(found, str) else found.best
        size = "–" if isinstance(found, str) else f"{found.parameters[found.product]:,}"
        ended = f"{each.ended:%Y-%m-%d %H:%M}" if each.ended else "–"
        rows.append(
            (each.name, network.kind(each.config), run.result(each, best), size, ended,
             digest(each.config))
        )  # fmt: skip
    heads = ("run", "what it is", "what came of it", "parameters", "ended", "config")
    return table(heads, rows, caption="The runs", numbers=(3,), texts=(2,))


def _differences(runs: Sequence[Read]) -> Markup:
    rows = settings.differing([each.config for each in runs])
    if not rows:
        return element("p", "All their settings are the same.")
    heads = ("setting", *(each.name for each in runs))
    return table(heads, [(key, *values) for key, values in rows], caption="Settings that differ")


def _made(runs: Sequence[Read]) -> Markup | None:
    """Sounds and series of the same test record beside one another."""
    parts = [_sounds(runs), _series(runs)]
    return join(parts) if any(parts) else None


def _sounds(runs: Sequence[Read]) -> Markup | None:
    found = {each.name: sounds.of_a_run(each.folder)[0] for each in runs}
    given: dict[str, sounds.Pair] = {}
    for pairs in found.values():
        for pair in pairs:
            if pair.reference is not None:
                given.setdefault(pair.name, sounds.Pair("given", pair.reference))
    records = list(dict.fromkeys(pair.name for pairs in found.values() for pair in pairs))
    rows = []
    for record in records:
        row = [given[record]] if record in given else []
        for name, pairs in found.items():
            row += [sounds.Pair(name, pair.made) for pair in pairs if pair.name == record]
        rows.append((record, row))
    most = max(1, sounds.MOST // (len(runs) + 1))
    blocks = [
        join([element("h3", record), sounds.shown(row, least=min(most, len(rows)))])
        for record, row in rows[:most]
    ]
    left = f"The first {most} of {len(rows)} are here." if len(rows) > most else ""
    return join([*blocks, element("p", left, class_="soft") if left else None]) if blocks else None


def _series(runs: Sequence[Read]) -> Markup | None:
    rows: dict[str, list[tuple[str, series.Drawn]]] = {}
    for each in runs:
        file = series.last(each.folder)
        for drawn in series.read(file) if file is not None else []:
            rows.setdefault(drawn.name, []).append((each.name, drawn))
    blocks = []
    for record, row in list(rows.items())[: series.MOST_SERIES]:
        shape = row[0][1].signal.shape
        alike = [(name, drawn) for name, drawn in row if drawn.signal.shape == shape]
        real = next((d.reference for _, d in alike if d.reference is not None), None)
        made = [series.Drawn(name, drawn.signal) for name, drawn in alike]
        panels = series.together(made, [] if real is None else [real])
        blocks.append(join([element("h3", record), panels]))
    if not blocks:
        return None
    shown, more = blocks[:3], blocks[3:]
    return join([*shown, folded(f"{len(more)} more", *more) if more else None])
