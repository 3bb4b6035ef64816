"""What scripts write into the README: tables, between marks."""

from __future__ import annotations  # so that an older Python gets as far as being refused

from collections.abc import Iterable, Sequence
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]
README = HOME / "README.md"


def table(header: Sequence[str], body: Iterable[Sequence[str]], *, numbers: bool = True) -> str:
    """A table in Markdown; with `numbers`, all columns but the first are set to the right."""
    rule = ["---"] + ["---:" if numbers else "---"] * (len(header) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, rule, *body])


def between(text: str, begin: str, end: str, content: str) -> str:
    """The text with the content in place of what stood between the two marks."""
    before, rest = text.split(begin)
    return before + begin + content + end + rest.split(end)[1]
