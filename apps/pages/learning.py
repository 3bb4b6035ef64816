"""How the players learnt: what they were trained for, what else was measured, how the test went."""

from collections.abc import Mapping, Sequence

from apps.metrics.meanings import MEANINGS
from apps.pages.curves import Line, chart
from apps.pages.markup import Markup, element, folded, join, number, table
from apps.pages.reading import Read

_FIRST = ("loss", "gradient_norm")  # of every player, side by side
_COUNTED = ("skipped", "skipped_total")  # told among the warnings


def shown(run: Read, *, best: str = "") -> Markup | None:
    """The curves of a run.

    Args:
        run: The run.
        best: The test metric by which checkpoints are compared.
    """
    trained = {n: c for n, c in run.curves.items() if not n.startswith("test/") and c.finite()}
    tested = {name: line for name, line in run.tests.items() if line.finite()}
    if not trained and not tested:
        return None
    players = list(dict.fromkeys(n.rpartition("/")[0] for n in trained if n.endswith("/loss")))
    first = [
        f"{player}/{word}" for word in _FIRST for player in players if f"{player}/{word}" in trained
    ]
    pairs = [chart(name.replace("/", ": "), [trained[name]]) for name in first]
    others = [
        chart(name.replace("/", ": "), [line])
        for name, line in trained.items()
        if name not in first and name.rpartition("/")[2] not in _COUNTED
    ]
    tests = [
        chart(
            f"{name} (of which the lowest is kept)" if name == best else name,
            [line],
            better=better_of(name, best),
            unit=MEANINGS.get(name, ("", ""))[0],
        )
        for name, line in tested.items()
    ]
    return join(
        [
            element("div", *pairs, class_="grid pairs"),
            _titled("On the test split", tests),
            _titled("Parts of the losses", others),
            folded("The numbers", _numbers({**trained, **tested}, tested, best)),
        ]
    )


def better_of(name: str, best: str) -> str:
    """Which way a test metric is better: by its meaning, or as checkpoints are compared."""
    return MEANINGS.get(name, ("", "lower" if name == best else ""))[1]


def compared(runs: Sequence[Read]) -> Markup | None:
    """Curves of the same metric over one another, those first that most runs have."""
    names = dict.fromkeys(
        name for run in runs for name, line in run.curves.items() if line.finite()
    )
    words = [n for n in names if n.rpartition("/")[2] not in _COUNTED]
    words.sort(key=lambda name: not name.endswith(_FIRST))  # the losses before their parts
    charts: dict[bool, list[Markup]] = {True: [], False: []}
    for name in words:
        lines = [run.curves.get(name, Line(run.name, [], []))._replace(label=run.name)
                 for run in runs]  # fmt: skip
        if sum(bool(line.finite()) for line in lines) < 2:
            continue
        test = name.startswith("test/")
        metric = name.removeprefix("test/")
        unit, better = MEANINGS.get(metric, ("", "")) if test else ("", "")
        charts[test].append(
            chart(name.replace("/", ": "), lines, better=better, unit=unit, legend=True)
        )
    if not charts[True] and not charts[False]:
        return None
    return join(
        [
            _titled("On the test split", charts[True]),
            _titled("While training", charts[False]),
        ]
    )


def _titled(title: str, charts: Sequence[Markup]) -> Markup | None:
    if not charts:
        return None
    return join([element("h3", title), element("div", *charts, class_="grid")])


def _numbers(lines: Mapping[str, Line], tested: Mapping[str, Line], best: str) -> Markup:
    rows = []
    for name, line in lines.items():
        points = line.finite()
        found = line.best(better_of(name, best)) if name in tested else None
        rows.append(
            (
                name,
                number(points[0][1]),
                number(points[-1][1]),
                "–" if found is None else f"{number(found[1])} at step {found[0]:,.0f}",
            )
        )
    heads = ("", "first", "last", "best")
    return table(heads, rows, caption="Every curve in numbers", numbers=(1, 2, 3))
