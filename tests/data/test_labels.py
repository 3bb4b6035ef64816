"""Labels of recordings: by folder or by name, alike in both splits, and never guessed."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from apps.data import AudioFolder, Loader
from apps.data.labels import classes, labels_of

NAMES = ["dog/a 1.wav", "dog/deep/2.wav", "cat/b 10.wav"]
ROOT = Path("somewhere")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("folder", ["dog", "deep", "cat"]),
        (r"^(\w+)/", ["dog", "dog", "cat"]),
        (r"(\d+)\.wav$", ["1", "2", "10"]),
        (r"^(?:dog)?(.)", ["/", "/", "c"]),
    ],
)
def test_a_label_is_the_folder_or_the_first_group(rule, expected):
    assert labels_of(ROOT, NAMES, rule) == dict(zip(NAMES, expected, strict=True))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["10", "2", "2", "1"], ("1", "2", "10")),
        (["b", "a", "b"], ("a", "b")),
        (["10", "2", "x"], ("10", "2", "x")),
    ],
)
def test_classes_are_sorted_as_numbers_where_they_are_numbers(labels, expected):
    assert classes(labels) == expected


@pytest.mark.parametrize(
    ("names", "rule", "message"),
    [
        (NAMES, "(dog", "labels='(dog' is neither 'folder' nor a regular expression"),
        (NAMES, "dog", "labels='dog' has no group: put what is to be the label in parentheses"),
        (NAMES, "^(dog)", "1 of 3 files have no label, since they do not match labels='^(dog)'"),
        (NAMES, "^(dog)", "widen the expression: cat/b 10.wav"),
        (NAMES, "^(dog)?", "1 of 3 files have no label"),
        (["top.wav"], "folder", "lie in no folder below the root: move them into one for each"),
        ([f"{i}.wav" for i in range(9)], "(x)", "4.wav and 4 more"),
    ],
)
def test_a_file_without_a_label_is_refused_by_name(names, rule, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        labels_of(ROOT, names, rule)


@pytest.fixture
def folder(tmp_path):
    """Eight recordings of four classes, each constant at a level that tells the class."""
    for i in range(8):
        file = tmp_path / f"{i % 4 + 8}_{i}.wav"
        soundfile.write(file, np.full(40, (i % 4 + 1) / 8, np.float32), 8000, subtype="FLOAT")
    return tmp_path


def source(folder, split="train", **settings):
    chosen = {"peak": None, "labels": r"^(\d+)_", "test_pattern": "_[01]"} | settings
    return AudioFolder(root=folder, split=split, length=30, **chosen)


def test_both_splits_number_the_classes_alike(folder):
    train, test = (source(folder, split) for split in ("train", "test"))
    assert train.signal.labels == test.signal.labels == ("8", "9", "10", "11")
    assert [test.label(index) for index in range(len(test))] == [0, 1]


def test_a_batch_carries_the_class_of_each_recording(folder):
    batch = Loader(source(folder), batch_size=5, seed=0).batch(3)
    np.testing.assert_array_equal(batch.signal[:, 0, 0] * 8 - 1, batch.label)


def test_without_labels_a_batch_is_an_array(folder):
    unlabelled = source(folder, labels=None)
    assert unlabelled.signal.labels == ()
    assert Loader(unlabelled, batch_size=2, seed=0).batch(0).shape == (2, 30, 1)
