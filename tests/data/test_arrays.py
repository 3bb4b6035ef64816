"""Series from arrays: windows, splits that share nothing, scaling fitted on the training part."""

from itertools import chain

import numpy as np
import pytest

from apps.data import Arrays, FileError, Loader
from apps.data.checks import SPLITS


@pytest.fixture
def series(tmp_path):
    """100 rows of (row number, −row number): a value says where it is from."""
    path = tmp_path / "series.npy"
    np.save(path, np.arange(100)[:, None] * [1.0, -1.0])
    return path


@pytest.fixture
def windows(tmp_path):
    """30 ready-made windows of 4 steps: (window number, step)."""
    path = tmp_path / "windows.npz"
    number, step = np.meshgrid(np.arange(30.0), np.arange(4.0), indexing="ij")
    np.savez(path, data=np.stack([number, step], 2))
    return path


def rows(source):
    """The first channel of every window, in the file's units."""
    return [source.example(i)[:, 0].astype(int).tolist() for i in range(len(source))]


@pytest.mark.parametrize(("length", "stride"), [(5, 1), (5, 3), (7, 7), (4, 9)])
def test_every_window_of_a_series_is_there_once_and_the_splits_share_no_row(series, length, stride):
    def make(split):
        return Arrays(path=series, split=split, length=length, stride=stride, scaling="none")

    train, test = rows(make("train")), rows(make("test"))
    assert train == [list(range(i, i + length)) for i in range(0, 90 - length + 1, stride)]
    assert test == [list(range(i, i + length)) for i in range(90, 100 - length + 1, stride)]


def test_windows_that_do_not_overlap_may_be_split_at_random(series):
    def make(split):
        return Arrays(
            path=series, split=split, length=5, stride=5, scaling="none", split_by="window"
        )

    train, test = rows(make("train")), rows(make("test"))
    assert (len(train), len(test)) == (18, 2)
    assert sorted(chain(*train, *test)) == list(range(100))


@pytest.mark.parametrize("split_by", [None, "window", "time"])
def test_ready_made_windows_are_split_whole(windows, split_by):
    def make(split):
        return Arrays(path=windows, split=split, scaling="none", split_by=split_by)

    train, test = rows(make("train")), rows(make("test"))
    assert sorted(train + test) == [[i] * 4 for i in range(30)]
    assert len(test) == 3
    assert (test == [[i] * 4 for i in (27, 28, 29)]) == (split_by == "time")


def test_by_none_both_splits_are_everything_and_one_line_says_so(series, windows, caplog):
    for path, length, count in ((series, 6, 95), (windows, None, 30)):
        train, test = (
            Arrays(path=path, split=split, length=length, split_by="none") for split in SPLITS
        )
        assert rows(train) == rows(test)
        assert len(train) == count
        assert train.name(count - 1) == test.name(count - 1)
        assert train.signal == test.signal
    assert [record.getMessage().split(":", 1) for record in caplog.records] == [
        [str(path), " data.split_by=none: nothing is held out, the test split is all that is "
         "trained on, and no score tells memory from skill"] for path in (series, windows)
    ]  # fmt: skip


def test_by_none_a_gap_is_filled_along_the_whole_series(tmp_path):
    values = np.arange(20.0)
    values[9:11] = np.nan  # where the border would be
    np.save(tmp_path / "a.npy", values)
    source = Arrays(
        path=tmp_path / "a.npy", split="train", length=20, split_by="none", scaling="none",
        missing="interpolate", test_fraction=0.5,
    )  # fmt: skip
    np.testing.assert_array_equal(source.example(0)[:, 0], np.arange(20.0))


def test_an_epoch_of_batches_holds_every_window_once(series):
    source = Arrays(path=series, split="train", length=6, scaling="none")
    loader = Loader(source, batch_size=17, seed=0)  # 85 windows
    read = np.concatenate([loader.batch(step)[:, 0, 0] for step in range(5)])
    assert sorted(read.astype(int)) == list(range(85))


@pytest.mark.parametrize("scaling", ["min-max", "standard"])
@pytest.mark.parametrize("split_by", ["time", "window"])
def test_scaling_is_fitted_on_the_training_split_and_undone_by_the_signal(
    series, scaling, split_by
):
    def make(split, scaling):
        return Arrays(
            path=series, split=split, length=5, stride=5, scaling=scaling, split_by=split_by
        )

    train, plain = make("train", scaling), make("train", "none")
    held = np.concatenate([plain.example(i) for i in range(len(plain))]).astype(np.float64)
    fitted = train.signal.scaling
    assert fitted is not None
    if scaling == "min-max":
        expected = held.min(0), held.max(0) - held.min(0)
    else:
        expected = held.mean(0), held.std(0)
    np.testing.assert_allclose(fitted.offset, expected[0], rtol=1e-12)
    np.testing.assert_allclose(fitted.factor, expected[1], rtol=1e-12)
    for split in ("train", "test"):
        scaled, raw = make(split, scaling), make(split, "none")
        assert scaled.signal.scaling == fitted
        for i in range(len(raw)):  # one rounding to float32 of numbers up to about 2
            np.testing.assert_allclose(
                scaled.signal.unscale(scaled.example(i)), raw.example(i), atol=100 * 2e-7
            )


@pytest.mark.parametrize("scaling", ["min-max", "standard", "robust"])
@pytest.mark.parametrize("options", [{}, {"split_by": "window", "stride": 5}])
def test_no_value_of_the_test_split_enters_the_scaling_or_a_training_example(
    tmp_path, scaling, options
):
    """Values a million times as large in the test rows leave the training split as it is."""
    values = np.random.default_rng(0).normal(size=(100, 2))
    path = tmp_path / "a.npy"
    numbered = values.copy()
    numbered[:, 0] = np.arange(100)
    np.save(path, numbered)
    arguments = {"path": path, "length": 5, "seed": 3, **options}
    test = Arrays(**arguments, split="test", scaling="none")
    held_out = np.unique(np.array(rows(test)))
    assert 0 < len(held_out) < 20
    made = []
    for factor in (1.0, 1e6):
        changed = values.copy()
        changed[held_out] *= factor
        np.save(path, changed)
        source = Arrays(**arguments, split="train", scaling=scaling)
        examples = np.stack([source.example(i) for i in range(len(source))])
        made.append((source.signal.scaling, examples))
    assert made[0][0] == made[1][0] is not None
    np.testing.assert_array_equal(made[0][1], made[1][1])


@pytest.mark.parametrize("dtype", [">f8", ">i4", "<f4", "u1", "bool", "<f2"])
def test_numbers_of_any_kind_and_byte_order_are_read(tmp_path, dtype):
    values = (np.arange(80).reshape(40, 2) % 2).astype(dtype)
    np.save(tmp_path / "a.npy", values)
    source = Arrays(path=tmp_path / "a.npy", split="train", length=3, scaling="none")
    assert source.example(0).dtype == np.float32
    np.testing.assert_array_equal(source.example(1), values[1:4].astype(np.float32))


def test_one_axis_is_one_channel_and_csv_names_its_columns(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(30.0))
    assert Arrays(path=tmp_path / "a.npy", split="train", length=3).signal.channels == 1
    text = "open,close\n" + "".join(f"{i},{2 * i}\n" for i in range(20))
    (tmp_path / "a.csv").write_text(text)
    source = Arrays(path=tmp_path / "a.csv", split="test", length=2, scaling="none")
    assert source.signal.columns == ("open", "close")
    np.testing.assert_array_equal(source.example(0), [[18, 36], [19, 38]])


def test_a_window_has_a_name_that_finds_it_in_the_file(series, windows):
    assert Arrays(path=series, split="test", length=5).name(2) == "series.npy row 92"
    assert Arrays(path=windows, split="test", split_by="time").name(1) == "windows.npz window 28"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "all"}, r"split='all' is not one of 'train', 'test'"),
        ({"length": None}, r"series\.npy is one long series: give the windows' length="),
        ({"length": 0}, r"length=0 must be"),
        ({"stride": 0}, r"stride=0 must be"),
        ({"seed": -1}, r"seed=-1 must be"),
        ({"scaling": "standart"}, r"scaling='standart' is not one of .*mean 'standard'"),
        ({"split_by": "times"}, r"split_by='times' is not one of .*mean 'time'"),
        ({"split_by": "window"}, r"stride=1 below length=5: overlapping .* at least 5"),
        ({"test_fraction": 0.0}, r"test_fraction=0\.0 must lie between 0 and 1"),
        ({"length": 11}, r"no window for the test split: 100 rows, length=11, stride=1"),
        ({"length": 101}, r"no window for the train split: 100 rows"),
    ],
)
def test_a_wrong_array_argument_is_named(series, arguments, message):
    with pytest.raises(ValueError, match=message):
        Arrays(**({"path": series, "split": "train", "length": 5} | arguments))


def test_wrong_shapes_are_refused(tmp_path, windows):
    with pytest.raises(ValueError, match=r"length=5: the windows in .* are 4 long; leave length"):
        Arrays(path=windows, split="train", length=5)
    np.save(tmp_path / "deep.npy", np.zeros((2, 2, 2, 2)))
    with pytest.raises(FileError, match=r"has 4 axes; \[windows, length, channels\] or"):
        Arrays(path=tmp_path / "deep.npy", split="train")
    np.save(tmp_path / "scalar.npy", np.zeros(()))
    with pytest.raises(FileError, match="has 0 axes"):
        Arrays(path=tmp_path / "scalar.npy", split="train")
    np.save(tmp_path / "single.npy", np.zeros((1, 4, 2)))
    with pytest.raises(ValueError, match="no window for the train split: 1 windows"):
        Arrays(path=tmp_path / "single.npy", split="test")
