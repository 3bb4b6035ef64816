"""Columns that are given and not made, and labels of ready-made windows."""

import numpy as np
import pytest

from apps.data import Arrays, FileError, Loader, Signal, Tones, pieces
from apps.data.columns import picked
from apps.data.table import Table


@pytest.fixture
def weather(tmp_path):
    """100 hours: three columns that tell where each number came from."""
    hour = np.arange(100.0)
    path = tmp_path / "weather.csv"
    rows = np.stack([hour, 1000 + hour, 2000 - 3 * hour], 1)
    np.savetxt(path, rows, delimiter=",", header="load,hour,wind", comments="", fmt="%g")
    return path


@pytest.fixture
def windows(tmp_path):
    """30 windows [4, 3] of the numbers 100·window + 10·step + channel, with two kinds of labels."""
    axes = np.meshgrid(np.arange(30), np.arange(4), np.arange(3), indexing="ij")
    data = 100.0 * axes[0] + 10 * axes[1] + axes[2]
    path = tmp_path / "windows.npz"
    number = np.arange(30) % 3 - 1
    word = np.array(["low", "mid", "high"])[np.arange(30) % 3]
    np.savez(path, data=data, number=number, word=word, share=number / 2, short=number[:5])
    return path


def plain(path, split="train", **arguments):
    return Arrays(**({"path": path, "split": split, "scaling": "none"} | arguments))


@pytest.mark.parametrize("named", [["wind", "load"], [3, "1"]])
def test_covariates_are_columns_of_their_own_in_the_order_asked_for(weather, named):
    source = plain(weather, length=5, covariates=named)
    signal = source.signal
    assert (signal.columns, signal.covariates) == (("hour",), ("wind", "load"))
    assert (signal.channels, signal.covariate_scaling) == (1, None)
    np.testing.assert_array_equal(source.example(2)[:, 0], 1000 + np.arange(2.0, 7))
    hour = np.arange(2.0, 7)
    np.testing.assert_array_equal(source.covariates(2), np.stack([2000 - 3 * hour, hour], 1))


@pytest.mark.parametrize("scaling", ["min-max", "standard"])
def test_covariates_are_scaled_by_the_training_split_and_the_signal_says_how(weather, scaling):
    train, test = (
        plain(weather, split, length=5, covariates=["wind"], scaling=scaling)
        for split in ("train", "test")
    )
    assert train.signal == test.signal == Signal.from_dict(train.signal.to_dict())
    scaled = train.signal.covariate_scaling
    assert scaled is not None
    held = 2000 - 3 * np.arange(90.0)
    wanted = (held.min(), np.ptp(held)) if scaling == "min-max" else (held.mean(), held.std())
    np.testing.assert_allclose((scaled.offset[0], scaled.factor[0]), wanted)
    back = scaled.unscale(test.covariates(0))[:, 0]
    np.testing.assert_allclose(back, 2000 - 3 * np.arange(90.0, 95), rtol=1e-6)
    alone = plain(weather, length=5, scaling=scaling)
    np.testing.assert_array_equal(train.example(7), alone.example(7)[:, :2])


def test_a_column_is_counted_as_the_file_has_it_where_dates_are_kept_aside(tmp_path):
    rows = "".join(f"2024-01-{i + 1:02d},{i},{100 + i},{200 + i}\n" for i in range(20))
    (tmp_path / "dated.csv").write_text(rows)
    source = plain(tmp_path / "dated.csv", length=2, covariates=[3])
    assert source.signal.covariates == ("3",)
    np.testing.assert_array_equal(source.covariates(0)[:, 0], 100 + np.arange(2))
    with pytest.raises(FileError, match="column 1 holds dates and is kept aside"):
        plain(tmp_path / "dated.csv", length=2, covariates=[1])
    with pytest.raises(FileError, match="there is no column 5, it has 4, from 1"):
        plain(tmp_path / "dated.csv", length=2, covariates=["5"])


@pytest.mark.parametrize(
    ("key", "names"), [("number", ("-1", "0", "1")), ("word", ("high", "low", "mid"))]
)
def test_labels_of_windows_go_with_them_through_splits_and_batches(windows, key, names):
    for split in ("train", "test"):
        source = plain(windows, split, labels=key, key=None if key == "x" else "data")
        assert source.signal.labels == names
        batch = Loader(source, batch_size=4, seed=0).batch(0)
        for signal, label in zip(batch.signal, batch.label, strict=True):
            place = int(signal[0, 0]) // 100 % 3
            assert names[label] == (str(place - 1), ["low", "mid", "high"][place])[key == "word"]


def test_the_only_array_beside_the_labels_is_taken_without_a_key(tmp_path):
    np.savez(tmp_path / "two.npz", x=np.zeros((9, 4, 1)), y=np.arange(9) % 2)
    assert plain(tmp_path / "two.npz", labels="y", key=None).signal.labels == ("0", "1")


def test_a_batch_of_both_is_cut_into_pieces_of_both(windows):
    source = plain(windows, labels="word", covariates=[2])
    batch = Loader(source, batch_size=5, seed=0).batch(0)
    assert [part.shape for part in batch] == [(5, 4, 2), (5,), (5, 4, 1)]
    first, second = pieces(batch, 3)
    for part, *cut in zip(batch, first, second, strict=True):
        np.testing.assert_array_equal(part, np.concatenate(cut))
    np.testing.assert_array_equal(batch.covariates, batch.signal[..., :1] + 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"covariates": ["winds"]}, "'winds' is none of load, hour, wind; did you mean 'wind'"),
        ({"covariates": [4]}, "there is no column 4, it has 3, from 1"),
        ({"covariates": ["wind", 3]}, r"covariates=\['wind', 3\] has 'wind' twice"),
        ({"covariates": [1, 2, 3]}, "are all of its columns: leave one to be made"),
        ({"labels": "word"}, "this is one long series: what is known of a part of it is a column"),
    ],
)
def test_covariates_that_a_series_cannot_have_are_refused(weather, arguments, message):
    with pytest.raises(FileError, match=message):
        plain(weather, length=5, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": "words"}, "labels='words' is not in it; it holds 'data', 'number'"),
        ({"labels": "short"}, r"labels='short' has the shape \(5,\); one for each of the 30"),
        ({"labels": "share"}, "labels='share' holds numbers that are not whole"),
        ({"covariates": ["wind"]}, "'wind' is not known, since its columns have no names"),
        ({"key": "word"}, "holds <U4 and not real numbers"),
    ],
)
def test_labels_that_windows_cannot_have_are_refused(windows, arguments, message):
    with pytest.raises(FileError, match=message):
        plain(windows, **arguments)


def test_labels_of_an_npy_and_empty_words_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((9, 4, 1)))
    with pytest.raises(FileError, match="labels='y' is an array of an npz beside the windows"):
        plain(tmp_path / "a.npy", labels="y")
    np.savez(tmp_path / "b.npz", x=np.zeros((3, 4, 1)), y=["a", "", "b"])
    with pytest.raises(FileError, match="labels='y' holds an empty word, for window 1"):
        plain(tmp_path / "b.npz", labels="y", key="x")


def test_columns_of_a_file_are_found_by_name_or_are_all_there_is():
    table = Table(np.arange(6.0).reshape(2, 3), columns=("a", "b", "c"))
    np.testing.assert_array_equal(picked("f", table, 2, ("c", "a")).values, [[2, 0], [5, 3]])
    np.testing.assert_array_equal(picked("f", table, 3, ("x", "y", "z")).values, table.values)
    with pytest.raises(FileError, match=r"has 3 channels where channels=2 \(x, y\)"):
        picked("f", table, 2, ("x", "y"))


def test_a_tone_s_course_of_amplitude_is_known_at_each_sample():
    source = Tones(split="train", length=96, rate=None, labels=True, covariates=True, count=40)
    signal = source.signal
    assert (signal.kind, signal.rate, signal.covariates) == ("series", None, ("amplitude",))
    assert signal.labels[0] == "4 cycles"
    changes = []
    for index in range(40):
        course = source.covariates(index)[:, 0]
        changes.append(int(np.sum(np.diff(course) != 0)))
        frequency = source.frequencies[source.label(index)]
        angle = 2 * np.pi * frequency * np.arange(96)
        basis = course[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
        weights = np.linalg.lstsq(basis, source.example(index)[:, 0], rcond=None)[0]
        np.testing.assert_allclose(np.hypot(*weights), 1, atol=1e-5)
        np.testing.assert_allclose(basis @ weights, source.example(index)[:, 0], atol=1e-5)
    assert set(changes) <= {0, 1}
    assert sum(changes) > 30
