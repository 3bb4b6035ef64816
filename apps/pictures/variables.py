"""Time series: all variables in one panel, or a panel for each."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from apps.pictures.figure import (
    MOST_PANELS,
    Floats,
    blank,
    column,
    draw_lines,
    envelope,
    headline,
    one_channel,
    prepare,
)

CHANNEL_COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#000000",
    "#8c6d31",
)


def series(
    signal: Floats,
    *,
    title: str = "",
    reference: Floats | None = None,
    names: Sequence[str] | None = None,
) -> Figure:
    """Draw a time series, one panel for each variable.

    Args:
        signal: Shape (length, variables) or (length,).
        title: Written over the picture.
        reference: Drawn behind the signal for comparison.
        names: Names of the variables; default "variable 1", "variable 2" and so on.

    Returns:
        The figure.

    Raises:
        ValueError: If `names` does not name every variable.
    """
    values, others, note = prepare(signal, reference)
    count = values.shape[1]
    if names is not None and len(names) != count:
        raise ValueError(
            f"names has {len(names)} entries for {count} variables; give one name each"
        )
    shown = min(count, MOST_PANELS)
    figure = blank(width=8.0, height=1.2 + 1.2 * shown)
    for index, axes in enumerate(column(figure, shown)):
        draw_lines(axes, values[:, index], one_channel(others, index), legend=index == 0)
        axes.set_xlabel("time (steps)")
        axes.set_ylabel(names[index] if names is not None else f"variable {index + 1}")
        axes.label_outer()
    figure.suptitle(headline(title, note, shown, count, noun="variables"))
    return figure


def draw_variables(axes: Axes, values: Floats, reference: Floats | None, *, legend: bool) -> None:
    """Draw all variables into one panel, a colour each, the reference dashed."""
    for index in range(min(values.shape[1], MOST_PANELS)):
        colour = CHANNEL_COLOURS[index]
        at, line = envelope(values[:, index])
        axes.plot(at, line, color=colour, linewidth=1.1)
        if reference is not None:
            at, line = envelope(reference[:, index])
            axes.plot(at, line, color=colour, linewidth=1.1, linestyle="--", alpha=0.6)
    if legend and reference is not None:
        solid, dashed = Line2D([], [], color="grey"), Line2D([], [], color="grey", linestyle="--")
        axes.legend([solid, dashed], ["signal", "reference"], loc="upper right", fontsize="small")
    axes.set_xlabel("time (steps)")
    axes.set_ylabel("value")
    axes.margins(x=0.0)
