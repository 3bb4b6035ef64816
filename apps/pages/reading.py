"""A run folder as a report reads it: what is missing is empty, what is damaged is told."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from apps import config
from apps.config import Config
from apps.pages.curves import Line

EVALUATIONS = "evaluation-*.json"
_MOST = 64 << 20  # bytes of a file that is read: none of ours comes near


@dataclass(frozen=True)
class Evaluation:
    """What `python -m apps.evaluate` found."""

    name: str
    step: int
    split: str
    weights: str
    records: int | None
    metrics: dict[str, dict[str, Any]]
    pictures: dict[str, Path]


@dataclass(frozen=True)
class Message:
    """What was said while the run trained."""

    step: int
    kind: str
    text: str


@dataclass(frozen=True)
class Read:
    """All that a report shows of a run.

    Attributes:
        folder: The run folder.
        config: Its settings.
        curves: What was logged, by name.
        step: The last that is known of.
        ended: When that was; None where nothing tells.
        evaluations: The last step first.
        stretches: Of each start where its time went.
        messages: In their order.
        trouble: What could not be read.
        called: What the run is called where its folder's name will not do.
    """

    folder: Path
    config: Config
    curves: dict[str, Line] = field(default_factory=dict)
    step: int = 0
    ended: datetime | None = None
    evaluations: list[Evaluation] = field(default_factory=list)
    stretches: list[dict[str, Any]] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)
    called: str = ""

    @property
    def name(self) -> str:
        """What the run is called."""
        return self.called or self.folder.resolve().name or str(self.folder)

    @property
    def tests(self) -> dict[str, Line]:
        """The curves on the test split, by the metric's own name."""
        return {
            name.removeprefix("test/"): line
            for name, line in self.curves.items()
            if name.startswith("test/")
        }

    @property
    def seconds(self) -> dict[str, float]:
        """Where the time went, in all starts together."""
        total: dict[str, float] = {}
        for stretch in self.stretches:
            for name, value in stretch["seconds"].items():
                total[name] = total.get(name, 0.0) + value
        return total


def read(folder: Path) -> Read:
    """Read a run folder.

    Raises:
        ConfigError: If the folder holds no run, or its config is damaged.
    """
    settings = config.load(folder)
    trouble: list[str] = []
    curves = _curves(folder / "metrics.jsonl", trouble)
    stretches = _stretches(folder / "timing.json", trouble)
    saved = [int(path.name) for path in (folder / "checkpoints").glob("[0-9]*") if _is_step(path)]
    logged = [int(line.steps[-1]) for line in curves.values()]
    ends = [int(stretches[-1]["to"])] if stretches else []
    return Read(
        folder=folder,
        config=settings,
        curves=curves,
        step=max([*saved, *logged, *ends], default=0),
        ended=_ended(folder, stretches),
        evaluations=_evaluations(folder, trouble),
        stretches=stretches,
        messages=_messages(folder / "messages.jsonl", trouble),
        trouble=trouble,
    )


def _is_step(path: Path) -> bool:
    return path.name.isdecimal() and path.is_dir()


def _content(path: Path, trouble: list[str]) -> bytes | None:
    """The content of a file of the run; what leads elsewhere is none."""
    try:
        if path.is_symlink() or not path.exists():
            return None
        if path.stat().st_size > _MOST:
            trouble.append(f"{path.name} is larger than {_MOST >> 20} MB, and is not shown")
            return None
        return path.read_bytes()
    except OSError as error:
        trouble.append(f"{path.name} cannot be read: {error.strerror or error}")
        return None


def _lines(path: Path, trouble: list[str]) -> Iterator[dict[str, Any]]:
    """The lines of a record that can be read; a torn last one is no news."""
    content = _content(path, trouble) or b""
    lines, lost = content.splitlines(), 0
    for number, line in enumerate(lines, start=1):
        found = _loaded(line)
        if isinstance(found, dict) and isinstance(found.get("step"), int):
            yield found
        elif number < len(lines) or content.endswith(b"\n"):
            lost += 1
    if lost:
        trouble.append(f"{path.name} has {lost} lines that cannot be read")


def _loaded(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _curves(path: Path, trouble: list[str]) -> dict[str, Line]:
    curves: dict[str, Line] = {}
    for row in _lines(path, trouble):
        for name, value in row.items():
            if name != "step" and (value is None or _is_number(value)):
                steps, values = curves.setdefault(name, Line(name, [], []))[1:]
                assert isinstance(steps, list)
                assert isinstance(values, list)
                steps.append(row["step"])
                values.append(value)
    return curves


def _messages(path: Path, trouble: list[str]) -> list[Message]:
    rows = _lines(path, trouble)
    return [
        Message(row["step"], str(row.get("kind", "message")), str(row["text"]))
        for row in rows
        if "text" in row
    ]


def _stretches(path: Path, trouble: list[str]) -> list[dict[str, Any]]:
    content = _content(path, trouble)
    if content is None:
        return []
    found = _loaded(content)
    held = found.get("stretches") if isinstance(found, dict) else None
    kept = [each for each in map(_stretch, held if isinstance(held, list) else []) if each]
    if not kept:
        trouble.append(f"{path.name} is damaged: it holds no times")
    return kept


def _stretch(value: Any) -> dict[str, Any] | None:
    """One start of the run, or None if it is no such thing."""
    if not isinstance(value, dict) or not isinstance(seconds := value.get("seconds"), dict):
        return None
    if not _is_number(value.get("from")) or not _is_number(value.get("to")):
        return None
    about = value["about"] if isinstance(value.get("about"), dict) else {}
    kept = {name: each for name, each in seconds.items() if _is_number(each)}
    return {**value, "about": about, "seconds": kept}


def _ended(folder: Path, stretches: list[dict[str, Any]]) -> datetime | None:
    """When the last step was made, by the record, or else by the file's own time."""
    try:
        return datetime.fromisoformat(stretches[-1]["ended"])
    except (LookupError, TypeError, ValueError):
        pass
    try:
        return datetime.fromtimestamp((folder / "metrics.jsonl").stat().st_mtime).astimezone()
    except OSError:
        return None


def _evaluations(folder: Path, trouble: list[str]) -> list[Evaluation]:
    found = []
    for path in sorted(folder.glob(EVALUATIONS)):
        content = _content(path, trouble)
        if content is None:
            continue
        held = _loaded(content)
        metrics = held.get("metrics") if isinstance(held, dict) else None
        if not isinstance(held, dict) or not isinstance(metrics, dict):
            trouble.append(f"{path.name} is damaged: it holds no metrics")
            continue
        found.append(
            Evaluation(
                name=path.name,
                step=held["step"] if isinstance(held.get("step"), int) else 0,
                split=str(held.get("split", "")),
                weights=str(held.get("weights", "")),
                records=held["records"] if isinstance(held.get("records"), int) else None,
                metrics={str(n): _measure(v) for n, v in metrics.items() if isinstance(v, dict)},
                pictures=_beside(path, held.get("pictures")),
            )
        )
    return sorted(found, key=lambda each: each.step, reverse=True)


def _measure(value: dict[str, Any]) -> dict[str, Any]:
    """Mean, spread and control of a metric, each a number or None."""
    control = value.get("control")
    return {
        **_numbers(value),
        "seeds": value["seeds"] if isinstance(value.get("seeds"), int) else None,
        "control": _numbers(control) if isinstance(control, dict) else None,
    }


def _numbers(value: dict[str, Any]) -> dict[str, float | None]:
    return {
        key: float(value[key]) if _is_number(value.get(key)) else None for key in ("mean", "std")
    }


def _beside(path: Path, pictures: Any) -> dict[str, Path]:
    """The pictures that an evaluation names; a name that leads out of its folder is none."""
    if not isinstance(pictures, dict):
        return {}
    places = {str(title): path.parent / str(name) for title, name in pictures.items()}
    return {
        title: place
        for title, place in places.items()
        if place.name == str(pictures[title]) and place.is_file() and not place.is_symlink()
    }
