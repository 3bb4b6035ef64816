"""Signals go to JSON and back; fixed examples are spread over the records."""

import json

import numpy as np
import pytest

from apps.data import Scaling, Signal, Sines, fixed_batch

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
]


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_signal_survives_json(signal):
    assert Signal.from_dict(json.loads(json.dumps(signal.to_dict()))) == signal


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
