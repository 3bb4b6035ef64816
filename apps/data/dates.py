"""When the rows of a series were: dates told from numbers, put in order, given back as written."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from jaxtyping import Shaped

_ISO = "ISO 8601"
_DAYS = (
    "%Y/%m/%d", "%Y.%m.%d", "%Y-%m", "%Y/%m", "%Y",
    "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%d/%m/%y", "%m/%d/%y",
    "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y",
)  # fmt: skip
_TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f")
FORMS = (_ISO, *(day + time for day in _DAYS for time in _TIMES))
"""In which dates are written; all of a column in one."""
_LONGEST_USUAL = 1.5  # times the usual step: months of 28 to 31 days are steps of one kind


@dataclass(frozen=True, eq=False)
class Dates:
    """When each row was.

    Attributes:
        texts: As the file writes them.
        stamps: What they mean, datetime64[us]; in UTC where the file says a time zone.
        name: Of the column; empty where it has none.
        place: Of the column in the file, from 0.
    """

    texts: Sequence[str]
    stamps: Shaped[np.ndarray, " rows"]
    name: str = ""
    place: int = 0

    def __len__(self) -> int:
        return len(self.texts)

    def part(self, rows: slice) -> "Dates":
        """Those of some rows."""
        return Dates(self.texts[rows], self.stamps[rows], self.name, self.place)

    def joined(self, after: "Dates") -> "Dates":
        """These, and others after them."""
        texts = (*self.texts, *after.texts)
        stamps = np.concatenate([self.stamps, after.stamps])
        return Dates(texts, stamps, self.name, self.place)

    def finer(self, factor: int) -> "Dates":
        """Those at `factor` times the rate: evenly between two rows, and as before after the last.

        Raises:
            ValueError: If there is one row only, which has no step.
        """
        if len(self) < 2:
            raise ValueError("one date alone has no step that could be divided")
        steps = np.diff(self.stamps).astype(np.int64)
        steps = np.append(steps, steps[-1])
        within = steps[:, None] * np.arange(factor) // factor
        stamps = (self.stamps[:, None] + within.astype("timedelta64[us]")).reshape(-1)
        return Dates(written(stamps), stamps, self.name, self.place)


def written(stamps: Shaped[np.ndarray, " rows"]) -> list[str]:
    """Stamps in ISO 8601, no finer than they need: 2024-01-31, or 2024-01-31 12:30:00."""
    kinds = ("M8[D]", "M8[s]", "M8[ms]", "M8[us]")
    kind = next(kind for kind in kinds if (stamps == stamps.astype(kind)).all())
    return [text.replace("T", " ") for text in np.datetime_as_string(stamps.astype(kind)).tolist()]


def is_date(text: str) -> bool:
    """Whether a cell holds a date and no number."""
    try:
        float(text)
    except ValueError:
        return bool(forms_of([text]))
    return False


def forms_of(texts: Sequence[str], among: Sequence[str] = FORMS) -> tuple[str, ...]:
    """The forms in which all the texts are dates; only one, if that is ISO 8601."""
    fitting: list[str] = []
    for form in among:
        try:
            read(texts[:1], form)  # most do not fit the first
            read(texts, form)
        except ValueError:
            continue
        if form == _ISO:
            return (form,)
        fitting.append(form)
    return tuple(fitting)


def read(texts: Sequence[str], form: str) -> Shaped[np.ndarray, " rows"]:
    """What dates of a form mean, datetime64[us].

    Raises:
        ValueError: If one of them is of another form.
    """
    clean = (text.strip() for text in texts)
    if form == _ISO:
        return np.array([_naive(datetime.fromisoformat(text)) for text in clean], "M8[us]")
    return np.array([datetime.strptime(text, form) for text in clean], "M8[us]")


def order(stamps: Shaped[np.ndarray, " rows"]) -> tuple[bool, int | None]:
    """Whether stamps fall, and the first row that is against the order, if one is.

    They rise or fall as the first and the last have it.
    """
    falls = bool(stamps[-1] < stamps[0])
    steps = np.diff(stamps).astype(np.int64)
    (against,) = ((steps > 0) if falls else (steps < 0)).nonzero()
    return falls, int(against[0]) + 1 if len(against) else None


def spacing(dates: Dates) -> str:
    """From when to when rising dates reach, and where they are not evenly spaced, in words."""
    reach = f"{dates.texts[0]} to {dates.texts[-1]}"
    steps = np.diff(dates.stamps).astype(np.int64)
    if not len(steps):
        return reach
    usual = int(np.median(steps))
    long = (steps > _LONGEST_USUAL * usual).nonzero()[0]
    twice = int((steps == 0).sum())
    told = [reach, f"usually {_duration(usual)} apart"]
    if len(long):
        worst = long[np.argmax(steps[long])]
        told.append(
            f"{len(long):,} steps are longer, the longest {_duration(int(steps[worst]))} after "
            f"{dates.texts[worst]}, and all count as one"
        )
    if twice and usual:
        told.append(f"{twice:,} dates stand twice")
    return ", ".join(told)


def _naive(moment: datetime) -> datetime:
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def _duration(microseconds: int) -> str:
    seconds = microseconds / 1e6
    for size, unit in ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            count = seconds / size
            return f"{count:.3g} {unit}{'' if count == 1 else 's'}"
    return f"{seconds:.3g} seconds"
