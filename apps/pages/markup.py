"""HTML that cannot be broken by what stands in it: all text is escaped unless it is `Markup`."""

import html
import re
from collections.abc import Iterable, Sequence
from typing import Any

_VOID = {"img", "meta", "link", "br"}
# What no document may hold: control characters, and halves of characters (in names of files).
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class Markup(str):
    """Text that is HTML already."""


def escaped(value: Any) -> Markup:
    """The value as text that means nothing but itself; `Markup` as it is."""
    if isinstance(value, Markup):
        return value
    return Markup(html.escape(_UNFIT.sub("\ufffd", str(value))))


def element(tag: str, *children: Any, **attributes: Any) -> Markup:
    """An element of HTML or SVG.

    Args:
        tag: Its name; one of ours, never a datum.
        children: Text, which is escaped, or other elements; None is left out.
        attributes: `class_` is class, `aria_label` is aria-label; None is left out, True stands
            without a value.
    """
    words = [tag]
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        name = name.rstrip("_").replace("_", "-")
        words.append(name if value is True else f'{name}="{escaped(value)}"')
    if tag in _VOID:
        return Markup(f"<{' '.join(words)}>")
    return Markup(f"<{' '.join(words)}>{join(children)}</{tag}>")


def join(parts: Iterable[Any]) -> Markup:
    """Elements and text after one another."""
    return Markup("".join(escaped(part) for part in parts if part is not None))


def table(
    heads: Sequence[Any],
    rows: Iterable[Sequence[Any]],
    *,
    caption: str,
    numbers: Sequence[int] = (),
    texts: Sequence[int] = (),
) -> Markup:
    """A table in a box of its own, in which it scrolls where the page is too narrow for it.

    Args:
        heads: Over the columns.
        rows: Cells; the first of each names its row.
        caption: What the table holds.
        numbers: The columns that hold numbers.
        texts: Those that hold sentences, which are broken into lines; all others are not.
    """

    def style(column: int) -> str | None:
        return "number" if column in numbers else "text" if column in texts else None

    head = [
        element("th", text, scope="col", class_=style(column)) for column, text in enumerate(heads)
    ]
    body = []
    for first, *others in rows:
        cells = [element("th", first, scope="row")]
        cells += [element("td", each, class_=style(at)) for at, each in enumerate(others, start=1)]
        body.append(element("tr", *cells))
    whole = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *head)),
        element("tbody", *body),
    )
    # A box that scrolls has to be reached by the keyboard.
    return element("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption)


def folded(summary: Any, *inside: Any) -> Markup:
    """What is seen on demand."""
    return element("details", element("summary", summary), *inside)


def at_axis(value: float) -> str:
    """A number as it stands at an axis, where there is room for few digits: 20M, 150k."""
    for letter, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= max(size, 1e4):
            return f"{value / size:.4g}{letter}".replace("-", "−")
    return number(value)


def number(value: float | None) -> str:
    """A number for a person: four digits, and a dash for none."""
    if value is None:
        return "–"
    if abs(value) >= 10_000 and value == int(value):
        return f"{int(value):,}"
    return f"{value:.4g}".replace("-", "−")


def duration(seconds: float) -> str:
    """A time for a person."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
