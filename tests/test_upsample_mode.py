"""Raising the rate of files: exact, whatever the block, and at constant memory."""

import io
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soundfile
from rich.console import Console

from apps import pictures
from apps.build import Trained
from apps.data import Signal, read_table
from apps.data.audio import resample
from apps.data.scaling import Scaling
from apps.modes import upsample
from apps.modes.wanted import Generate
from apps.schema import ConfigError
from convt1d.models import Layout, SeriesUpsampler, Upsampler

FACTOR, RATE = 2, 8000
LAYOUT = Layout(strides=(2,), channels=(4, 4), dilations=(1,), residual_kernels=(3,))
MODEL = Upsampler(FACTOR, LAYOUT, key=jax.random.key(0))
LOW_RATE = RATE // FACTOR


def run_of(*, peak: float | None = None, scaling: Scaling | None = None) -> Trained:
    config = types.SimpleNamespace(data=types.SimpleNamespace(peak=peak))
    audio = scaling is None
    signal = Signal(
        kind="audio" if audio else "series",
        length=64,
        channels=1 if scaling is None else len(scaling.offset),
        rate=RATE if audio else None,
        scaling=scaling,
    )
    return Trained(config, signal, 7, MODEL)  # pyright: ignore[reportArgumentType]


def noise(samples: int, channels: int) -> np.ndarray:
    drawn = np.random.default_rng(5).uniform(-0.4, 0.4, (samples, channels))
    return drawn.astype(np.float32)


def whole(signal: np.ndarray) -> np.ndarray:
    return np.asarray(MODEL(jnp.asarray(signal[None])))[0]


def go(path: Path, run: Trained, folder: Path) -> tuple[list[Path], str]:
    console = Console(file=io.StringIO(), width=200)
    folder.mkdir(exist_ok=True)
    wanted = Generate(run=folder, mode="upsample", input=path)
    files = upsample.write(wanted, run, folder, console)
    return files, console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(40,), (20, 20), (13, 27)])
def test_blocks_make_what_the_whole_makes(sizes: tuple[int, ...]) -> None:
    signal = noise(40, 2)
    blocks = np.split(signal, np.cumsum(sizes)[:-1])
    made = np.concatenate(list(upsample.upsampled(blocks, run_of(), channels=2)))
    np.testing.assert_allclose(made, whole(signal), atol=3e-6)


def test_a_sound_of_many_channels_becomes_one_of_a_higher_rate(tmp_path: Path) -> None:
    signal = noise(40, 2)
    soundfile.write(tmp_path / "song.wav", signal, LOW_RATE, subtype="FLOAT")
    files, said = go(tmp_path / "song.wav", run_of(), tmp_path / "out")
    assert [path.name for path in files] == ["song.png", "song.wav", "generated.json"]
    made, rate = soundfile.read(files[1], dtype="float32")
    assert rate == RATE
    np.testing.assert_allclose(made, np.clip(whole(signal), -1, 1), atol=2.0**-14)
    assert "resampled" not in said


def test_a_sound_of_another_rate_is_resampled_first_and_this_is_said(tmp_path: Path) -> None:
    signal = noise(80, 2)
    soundfile.write(tmp_path / "song.flac", signal, RATE, subtype="PCM_24")
    files, said = go(tmp_path / "song.flac", run_of(), tmp_path / "out")
    made, _ = soundfile.read(files[1], dtype="float32", always_2d=True)
    wanted = whole(resample(signal, RATE, LOW_RATE))
    np.testing.assert_allclose(made, np.clip(wanted, -1, 1), atol=2.0**-14)
    assert f"song.flac: resampled from {RATE} to {LOW_RATE} Hz first" in said


@pytest.mark.parametrize("ending", ["csv", "npy"])
def test_an_array_comes_back_as_one(tmp_path: Path, ending: str) -> None:
    signal, path = noise(40, 2), tmp_path / f"a.{ending}"
    np.save(path, signal) if ending == "npy" else np.savetxt(path, signal, delimiter=",")
    files, _ = go(path, run_of(), tmp_path / "out")
    made = np.load(files[1]) if ending == "npy" else np.loadtxt(files[1], delimiter=",")
    np.testing.assert_allclose(made, whole(signal), atol=3e-6)


def test_sound_is_brought_to_the_level_of_training_and_back(tmp_path: Path) -> None:
    signal = noise(40, 2)
    np.save(tmp_path / "a.npy", signal)
    files, _ = go(tmp_path / "a.npy", run_of(peak=0.9), tmp_path / "out")
    level = np.abs(signal).max() / 0.9
    np.testing.assert_allclose(np.load(files[1]), level * whole(signal / level), atol=3e-6)


def test_series_are_scaled_and_scaled_back(tmp_path: Path) -> None:
    scaling = Scaling("standard", (3.0, -1.0), (2.0, 5.0))
    signal = np.asarray(scaling.unscale(noise(40, 2)), np.float32)
    np.save(tmp_path / "a.npy", signal)
    files, _ = go(tmp_path / "a.npy", run_of(scaling=scaling), tmp_path / "out")
    wanted = scaling.unscale(whole(scaling.scale(signal).astype(np.float32)))
    np.testing.assert_allclose(np.load(files[1]), wanted, atol=1e-4)


def test_what_is_held_at_once_does_not_grow_with_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upsample, "BLOCK", 256)
    seen: list[int] = []
    true = upsample.upsampled

    def watched(blocks, run, *, channels):
        def through():
            for block in blocks:
                seen.append(block.size)
                yield block

        for block in true(through(), run, channels=channels):
            seen.append(block.size)
            yield block

    monkeypatch.setattr(upsample, "upsampled", watched)
    np.save(tmp_path / "a.npy", noise(3968, 2))
    go(tmp_path / "a.npy", run_of(), tmp_path / "out")
    assert max(seen) <= 256 * FACTOR
    assert sum(seen) == 3968 * 2 * (1 + FACTOR)


def test_a_clipped_peak_is_said(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", 2.4 * noise(40, 2), LOW_RATE, subtype="FLOAT")
    _, said = go(tmp_path / "a.wav", run_of(), tmp_path / "out")
    assert "is above 1 and was clipped" in said


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    scaling = Scaling("standard", (3.0, -1.0), (2.0, 5.0))
    np.save(tmp_path / "a.npy", noise(40, 3))
    with pytest.raises(ConfigError, match="3 channels, and the run's are scaled one by one, 2"):
        go(tmp_path / "a.npy", run_of(scaling=scaling), tmp_path / "out")
    soundfile.write(tmp_path / "a.wav", noise(40, 2), LOW_RATE)
    with pytest.raises(ConfigError, match="is no csv, parquet or npy"):
        go(tmp_path / "a.wav", run_of(scaling=scaling), tmp_path / "out")
    with pytest.raises(ConfigError, match="holds the input"):
        go(tmp_path / "a.wav", run_of(), tmp_path)


SERIES = SeriesUpsampler(
    FACTOR,
    Layout(strides=(1, 2), channels=(4, 4, 4), dilations=(1,), residual_kernels=(3,)),
    channels=2,
    low_rate="points",
    key=jax.random.key(1),
)


def series_run(columns: tuple[str, ...] = ("a", "b"), **settings: object) -> Trained:
    config = types.SimpleNamespace(data=types.SimpleNamespace(**settings))
    scaling = Scaling("standard", (3.0, -1.0), (2.0, 5.0))
    signal = Signal(kind="series", length=64, channels=2, scaling=scaling, columns=columns)
    return Trained(config, signal, 7, SERIES)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("sizes", [(40,), (1, 26, 13)])
def test_windows_of_a_series_make_what_the_whole_makes(sizes: tuple[int, ...]) -> None:
    signal = noise(40, 2)
    blocks = np.split(signal, np.cumsum(sizes)[:-1])
    made = np.concatenate(list(upsample.upsampled(blocks, series_run(), channels=2)))
    np.testing.assert_allclose(made, np.asarray(SERIES(jnp.asarray(signal[None])))[0], atol=3e-6)


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_table_comes_back_with_names_and_finer_dates(tmp_path: Path, newest_first: bool) -> None:
    values = (noise(20, 2) * [100, 1]).tolist()
    stamps = np.datetime64("2024-01-01") + np.arange(20)
    rows = [f"{day},{a!r},{b!r}" for day, (a, b) in zip(stamps, values, strict=True)]
    rows = rows[::-1] if newest_first else rows
    (tmp_path / "a.csv").write_text("\n".join(["day,a,b", *rows]))
    files, _ = go(tmp_path / "a.csv", series_run(), tmp_path / "out")
    assert [path.name for path in files] == ["a.png", "a.csv", "generated.json"]
    found = read_table(files[1])
    assert found.columns == ("a", "b")
    assert found.dates is not None
    assert found.dates.name == "day"
    wanted = np.datetime64("2024-01-01", "h") + 12 * np.arange(40)
    np.testing.assert_array_equal(found.dates.stamps, wanted)
    # What is known stays, to a float32's last digits.
    np.testing.assert_allclose(found.values[::2], values, rtol=3e-6, atol=3e-6)


def test_a_parquet_is_made_finer_too_and_other_columns_are_refused(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="parquet is an extra")
    from pyarrow import parquet

    columns = {"a": noise(20, 1)[:, 0], "b": noise(20, 1)[:, 0]}
    parquet.write_table(arrow.table(columns), tmp_path / "a.parquet")
    files, _ = go(tmp_path / "a.parquet", series_run(), tmp_path / "out")
    assert files[1].name == "a.csv"
    assert read_table(files[1]).values.shape == (40, 2)
    with pytest.raises(ConfigError, match=r"has the columns a, b, and the run was trained on b, a"):
        go(tmp_path / "a.parquet", series_run(("b", "a")), tmp_path / "out")


@pytest.mark.parametrize("rate", [RATE, None])
def test_the_picture_puts_three_spectrograms_over_one_axis(rate: int | None) -> None:
    figure = pictures.upsampling(noise(500, 1), noise(1000, 1), noise(1000, 1), rate=rate)
    panels = figure.axes[:3]
    assert [axes.get_title() for axes in panels] == ["given", "resampled", "upsampled"]
    tops = [axes.images[0].get_extent()[3] for axes in panels]
    assert tops == [RATE / 4, RATE / 2, RATE / 2] if rate else [0.25, 0.5, 0.5]
    ends = [axes.images[0].get_extent()[1] for axes in panels]
    assert ends[0] == pytest.approx(ends[2])
    assert panels[0].get_ylim() == panels[2].get_ylim()
