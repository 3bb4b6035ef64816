"""Laws of the batches: pure in (seed, step), every record once an epoch, no thread left behind."""

import gc
import threading
import time

import numpy as np
import pytest

from apps.data import Loader, RecordError, Signal


class Numbered:
    """Record i is (i, a random number): which one was read, and with which generator."""

    crops = True

    def __init__(self, count, broken=None):
        self.signal = Signal(kind="series", length=1, channels=2)
        self.count, self.broken = count, broken

    def __len__(self):
        return self.count

    def name(self, index):
        return f"record {index}"

    def example(self, index, rng):
        if index == self.broken:
            raise ValueError("it is damaged")
        return np.array([[index, -1 if rng is None else rng.random()]], np.float32)


def test_a_batch_is_a_pure_function_of_seed_and_step():
    one, other = (Loader(Numbered(10), batch_size=4, seed=5) for _ in range(2))
    forwards = [one.batch(step) for step in range(12)]
    for step in (11, 3, 0, 7, 3):
        np.testing.assert_array_equal(other.batch(step), forwards[step])


def test_a_loader_resumed_at_a_step_goes_on_as_if_never_stopped():
    loader = Loader(Numbered(10), batch_size=4, seed=5)
    for start in (0, 1, 9):
        resumed = Loader(Numbered(10), batch_size=4, seed=5).batches(start)
        for step in range(start, start + 5):
            np.testing.assert_array_equal(next(resumed), loader.batch(step))
        resumed.close()


@pytest.mark.parametrize("batch_size", [1, 3, 10, 25])
def test_every_epoch_holds_every_record_once(batch_size):
    loader = Loader(Numbered(10), batch_size=batch_size, seed=0)
    read = np.concatenate([loader.batch(step)[:, 0, 0] for step in range(30)])
    epochs = read[: len(read) // 10 * 10].reshape(-1, 10)
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    if len(epochs) > 2:
        assert len({tuple(epoch) for epoch in epochs}) > 1  # each in an order of its own


def test_another_seed_gives_another_order_and_other_crops():
    one, other = (Loader(Numbered(100), batch_size=50, seed=seed).batch(0) for seed in (0, 1))
    assert (one[:, 0, 0] != other[:, 0, 0]).any()
    assert not set(one[:, 0, 1]) & set(other[:, 0, 1])


def test_a_record_is_cropped_anew_in_every_epoch():
    loader = Loader(Numbered(3), batch_size=3, seed=0)
    crops = np.concatenate([loader.batch(step)[:, 0, 1] for step in range(20)])
    assert len(set(crops)) == 60


def test_a_place_in_the_order_is_read_alike_in_batches_of_any_size():
    small, large = (Loader(Numbered(10), batch_size=size, seed=0) for size in (2, 6))
    joined = np.concatenate([small.batch(step) for step in range(9)])
    np.testing.assert_array_equal(joined, np.concatenate([large.batch(step) for step in range(3)]))


def test_the_order_is_the_one_that_earlier_runs_were_trained_on():
    # Not from an independent source: it guards saved runs against a change of Grain's shuffle.
    loader = Loader(Numbered(7), batch_size=7, seed=1)
    assert [loader.batch(step)[:, 0, 0].astype(int).tolist() for step in (0, 1)] == [
        [5, 2, 6, 0, 4, 1, 3],
        [0, 4, 1, 2, 6, 5, 3],
    ]


@pytest.mark.parametrize("workers", [1, 3])
def test_threads_read_the_same_batches(workers):
    plain = Loader(Numbered(10), batch_size=4, seed=5)
    threaded = Loader(Numbered(10), batch_size=4, seed=5, workers=workers)
    for step in range(4):
        np.testing.assert_array_equal(threaded.batch(step), plain.batch(step))


class Parities(Numbered):
    def __init__(self, count):
        super().__init__(count)
        self.signal = Signal(kind="series", length=1, channels=2, labels=("even", "odd"))

    def label(self, index):
        return index % 2


@pytest.mark.parametrize("workers", [0, 2])
def test_labels_come_with_the_signals_and_change_nothing_of_them(workers):
    plain = Loader(Numbered(10), batch_size=4, seed=5)
    labelled = Loader(Parities(10), batch_size=4, seed=5, workers=workers)
    for step in range(4):
        signal, label, covariates = labelled.batch(step)
        assert covariates is None
        np.testing.assert_array_equal(signal, plain.batch(step))
        np.testing.assert_array_equal(label, signal[:, 0, 0] % 2)


def test_names_are_those_of_the_batch():
    loader = Loader(Numbered(10), batch_size=4, seed=5)
    for step in (0, 8):
        read = loader.batch(step)[:, 0, 0].astype(int)
        assert loader.names(step) == tuple(f"record {i}" for i in read)


def test_closed_or_forgotten_batches_leave_no_thread_behind():
    before = threading.active_count()
    loader = Loader(Numbered(10), batch_size=4, seed=5)
    loader.batches(0)  # never asked: no thread
    for taken in (1, 4):
        batches = loader.batches(0)
        for _ in range(taken):
            next(batches)
        assert threading.active_count() == before + 1
        batches.close()
        assert threading.active_count() == before
    forgotten = loader.batches(0)
    next(forgotten)
    del forgotten
    gc.collect()
    assert threading.active_count() == before


def test_no_numbers_are_drawn_for_a_source_that_crops_nothing():
    class Fixed(Numbered):
        crops = False

    drawn = Loader(Fixed(10), batch_size=4, seed=5).batch(3)
    random = Loader(Numbered(10), batch_size=4, seed=5).batch(3)
    assert (drawn[..., 1] == -1).all()
    np.testing.assert_array_equal(drawn[..., 0], random[..., 0])


def test_batches_are_made_ahead_but_not_without_bound():
    class Counting(Numbered):
        read = 0

        def example(self, index, rng):
            self.read += 1
            return super().example(index, rng)

    source = Counting(10)
    batches = Loader(source, batch_size=5, seed=0).batches(0)
    next(batches)
    time.sleep(0.2)
    assert 10 <= source.read <= 4 * 5  # one taken, two waiting, one in hand
    batches.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_what_goes_wrong_in_the_thread_is_raised_with_the_records_name(workers):
    before = threading.active_count()
    loader = Loader(Numbered(6, broken=4), batch_size=2, seed=0, workers=workers)
    bad = next(step for step in range(3) if "record 4" in loader.names(step))
    batches = loader.batches(0)
    for _ in range(bad):
        next(batches)
    with pytest.raises(RecordError, match=f"batch {bad}: 'record 4' could not be read: it is dam"):
        next(batches)
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size=0 must be a whole number of at least 1"),
        ({"batch_size": 2.0}, r"batch_size=2\.0 must be a whole number"),
        ({"seed": -1}, "seed=-1 must be a whole number from 0 to 4294967295"),
        ({"seed": 2**32}, "seed=4294967296 must be"),
        ({"workers": -1}, "workers=-1 must be a whole number of at least 0"),
    ],
)
def test_a_wrong_loader_argument_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Loader(Numbered(3), **({"batch_size": 2, "seed": 0} | arguments))


def test_an_empty_source_and_a_negative_step_are_refused():
    with pytest.raises(ValueError, match="the source has no records"):
        Loader(Numbered(0), batch_size=2, seed=0)
    loader = Loader(Numbered(3), batch_size=2, seed=0)
    with pytest.raises(ValueError, match="step=-1 must be"):
        loader.batch(-1)
    with pytest.raises(ValueError, match="start=-1 must be"):
        loader.batches(-1)
