"""Where the time went."""

from collections.abc import Sequence

from apps.pages.markup import Markup, duration, element, folded, join, table
from apps.pages.reading import Read

NAMES = {
    "step": "steps",
    "compile": "compiling",
    "data": "waiting for data",
    "evaluate": "measuring",
    "samples": "samples",
    "save": "saving",
    "log": "logging",
    "start": "starting",
}


def shown(run: Read) -> Markup:
    """A bar, a table, and the starts of the run."""
    if not run.stretches:
        said = "The run kept no times: it is of a release that did not, or has not begun to train."
        return element("p", said, class_="soft")
    seconds = run.seconds
    total = sum(seconds.values()) or 1.0
    order = [name for name in NAMES if name in seconds]
    order += [name for name in seconds if name not in NAMES]
    made = sum(each["to"] - each["from"] for each in run.stretches)
    parts, rows = [], []
    for index, name in enumerate(order, start=1):
        share = 100 * seconds[name] / total
        style = f"f{(index - 1) % 8 + 1}"
        parts.append(element("span", class_=style, style=f"width:{share:.2f}%"))
        swatch = element("span", class_=f"swatch {style}", aria_hidden="true")
        rows.append((join([swatch, NAMES.get(name, name)]), duration(seconds[name]),
                     f"{share:.1f} %"))  # fmt: skip
    pace = _pace(seconds, made)
    notes = (
        "By the host's clock; the device goes on computing while the host waits for data, draws or "
        "writes. Compiling includes the first step of each phase, measuring and samples their own "
        "first compilation."
    )
    return join(
        [
            element("div", *parts, class_="stack", aria_hidden="true"),
            table(
                ("", "time", "share"), rows, numbers=(1, 2),
                caption=f"{duration(total)} for {made:,} steps{pace}",
            ),
            element("p", notes, class_="soft"),
            _starts(run) if len(run.stretches) > 1 else None,
        ]
    )  # fmt: skip


def _pace(seconds: dict[str, float], made: float) -> str:
    stepping = seconds.get("step", 0.0) + seconds.get("data", 0.0)
    if made < 2 or stepping <= 0:
        return ""
    return f": {1000 * stepping / made:.3g} ms a step"


def _starts(run: Read) -> Markup:
    rows = [
        (
            str(each.get("began", "–")).replace("T", " ")[:16],
            f"{each['from']:,} → {each['to']:,}",
            duration(sum(each["seconds"].values())),
            str(each["about"].get("devices", "–")),
        )
        for each in run.stretches
    ]
    starts = table(("begun", "steps", "time", "devices"), rows, caption="Every start of the run")
    return folded(f"{len(rows)} starts", starts)


def compared(runs: Sequence[Read]) -> Markup | None:
    """The times of runs, a column each."""
    if not any(run.stretches for run in runs):
        return None
    names = [name for name in NAMES if any(name in run.seconds for run in runs)]
    rows = [
        (NAMES[name], *(duration(run.seconds[name]) if name in run.seconds else "–"
                        for run in runs))
        for name in names
    ]  # fmt: skip
    rows.append(
        ("all", *(duration(sum(run.seconds.values())) if run.seconds else "–" for run in runs))
    )
    rows.append(
        ("steps made", *(f"{sum(e['to'] - e['from'] for e in run.stretches):,}" for run in runs))
    )
    heads = ("", *(run.name for run in runs))
    return table(heads, rows, caption="Seconds by the host's clock", numbers=range(1, len(heads)))
