"""Where the time went, kept with the run: `timing.json`, one stretch for each start."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from apps.engine import record
from apps.engine.clock import Clock

FILE = "timing.json"
MOST = 100  # stretches kept; of a run that is started more often the first ones become one


class Times:
    """Seconds by activity, of this start and of those before it.

    It is a file of its own, since no two runs take the same time, and `metrics.jsonl` is to be the
    same for the same run.

    Args:
        folder: The run's folder.
        about: On what this start runs, in words.
    """

    def __init__(self, folder: Path, about: Mapping[str, str]) -> None:
        self._path = folder / FILE
        self._earlier: list[dict[str, Any]] = []
        self._now: dict[str, Any] = {"began": _now(), "about": dict(about)}

    def begin(self, done: int) -> None:
        """Goes on after `done` steps; what earlier starts took is kept.

        Raises:
            ValueError: if the file holds something else.
        """
        self._now |= {"from": done, "to": done}
        if self._path.is_file():
            self._earlier = _stretches(self._path)
        while len(self._earlier) >= MOST:
            self._earlier[:2] = [_joined(*self._earlier[:2])]

    def write(self, done: int, clock: Clock) -> None:
        """Writes what this start took up to `done` steps."""
        self._now |= {"to": done, "ended": _now(), "seconds": clock.seconds()}
        text = json.dumps({"stretches": [*self._earlier, self._now]}, indent=1, ensure_ascii=False)
        record.replace(self._path, text.encode())


def _stretches(path: Path) -> list[dict[str, Any]]:
    found = json.loads(path.read_bytes())
    stretches = found.get("stretches") if isinstance(found, dict) else None
    if not isinstance(stretches, list) or not all(_is_stretch(each) for each in stretches):
        raise ValueError(f"{path.name} holds no times")
    return stretches


def _is_stretch(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    numbers = [value.get("from"), value.get("to"), *dict(value.get("seconds") or {}).values()]
    return all(isinstance(each, int | float) for each in numbers)


def _joined(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    before, after = first["seconds"], second["seconds"]
    seconds = {name: before.get(name, 0.0) + after.get(name, 0.0) for name in {**before, **after}}
    return {**second, "began": first.get("began"), "from": first["from"], "seconds": seconds}


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
