"""Signals as matplotlib figures: waveforms, spectrograms, series and comparison grids.

Every function takes numpy arrays of shape (length, channels) or (length,) and returns a
`matplotlib.figure.Figure` that belongs to the caller: no pyplot, so no global state, no window and
nothing to close. Values that are not finite are drawn as zero and named in the title, so that a
diverging run still gets its picture.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

FLOOR = -80.0  # dB below the peak: what is darker cannot be heard beside the peak
MOST_PANELS = 8  # more rows than this cannot be read on one page
MOST_COLUMNS = 1000  # about the pixels of a panel: more frames or points cost time and show nothing
SIGNAL_COLOUR = "#0072b2"  # Okabe and Ito's blue and orange: told apart by every kind of sight
REFERENCE_COLOUR = "#e69f00"
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


def waveform(
    signal: Floats, *, rate: int | None, title: str = "", reference: Floats | None = None
) -> Figure:
    """Draw amplitude over time, one panel for each channel.

    Args:
        signal: Shape (length, channels) or (length,).
        rate: Samples per second; None writes the time axis in samples.
        title: Written over the picture.
        reference: Drawn behind the signal for comparison.

    Returns:
        The figure.
    """
    values, others, note = _prepare(signal, reference)
    shown = min(values.shape[1], MOST_PANELS)
    figure = _figure(width=8.0, height=1.2 + 1.5 * shown)
    for channel, axes in enumerate(_column(figure, shown)):
        _draw_waveform(
            axes, values[:, channel], _channel(others, channel), rate=rate, legend=channel == 0
        )
        _label_channel(axes, channel, values.shape[1])
        axes.label_outer()
    figure.suptitle(_headline(title, note, shown, values.shape[1]))
    return figure


def spectrogram(
    signal: Floats, *, rate: int | None, title: str = "", reference: Floats | None = None
) -> Figure:
    """Draw log magnitude (dB below the peak) over time and frequency, one row for each channel.

    Args:
        signal: Shape (length, channels) or (length,).
        rate: Samples per second; None writes the axes in samples and cycles per sample.
        title: Written over the picture.
        reference: Drawn on the left of the signal, on the same scale of colours.

    Returns:
        The figure.
    """
    values, others, note = _prepare(signal, reference)
    shown = min(values.shape[1], MOST_PANELS)
    columns = 1 if others is None else 2
    figure = _figure(width=6.5 * columns, height=1.2 + 2.2 * shown)
    panels = np.asarray(figure.subplots(shown, columns, squeeze=False, sharex=True, sharey=True))
    image = None
    for channel in range(shown):
        pair = [] if others is None else [others[:, channel]]
        pair.append(values[:, channel])
        peak = max(float(np.max(_magnitude(part))) for part in pair)
        for axes, part in zip(panels[channel], pair, strict=True):
            image = _draw_spectrogram(axes, part, rate=rate, peak=peak)
            axes.label_outer()
        _label_channel(panels[channel, 0], channel, values.shape[1])
    if columns == 2:
        panels[0, 0].set_title("reference")
        panels[0, 1].set_title("signal")
    if image is not None:
        figure.colorbar(image, ax=list(panels.ravel()), label="dB below the peak")
    figure.suptitle(_headline(title, note, shown, values.shape[1]))
    return figure


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
    values, others, note = _prepare(signal, reference)
    count = values.shape[1]
    if names is not None and len(names) != count:
        raise ValueError(
            f"names has {len(names)} entries for {count} variables; give one name each"
        )
    shown = min(count, MOST_PANELS)
    figure = _figure(width=8.0, height=1.2 + 1.2 * shown)
    for index, axes in enumerate(_column(figure, shown)):
        _draw_lines(axes, values[:, index], _channel(others, index), legend=index == 0)
        axes.set_xlabel("time (steps)")
        axes.set_ylabel(names[index] if names is not None else f"variable {index + 1}")
        axes.label_outer()
    figure.suptitle(_headline(title, note, shown, count, noun="variables"))
    return figure


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
    figure = _figure(width=8.0 if columns == 1 else 4.6 * columns, height=1.0 + 1.9 * len(shown))
    panels = np.asarray(figure.subplots(len(shown), columns, squeeze=False))
    for index, row in enumerate(shown):
        values, others, note = _prepare(row.signal, row.reference)
        name = f"{row.name} {note}".strip()
        if rate is None:
            _draw_variables(panels[index, 0], values, others, legend=index == 0)
            panels[index, 0].set_title(name, loc="left", fontsize="medium")
        else:
            reference = _channel(others, 0)
            _draw_row(panels[index], values[:, 0], reference, rate=rate, legend=index == 0)
            panels[index, 0].set_title(name, loc="left", fontsize="medium")
        if index < len(shown) - 1:
            for axes in panels[index]:
                axes.set_xlabel("")
    figure.suptitle(_headline(title, "", len(shown), len(rows), noun="rows"))
    return figure


def upsampling(
    low: Floats, base: Floats, made: Floats, *, rate: int | None, title: str = ""
) -> Figure:
    """Draw a signal before and after its rate was raised, as spectrograms over one axis.

    Args:
        low: What was given, at the low rate: shape (length, channels) or (length,); the first
            channel is drawn.
        base: What resampling makes of it.
        made: What the model makes of it, as long as `base`.
        rate: Samples per second at the high rate; None writes the axes in samples and cycles per
            sample.
        title: Written over the picture.

    Returns:
        The figure.
    """
    parts = {"given": low, "resampled": base, "upsampled": made}
    figure = _figure(width=13.0, height=4.0)
    panels = np.asarray(figure.subplots(1, 3, sharex=True, sharey=True))
    prepared = [_prepare(part, None) for part in parts.values()]
    factor = len(prepared[2][0]) / len(prepared[0][0])
    # A sinusoid's magnitude grows with the window, which is shorter at the low rate.
    peaks = [float(np.max(_magnitude(values[:, 0]))) for values, _, _ in prepared]
    image: Any = None
    for index, (axes, name) in enumerate(zip(panels, parts, strict=True)):
        values = prepared[index][0][:, 0]
        own = peaks[0] if index == 0 else max(peaks[1:])
        per_second = (1.0 if rate is None else float(rate)) / (factor if index == 0 else 1.0)
        image = _draw_spectrogram(axes, values, rate=rate, peak=own, per_second=per_second)
        axes.set_title(name)
        axes.label_outer()
    panels[0].set_facecolor("black")  # above what the low rate holds there is nothing
    panels[2].set_ylim(0.0, 0.5 if rate is None else 0.5 * rate)
    figure.colorbar(image, ax=list(panels), label="dB below the peak")
    note = " ".join(dict.fromkeys(note for _, _, note in prepared if note))
    figure.suptitle(_headline(title, note, 1, 1))
    return figure


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


def _figure(*, width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


def _column(figure: Figure, rows: int) -> list[Axes]:
    return list(np.asarray(figure.subplots(rows, 1, squeeze=False, sharex=True))[:, 0])


def _prepare(signal: Floats, reference: Floats | None) -> tuple[Floats, Floats | None, str]:
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


def _channel(values: Floats | None, channel: int) -> Floats | None:
    return None if values is None else values[:, channel]


def _headline(title: str, note: str, shown: int, count: int, *, noun: str = "channels") -> str:
    cut = f"(the first {shown} of {count} {noun})" if shown < count else ""
    return " ".join(part for part in (title, note, cut) if part)


def _label_channel(axes: Axes, channel: int, count: int) -> None:
    if count > 1:
        axes.set_ylabel(f"channel {channel + 1}\n{axes.get_ylabel()}")


def _envelope(values: Floats) -> tuple[Floats, Floats]:
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


def _draw_lines(
    axes: Axes, values: Floats, reference: Floats | None, *, legend: bool, step: float = 1.0
) -> None:
    """Draw the signal over its reference; `step` is the time from one value to the next."""
    if reference is not None:
        index, line = _envelope(reference)
        axes.plot(index * step, line, color=REFERENCE_COLOUR, linewidth=1.6, label="reference")
    index, line = _envelope(values)
    axes.plot(index * step, line, color=SIGNAL_COLOUR, linewidth=0.8, label="signal")
    axes.margins(x=0.0)
    if legend and reference is not None:
        axes.legend(loc="upper right", fontsize="small")


def _draw_waveform(
    axes: Axes, values: Floats, reference: Floats | None, *, rate: int | None, legend: bool
) -> None:
    _draw_lines(axes, values, reference, legend=legend, step=1.0 if rate is None else 1.0 / rate)
    axes.set_xlabel("time (samples)" if rate is None else "time (s)")
    axes.set_ylabel("amplitude")


def _draw_variables(axes: Axes, values: Floats, reference: Floats | None, *, legend: bool) -> None:
    for index in range(min(values.shape[1], MOST_PANELS)):
        colour = CHANNEL_COLOURS[index]
        at, line = _envelope(values[:, index])
        axes.plot(at, line, color=colour, linewidth=1.1)
        if reference is not None:
            at, line = _envelope(reference[:, index])
            axes.plot(at, line, color=colour, linewidth=1.1, linestyle="--", alpha=0.6)
    if legend and reference is not None:
        solid, dashed = Line2D([], [], color="grey"), Line2D([], [], color="grey", linestyle="--")
        axes.legend([solid, dashed], ["signal", "reference"], loc="upper right", fontsize="small")
    axes.set_xlabel("time (steps)")
    axes.set_ylabel("value")
    axes.margins(x=0.0)


def _draw_row(
    panels: NDArray[Any], values: Floats, reference: Floats | None, *, rate: int, legend: bool
) -> None:
    """Waveform, spectrogram of the reference where the page has room for one, spectrogram."""
    _draw_waveform(panels[0], values, reference, rate=rate, legend=legend)
    pair = {"signal": values} if reference is None else {"reference": reference, "signal": values}
    peak = max(float(np.max(_magnitude(part))) for part in pair.values())
    for axes in panels[1 : len(panels) - len(pair)]:
        axes.set_axis_off()
    for axes, (name, part) in zip(panels[len(panels) - len(pair) :], pair.items(), strict=True):
        image = _draw_spectrogram(axes, part, rate=rate, peak=peak)
        axes.set_title(name, fontsize="medium")
        if name == "signal":
            axes.figure.colorbar(image, ax=axes, label="dB")


def _window_length(length: int) -> int:
    """A power of two that leaves a short signal about sixty frames; 1024 for a long one."""
    return 2 ** int(np.clip(math.floor(math.log2(max(length, 2) / 16)), 4, 10))


def _magnitude(values: Floats) -> Floats:
    """Magnitudes of shape (frequencies, frames); its frames are thinned to the panel's pixels."""
    n_fft = _window_length(len(values))
    hop = max(n_fft // 4, math.ceil(len(values) / MOST_COLUMNS))
    padded = np.pad(values, (n_fft // 2, n_fft - n_fft // 2))
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[: len(values) : hop]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    return np.abs(np.fft.rfft(frames * window, axis=-1)).T


def _draw_spectrogram(
    axes: Axes,
    values: Floats,
    *,
    rate: int | None,
    peak: float,
    per_second: float | None = None,
) -> Any:
    """Draw over the panel; `per_second` are the signal's own samples where its rate is another."""
    level = 20 * np.log10(np.maximum(_magnitude(values), 1e-12) / max(peak, 1e-12))
    if per_second is None:
        per_second = 1.0 if rate is None else float(rate)
    image = axes.imshow(
        level,
        origin="lower",
        aspect="auto",
        extent=(0.0, len(values) / per_second, 0.0, 0.5 * per_second),
        vmin=FLOOR,
        vmax=0.0,
        cmap="magma",
        interpolation="nearest",
    )
    axes.set_xlabel("time (samples)" if rate is None else "time (s)")
    axes.set_ylabel("cycles per sample" if rate is None else "frequency (Hz)")
    return image
