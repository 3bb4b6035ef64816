"""Sounds: waveforms and spectrograms."""

import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from apps.pictures.figure import (
    MOST_COLUMNS,
    MOST_PANELS,
    Floats,
    blank,
    column,
    draw_lines,
    headline,
    label_channel,
    one_channel,
    prepare,
)

FLOOR = -80.0  # dB below the peak: what is darker cannot be heard beside the peak


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
    values, others, note = prepare(signal, reference)
    shown = min(values.shape[1], MOST_PANELS)
    figure = blank(width=8.0, height=1.2 + 1.5 * shown)
    for channel, axes in enumerate(column(figure, shown)):
        _draw_waveform(
            axes, values[:, channel], one_channel(others, channel), rate=rate, legend=channel == 0
        )
        label_channel(axes, channel, values.shape[1])
        axes.label_outer()
    figure.suptitle(headline(title, note, shown, values.shape[1]))
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
    values, others, note = prepare(signal, reference)
    shown = min(values.shape[1], MOST_PANELS)
    columns = 1 if others is None else 2
    figure = blank(width=6.5 * columns, height=1.2 + 2.2 * shown)
    panels = np.asarray(figure.subplots(shown, columns, squeeze=False, sharex=True, sharey=True))
    image = None
    for channel in range(shown):
        pair = [] if others is None else [others[:, channel]]
        pair.append(values[:, channel])
        peak = max(float(np.max(_magnitude(part))) for part in pair)
        for axes, part in zip(panels[channel], pair, strict=True):
            image = _draw_spectrogram(axes, part, rate=rate, peak=peak)
            axes.label_outer()
        label_channel(panels[channel, 0], channel, values.shape[1])
    if columns == 2:
        panels[0, 0].set_title("reference")
        panels[0, 1].set_title("signal")
    if image is not None:
        figure.colorbar(image, ax=list(panels.ravel()), label="dB below the peak")
    figure.suptitle(headline(title, note, shown, values.shape[1]))
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
    figure = blank(width=13.0, height=4.0)
    panels = np.asarray(figure.subplots(1, 3, sharex=True, sharey=True))
    prepared = [prepare(part, None) for part in parts.values()]
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
    figure.suptitle(headline(title, note, 1, 1))
    return figure


def spectra(signals: Sequence[Floats]) -> list[NDArray[np.uint8]]:
    """Draw spectrograms as bare pixels, all on one scale of colours.

    The colours are those of `spectrogram`, in few shades, so that the files of them are small.

    Args:
        signals: Of shape (length, channels) or (length,); the first channel is drawn.

    Returns:
        Of each red, green and blue, uint8 of at most 257 × 400 pixels, the highest frequency at
        the top.
    """
    magnitudes = [
        _pooled(_magnitude(prepare(each, None)[0][:, 0], columns=400)) for each in signals
    ]
    peak = max((float(np.max(each)) for each in magnitudes), default=0.0)
    colours = np.round(255 * matplotlib.colormaps["magma"](np.linspace(0, 1, 48))[:, :3])
    images = []
    for each in magnitudes:
        level = 20 * np.log10(np.maximum(each, 1e-12) / max(peak, 1e-12))
        shade = np.clip(np.round(47 * (1 - level / FLOOR)), 0, 47).astype(int)
        images.append(colours.astype(np.uint8)[shade[::-1]])
    return images


def _pooled(magnitudes: Floats) -> Floats:
    """Of each two frequencies the louder, where there are many; the lowest stays alone."""
    if len(magnitudes) <= 257:
        return magnitudes
    pairs = np.maximum(magnitudes[1::2], magnitudes[2::2])
    return np.concatenate([magnitudes[:1], pairs])


def _draw_waveform(
    axes: Axes, values: Floats, reference: Floats | None, *, rate: int | None, legend: bool
) -> None:
    draw_lines(axes, values, reference, legend=legend, step=1.0 if rate is None else 1.0 / rate)
    axes.set_xlabel("time (samples)" if rate is None else "time (s)")
    axes.set_ylabel("amplitude")


def draw_row(
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


def _magnitude(values: Floats, *, columns: int = MOST_COLUMNS) -> Floats:
    """Magnitudes of shape (frequencies, frames); its frames are thinned to the panel's pixels."""
    n_fft = _window_length(len(values))
    hop = max(n_fft // 4, math.ceil(len(values) / columns))
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
