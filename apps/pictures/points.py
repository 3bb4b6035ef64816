"""Two sets of signals as points in a plane."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from apps.pictures.figure import REFERENCE_COLOUR, SIGNAL_COLOUR, Floats, blank


def planes(pairs: Mapping[str, tuple[Floats, Floats]], *, title: str = "") -> Figure:
    """Draw sets of points over each other, one panel for each way of laying them into a plane.

    Args:
        pairs: By what the panel is called, the made points and the real ones: (points, 2) each.
        title: Written over the picture.

    Returns:
        The figure.

    Raises:
        ValueError: If there is no panel.
    """
    if not pairs:
        raise ValueError("pairs is empty; give at least one pair of sets")
    figure = blank(width=5.5 * len(pairs), height=5.0)
    for number, (name, (made, real)) in enumerate(pairs.items()):
        axes = figure.add_subplot(1, len(pairs), number + 1)
        axes.scatter(*real.T, s=9, color=REFERENCE_COLOUR, alpha=0.7, label="real", linewidths=0)
        axes.scatter(*made.T, s=9, color=SIGNAL_COLOUR, alpha=0.5, label="made", linewidths=0)
        axes.set_title(name)
        axes.set_xticks([])
        axes.set_yticks([])
        if number == 0:
            axes.legend(loc="best", fontsize="small", markerscale=2)
    figure.suptitle(title)
    return figure
