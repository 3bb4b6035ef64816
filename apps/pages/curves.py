"""Curves as SVG: text stays text, colours are the page's, a long run is as small as a short one."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from apps.pages.markup import Markup, at_axis, element, join, number

WIDTH, HEIGHT = 360.0, 190.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 8.0, 8.0, 22.0
POINTS = 250  # stretches of a curve, of each of which the least and the greatest are drawn
STYLES = 8  # kinds of lines told apart
_WIDE = 100.0  # from this ratio of greatest to least on, the scale is logarithmic


class Line(NamedTuple):
    """A curve.

    Args:
        label: What it is, where there are several.
        steps: Where, in order.
        values: What; None where it was not finite.
    """

    label: str
    steps: Sequence[float]
    values: Sequence[float | None]

    def finite(self) -> list[tuple[float, float]]:
        """The points that are numbers."""
        pairs = zip(self.steps, self.values, strict=True)
        return [(at, value) for at, value in pairs if value is not None]

    def best(self, better: str) -> tuple[float, float] | None:
        """The step and value that are best, of those `better` is "lower" or "higher" of."""
        points = self.finite()
        if not points or better not in ("lower", "higher"):
            return None
        choose = min if better == "lower" else max
        return choose(points, key=lambda point: point[1])


class Scale(NamedTuple):
    """From values to places along an axis."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """The place of a value."""
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(value)
        share = (value - low) / (high - low)
        return self.start + share * (self.end - self.start)


def chart(
    title: str,
    lines: Sequence[Line],
    *,
    better: str = "",
    unit: str = "",
    legend: bool = False,
) -> Markup:
    """A figure of curves over the steps of a run.

    Args:
        title: What is shown.
        lines: At least one, with at least one finite point.
        better: Which way is better; the best point is then marked.
        unit: Of the values.
        legend: Whether each line is to be named.
    """
    points = [point for line in lines for point in line.finite()]
    across = scale([at for at, _ in points], start=_LEFT, end=WIDTH - _RIGHT, exact=True)
    up = scale([value for _, value in points], start=HEIGHT - _BOTTOM, end=_TOP)
    summary = "; ".join(_summary(line, better, named=legend) for line in lines if line.finite())
    drawn = [*_axes(across, up)]
    for index, line in enumerate(lines):
        drawn.append(path(line.steps, line.values, across, up, style=f"line s{index % STYLES + 1}"))
        drawn += [_lost(across.at(at)) for at in _gone(line)[:POINTS]]
        fill = f"f{index % STYLES + 1}"
        if len(some := line.finite()) == 1:
            drawn.append(_dot(across.at(some[0][0]), up.at(some[0][1]), r=2.5, class_=fill))
        if (best := line.best(better)) is not None:
            drawn.append(_dot(across.at(best[0]), up.at(best[1]), r=4, class_=f"best {fill}"))
    svg = element(
        "svg", *drawn, viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}", role="img",
        aria_label=f"{title}: {summary}",
    )  # fmt: skip
    log = " · logarithmic" if up.logarithmic else ""
    inside = f" ({unit})" if unit else ""
    said = element("span", f"{summary}{log}", class_="soft") if not legend else None
    keys = legend_of([line.label for line in lines]) if legend else None
    return element("figure", element("figcaption", title + inside, said), svg, keys)


def legend_of(labels: Sequence[str]) -> Markup:
    """A list of lines and what they are."""
    items = []
    for index, label in enumerate(labels):
        stroke = element("path", d="M0 5H30", class_=f"line s{index % STYLES + 1}")
        key = element("svg", stroke, viewBox="0 0 30 10", class_="key", aria_hidden="true")
        items.append(element("li", key, " ", label))
    return element("ul", *items, class_="keys")


def scale(values: Iterable[float], *, start: float, end: float, exact: bool = False) -> Scale:
    """The axis that holds the values; `exact` ends with them, else there is some room."""
    low, high = min(values := list(values)), max(values)
    if not exact and low > 0 and high / low >= _WIDE:
        return Scale(low / 1.1, high * 1.1, start, end, logarithmic=True)
    if low == high:
        room = abs(low) * 0.1 or 1.0
        return Scale(low - room, high + room, start, end)
    room = 0.0 if exact else 0.05 * (high - low)
    return Scale(low - room, high + room, start, end)


def path(
    steps: Sequence[float], values: Sequence[float | None], across: Scale, up: Scale, *, style: str
) -> Markup:
    """The line through the points; it is broken where there is none."""
    words, drawing = [], False
    for at, value in thinned(steps, values):
        if value is None:
            drawing = False
            continue
        place = f"{_r(across.at(at))} {_r(up.at(value))}"
        words.append(f"L{place}" if drawing else f"M{place}h0")  # a point alone is a dot
        drawing = True
    return element("path", d="".join(words), class_=style)


def thinned(
    steps: Sequence[float], values: Sequence[float | None]
) -> Iterator[tuple[float, float | None]]:
    """The points, or of each of many stretches the least and the greatest, which is what one sees.

    A stretch with a gap has a gap.
    """
    pairs = list(zip(steps, values, strict=True))
    size = math.ceil(len(pairs) / POINTS)
    if size <= 2:
        yield from pairs
        return
    for start in range(0, len(pairs), size):
        some = pairs[start : start + size]
        kept = [(at, value) for at, value in some if value is not None]
        if kept:
            ends = {min(kept, key=lambda each: each[1]), max(kept, key=lambda each: each[1])}
            yield from sorted(ends)
        if len(kept) < len(some):
            yield some[-1][0], None


def ticks(low: float, high: float, *, most: int = 5) -> list[float]:
    """Round numbers from low to high: multiples of 1, 2 or 5 times a power of ten."""
    span = high - low
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(power * each for each in (1, 2, 5, 10) if span / (power * each) <= most)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def _powers(low: float, high: float, *, most: int = 5) -> list[float]:
    """Powers of ten from low to high."""
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    every = max(1, math.ceil((last - first + 1) / most))
    return [10.0**power for power in range(first, last + 1, every)]


def _axes(across: Scale, up: Scale) -> Iterator[Markup]:
    choose = _powers if up.logarithmic else ticks
    for value in choose(up.low, up.high):
        y = _r(up.at(value))
        yield element("path", d=f"M{_LEFT:g} {y}H{across.end:g}", class_="rule")
        yield element("text", at_axis(value), x=_LEFT - 6, y=f"{up.at(value) + 4:.1f}",
                      text_anchor="end")  # fmt: skip
    for value in ticks(across.low, across.high, most=4):
        if value == int(value):
            x = across.at(value)
            anchor = "end" if x > across.end - 16 else "middle"
            yield element("text", f"{int(value):,}", x=_r(x), y=HEIGHT - 6, text_anchor=anchor)


def _gone(line: Line) -> list[float]:
    pairs = zip(line.steps, line.values, strict=True)
    return [at for at, value in pairs if value is None]


def _dot(x: float, y: float, *, r: float, class_: str) -> Markup:
    return element("circle", cx=_r(x), cy=_r(y), r=r, class_=class_)


def _lost(x: float) -> Markup:
    """A stroke at the foot, where a value was not finite."""
    return element("path", d=f"M{_r(x)} {HEIGHT - _BOTTOM:g}v-7", class_="lost")


def _summary(line: Line, better: str, *, named: bool) -> str:
    points, lost = line.finite(), len(_gone(line))
    words = [f"{number(points[0][1])} → {number(points[-1][1])}"]
    if len(points) == 1:
        words = [f"{number(points[0][1])} at step {points[0][0]:,.0f}"]
    elif (best := line.best(better)) is not None:
        words.append(f"best {number(best[1])} at step {best[0]:,.0f}")
    if lost:
        words.append(f"not finite {lost} times" if lost > 1 else "not finite once")
    return join([f"{line.label}: " if named else "", ", ".join(words)])


def _r(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
