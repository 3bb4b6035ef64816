"""Series as curves: what was made over what is real."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from apps.pages.curves import STYLES, Scale, path, scale, ticks
from apps.pages.markup import Markup, at_axis, element, join, number

MOST_VARIABLES = 6
MOST_SERIES = 6
LONGEST = 20_000  # values of a series that are drawn

WIDTH, HEIGHT = 180.0, 96.0

Array = NDArray[np.floating[Any]]


class Drawn(NamedTuple):
    """A series that was made, and what it should resemble, of shape (length, variables)."""

    name: str
    signal: Array
    reference: Array | None = None


def read(file: Path) -> list[Drawn]:
    """The series that a run keeps of a step; none where the file is missing or damaged."""
    try:
        if file.is_symlink():
            return []
        with np.load(file, allow_pickle=False) as held:
            names = [str(name) for name in held["names"]]
            found = [
                Drawn(
                    name,
                    _two(held[f"signal-{at}"]),
                    _two(held[f"reference-{at}"]) if f"reference-{at}" in held else None,
                )
                for at, name in enumerate(names)
            ]
    except Exception:  # numpy has a dozen ways to say that a file is not what it should be
        return []
    return [each for each in found if each.signal.size]


def last(folder: Path) -> Path | None:
    """The last series that a run keeps."""
    files = sorted((folder / "samples").glob("step-*.npz"))
    return files[-1] if files else None


def pairs(drawn: Sequence[Drawn], columns: Sequence[str] = ()) -> Markup | None:
    """Each series over what it should resemble, a panel for each variable."""
    every = [each for each in drawn if each.reference is not None]
    if not every:
        return None
    some, blocks = every[:MOST_SERIES], []
    for each in some:
        assert each.reference is not None
        panels = _panels([each.reference], [each.signal], columns, of=each.name)
        blocks += [element("h3", each.name), panels]
    return join([_keys(["made"]), *blocks, _left_out(some[0].signal, of=len(every))])


def together(
    drawn: Sequence[Drawn], real: Sequence[Array], columns: Sequence[str] = ()
) -> Markup | None:
    """New series over real ones, all of them in one panel for each variable."""
    every = [each for each in drawn if each.reference is None]
    if not every:
        return None
    some = every[:MOST_SERIES]
    panels = _panels(list(real), [each.signal for each in some], columns, of="new series")
    keys = _keys([each.name for each in some], real=bool(real))
    return join([keys, panels, _left_out(some[0].signal, of=len(every))])


def _keys(names: Sequence[str], *, real: bool = True) -> Markup:
    styles = [("real", "real")] * real
    styles += [(name, f"line s{at % STYLES + 1}") for at, name in enumerate(names)]
    items = [
        element("li", element("svg", element("path", d="M0 5H30", class_=style),
                viewBox="0 0 30 10", class_="key", aria_hidden="true"), " ", name)
        for name, style in styles
    ]  # fmt: skip
    return element("ul", *items, class_="keys")


def _left_out(signal: Array, *, of: int) -> Markup | None:
    """What there is no room for."""
    counts = {"series": (MOST_SERIES, of), "variables": (MOST_VARIABLES, signal.shape[1])}
    said = [
        f"The first {most} of {count} {what} are drawn."
        for what, (most, count) in counts.items()
        if count > most
    ]
    return element("p", " ".join(said), class_="soft") if said else None


def _panels(
    real: Sequence[Array], made: Sequence[Array], columns: Sequence[str], *, of: str
) -> Markup:
    panels = []
    for at in range(min(made[0].shape[1], MOST_VARIABLES)):
        title = columns[at] if at < len(columns) else f"variable {at + 1}"
        below = [each[:, at] for each in real if at < each.shape[1]]
        above = [each[:, at] for each in made if at < each.shape[1]]
        panels.append(_panel(title, below, above, of=of))
    return element("div", *panels, class_="grid small")


def _panel(title: str, real: Sequence[Array], made: Sequence[Array], *, of: str) -> Markup:
    values = np.concatenate([*real, *made])
    finite = values[np.isfinite(values)]
    span = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    length = max(len(each) for each in (*real, *made))
    across = scale([0.0, max(length - 1.0, 1.0)], start=34.0, end=WIDTH - 4, exact=True)
    up = scale(span, start=HEIGHT - 16, end=5.0) if span[0] <= 0 else _linear(span)
    drawn = list(_frame(across, up, length))
    many = " thin" if len(real) > 1 else ""
    drawn += [_line(each, across, up, f"real{many}") for each in real]
    drawn += [
        _line(each, across, up, f"line s{index % STYLES + 1}") for index, each in enumerate(made)
    ]
    svg = element(
        "svg", *drawn, viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}", role="img",
        aria_label=f"{of}, {title}: {length} values between {number(span[0])} and "
        f"{number(span[1])}",
    )  # fmt: skip
    return element("figure", element("figcaption", title), svg)


def _linear(span: tuple[float, float]) -> Scale:
    """An axis with room, never a logarithmic one: a series is seen as it is."""
    room = 0.05 * (span[1] - span[0]) or abs(span[0]) * 0.1 or 1.0
    return Scale(span[0] - room, span[1] + room, HEIGHT - 16, 5.0)


def _frame(across: Scale, up: Scale, length: int) -> list[Markup]:
    parts = []
    for value in ticks(up.low, up.high, most=3):
        y = up.at(value)
        parts.append(element("path", d=f"M{across.start:g} {y:.1f}H{across.end:g}", class_="rule"))
        parts.append(
            element("text", at_axis(value), x=across.start - 5, y=f"{y + 4:.1f}", text_anchor="end")
        )
    for value, anchor in ((0, "start"), (length - 1, "end")):
        place = f"{across.at(value):.1f}"
        parts.append(element("text", f"{value:,}", x=place, y=HEIGHT - 3, text_anchor=anchor))
    return parts


def _line(values: Array, across: Scale, up: Scale, style: str) -> Markup:
    some = values[:LONGEST].tolist()
    steps = list(range(len(some)))
    kept = [value if np.isfinite(value) else None for value in some]
    return path(steps, kept, across, up, style=style)


def _two(values: Any) -> Array:
    array = np.asarray(values, np.float64)
    return array[:, None] if array.ndim == 1 else array.reshape(len(array), -1)
