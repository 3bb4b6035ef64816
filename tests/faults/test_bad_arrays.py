"""Bad arrays and tables: each one refused in one line, before training; nothing is unpickled."""

import pickle
import re
import zipfile
from io import BytesIO

import numpy as np
import pytest

from apps import build, command_line, train
from apps.config import Config
from apps.data import Arrays, FileError, array_files, read_signal
from apps.data.stream_files import open_file

ROWS = "".join(f"{i},{-i}\n" for i in range(40))
SERIES = np.arange(80.0).reshape(40, 2)


class Payload:
    """Would make a file if it were ever unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def text(content, encoding="utf-8"):
    return lambda path: path.write_bytes(content.encode(encoding))


def saved(values):
    return lambda path: np.save(path, values)


def objects(path):
    np.save(path, np.array([Payload(path.parent / "sprung")], object), allow_pickle=True)


def bare_pickle(path):
    path.write_bytes(pickle.dumps(Payload(path.parent / "sprung")))


def archived(name, content):
    """An npz with a member of such bytes."""

    def make(path):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, content(path))

    return make


def payload(path):
    return pickle.dumps(Payload(path.parent / "sprung"))


def packed_objects(path):
    np.savez(path, data=np.array([Payload(path.parent / "sprung")], object))


def npy():
    file = BytesIO()
    np.save(file, SERIES)
    return file.getvalue()


def lying(shape):
    """An npy of four numbers whose header promises another shape."""
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}"
    header = header.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(32)


def raw(content):
    return lambda path: path.write_bytes(content)


def half(path):
    path.write_bytes(npy()[:-100])


def half_a_zip(path):
    np.savez(path, data=SERIES)
    path.write_bytes(path.read_bytes()[:-100])


def flipped(path):
    np.savez_compressed(path, data=np.random.default_rng(0).normal(size=(40, 2)))
    data = bytearray(path.read_bytes())
    data[300] ^= 0x10
    path.write_bytes(data)


def encrypted(path):
    """The flag of a password, on a member that has none."""
    archived("data.npy", lambda _: npy())(path)
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)


# What is wrong, the file's name, how it is made, and what is said of it.
BAD = [
    ("a csv with rows of different lengths", "a.csv", text("1,2\n3,4\n5\n" + ROWS),
     "line 3 has 1 values where 2 are expected"),
    ("a csv with longer rows below its names", "a.csv", text("a,b\n1,2\n1,2,3\n" + ROWS),
     "line 3 has 3 values where 2 are expected"),
    ("a csv whose names are too many", "a.csv", text("a,b,c\n" + ROWS),
     "names 3 columns and has 2"),
    ("a csv with text", "a.csv", text("a,b\n1,2\n1,high\n" + ROWS),
     r"line 3: column 2 \(b\) holds 'high', not a number"),
    ("a csv with dates in its second column", "a.csv", text("a,b\n2,2020-01-01\n" + ROWS),
     r"line 2: column 2 \(b\) holds '2020-01-01', not a number; data\.date_column names .*"),
    ("a csv with dates in no order", "a.csv",
     text("date,b\n2020-01-02,2\n2020-01-01,2\n2020-01-03,2\n"),
     "line 3: 2020-01-01 comes after 2020-01-02, where dates rise otherwise: sort the rows .*"),
    ("a csv with dates and numbers in one column", "a.csv", text("date,b\n2020-01-02,2\n" + ROWS),
     r"column 1 \(date\) holds '0', not a date of one form with the others: write dates as .*"),
    ("a csv with semicolons", "a.csv", text("a;b\n1;2\n3;4\n"),
     r"line 2: column 1 \(a;b\) holds '1;2', not a number; values are separated by commas"),
    ("a csv with a cell of a million letters", "a.csv", text("a,b\n1," + "x" * 10**6 + "\n"),
     "after line 2: field larger than field limit.*"),
    ("a csv with an empty cell", "a.csv", text("a,b\n1,2\n,2\n" + ROWS),
     r"line 3: column 1 \(a\) is missing; data\.missing=interpolate fills in what is missing"),
    ("a csv with nan, NA, null and ?", "a.csv", text("1,nan\nNA,2\n3,null\n?,5\n" + ROWS),
     r"line 1: column 2 is missing, and 3 more; data\.missing=interpolate .*"),
    ("a csv with an infinite value", "a.csv", text("1,2\n3,inf\n" + ROWS),
     "line 2: column 2 is inf, not finite"),
    ("a csv with one row", "a.csv", text("1,2\n"), "no window for the train split: 1 rows, .*"),
    ("a csv with names alone", "a.csv", text("a,b\n"), "holds the columns' names and no rows"),
    ("an empty csv", "a.csv", text(""), "is empty"),
    ("a csv of blank lines", "a.csv", text("\n \n\n"), "is empty"),
    ("a csv in UTF-16", "a.csv", text(ROWS, "utf-16"), "cannot be read: .*codec can't decode.*"),
    ("a csv with bytes that are no text, far down", "a.csv",
     raw(ROWS.encode() * 500 + b"\xff,\xfe\n"), "cannot be read: .*codec can't decode.*"),
    ("a csv that is an npy", "a.csv", raw(npy()), "cannot be read: .*codec can't decode.*"),
    ("an npy of objects", "a.npy", objects, "holds Python objects, which are never loaded, .*"),
    ("a pickle called npy", "a.npy", bare_pickle, "is not an array of numbers .*; pickles are .*"),
    ("an npz of objects", "a.npz", packed_objects, "holds Python objects, which are never .*"),
    ("a pickle in an npz", "a.npz", archived("data", payload), "is not an array of .* pickles .*"),
    ("a pickle in an npz, called npy", "a.npz", archived("data.npy", payload),
     "is not an array of numbers .*; pickles are never loaded"),
    ("text called npy", "a.npy", text("1,2\n3,4\n"), "is not an array of numbers as numpy .*"),
    ("an npy of four axes", "a.npy", saved(np.zeros((2, 2, 2, 2))), r"has 4 axes; \[windows, .*"),
    ("an npy of one number", "a.npy", saved(np.zeros(())), "has 0 axes; .*"),
    ("an npy of words", "a.npy", saved(np.array(["a", "b"])), "holds <U1 and not real numbers"),
    ("an npy of complex numbers", "a.npy", saved(np.ones(9, complex)),
     "holds complex128 and not real numbers"),
    ("an npy of dates", "a.npy", saved(np.zeros(9, "datetime64[s]")),
     r"holds datetime64\[s\] and not real numbers"),
    ("an npy of records", "a.npy", saved(np.zeros(9, [("x", "f8"), ("y", "f8")])),
     r"holds \[\('x'.* and not real numbers"),
    ("an npy without rows", "a.npy", saved(np.zeros((0, 3))), r"is empty \(shape \(0, 3\)\)"),
    ("an npy with NaN", "a.npy", saved(np.where(SERIES == 3, np.nan, SERIES)),
     r"the value at \[1, 1\] is missing; data\.missing=interpolate fills in what is missing"),
    ("an npy with an infinite value", "a.npy", saved(np.where(SERIES == 3, -np.inf, SERIES)),
     r"the value at \[1, 1\] is -inf, not finite"),
    ("an npy cut off", "a.npy", half, "is cut off: 640 bytes are promised and 540 are there"),
    ("an npy cut off in its header", "a.npy", raw(npy()[:40]), "cannot be read: .*"),
    ("an npy cut off in its first bytes", "a.npy", raw(npy()[:5]), "is not an array of numbers .*"),
    ("an empty npy", "a.npy", raw(b""), r"is empty \(0 bytes\)"),
    ("an npy that promises too much", "a.npy", raw(lying((10**15, 9))),
     r"is cut off: \d+ bytes are promised and 32 are there"),
    ("an npy of a negative shape", "a.npy", raw(lying((-1, 2))), r"has the shape \(-1, 2\)"),
    ("an npy with code for a header", "a.npy", raw(lying("__import__('os')")),
     "cannot be read: .+"),
    ("an npy of a format to come", "a.npy", raw(npy().replace(b"Y\x01", b"Y\x09")),
     "is not an array of numbers .*"),
    ("an npz cut off", "a.npz", half_a_zip, "cannot be read: .*"),
    ("an npz with a flipped bit", "a.npz", flipped, "cannot be read: .+"),
    ("an npz with a password", "a.npz", encrypted, "cannot be read: .*password.*"),
    ("an npz of nothing", "a.npz", lambda path: np.savez(path), "key='data' is not in it; it .*"),
    ("an npz without the key", "a.npz", lambda path: np.savez(path, x=SERIES, y=SERIES),
     "key='data' is not in it; it holds 'x', 'y'"),
    ("a folder called npy", "a.npy", lambda path: path.mkdir(), "is a folder or a device, .*"),
    ("no file", "a.npy", lambda path: None, "no such file"),
    ("another ending", "a.xlsx", text("1,2"),
     r"\.xlsx is not one of \.npy, \.npz, \.csv, \.parquet"),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "name", "make", "said"), BAD, ids=[fault for fault, *_ in BAD])
def test_a_bad_array_is_refused_in_one_line(tmp_path, told, fault, name, make, said):
    told("bad arrays", fault, "refused in one line before training")
    path = tmp_path / name
    make(path)
    with pytest.raises(ValueError, match=re.escape(name)) as refused:
        Arrays(path=path, split="train", length=4)
    message = str(refused.value)
    assert re.fullmatch(f"{re.escape(str(path))}: {said}", message), message
    assert message.isprintable()
    assert len(message) < 500
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("fault", "name", "make"), [(fault, name, make) for fault, name, make, _ in BAD],
    ids=[fault for fault, *_ in BAD]
)  # fmt: skip
def test_a_signal_to_work_on_is_refused_in_one_line_as_well(tmp_path, fault, name, make):
    path = tmp_path / name
    make(path)
    if fault in ("an npz without the key", "a csv with one row"):
        return  # neither is a fault of a single signal
    for read in (lambda: read_signal(path, rate=None, channels=None), lambda: open_file(path)):
        with pytest.raises(FileError) as refused:
            read()
        assert str(refused.value).startswith(f"{path}: ")
        assert str(refused.value).isprintable()
    assert not (tmp_path / "sprung").exists()


def test_what_unpacks_to_more_than_the_memory_is_not_unpacked(tmp_path, told, monkeypatch):
    told("bad arrays", "an npz that unpacks to more than the memory", "refused before unpacking")
    path = tmp_path / "a.npz"
    np.savez_compressed(path, data=np.zeros((1 << 20, 1), np.uint8))
    assert path.stat().st_size < 5000
    monkeypatch.setattr(array_files, "memory", lambda: 2.0**22)
    said = r"a\.npz: unpacks to 0\.00781 GiB, more than the memory of this machine \(0\.00391 GiB\)"
    with pytest.raises(FileError, match=said):
        Arrays(path=path, split="train", length=4)


@pytest.mark.parametrize("dtype", ["<i8", ">i4", "u1", "bool", ">f8", "<f2"])
def test_integers_and_any_byte_order_are_read(tmp_path, told, dtype):
    told("bad arrays", "no fault: integers, yes and no, any byte order", "read as numbers")
    values = (np.arange(80).reshape(40, 2) % 2).astype(dtype)
    np.save(tmp_path / "a.npy", values)
    source = Arrays(path=tmp_path / "a.npy", split="train", length=4, scaling="none")
    np.testing.assert_array_equal(source.example(3), values[3:7].astype(np.float32))


@pytest.mark.parametrize("name", ["two words.npy", "naïve 音.npy", "a=b,(c).npy"])
def test_any_name_will_do(tmp_path, told, name):
    told("bad arrays", "spaces, Unicode, = ( and , in names", "read like any other")
    np.save(tmp_path / name, SERIES)
    assert len(Arrays(path=tmp_path / name, split="train", length=4)) == 33


WORDS = ["data=arrays", "data.length=4", "objective=vae_series", "model.channels=[4,4]"]


def test_the_door_refuses_and_leaves_nothing_behind(tmp_path, capfd, told):
    told("bad arrays", "any of these", "exit code 2, before training; no run folder is left behind")
    path, run = tmp_path / "a, (b)=c.csv", tmp_path / "run"
    path.write_text("a,b\n1,2\n,4\n" + ROWS)
    assert train.main([*WORDS, "model.strides=[2,2]", f"data.path={path}", f"run={run}"]) == 2
    lines = [line for line in capfd.readouterr().err.splitlines() if path.name in line]
    remedy = "data.missing=interpolate fills in what is missing"
    assert lines == [f"{path}: line 3: column 1 (a) is missing; {remedy}"]
    assert not run.exists()


def test_missing_values_are_interpolated_where_the_config_says_so(tmp_path, told, caplog):
    told("bad arrays", "missing values, with data.missing=interpolate",
         "filled in along time, never across the splits; one line says how many")  # fmt: skip
    path = tmp_path / "a.csv"
    path.write_text("0,0\n1,\n2,2\n" + ROWS)
    words = [*WORDS, "model.strides=[2,2]", f"data.path={path}", "data.scaling=none"]
    config = command_line.read(Config, command_line.sort([*words, "data.missing=interpolate"]))
    records = build.source(config, "train")
    np.testing.assert_array_equal(records.example(0, None)[:3], [[0, 0], [1, 1], [2, 2]])
    (line,) = (record.getMessage() for record in caplog.records)
    assert line == f"{path}: 1 of 86 values were missing and are interpolated"
