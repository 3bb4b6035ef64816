"""Columns of dates: told from numbers, kept aside, put in order, given back."""

import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from apps.data import Arrays, FileError, read_series, read_table, write_signal
from apps.data.checks import SPLITS
from apps.data.dates import forms_of, is_date, read, written

DAYS = [f"2024-01-{day:02d}" for day in range(1, 21)]


def csv(tmp_path, rows, name="a.csv"):
    path = tmp_path / name
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    return path


def dated(tmp_path, dates=DAYS, **options):
    """Rows of a date, the row's number and its square."""
    rows = [("day", "a", "b"), *((date, i, i * i) for i, date in enumerate(dates))]
    return csv(tmp_path, rows, **options)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-03-01", "2024-03-01"),
        ("2024-03-01 12:30", "2024-03-01T12:30"),
        ("2024-03-01T12:30:05.25", "2024-03-01T12:30:05.250"),
        ("2024-03-01T12:30:00+02:00", "2024-03-01T10:30"),
        ("2024-03-01 00:00:00Z", "2024-03-01"),
        ("2024/03/01", "2024-03-01"),
        ("2024-03", "2024-03-01"),
        ("13.03.2024 18:00", "2024-03-13T18:00"),
        ("3/13/2024", "2024-03-13"),
        ("01-Mar-24", "2024-03-01"),
        ("Mar 1, 2024", "2024-03-01"),
        (" 1 March 2024", "2024-03-01"),
    ],
)
def test_dates_are_read_in_the_forms_that_people_write(text, expected):
    assert is_date(text)
    (form,) = forms_of([text])
    assert read([text], form)[0] == np.datetime64(expected, "us")


@pytest.mark.parametrize("text", ["", "2024", "20240301", "1.5", "nan", "open", "v1.2", "12:30"])
def test_numbers_and_words_are_no_dates(text):
    assert not is_date(text)


def test_written_dates_are_read_back_and_no_finer_than_they_need():
    rng = np.random.default_rng(0)
    begin = datetime(1950, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    for unit in ("days", "seconds", "milliseconds", "microseconds"):
        moments = [begin + timedelta(**{unit: int(n)}) for n in rng.integers(0, 40_000, 20)]
        stamps = np.array(moments, "M8[us]")
        texts = written(stamps)
        np.testing.assert_array_equal(read(texts, "ISO 8601"), stamps)
        assert (len(texts[0]) == 10) == (unit == "days")


@pytest.mark.parametrize("header", [True, False])
def test_a_first_column_of_dates_is_kept_aside(tmp_path, header):
    rows = [("day", "a", "b")] * header + [(day, i, i * i) for i, day in enumerate(DAYS)]
    table = read_table(csv(tmp_path, rows))
    np.testing.assert_array_equal(table.values, [[i, i * i] for i in range(20)])
    assert table.columns == (("a", "b") if header else ())
    assert table.dates is not None
    assert list(table.dates.texts) == DAYS
    assert table.dates.name == ("day" if header else "")


def test_a_column_of_dates_may_be_named_and_may_be_none(tmp_path):
    rows = [("a", "year"), *((i, 1990 + i) for i in range(20))]
    path = csv(tmp_path, rows)
    assert read_table(path).values.shape == (20, 2)
    table = read_table(path, date_column="year")
    assert table.columns == ("a",)
    assert table.dates is not None
    assert table.dates.stamps[3] == np.datetime64("1993-01-01")
    with pytest.raises(FileError, match=r"data\.date_column=when is not among its .*'a', 'year'"):
        read_table(path, date_column="when")
    with pytest.raises(FileError, match=r"line 2: column 1 \(day\) holds '2024-01-01', not a numb"):
        read_table(dated(tmp_path), date_column=None)


def test_rows_that_fall_are_turned_to_time_order_and_one_line_says_so(tmp_path, caplog):
    path = dated(tmp_path, DAYS[::-1])
    made = {
        split: Arrays(path=path, split=split, length=2, scaling="none", test_fraction=0.5)
        for split in SPLITS
    }
    # The file's last rows are the oldest: they are trained on, not held out.
    np.testing.assert_array_equal(made["train"].example(0)[:, 0], [19, 18])
    np.testing.assert_array_equal(made["test"].example(8)[:, 0], [1, 0])
    assert made["test"].name(8) == "a.csv row 18, 2024-01-19"
    dates = made["test"].dates(8)
    assert dates is not None
    assert list(dates.texts) == ["2024-01-19", "2024-01-20"]
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: column 1 (day) holds dates and is kept aside, newest first, and turned to time "
        "order: 2024-01-01 to 2024-01-20, usually 1 day apart"
    ]


def test_without_dates_the_order_stands_unless_one_says_the_newest_is_first(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(10.0))
    for newest_first, row in ((False, 0), (True, 9)):
        made = Arrays(
            path=tmp_path / "a.npy", split="train", length=1, scaling="none",
            newest_first=newest_first,
        )  # fmt: skip
        assert made.example(0)[0, 0] == row
    np.save(tmp_path / "b.npy", np.zeros((10, 2, 1)))
    with pytest.raises(FileError, match=r"ready-made windows, which data\.newest_first cannot"):
        Arrays(path=tmp_path / "b.npy", split="train", newest_first=True)
    with pytest.raises(FileError, match=r"its dates rise, from 2024-01-01 to 2024-01-20: leave"):
        Arrays(path=dated(tmp_path), split="train", length=2, newest_first=True)


def test_gaps_in_the_dates_are_told(tmp_path, caplog):
    dates = [day for day in DAYS if day not in ("2024-01-06", "2024-01-13", "2024-01-14")]
    read_table(dated(tmp_path, [*dates, DAYS[-1]]))
    assert (
        caplog.records[0]
        .getMessage()
        .endswith(
            "kept aside: 2024-01-01 to 2024-01-20, usually 1 day apart, 2 steps are longer, the "
            "longest 3 days after 2024-01-12, and all count as one, 1 dates stand twice"
        )
    )


@pytest.mark.parametrize(
    ("dates", "message"),
    [
        (["2024-01-01", "2024-01-03", "2024-01-02", "2024-01-04"],
         "line 4: 2024-01-02 comes after 2024-01-03, where dates rise otherwise: sort the rows"),
        (["2024-01-04", "2024-01-01", "2024-01-02", "2024-01-01"], "line 4: .* fall otherwise"),
        (["2024-01-01", "soon", "2024-01-03"], r"column 1 \(day\) holds 'soon', not a date of one"),
        (["2024-01-01", "", "2024-01-03"], r"column 1 \(day\) holds '', not a date of one form"),
        (["01/02/2024", "01/03/2024"], ".* holds '01/02/2024', and day and month cannot be told"),
    ],
)  # fmt: skip
def test_dates_in_no_order_or_form_are_refused(tmp_path, dates, message):
    with pytest.raises(FileError, match=rf"a\.csv: {message}"):
        read_table(dated(tmp_path, dates))


def test_day_and_month_are_told_apart_by_the_whole_column(tmp_path):
    table = read_table(dated(tmp_path, ["01/02/2024", "12/02/2024", "13/02/2024"]))
    assert table.dates is not None
    assert written(table.dates.stamps) == ["2024-02-01", "2024-02-12", "2024-02-13"]
    assert table.dates.texts[0] == "01/02/2024"


def test_places_in_messages_are_those_of_the_file(tmp_path):
    for cell, what in (("x", "holds 'x', not a number"), ("", "is missing: fill in what")):
        path = csv(tmp_path, [("day", "a", "b"), (DAYS[0], 1, 2), (DAYS[1], 1, cell)])
        when = "" if cell else rf" \({DAYS[1]}\)"
        with pytest.raises(FileError, match=rf"line 3{when}: column 3 \(b\) {what}"):
            read_table(path)
    path = csv(tmp_path, [("day", "a"), (DAYS[0], 1), (DAYS[1], 1, 2)])
    with pytest.raises(FileError, match="line 3 has 3 values where 2 are expected"):
        read_table(path)
    with pytest.raises(FileError, match="holds dates and no values"):
        read_table(csv(tmp_path, [("day",), (DAYS[0],), (DAYS[1],)]))


def test_what_is_written_with_dates_is_read_back_to_the_last_digit(tmp_path):
    table = read_series(dated(tmp_path), channels=2)
    values = table.values / 3
    for exact in (True, False):
        write_signal(
            tmp_path / "b.csv", values, columns=table.columns, dates=table.dates, exact=exact
        )
        again = read_series(tmp_path / "b.csv", channels=2)
        assert again.dates is not None
        assert list(again.dates.texts) == DAYS
        assert again.columns == ("a", "b")
        same = np.float64 if exact else np.float32
        np.testing.assert_array_equal(again.values.astype(same), values.astype(same))
    with pytest.raises(ValueError, match="20 dates are given and the signal has 3 rows"):
        write_signal(tmp_path / "c.csv", values[:3], columns=table.columns, dates=table.dates)


def parquet(tmp_path, columns):
    arrow = pytest.importorskip("pyarrow", reason="parquet is an extra")
    from pyarrow import parquet as files

    files.write_table(arrow.table(columns), tmp_path / "a.parquet")
    return tmp_path / "a.parquet"


def test_a_parquet_says_what_a_csv_says(tmp_path):
    path = parquet(
        tmp_path,
        {
            "a": np.arange(20),
            "b": [None if i == 3 else i * 0.5 for i in range(20)],
            "c": [i % 2 == 0 for i in range(20)],
            "when": np.array(DAYS[::-1], "M8[us]"),  # pandas writes an index last
        },
    )
    table = read_table(path, keep_missing=True)
    assert table.columns == ("a", "b", "c")
    assert table.dates is not None
    assert list(table.dates.texts) == DAYS
    np.testing.assert_array_equal(table.values[:, 0], np.arange(20)[::-1])
    np.testing.assert_array_equal(np.argwhere(np.isnan(table.values)), [[16, 1]])
    np.testing.assert_array_equal(table.values[:2, 2], [0, 1])
    with pytest.raises(FileError, match=r"row 4 \(2024-01-17\): column 2 \(b\) is missing"):
        read_table(path)


def test_a_parquet_of_text_is_refused_by_the_columns_name(tmp_path):
    path = parquet(tmp_path, {"day": DAYS, "city": ["x"] * 20, "a": range(20)})
    with pytest.raises(FileError, match=r"column 2 \(city\) holds string, not numbers"):
        read_table(path)
    path = parquet(tmp_path, {"day": DAYS, "a": range(20)})
    table = read_table(path)
    assert (table.columns, len(table.dates or ())) == (("a",), 20)
    with pytest.raises(FileError, match=r"column 1 \(day\) holds string, not numbers"):
        read_table(path, date_column=None)
    stamps = np.array(DAYS, "M8[us]")
    path = parquet(tmp_path, {"a": range(20), "from": stamps, "to": stamps})
    with pytest.raises(FileError, match=r"holds dates in 'from' and 'to': choose with data\.date"):
        read_table(path)
    with pytest.raises(FileError, match=r"column 3 \(to\) holds timestamp\[us\], not numbers"):
        read_table(path, date_column="from")
    with pytest.raises(FileError, match=r"date_column=x is not among its columns, 'a', 'from'"):
        read_table(path, date_column="x")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and nothing")
    with pytest.raises(FileError, match=r"bad\.parquet: cannot be read: "):
        read_table(tmp_path / "bad.parquet")


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.parquet").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(FileError, match=r'needs pyarrow, which .*pip install -e "\.\[parquet\]"'):
        read_table(tmp_path / "a.parquet")
