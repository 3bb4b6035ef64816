"""A page of many signals, one row each: what was made over what it should resemble."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from apps.pictures.figure import MOST_PANELS, Floats, blank, headline, one_channel, prepare
from apps.pictures.sounds import draw_row
from apps.pictures.variables import draw_variables


class Comparison(NamedTuple):
    """One row of a grid.

    Args:
        name: What is written over the row.
        signal: What was made, of shape (length, channels).
        reference: What it should resemble, or None where nothing does (a prior sample).
    """

    name: str
    signal: Floats
    reference: Floats | None = None


def grid(rows: Sequence[Comparison], *, rate: int | None, title: str = "") -> Figure:
    """Draw many signals on one page: before and after, one row each.

    Audio (a rate is given) shows the first channel as a waveform over its reference, then the
    spectrograms; a series shows all its variables, the reference dashed.

    Args:
        rows: What is compared; at most eight rows are drawn, the title says how many there are.
        rate: Samples per second, or None for series.
        title: Written over the picture.

    Returns:
        The figure.

    Raises:
        ValueError: If there are no rows.
    """
    if not rows:
        raise ValueError("rows is empty; give at least one Comparison")
    shown = list(rows)[:MOST_PANELS]
    compared = any(row.reference is not None for row in shown)
    columns = 1 if rate is None else 3 if compared else 2
    figure = blank(width=8.0 if columns == 1 else 4.6 * columns, height=1.0 + 1.9 * len(shown))
    panels = np.asarray(figure.subplots(len(shown), columns, squeeze=False))
    for index, row in enumerate(shown):
        values, others, note = prepare(row.signal, row.reference)
        name = f"{row.name} {note}".strip()
        if rate is None:
            draw_variables(panels[index, 0], values, others, legend=index == 0)
            panels[index, 0].set_title(name, loc="left", fontsize="medium")
        else:
            reference = one_channel(others, 0)
            draw_row(panels[index], values[:, 0], reference, rate=rate, legend=index == 0)
            panels[index, 0].set_title(name, loc="left", fontsize="medium")
        if index < len(shown) - 1:
            for axes in panels[index]:
                axes.set_xlabel("")
    figure.suptitle(headline(title, "", len(shown), len(rows), noun="rows"))
    return figure
