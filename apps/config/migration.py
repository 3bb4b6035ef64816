"""Settings as earlier releases stored them, in the words of this one.

A setting that has come since keeps its default, which does what the release did without it; where
that is not so, a line of the table below says what to set.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

_Values = Mapping[str, Any]


class _Change(NamedTuple):
    """What to set in configs of a kind that an earlier release stored."""

    until: str  # the last release that stored it so
    concerns: Callable[[_Values], bool]
    group: str
    settings: Callable[[_Values], dict[str, Any]]


def _has(values: _Values, group: str, name: str) -> bool:
    return isinstance(values.get(group), dict) and name in values[group]


_CHANGES = (
    # There was one objective, so that it had no name.
    _Change(
        "0.1.0",
        lambda values: "objective" in values and not _has(values, "objective", "kind"),
        "objective",
        lambda _: {"kind": "vae"},
    ),
    # The dilated convolutions had as many taps as the one at the signal.
    _Change(
        "0.1.0",
        lambda values: (
            _has(values, "model", "kernel_size") and not _has(values, "model", "residual_kernels")
        ),
        "model",
        lambda values: {"residual_kernels": [values["model"]["kernel_size"]]},
    ),
)


def migrated(values: _Values) -> dict[str, Any]:
    """Return stored settings as this release would have stored them; its own stay as they are."""
    now = dict(values)
    for change in _CHANGES:
        if change.concerns(now):
            now[change.group] = {**now[change.group], **change.settings(now)}
    return now
