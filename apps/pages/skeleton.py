"""The page: one file that asks for nothing, in light and dark, on paper and on a phone."""

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from apps.pages.markup import Markup, element, join

_logger = logging.getLogger("apps.pages")

STYLE = Path(__file__).with_name("style.css")

# What is in the page may be shown and heard; nothing may be fetched and nothing may run.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:"


def section(title: str, *inside: Any, name: str) -> Markup | None:
    """A part of the page, or nothing where there is nothing in it.

    Args:
        title: Its heading.
        inside: Its content.
        name: What links lead to it by.
    """
    kept = [part for part in inside if part]
    if not kept:
        return None
    heading = element("h2", title, id=f"{name}-title")
    return element("section", heading, *kept, id=name, aria_labelledby=f"{name}-title")


def page(title: str, *parts: Any, kind: str, headline: Any) -> str:
    """The whole document.

    Args:
        title: What it is of.
        parts: Sections; None is left out.
        kind: What the page is, over its title.
        headline: What a person has to know first.
    """
    head = [
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("link", rel="icon", href="data:,"),  # else a browser asks for one
        element("title", f"{title} · {kind}"),
        element("style", Markup(STYLE.read_text(encoding="utf-8"))),
    ]
    header = element("header", element("p", kind, class_="kind"), element("h1", title), headline)
    body = element("main", header, *parts)
    return f"<!doctype html>\n{element('html', join(head), body, lang='en')}\n"


def write(path: Path, text: str) -> Path:
    """Write a page whole or not at all.

    Raises:
        OSError: If it cannot be written; it names the file.
    """
    half = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        half.write_bytes(text.encode("utf-8", "replace"))
        half.replace(path)
    except OSError as error:
        with suppress(OSError):
            half.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error
    return path


def attempt(make: Callable[[], Path]) -> Path | None:
    """Make a page of what has been done, which no page is to undo.

    Returns:
        The file, or None where it could not be written, of which one warning tells.
    """
    try:
        return make()
    except Exception as error:
        _logger.warning(f"the report cannot be written: {error}. Going on")
        return None
