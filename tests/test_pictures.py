import matplotlib.pyplot
import numpy as np
import pytest

from apps import pictures
from apps.pictures import Comparison


def tone(length, channels=1, rate=8000, frequency=1000.0):
    time = np.arange(length) / rate
    return np.repeat(np.sin(2 * np.pi * frequency * time)[:, None], channels, axis=1)


FIGURES = {
    "waveform": lambda x, y: pictures.waveform(x, rate=8000, title="a tone", reference=y),
    "spectrogram": lambda x, y: pictures.spectrogram(x, rate=8000, title="a tone", reference=y),
    "series": lambda x, y: pictures.series(x, title="a tone", reference=y),
    "grid of audio": lambda x, y: pictures.grid([Comparison("a", x, y)], rate=8000),
    "grid of series": lambda x, y: pictures.grid([Comparison("a", x, y)], rate=None),
}


@pytest.mark.parametrize("kind", FIGURES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("compared", [False, True])
def test_every_picture_renders_to_pixels_of_readable_size(kind, channels, compared):
    signal = tone(500, channels)
    image = pictures.to_image(FIGURES[kind](signal, signal * 0.5 if compared else None))
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert image.shape[0] >= 200
    assert image.shape[1] >= 400
    assert len(np.unique(image)) > 10  # something was drawn


def test_drawing_leaves_no_global_figure_behind():
    for draw in FIGURES.values():
        draw(tone(300), None)
    assert matplotlib.pyplot.get_fignums() == []


@pytest.mark.parametrize("kind", FIGURES)
def test_a_diverged_signal_is_still_drawn_and_says_so(kind):
    signal = tone(300)
    signal[7] = np.nan
    signal[8] = np.inf
    figure = FIGURES[kind](signal, None)
    pictures.to_image(figure)
    title = str(figure.get_suptitle())
    titles = [title, *(axes.get_title(loc="left") for axes in figure.axes)]
    assert any("2 values not finite" in text for text in titles)


@pytest.mark.parametrize("kind", FIGURES)
@pytest.mark.parametrize("length", [1, 2, 24, 5_000])
def test_every_length_and_silence_can_be_drawn(kind, length):
    pictures.to_image(FIGURES[kind](np.zeros((length, 1)), None))


def test_the_brightest_row_of_a_tone_is_its_frequency():
    figure = pictures.spectrogram(tone(4000), rate=8000)
    image = figure.axes[0].get_images()[0]
    low, high = image.get_extent()[2:]
    level = np.asarray(image.get_array())
    row = int(level[:, level.shape[1] // 2].argmax())
    assert low + (high - low) * row / (level.shape[0] - 1) == pytest.approx(1000.0, abs=32.0)
    assert level.max() == pytest.approx(0.0)


def test_a_long_signal_keeps_its_peaks_with_few_points():
    signal = np.zeros(1_000_003)
    signal[123_456] = 0.7
    signal[-1] = -0.4
    line = pictures.waveform(signal, rate=44_100).axes[0].get_lines()[0]
    drawn = np.asarray(line.get_ydata())
    assert len(drawn) <= 2 * pictures.MOST_COLUMNS + 2
    assert drawn.max() == 0.7
    assert drawn.min() == -0.4


def test_more_channels_than_fit_are_cut_and_the_title_says_so():
    figure = pictures.waveform(tone(100, 28), rate=8000, title="many")
    assert len(figure.axes) == pictures.MOST_PANELS
    assert figure.get_suptitle() == "many (the first 8 of 28 channels)"


def test_axes_carry_units():
    waveform = pictures.waveform(tone(100), rate=8000).axes[0]
    assert (waveform.get_xlabel(), waveform.get_ylabel()) == ("time (s)", "amplitude")
    picture = pictures.spectrogram(tone(100), rate=8000).axes
    assert picture[0].get_ylabel() == "frequency (Hz)"
    assert picture[1].get_ylabel() == "dB below the peak"
    assert pictures.series(tone(9), names=["price"]).axes[0].get_ylabel() == "price"


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_save_makes_folders_and_chooses_the_format_by_suffix(tmp_path, suffix):
    path = pictures.save(pictures.series(tone(24, 2)), tmp_path / "new folder" / f"ä.{suffix}")
    start = path.read_bytes()[:100]
    assert {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[suffix] in start


def test_bad_shapes_and_names_are_refused():
    with pytest.raises(ValueError, match=r"signal has shape \(0, 1\)"):
        pictures.waveform(np.zeros((0, 1)), rate=None)
    with pytest.raises(ValueError, match=r"reference has shape \(2, 3, 4\)"):
        pictures.series(np.zeros((2, 3)), reference=np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match="reference has 2 channels and signal has 3"):
        pictures.series(np.zeros((9, 3)), reference=np.zeros((9, 2)))
    with pytest.raises(ValueError, match="names has 1 entries for 2 variables"):
        pictures.series(np.zeros((9, 2)), names=["a"])
    with pytest.raises(ValueError, match="rows is empty"):
        pictures.grid([], rate=None)
