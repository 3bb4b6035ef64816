"""What every picture is drawn with: a page, its panels, signals made fit to draw, files, pixels."""

import io
import math
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

MOST_PANELS = 8  # more rows than this cannot be read on one page
MOST_COLUMNS = 1000  # about the pixels of a panel: more frames or points cost time and show nothing
SIGNAL_COLOUR = "#0072b2"  # Okabe and Ito's blue and orange: told apart by every kind of sight
REFERENCE_COLOUR = "#e69f00"


def save(figure: Figure, path: str | Path, *, dots_per_inch: int = 120) -> Path:
    """Write a figure; the suffix chooses the format (png, svg, pdf, jpg).

    Args:
        figure: What to write.
        path: Where; missing folders are made.
        dots_per_inch: Resolution of pixel formats.

    Returns:
        The path.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=dots_per_inch)
    return path


def to_image(figure: Figure, *, dots_per_inch: int = 100) -> NDArray[np.uint8]:
    """Render a figure to pixels.

    Args:
        figure: What to render.
        dots_per_inch: Resolution.

    Returns:
        Red, green and blue, uint8 of shape (height, width, 3).
    """
    figure.set_dpi(dots_per_inch)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def to_png(image: NDArray[np.uint8]) -> bytes:
    """The file of an image, uint8 of shape (height, width, 3)."""
    file = io.BytesIO()
    matplotlib.image.imsave(file, image, format="png")
    return file.getvalue()


def blank(*, width: float, height: float) -> Figure:
    """A page of that many inches, nothing on it."""
    return Figure(figsize=(width, height), layout="constrained")


def column(figure: Figure, rows: int) -> list[Axes]:
    """Panels below one another, which share their horizontal axis."""
    return list(np.asarray(figure.subplots(rows, 1, squeeze=False, sharex=True))[:, 0])


def prepare(signal: Floats, reference: Floats | None) -> tuple[Floats, Floats | None, str]:
    """Both of shape (length, channels) and finite, and a note of what was not finite."""
    values, bad = _two_dimensional(signal, "signal")
    others = None
    if reference is not None:
        others, bad_others = _two_dimensional(reference, "reference")
        bad += bad_others
        if others.shape[1] != values.shape[1]:
            raise ValueError(
                f"reference has {others.shape[1]} channels and signal has {values.shape[1]}; "
                "they must have the same"
            )
    return values, others, f"({bad} values not finite)" if bad else ""


def _two_dimensional(signal: Floats, name: str) -> tuple[Floats, int]:
    values = np.asarray(signal, dtype=np.float64)
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or values.size == 0:
        raise ValueError(
            f"{name} has shape {np.shape(signal)}; give (length, channels) or (length,), not empty"
        )
    finite = np.isfinite(values)
    return np.where(finite, values, 0.0), int(values.size - finite.sum())


def one_channel(values: Floats | None, channel: int) -> Floats | None:
    """A channel of a signal that may be absent."""
    return None if values is None else values[:, channel]


def headline(title: str, note: str, shown: int, count: int, *, noun: str = "channels") -> str:
    """The title over a page, with the note, and what the page has no room for."""
    cut = f"(the first {shown} of {count} {noun})" if shown < count else ""
    return " ".join(part for part in (title, note, cut) if part)


def label_channel(axes: Axes, channel: int, count: int) -> None:
    """Say which channel a panel shows, where there are several."""
    if count > 1:
        axes.set_ylabel(f"channel {channel + 1}\n{axes.get_ylabel()}")


def envelope(values: Floats) -> tuple[Floats, Floats]:
    """Indices and values of a line that looks like the signal and has few points.

    Two points for each pixel column, the least and the greatest: what a screen shows of a long
    signal anyway. Agg refuses lines of millions of points.
    """
    length = len(values)
    if length <= 2 * MOST_COLUMNS:
        return np.arange(length, dtype=np.float64), values
    block = math.ceil(length / MOST_COLUMNS)
    padded = np.pad(values, (0, -length % block), mode="edge").reshape(-1, block)
    line = np.stack([padded.min(axis=1), padded.max(axis=1)], axis=1).ravel()
    return np.arange(len(line)) * (block / 2.0), line


def draw_lines(
    axes: Axes, values: Floats, reference: Floats | None, *, legend: bool, step: float = 1.0
) -> None:
    """Draw the signal over its reference; `step` is the time from one value to the next."""
    if reference is not None:
        index, line = envelope(reference)
        axes.plot(index * step, line, color=REFERENCE_COLOUR, linewidth=1.6, label="reference")
    index, line = envelope(values)
    axes.plot(index * step, line, color=SIGNAL_COLOUR, linewidth=0.8, label="signal")
    axes.margins(x=0.0)
    if legend and reference is not None:
        axes.legend(loc="upper right", fontsize="small")
