"""What fuzzed laws share: how the suite runs them, and what a refusal must say."""

import contextlib
import logging
from collections.abc import Iterable, Iterator

from hypothesis import HealthCheck, Phase, settings


def few(examples: int) -> settings:
    """Settings of a law in the suite: the same examples every time; `scripts/fuzz.py` runs long."""
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate),  # to shrink a failure would take minutes
        suppress_health_check=tuple(HealthCheck),  # pyright: ignore[reportArgumentType],
    )


def one_line_naming(error: Exception, names: Iterable[str]) -> None:
    """A refusal is one line that holds one of the names."""
    text = str(error)
    assert "\n" not in text, text
    assert any(name in text for name in names), text


@contextlib.contextmanager
def silence(name: str) -> Iterator[None]:
    """Within, a logger keeps its warnings to itself; other tests want to hear them afterwards."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
