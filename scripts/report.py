"""Tables of what `timing.py` measured: markdown to read, JSON to keep, a summary for the README.

`python scripts/report.py` writes the summary of `scripts/tables/` into the README.
"""

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from machine import BUSY
from readme import HOME, README, between, table

Found = Mapping[str, Any]
TABLES = HOME / "scripts" / "tables"
BEGIN, END = "<!-- measured: python scripts/report.py -->\n", "<!-- end of measured -->\n"


def geometric_mean(values: Iterable[float]) -> float:
    """Geometric mean; not a number without values."""
    logs = [math.log(value) for value in values]
    return math.exp(statistics.fmean(logs)) if logs else math.nan


def middle(row: Mapping[str, Any], each: str, side: str) -> float | None:
    """Median over the rounds, in milliseconds."""
    times = row["ms"][each].get(side)
    return statistics.median(times) if times else None


def ratio(row: Mapping[str, Any], each: str, side: str, first: str) -> float | None:
    """How many times longer the side takes than the first one; below 1 it is faster."""
    mine, theirs = middle(row, each, first), middle(row, each, side)
    return None if mine is None or theirs is None else theirs / mine


def groups(found: Found) -> dict[str, list[Mapping[str, Any]]]:
    """The rows of each group of cases, in their order."""
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for row in found["rows"]:
        rows.setdefault(row["case"].split(" ")[0], []).append(row)
    return rows


# ----------------------------------------------------------------------------------- markdown


def markdown(found: Found) -> str:
    """All tables: where it was measured, the means of each group, then each case."""
    parts = [f"# {found['about']}", _where(found)]
    for each in found["passes"]:
        parts += [f"## {each}: geometric means", _means(found, each)]
    for each in found["passes"]:
        parts += [f"## {each}: every case", _cases(found, each)]
    return "\n\n".join([*parts, *_left_out(found)]) + "\n"


def _where(found: Found, *, legend: bool = True) -> str:
    machine, rows = found["machine"], found["rows"]
    dates = sorted({row["date"] for row in rows})
    cpu = " ".join([machine["cpu"], *machine["instructions"]])
    lines = [
        f"Measured on {machine['system']}, {cpu}, {machine['cores']} cores, device "
        f"{machine['device']}; {' to '.join(dict.fromkeys((dates[0], dates[-1])))}; convt1d "
        f"{found['convt1d']}.",
        _versions(found["versions"]),
    ]
    if not legend:
        return "\n".join(lines)
    lines += [
        "Milliseconds, medians over rounds (the rounds' extremes in brackets); each side in a "
        "process of its own, taking turns. `2.00×` means twice as long as ours.",
    ]
    if found["floor"]:
        lines.append("`floor` is the bound; the share of it that we reach is floor / ours.")
    busy = [f"{row['case']} ({row['busy']} cores)" for row in rows if row["busy"] > BUSY]
    if busy:
        lines.append(f"Measured while others used the machine: {', '.join(busy)}.")
    return "\n".join(lines)


def _versions(versions: Mapping[str, Mapping[str, str]]) -> str:
    """Each package once, with the side named where sides differ in it."""
    users: dict[str, dict[str, list[str]]] = {}
    for side, has in versions.items():
        for name, number in has.items():
            users.setdefault(name, {}).setdefault(number, []).append(side)
    words = []
    for name, numbers in users.items():
        for number, sides in numbers.items():
            words.append(f"{name} {number}" + f" ({', '.join(sides)})" * (len(numbers) > 1))
    return ", ".join(words) + "."


def _rivals(found: Found, each: str) -> list[str]:
    measured = {side for row in found["rows"] for side in row["ms"][each]}
    return [side for side in found["sides"][1:] if side in measured]


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f} %"


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}×" if value < 10 else f"{value:.0f}×"


def _means(found: Found, each: str) -> str:
    """A row for each group: the geometric mean of the ratios, and the worst."""
    first, floor = found["sides"][0], found["floor"]
    sides = _rivals(found, each)
    header = ["group", *(f"{s} (share)" if s == floor else f"{s} (least)" for s in sides)]
    body = []
    for name, rows in groups(found).items():
        cells = [name]
        for side in sides:
            ratios = [r for row in rows if (r := ratio(row, each, side, first)) is not None]
            if not ratios:
                cells.append("")
            elif side == floor:
                cells.append(_percent(geometric_mean(ratios)))
            else:
                cells.append(f"{_times(geometric_mean(ratios))} ({_times(min(ratios))})")
        body.append(cells)
    return table(header, body)


def _cases(found: Found, each: str, rows: Sequence[Mapping[str, Any]] | None = None) -> str:
    first, floor = found["sides"][0], found["floor"]
    sides = _rivals(found, each)
    sizes = [key for key in ("gflop", "chunk ms") if all(key in row for row in found["rows"])]
    timed = ["× real time"] if "chunk ms" in sizes else []
    body = []
    for row in found["rows"] if rows is None else rows:
        mine = row["ms"][each].get(first)
        if not mine:
            continue
        spread = f" ({min(mine):.3g}–{max(mine):.3g})" if len(mine) > 1 else ""
        cells = [row["case"], *(f"{row[key]:.3g}" for key in sizes)]
        cells.append(f"{statistics.median(mine):.3g}{spread}")
        cells += [f"{row['chunk ms'] / statistics.median(mine):.0f}" for _ in timed]
        for side in sides:
            theirs, factor = middle(row, each, side), ratio(row, each, side, first)
            if theirs is None:
                cells.append("")
            else:
                cells.append(
                    f"{theirs:.3g} ({_percent(factor) if side == floor else _times(factor)})"
                )
        body.append(cells)
    return table(["case", *sizes, first, *timed, *sides], body)


def _left_out(found: Found) -> list[str]:
    """Why sides are missing from cases, each reason once."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for row in found["rows"]:
        for side, reason in row["left out"].items():
            reasons.setdefault((side, reason), []).append(row["case"])
    lines = [f"- {s}: {reason} ({len(cases)})" for (s, reason), cases in sorted(reasons.items())]
    return ["## Left out (number of cases)", "\n".join(lines)] if lines else []


# --------------------------------------------------------------------------------------- files


def merge(found: dict[str, Any], folder: Path, *, order: Sequence[str]) -> None:
    """Write the tables; keep what the same machine and versions measured of other cases before."""
    path = folder / f"{found['bench']}_{found['backend']}.json"
    old = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    same = ("machine", "versions", "sides", "passes", "floor", "convt1d")
    if old is not None and all(old[key] == found[key] for key in same):
        rows = {row["case"]: row for row in [*old["rows"], *found["rows"]]}
        found = {**found, "rows": [rows[name] for name in order if name in rows]}
    elif old is not None:
        print("the tables there were of another machine, other versions or sides: replaced")
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(markdown(found), encoding="utf-8")
    print(f"written: {path.name} and {path.with_suffix('.md').name}")


def summary(folder: Path) -> str:
    """The README's tables: for layers and activations the means, for streams the whole decoders."""
    parts = []
    paths = sorted(folder.glob("*.json"))
    for path in sorted(paths, key=lambda path: not path.name.startswith("layers")):
        found = json.loads(path.read_text(encoding="utf-8"))
        link = f"[every case](scripts/tables/{path.with_suffix('.md').name})"
        parts.append(f"**{found['about']}** ({found['passes'][-1]}; {link})")
        parts.append(_where(found, legend=False))
        if found["bench"] == "streaming":
            rows = [row for row in found["rows"] if " all " in row["case"]]
            parts.append(_cases(found, found["passes"][-1], rows))
        else:
            parts.append(_means(found, found["passes"][-1]))
    return "".join(part + "\n\n" for part in parts)


def with_summary(readme: str, folder: Path) -> str:
    """The README's text with the summary of these tables between its marks."""
    return between(readme, BEGIN, END, "\n" + summary(folder))


if __name__ == "__main__":
    README.write_text(with_summary(README.read_text(encoding="utf-8"), TABLES), encoding="utf-8")
