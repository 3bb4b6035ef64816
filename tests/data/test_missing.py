"""Missing values: refused with their place, or interpolated in time and never across the splits."""

import numpy as np
import pytest

from apps.data import Arrays, FileError, read_table

NAN = np.nan


def source(path, split="train", **options):
    options = {"length": 2, "scaling": "none", "missing": "interpolate"} | options
    return Arrays(path=path, split=split, **options)


def windows(path, split="train", **options):
    """The windows of a split, one after the other."""
    made = source(path, split, **options)
    return [made.example(i)[:, 0].tolist() for i in range(len(made))]


def saved(tmp_path, values):
    np.save(tmp_path / "a.npy", values)
    return tmp_path / "a.npy"


@pytest.mark.parametrize("cell", ["", " ", "nan", "NaN", "NA", "n/a", "null", "NULL", "None", "?"])
def test_a_cell_may_say_in_many_words_that_it_is_missing(tmp_path, cell):
    path = tmp_path / "a.csv"
    path.write_text(f"open,close\n1,2\n3,{cell}\n5,6\n\n7,8\n" + "9,9\n" * 6)
    with pytest.raises(FileError, match=r"line 3: column 2 \(close\) is missing: fill in what"):
        read_table(path)
    table = read_table(path, keep_missing=True)
    assert table.columns == ("open", "close")
    np.testing.assert_array_equal(table.values[:4], [[1, 2], [3, NAN], [5, 6], [7, 8]])
    np.testing.assert_array_equal(table.lines, [2, 3, 4, *range(6, 13)])


def test_a_first_line_with_gaps_is_a_row_and_no_columns_names(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("1,,3\n4,5,6\n")
    table = read_table(path, keep_missing=True)
    assert table.columns == ()
    np.testing.assert_array_equal(table.values, [[1, NAN, 3], [4, 5, 6]])


def test_a_blank_line_in_a_single_column_is_a_missing_value(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("\nspeed\n1\n\n3\n\n\n")
    table = read_table(path, keep_missing=True)
    np.testing.assert_array_equal(table.values[:, 0], [1, NAN, 3])
    np.testing.assert_array_equal(table.lines, [3, 4, 5])


def test_text_is_no_missing_value(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("1,\n2,x\n")
    with pytest.raises(FileError, match="line 2: column 2 holds 'x', not a number"):
        read_table(path, keep_missing=True)


def test_what_is_missing_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n?,\n" + "1,2\n" * 10)
    with pytest.raises(
        FileError,
        match=r"a\.csv: line 3: column 1 \(a\) is missing, and 1 more; data\.missing=interpolate",
    ):
        source(tmp_path / "a.csv", missing="refuse")
    with pytest.raises(FileError, match=r"the value at \[3, 0\] is missing; data\.missing=interp"):
        source(saved(tmp_path, np.r_[0.0, 1, 2, NAN, 4:30][:, None]), missing="refuse")
    with pytest.raises(ValueError, match=r"missing='fill' is not one of 'refuse', 'interpolate'"):
        source(tmp_path / "a.csv", missing="fill")


@pytest.mark.parametrize("make", [saved, None], ids=["npy", "csv"])
def test_a_gap_is_filled_on_a_straight_line_and_the_ends_by_their_neighbours(tmp_path, make):
    values = np.arange(30.0)[:, None] * [1.0, -2.0]
    whole = values.copy()
    values[3:6, 0] = NAN
    values[4, 1] = values[9, 1] = NAN
    values[:2, 1] = NAN
    whole[:2, 1] = whole[2, 1]
    if make is None:
        rows = "".join(f"{a},{b}\n".replace("nan", "") for a, b in values)
        (tmp_path / "a.csv").write_text(rows)
        path = tmp_path / "a.csv"
    else:
        path = make(tmp_path, values)
    made = source(path, length=10, stride=8, test_fraction=0.4)
    np.testing.assert_array_equal(made.example(0), whole[:10].astype(np.float32))
    np.testing.assert_array_equal(made.example(1), whole[8:18].astype(np.float32))


def test_a_series_without_gaps_is_the_same_whatever_is_done_with_gaps(tmp_path):
    path = saved(tmp_path, np.random.default_rng(0).normal(size=(40, 2)))
    refused, filled = (source(path, missing=choice) for choice in ("refuse", "interpolate"))
    for i in range(len(refused)):
        np.testing.assert_array_equal(refused.example(i), filled.example(i))


def test_no_value_crosses_from_one_split_into_the_other(tmp_path):
    values = np.arange(20.0)
    values[8:12] = NAN  # the border is at 10
    path = saved(tmp_path, values)
    options = {"stride": 2, "test_fraction": 0.5}
    assert windows(path, "train", **options)[-1] == [7, 7]
    assert windows(path, "test", **options)[0] == [12, 12]


def test_windows_split_at_random_are_filled_by_their_own_values(tmp_path):
    values = np.arange(30.0)
    values[[2, 3, 14, 29]] = NAN
    path = saved(tmp_path, values)
    options = {"stride": 5, "length": 5, "split_by": "window"}
    made = sorted(windows(path, "train", **options) + windows(path, "test", **options))
    assert made[0] == [0, 1, 2, 3, 4]
    assert made[2] == [10, 11, 12, 13, 13]
    assert made[5] == [25, 26, 27, 28, 28]


def test_ready_made_windows_are_filled_one_by_one(tmp_path):
    values = np.arange(40.0).reshape(10, 4, 1)
    values[4, 3] = values[5, 0] = values[7, 1] = NAN
    path = saved(tmp_path, values)
    options = {"length": None, "split_by": "time"}
    made = windows(path, "train", **options)
    assert made[4] == [16, 17, 18, 18]
    assert made[5] == [21, 21, 22, 23]
    assert made[7] == [28, 29, 30, 31]


def test_the_scaling_is_fitted_on_what_was_filled_in(tmp_path):
    values = np.r_[0.0, NAN, 4.0, 6.0, 8.0, 100.0]
    made = source(saved(tmp_path, values), scaling="standard", test_fraction=0.2, length=1)
    assert made.signal.scaling is not None
    assert made.signal.scaling.offset == (4.0,)


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (np.where(np.arange(20) < 10, NAN, 1.0), {"test_fraction": 0.5}, "column 1 has no value "
         r"in the training split, and nothing to interpolate: leave that column"),
        (np.where(np.arange(20) < 10, 1.0, NAN), {"test_fraction": 0.5}, "in the test split"),
        (np.where(np.arange(20) // 2 == 3, NAN, 1.0), {"split_by": "window", "stride": 2},
         "column 1 has no value in rows 6 to 7"),
        (np.where(np.indices((10, 2, 2))[0] * 2 + np.indices((10, 2, 2))[2] == 15, NAN, 1.0),
         {"length": None}, "column 2 has no value in window 7"),
    ],
)  # fmt: skip
def test_a_channel_that_is_missing_altogether_is_refused(tmp_path, values, options, message):
    with pytest.raises(FileError, match=message):
        source(saved(tmp_path, values), **options)


def test_infinities_are_refused_all_the_same(tmp_path):
    with pytest.raises(FileError, match=r"the value at \[1\] is inf, not finite"):
        source(saved(tmp_path, np.r_[0.0, np.inf, 2:20]))


def test_one_line_says_how_much_was_filled_in(tmp_path, caplog):
    values = np.arange(2000.0).reshape(-1, 2)
    values[:5, 1] = values[-1, 0] = NAN
    path = saved(tmp_path, values)
    for split in ("train", "test"):
        source(path, split)
    (record,) = caplog.records
    assert record.getMessage() == f"{path}: 6 of 2,000 values were missing and are interpolated"
