"""Array files: what is read, and what is refused with its reason."""

import pickle
import zipfile

import numpy as np
import pytest

from apps.data import FileError, read_table


class Payload:
    """Would leave a file behind if it were ever unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_table_is_read_from_every_format(tmp_path):
    values = np.arange(6.0).reshape(3, 2)
    np.save(tmp_path / "a.npy", values)
    np.savez(tmp_path / "a.npz", anything=values)
    (tmp_path / "a.csv").write_text("0,1\n2,3\n4,5\n")
    (tmp_path / "named.csv").write_text("\ufeffx,y z\n0,1\n2,3\n4,5e0\n", encoding="utf-8")
    for name in ("a.npy", "a.npz", "a.csv", "named.csv"):
        table = read_table(tmp_path / name)
        np.testing.assert_array_equal(table.values, values)
        assert table.values.dtype == np.float64
        assert table.columns == (("x", "y z") if name == "named.csv" else ())


def test_one_row_is_a_table(tmp_path):
    (tmp_path / "a.csv").write_text("1,2,3")
    np.testing.assert_array_equal(read_table(tmp_path / "a.csv").values, [[1, 2, 3]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("a,b\n", "holds the columns' names and no rows"),
        ("1,2\n3,4\n5\n", "line 3 has 1 values where 2 are expected"),
        ("a,b\n1,2\n1,2,3\n", "line 3 has 3 values where 2 are expected"),
        ("a,b\n1,2\n1,\n", r"line 3: column 2 \(b\) is missing: fill in"),
        ("1,2\n1,x\n", "line 2: column 2 holds 'x', not a number"),
        (
            "b,date\n2,2020-01-01\n",
            r"line 2: column 2 \(date\) holds '2020-01-01', not a number; "
            "data.date_column names the column of dates",
        ),
        ("a,b,c\n1,2\n3,4\n", "names 3 columns and has 2"),
        ("a,b\n1,2\n1,nan\n", r"line 3: column 2 \(b\) is missing"),
        ("1,2\n1,inf\n", r"line 2: column 2 is inf, not finite"),
    ],
)
def test_a_faulty_csv_is_refused_by_line(tmp_path, text, message):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(FileError, match=rf"a\.csv: {message}"):
        read_table(path)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00\x81,2")
    with pytest.raises(FileError, match=r"a\.csv: cannot be read: .*codec can't decode"):
        read_table(tmp_path / "a.csv")


def test_a_pickle_is_never_loaded(tmp_path):
    trap = tmp_path / "sprung"
    objects = np.array([Payload(trap)], dtype=object)
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "a.npz", data=objects)
    (tmp_path / "bare.npy").write_bytes(pickle.dumps(Payload(trap)))
    with zipfile.ZipFile(tmp_path / "member.npz", "w") as archive:
        archive.writestr("data", pickle.dumps(Payload(trap)))
    for name in ("a.npy", "a.npz", "bare.npy", "member.npz"):
        with pytest.raises(FileError, match=r"(objects, which|pickles) are never loaded"):
            read_table(tmp_path / name)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array(["a", "b"]), r"holds <U1 and not real numbers"),
        (np.array([1 + 2j]), r"holds complex128 and not real numbers"),
        (np.zeros(2, [("a", "f4"), ("b", "f4")]), r"holds \[\('a'.* and not real numbers"),
        (np.zeros((0, 3)), r"is empty \(shape \(0, 3\)\)"),
        (np.array([[0.0, 1.0], [np.nan, 0.0]]), r"the value at \[1, 0\] is missing: fill in"),
    ],
)
def test_what_is_not_a_full_array_of_real_numbers_is_refused(tmp_path, values, message):
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(FileError, match=message):
        read_table(tmp_path / "a.npy")


def test_the_key_of_an_npz_is_asked_for_when_it_must_be(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.zeros(2), y=np.ones(2))
    np.testing.assert_array_equal(read_table(path, key="y").values, 1)
    with pytest.raises(FileError, match="holds 'x', 'y': choose one with key="):
        read_table(path)
    with pytest.raises(FileError, match="key='data' is not in it; it holds 'x', 'y'"):
        read_table(path, key="data")


def test_npy_and_npz_are_told_apart_by_content(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros(2))
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    np.testing.assert_array_equal(read_table(tmp_path / "a.npy", key="x").values, [0, 0])


def test_files_that_are_not_what_they_are_called_are_refused(tmp_path):
    with pytest.raises(FileError, match=r"a\.npy: no such file"):
        read_table(tmp_path / "a.npy")
    with pytest.raises(FileError, match=r"\.txt is not one of \.npy, \.npz, \.csv"):
        read_table(tmp_path / "a.txt")
    np.save(tmp_path / "c.npy", np.zeros(100))
    whole = (tmp_path / "c.npy").read_bytes()
    (tmp_path / "c.npy").write_bytes(whole[:-100])
    (tmp_path / "c.npz").write_bytes(b"PK\x03\x04 not a zip")
    (tmp_path / "e.npy").write_bytes(b"")
    for name in ("c.npy", "c.npz", "e.npy"):
        with pytest.raises(FileError, match=rf"{name}: "):
            read_table(tmp_path / name)
