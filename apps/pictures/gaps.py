"""Series of which a part was known: what was filled in, or made finer, and what it rests on."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from apps.pictures.figure import (
    MOST_PANELS,
    REFERENCE_COLOUR,
    SIGNAL_COLOUR,
    Floats,
    blank,
    column,
    headline,
)

_MOST_DATES = 5  # words below an axis


def imputation(
    filled: Floats,
    known: Bool[np.ndarray, "length variables"],
    *,
    spread: Floats | None = None,
    names: Sequence[str] = (),
    dates: Sequence[str] = (),
    title: str = "",
) -> Figure:
    """Draw a completed series, one panel for each variable that had gaps.

    Args:
        filled: Shape (length, variables).
        known: Which of its values were given.
        spread: By how much the draws differ, one standard deviation; None draws none.
        names: Of the variables; empty numbers them.
        dates: When each row was; empty counts rows.
        title: Written over the picture.

    Returns:
        The figure.
    """
    gaps = np.flatnonzero(~known.all(axis=0))
    chosen = gaps if len(gaps) else np.arange(filled.shape[1])
    shown = chosen[:MOST_PANELS]
    figure = blank(width=9.0, height=1.2 + 1.4 * len(shown))
    at = np.arange(len(filled))
    for index, (axes, variable) in enumerate(zip(column(figure, len(shown)), shown, strict=True)):
        values, given = filled[:, variable], known[:, variable]
        if spread is not None and spread[:, variable].any():
            low, high = values - 2 * spread[:, variable], values + 2 * spread[:, variable]
            axes.fill_between(
                at, low, high, color=REFERENCE_COLOUR, alpha=0.3, linewidth=0, label="± 2 std"
            )
        # A gap is drawn with the values at its ends, so that the line is whole.
        beside = ~given
        beside[1:] |= ~given[:-1]
        beside[:-1] |= ~given[1:]
        axes.plot(at, np.where(beside, values, np.nan), color=REFERENCE_COLOUR, label="filled in")
        axes.plot(
            at, np.where(given, values, np.nan), ".-", color=SIGNAL_COLOUR, markersize=3,
            linewidth=1.0, label="given",
        )  # fmt: skip
        _label(axes, names, int(variable), dates)
        if index == 0:
            axes.legend(loc="upper right", fontsize="small")
        axes.label_outer()
    figure.suptitle(headline(title, "", len(shown), len(chosen), noun="variables with gaps"))
    return figure


def finer(
    low: Floats,
    plain: Floats,
    made: Floats,
    *,
    offset: float,
    names: Sequence[str] = (),
    title: str = "",
) -> Figure:
    """Draw a series before and after its rate was raised, one panel for each variable.

    Args:
        low: What was given, shape (length, variables).
        plain: What is made of it without learning, `factor` times as long.
        made: What the model makes of it, as long.
        offset: Where the first value of `low` stands, in samples of `made`.
        names: Of the variables; empty numbers them.
        title: Written over the picture.

    Returns:
        The figure.
    """
    count = made.shape[1]
    shown = min(count, MOST_PANELS)
    figure = blank(width=9.0, height=1.2 + 1.4 * shown)
    factor = len(made) // len(low)
    for index, axes in enumerate(column(figure, shown)):
        axes.plot(plain[:, index], color=REFERENCE_COLOUR, linewidth=1.0, label="interpolated")
        axes.plot(made[:, index], color=SIGNAL_COLOUR, linewidth=1.1, label="made")
        at = factor * np.arange(len(low)) + offset
        axes.plot(at, low[:, index], "k.", markersize=4, label="given")
        _label(axes, names, index, ())
        if index == 0:
            axes.legend(loc="upper right", fontsize="small")
        axes.label_outer()
    figure.suptitle(headline(title, "", shown, count, noun="variables"))
    return figure


def _label(axes: Axes, names: Sequence[str], variable: int, dates: Sequence[str]) -> None:
    axes.set_ylabel(names[variable] if names else f"variable {variable + 1}")
    axes.margins(x=0.0)
    if dates:
        even = np.linspace(0, len(dates) - 1, min(_MOST_DATES, len(dates)))
        places = [round(at) for at in even.tolist()]
        axes.set_xticks(places, [str(dates[place]) for place in places])
    else:
        axes.set_xlabel("time (steps)")
