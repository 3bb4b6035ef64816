"""Laws of the made signals: pure in (seed, split, index), in tune, of the stated ranges."""

from functools import partial

import numpy as np
import pytest

from apps.data import Plucks, Sines
from apps.data.synthetic import loop_filter, note_frequency

SOURCES = {
    "plucks": partial(Plucks, length=512, count=20),
    "sines": partial(Sines, count=20),
}


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES.keys())
def test_an_example_depends_on_seed_split_and_index_alone(make):
    one, other = make(split="train", seed=3), make(split="train", seed=3, count=7)
    backwards = [other.example(i, np.random.default_rng(i)) for i in reversed(range(7))]
    for i, example in enumerate(reversed(backwards)):
        np.testing.assert_array_equal(one.example(i, None), example)


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES.keys())
def test_no_two_examples_of_seeds_and_splits_are_alike(make):
    sources = [make(split=split, seed=seed) for split in ("train", "test") for seed in (0, 1)]
    examples = [s.example(i, None).tobytes() for s in sources for i in range(20)]
    assert len(set(examples)) == len(examples)


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES.keys())
@pytest.mark.parametrize("megabytes", [0, 0.005, 10])
def test_the_cache_changes_no_bit(make, megabytes):
    kept, made = make(split="test", cache_megabytes=megabytes), make(split="test")
    for i in (3, 1, 3, 19, 3, 1):
        np.testing.assert_array_equal(kept.example(i, None), made.example(i, None))


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES.keys())
def test_examples_have_the_promised_form_and_cannot_be_written_to(make):
    source = make(split="train")
    example = source.example(0, None)
    assert example.dtype == np.float32
    assert example.shape == (source.signal.length, source.signal.channels)
    with pytest.raises(ValueError, match="read-only"):
        example[0] = 1


def test_a_pluck_sounds_at_the_pitch_that_was_drawn():
    source = Plucks(split="train", length=8000, count=40)
    bins = 2**18
    frequencies = np.fft.rfftfreq(bins, 1 / 8000)
    for i in range(len(source)):
        drawn = source.pluck(i).frequency
        # The window before the fade. Its Hann peak lies within half a bin, 0.2 cents at 110 Hz.
        sound = source.example(i)[:7900, 0].astype(np.float64)
        spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), bins))
        spectrum[np.abs(frequencies / drawn - 1) > 0.04] = 0
        cents = 1200 * np.log2(frequencies[spectrum.argmax()] / drawn)
        assert abs(cents) < 1  # rounding the period to whole samples would miss by up to 45


def test_plucks_keep_to_their_notes_and_their_amplitude():
    source = Plucks(split="train", length=1024, count=100, lowest=60, highest=62, hiss=0)
    drawn = {round(source.pluck(i).frequency, 6) for i in range(100)}
    assert drawn == {round(note_frequency(note), 6) for note in (60, 61, 62)}
    for i in range(100):
        peak = np.abs(source.example(i)).max()
        assert peak <= source.pluck(i).amplitude * (1 + 1e-6)
        assert peak >= 0.4  # audible


def test_the_hiss_is_white_noise_of_the_level_that_was_asked_for():
    clean, noisy = (Plucks(split="train", count=5, hiss=level) for level in (0.0, 0.01))
    noise = np.concatenate([noisy.example(i) - clean.example(i) for i in range(5)])[:, 0]
    # 20,480 samples: the deviation is known to 0.5 %, and a correlation to 0.7 %.
    assert noise.std() == pytest.approx(0.01, rel=0.03)
    assert abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 0.04


@pytest.mark.parametrize("hiss", [-0.1, 1.0])
def test_a_hiss_that_is_no_hiss_is_refused(hiss):
    with pytest.raises(ValueError, match=rf"hiss={hiss} must be at least 0 and below 1"):
        Plucks(split="train", hiss=hiss)


def test_a4_is_440_hz():
    assert note_frequency(69) == 440


@pytest.mark.parametrize("frequency", [110.0, 440.0, 880.0])
@pytest.mark.parametrize("decay", [0.1, 1.0, 5.0])
def test_the_loop_loses_60_db_of_the_fundamental_in_the_decay_time(frequency, decay):
    rho, stretch = loop_filter(frequency, decay, 8000)
    assert 0 < rho <= 1
    assert 0 <= stretch <= 0.5
    response = rho * abs(1 - stretch + stretch * np.exp(-2j * np.pi * frequency / 8000))
    assert 20 * np.log10(response) * frequency * decay == pytest.approx(-60, rel=1e-9)


def test_sines_follow_the_recipe_of_timegan():
    source = Sines(split="train", length=50, channels=3, count=200)
    waves = np.stack([source.example(i) for i in range(200)]).astype(np.float64)
    phase = np.arcsin(2 * waves[:, :14] - 1)  # f·t + φ ≤ 1.4, where arcsin is the inverse of sin
    steps = np.diff(phase, axis=1)
    # Half a float32 step below 1 is 3e-8; arcsin(2w − 1) grows it by 2/cos(1.4) = 12 at most.
    np.testing.assert_allclose(steps, np.broadcast_to(steps[:, :1], steps.shape), atol=2e-6)
    for drawn in (phase[:, 0], steps[:, 0]):
        assert drawn.min() >= -1e-6
        assert drawn.max() <= 0.1 + 1e-6
        assert drawn.mean() == pytest.approx(0.05, abs=4 * 0.1 / np.sqrt(12 * drawn.size))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "tset"}, "split='tset' is not one of 'train', 'test'; did you mean 'test'"),
        ({"count": 0}, "count=0 must be a whole number of at least 1"),
        ({"length": 0}, "length=0 must be"),
        ({"seed": -1}, "seed=-1 must be"),
        ({"cache_megabytes": -1}, "cache_megabytes=-1 must be 0"),
        ({"cache_megabytes": float("nan")}, "cache_megabytes=nan must be 0"),
    ],
)
@pytest.mark.parametrize("make", [Plucks, Sines])
def test_a_wrong_argument_is_named(make, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**({"split": "train"} | arguments))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": 0}, "rate=0 must be"),
        ({"lowest": 50, "highest": 49}, "highest=49 must be a whole number from 50 to 127"),
        ({"lowest": -1}, "lowest=-1 must be a whole number from 0 to 127"),
        ({"highest": 100}, "highest=100 is 2637 Hz, .* a rate of at least 21097"),
    ],
)
def test_a_note_out_of_range_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Plucks(split="train", **arguments)


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES.keys())
@pytest.mark.parametrize("index", [-1, 20])
def test_an_index_beyond_the_count_is_an_error(make, index):
    with pytest.raises(IndexError, match=f"{index}: there are 20"):
        make(split="train").example(index, None)


def test_a_made_example_has_a_name():
    assert Plucks(split="train").name(12) == "plucks 12"
    assert Sines(split="train").name(3) == "sines 3"
