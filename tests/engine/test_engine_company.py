"""What processes agree on, with a stand-in for the store they share."""

import random

import pytest

from apps.engine.company import ALONE, Company, ElsewhereError, is_loss, join


class Store:
    """The key-value store of JAX's coordination service, as far as it is used."""

    def __init__(self):
        self.values = {}

    def key_value_set(self, key, value):
        if key in self.values:
            raise RuntimeError(f"ALREADY_EXISTS: {key}")
        self.values[key] = value

    def key_value_try_get(self, key):
        if key not in self.values:
            raise RuntimeError(f"NOT_FOUND: {key}")
        return self.values[key]

    def blocking_key_value_get(self, key, timeout):
        assert timeout > 0
        return self.values[key]


def company(size=3):
    store = Store()
    return [Company(rank=rank, size=size, client=store) for rank in range(size)]


def never():
    raise AssertionError("only the first process is asked")


def test_the_first_process_is_asked_and_all_have_its_answer():
    first, *others = company()
    assert first.first
    assert not any(other.first for other in others)
    for value in ({"a": 0.1 + 0.2, "b": float("inf")}, "word", None, [1, 2]):
        assert first.agreed(lambda value=value: value) == value
        assert [other.agreed(never) for other in others] == [value, value]


def test_what_goes_wrong_in_the_first_process_is_said_in_all():
    def wrong():
        raise FileNotFoundError("there is no such folder")

    first, second = company(2)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        first.agreed(wrong)
    with pytest.raises(ElsewhereError, match="no such folder"):
        second.agreed(never)


def test_one_that_is_alone_asks_nobody():
    assert ALONE.first
    assert ALONE.agreed(lambda: 3) == 3
    assert ALONE.stop_at(7, None) is None
    assert ALONE.stop_at(7, "SIGTERM") == (7, "SIGTERM")
    ALONE.leave()


@pytest.mark.parametrize("seed", range(60))
def test_all_stop_at_one_step_whoever_is_asked_and_when(seed):
    """Any order of events that the collectives allow: none is more than a step ahead of another."""
    chance = random.Random(seed)
    size = chance.choice([2, 2, 3, 5])
    processes = company(size)
    asked = {
        rank: chance.randrange(5, 40)
        for rank in chance.sample(range(size), chance.randint(1, size))
    }
    done, stopped, reasons = [0] * size, set(), set()
    for _ in range(10_000):
        able = [rank for rank in range(size) if rank not in stopped and min(done) >= done[rank] - 1]
        if not able:
            break
        rank = chance.choice(able)
        request = f"SIGTERM to {rank}" if done[rank] >= asked.get(rank, 10_000) else None
        halt = processes[rank].stop_at(done[rank], request)
        if halt is not None and done[rank] >= halt[0]:
            stopped.add(rank)
            reasons.add(halt[1])
        else:
            done[rank] += 1
    assert len(stopped) == size
    assert len(set(done)) == 1
    assert len(reasons) == 1
    assert min(asked.values()) <= done[0] <= min(asked.values()) + 3


def test_an_error_of_the_store_is_not_taken_for_an_answer():
    class Broken(Store):
        def key_value_try_get(self, key):
            raise RuntimeError("UNAVAILABLE: Socket closed")

    with pytest.raises(RuntimeError, match="UNAVAILABLE"):
        Company(rank=1, size=2, client=Broken()).stop_at(3, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("UNKNOWN: Gloo all-reduce failed: Connection closed by peer", True),
        ("UNAVAILABLE: The following tasks are unhealthy", True),
        ("record 7 could not be read", False),
    ],
)
def test_a_lost_process_is_told_from_other_faults(text, expected):
    assert is_loss(RuntimeError(text)) is expected


def test_a_machine_that_is_no_cluster_is_told_so(monkeypatch):
    for name in ("SLURM_JOB_ID", "OMPI_MCA_orte_hnp_uri", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match=r"coordinator=auto finds neither SLURM, .*: give host"):
        join("auto", processes=None, rank=None, heartbeat=10, patience=5)
