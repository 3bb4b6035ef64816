"""Settings as earlier releases stored them, in the words of this one.

A setting that has come since keeps its default, which does what the release did without it; where
that is not so, a line of the table below says what to set.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

_Group = Mapping[str, Any]


class _Change(NamedTuple):
    """What to set in a group of settings as releases up to this one stored it."""

    until: str
    group: str
    concerns: Callable[[_Group], bool]
    settings: Callable[[_Group], dict[str, Any]]


_CHANGES = (
    # There was one objective, so that it had no name.
    _Change(
        until="0.1.0",
        group="objective",
        concerns=lambda group: "kind" not in group,
        settings=lambda _: {"kind": "vae"},
    ),
    # The dilated convolutions had as many taps as the one at the signal.
    _Change(
        until="0.1.0",
        group="model",
        concerns=lambda group: "kernel_size" in group and "residual_kernels" not in group,
        settings=lambda group: {"residual_kernels": [group["kernel_size"]]},
    ),
)


def migrated(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return stored settings as this release would have stored them; its own stay as they are."""
    now = dict(values)
    for change in _CHANGES:
        group = now.get(change.group)
        if isinstance(group, dict) and change.concerns(group):
            now[change.group] = {**group, **change.settings(group)}
    return now
