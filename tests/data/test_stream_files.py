"""Laws of files in blocks: the whole, whatever the block, at constant memory."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from apps.data import FileError, read_table
from apps.data.audio import read_frames, resample
from apps.data.stream_files import Opened, finer, open_file, open_writer

RATE = 8000


def noise(samples: int, channels: int) -> np.ndarray:
    drawn = np.random.default_rng(5).uniform(-0.5, 0.5, (samples, channels))
    return drawn.astype(np.float32)


def written(path: Path, signal: np.ndarray) -> Path:
    with open_writer(path, channels=signal.shape[1], rate=RATE) as file:
        for at in range(0, len(signal), 100):
            file.write(signal[at : at + 100])
    return path


def joined(opened: Opened, *, rate: int | None = None, size: int = 77) -> np.ndarray:
    return np.concatenate(list(opened.blocks(rate=rate, size=size)))


@pytest.mark.parametrize("ending", ["wav", "csv", "npy"])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_written_in_blocks_is_read_in_blocks(
    tmp_path: Path, ending: str, channels: int
) -> None:
    signal = noise(333, channels)
    opened = open_file(written(tmp_path / f"a.{ending}", signal))
    tolerance = 2.0**-15 if ending == "wav" else 0.0
    assert (opened.samples, opened.channels) == signal.shape
    assert opened.rate == (RATE if ending == "wav" else None)
    assert opened.peak == pytest.approx(np.abs(signal).max(), abs=tolerance)
    sizes = [len(block) for block in opened.blocks(size=100)]
    assert sizes == [100, 100, 100, 33]
    np.testing.assert_allclose(joined(opened), signal, atol=tolerance)


def test_others_read_what_was_written_in_blocks(tmp_path: Path) -> None:
    signal = noise(333, 2)
    np.testing.assert_array_equal(np.load(written(tmp_path / "a.npy", signal)), signal)
    table = read_table(written(tmp_path / "a.csv", signal)).values.astype(np.float32)
    np.testing.assert_array_equal(table, signal)
    found, rate = soundfile.read(written(tmp_path / "a.wav", signal))
    assert rate == RATE
    np.testing.assert_allclose(found, signal, atol=2.0**-15)


@pytest.mark.parametrize("size", [50, 1000, 1 << 16])
@pytest.mark.parametrize("rate", [2000, 11025])
def test_resampling_in_blocks_is_resampling_the_whole(tmp_path: Path, size: int, rate: int) -> None:
    path = written(tmp_path / "a.wav", noise(4000, 2))
    opened = open_file(path)
    whole = resample(read_frames(path, start=0, count=4000, channels=None), RATE, rate)
    made = joined(opened, rate=rate, size=size)
    assert len(made) == len(whole) == opened.length(rate)
    np.testing.assert_allclose(made, whole, atol=1e-6)


def test_columns_pass_through_a_csv(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with open_writer(path, channels=2, columns=("time", "speed, m/s")) as file:
        file.write(noise(5, 2))
    assert open_file(path).columns == ("time", "speed, m/s")
    np.testing.assert_array_equal(joined(open_file(path)), noise(5, 2))


@pytest.mark.parametrize("ending", ["wav", "npy"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, ending: str) -> None:
    peaks = []
    for samples in (20_000, 400_000):
        path = written(tmp_path / f"{samples}.{ending}", noise(samples, 1))
        tracemalloc.start()
        with open_writer(tmp_path / f"out.{ending}", channels=1, rate=RATE) as file:
            for block in open_file(path).blocks(rate=4000, size=4096):
                file.write(block)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # `examine` reads 2¹⁸ samples at once.
    assert peaks[1] < peaks[0] + 4 * (1 << 18) * 3


def test_a_csv_is_refused_with_its_line(tmp_path: Path) -> None:
    for text, message in (
        ("1,2\n3\n", "line 2 has 1 values where 2"),
        ("1,2\n3,x\n", "line 2: column 2 holds 'x', not a number"),
        ("a,b\n1,\n", "line 2: column 2 is missing: fill in"),
        ("1\nnan\n", "line 2: column 1 is missing"),
        ("1\n-inf\n", r"value at \[1, 0\] is -inf"),
        ("a,b\n", r"is empty \(no samples\)"),
        ("", "is empty"),
    ):
        path = tmp_path / "a.csv"
        path.write_text(text)
        with pytest.raises(FileError, match=message):
            open_file(path)


def test_an_array_is_refused_with_its_fault(tmp_path: Path) -> None:
    for array, message in (
        (np.zeros((2, 3, 4)), "one series"),
        (np.array(["a"]), "not real numbers"),
        (np.zeros((0, 2)), "is empty"),
        (np.array([0.0, np.inf]), r"value at \[1, 0\] is inf"),
    ):
        path = tmp_path / "a.npy"
        np.save(path, array)
        with pytest.raises(FileError, match=message):
            open_file(path)
    np.savez(tmp_path / "a.npz", data=np.zeros(3))
    with pytest.raises(FileError, match="save an npy"):
        open_file(tmp_path / "a.npz")
    (tmp_path / "b.npy").write_bytes(b"no array")
    with pytest.raises(FileError, match="cannot be read"):
        open_file(tmp_path / "b.npy")


def test_a_writer_refuses_what_it_cannot_write(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="mp3 is not written in blocks"):
        open_writer(tmp_path / "a.mp3", channels=1, rate=RATE)
    with pytest.raises(ValueError, match="needs a rate"):
        open_writer(tmp_path / "a.wav", channels=1)
    with open_writer(tmp_path / "a.npy", channels=1) as file:
        file.write(noise(3, 1))
        with pytest.raises(FileError, match="after 3 samples"):
            file.write(np.full((1, 1), np.nan))


def test_a_block_must_hold_something(tmp_path: Path) -> None:
    opened = open_file(written(tmp_path / "a.wav", noise(10, 1)))
    with pytest.raises(ValueError, match="size"):
        next(opened.blocks(size=0))
    with pytest.raises(ValueError, match="rate"):
        next(opened.blocks(rate=0))


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_finer_dates_are_the_same_in_blocks_and_at_once(tmp_path, size):
    days = ["2024-01-01", "2024-01-02", "2024-01-05", "2024-01-06 06:00", "2024-01-07"]
    path = tmp_path / "a.csv"
    path.write_text("when,a\n" + "".join(f"{day},1\n" for day in days))
    opened = open_file(path)
    assert (opened.date_name, opened.columns, opened.channels) == ("when", ("a",), 1)
    (whole,) = opened.dates()
    made = list(finer(opened.dates(size=size), 3))
    assert [np.datetime64(text, "us") for text in made] == list(whole.finer(3).stamps)
    assert made[1].endswith("08:00:00")
    assert len(made) == 15


def test_dates_of_one_row_have_no_step(tmp_path):
    (tmp_path / "a.csv").write_text("when,a\n2024-01-01,1\n")
    with pytest.raises(ValueError, match="one date alone has no step that could be divided"):
        list(finer(open_file(tmp_path / "a.csv").dates(), 2))


def test_dates_in_no_order_are_refused_before_hours_of_work(tmp_path):
    (tmp_path / "a.csv").write_text("when,a\n2024-01-01,1\n2024-01-03,1\n2024-01-02,1\n")
    with pytest.raises(FileError, match="line 4: 2024-01-02 comes after 2024-01-03"):
        open_file(tmp_path / "a.csv")
