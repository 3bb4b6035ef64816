"""Metrics as tables: mean and spread, the control beside them, and a small picture of both."""

from collections.abc import Mapping, Sequence
from typing import Any

from apps.metrics.meanings import MEANINGS
from apps.pages import embedded
from apps.pages.markup import Markup, element, folded, join, number, table
from apps.pages.reading import Evaluation, Read

_WIDTH, _HEIGHT = 140.0, 16.0


PICTURED = 3  # evaluations whose pictures are shown, and that are not folded


def shown(evaluations: Sequence[Evaluation]) -> Markup | None:
    """All evaluations, the last step first; older ones are folded, their pictures left out."""
    latest = [_one(each, pictured=True) for each in evaluations[:PICTURED]]
    older = [_one(each, pictured=False) for each in evaluations[PICTURED:]]
    return join([*latest, folded(f"{len(older)} older ones", *older) if older else None]) or None


def _one(evaluation: Evaluation, *, pictured: bool) -> Markup:
    """One evaluation: its table, and the pictures it made."""
    rows = []
    controlled = any(value["control"] for value in evaluation.metrics.values())
    for name, value in evaluation.metrics.items():
        unit, better = MEANINGS.get(name, ("", ""))
        seeds = f" ({value['seeds']} seeds)" if value["seeds"] else ""
        control = [spread(value["control"])] if controlled else []
        rows.append((name, spread(value) + seeds, *control, unit, better, bar(value)))
    kept = [f"{evaluation.records:,} records"] if evaluation.records is not None else []
    caption = ", ".join(
        [
            f"step {evaluation.step:,}",
            *kept,
            f"{evaluation.split} split",
            f"{evaluation.weights} weights",
        ]
    )
    control = ["real against real"] if controlled else []
    heads = ("metric", "mean ± std", *control, "unit", "better", "")
    legend = "The bar is the mean, the stroke ± one standard deviation" + (
        ", the diamond real against real." if controlled else "."
    )
    return join(
        [
            table(heads, rows, caption=caption, numbers=range(1, 3 if controlled else 2)),
            element("p", legend, class_="soft"),
            *(
                embedded.picture(path, alt=title, title=title)
                for title, path in evaluation.pictures.items()
                if pictured
            ),
        ]
    )


def spread(value: Mapping[str, Any] | None) -> str:
    """Mean and spread in words."""
    if value is None or value["mean"] is None:
        return "–"
    mean = number(value["mean"])
    return mean if value["std"] is None else f"{mean} ± {number(value['std'])}"


def bar(value: Mapping[str, Any]) -> Markup | str:
    """A bar from zero to the mean, its spread, and the control, on a scale of their own."""
    mean, std = value["mean"], value["std"] or 0.0
    if mean is None:
        return ""
    control = (value["control"] or {}).get("mean")
    reached = [0.0, mean - std, mean + std, *([] if control is None else [control])]
    low, high = min(reached), max(reached)
    if low == high:
        return ""

    def at(each: float) -> float:
        return round(2 + (each - low) / (high - low) * (_WIDTH - 4), 1)

    left, right = sorted((at(0.0), at(mean)))
    parts = [element("rect", x=left, y=4, width=round(right - left, 1), height=8, class_="body")]
    if std:
        parts.append(
            element("path", d=f"M{at(mean - std)} 8H{at(mean + std)}M{at(mean - std)} 5v6M"
                    f"{at(mean + std)} 5v6", class_="whisker")
        )  # fmt: skip
    if control is not None:
        parts.append(element("path", d=f"M{at(control) - 4} 8l4 -5l4 5l-4 5z", class_="control"))
    said = f"{spread(value)}" + (f"; real against real {number(control)}" if control else "")
    return element("svg", *parts, viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}", class_="bar", role="img",
                   aria_label=said, preserveAspectRatio="none")  # fmt: skip


def compared(runs: Sequence[Read]) -> Markup | None:
    """The last evaluation of each run and split, runs as columns, the better one marked."""
    tables = []
    for split in dict.fromkeys(each.split for run in runs for each in run.evaluations):
        latest = [next((e for e in run.evaluations if e.split == split), None) for run in runs]
        names = dict.fromkeys(n for each in latest if each is not None for n in each.metrics)
        rows = []
        for name in names:
            values = [None if each is None else each.metrics.get(name) for each in latest]
            unit, better = MEANINGS.get(name, ("", ""))
            first = winner([None if v is None else v["mean"] for v in values], better)
            cells = [
                element("span", spread(value), class_="winner" if at == first else None)
                for at, value in enumerate(values)
            ]
            rows.append((name, *cells, unit, better))
        steps = ", ".join(
            f"{run.name} at step {each.step:,}"
            for run, each in zip(runs, latest, strict=True)
            if each is not None
        )
        heads = ("metric", *(run.name for run in runs), "unit", "better")
        columns = range(1, 1 + len(runs))
        tables.append(table(heads, rows, caption=f"{split} split: {steps}", numbers=columns))
    return join(tables) if tables else None


def winner(values: Sequence[float | None], better: str) -> int | None:
    """The place of the better value; None where none is, or two are alike."""
    known = [value for value in values if value is not None]
    if better not in ("lower", "higher") or len(known) < 2:
        return None
    best = min(known) if better == "lower" else max(known)
    return list(values).index(best) if known.count(best) == 1 else None
