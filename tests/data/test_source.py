"""Signals go to JSON and back; fixed examples are spread over the records."""

import json

import numpy as np
import pytest

from apps.data import Conditioned, Scaling, Signal, Sines, fixed_batch, pieces

SIGNALS = [
    Signal(kind="audio", length=8, channels=2, rate=8000),
    Signal(kind="series", length=24, channels=1),
    Signal(
        kind="series",
        length=24,
        channels=2,
        scaling=Scaling("standard", (0.5, -1.0), (2.0, 3.0)),
        columns=("open", "close"),
    ),
    Signal(kind="audio", length=8, channels=1, rate=8000, labels=("no", "yes")),
]


class Sorted(Sines):
    """Sine waves of two classes, the odd and the even ones."""

    def __init__(self, count):
        super().__init__(split="train", count=count)
        self.signal = Signal(kind="series", length=24, channels=5, labels=("even", "odd"))

    def label(self, index):
        return index % 2


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_signal_survives_json(signal):
    assert Signal.from_dict(json.loads(json.dumps(signal.to_dict()))) == signal


def test_a_signal_from_before_there_were_labels_has_none():
    values = SIGNALS[0].to_dict()
    del values["labels"]
    assert Signal.from_dict(values) == SIGNALS[0]


def test_a_signal_unscales_only_what_was_scaled():
    values = np.ones((3, 2))
    assert SIGNALS[0].unscale(values) is values
    np.testing.assert_array_equal(SIGNALS[2].unscale(values), [[2.5, 2.0]] * 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "sound"}, "kind='sound' is not one of 'audio', 'series'"),
        ({"kind": "audio"}, "rate=None must be a whole number"),
        ({"rate": 8000}, "rate=8000 has no meaning for a series"),
        ({"length": 0}, "length=0 must be"),
        ({"channels": True}, "channels=True must be"),
        ({"labels": ("a", "b", "a")}, "names 'a' twice: name each once"),
    ],
)
def test_an_impossible_signal_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Signal(**({"kind": "series", "length": 4, "channels": 1} | arguments))


def test_fixed_examples_are_spread_evenly_and_never_random():
    source = Sines(split="test", count=10)
    expected = np.stack([source.example(i, None) for i in (0, 2, 5, 7)])
    np.testing.assert_array_equal(fixed_batch(source, 4), expected)
    np.testing.assert_array_equal(
        fixed_batch(source, 99), np.stack([source.example(i, None) for i in range(10)])
    )
    with pytest.raises(ValueError, match="count=0 must be"):
        fixed_batch(source, 0)


def test_fixed_examples_come_with_their_labels():
    source = Sorted(10)
    batch = fixed_batch(source, 4)
    np.testing.assert_array_equal(batch.signal, [source.example(i) for i in (0, 2, 5, 7)])
    np.testing.assert_array_equal(batch.label, np.array([0, 0, 1, 1], np.int32))
    assert batch.label.dtype == np.int32


@pytest.mark.parametrize("source", [Sines(split="test", count=7), Sorted(7)])
def test_pieces_put_together_are_the_batch(source):
    whole = fixed_batch(source, 7)
    cut = list(pieces(whole, 3))
    if source.signal.labels:
        assert all(isinstance(piece, Conditioned) for piece in cut)
        np.testing.assert_array_equal(np.concatenate([piece.label for piece in cut]), whole.label)
        cut, whole = [piece.signal for piece in cut], whole.signal
    assert [len(piece) for piece in cut] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate(cut), whole)


def test_pieces_of_no_size_are_refused():
    with pytest.raises(ValueError, match="size=0 must be"):
        list(pieces(np.zeros((2, 3, 1)), 0))


SERIES = {"kind": "series", "length": 4, "channels": 2, "rate": None, "scaling": None}
TWO = {"kind": "none", "offset": [0, 0, 0], "factor": [1, 1, 1]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": ["a"]}, r"columns=\('a',\) must name all 2 channels"),
        ({"columns": [1, 2]}, r"columns=\[1, 2\] must be a list of words"),
        ({"columns": [], "labels": "ab"}, "labels='ab' must be a list of words"),
        ({"columns": [], "scaling": TWO}, "scaling has 3 offsets for 2 channels"),
    ],
)
def test_a_stored_signal_that_does_not_fit_together_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Signal.from_dict({**SERIES, **change})
