"""What may be set of several processes, and what is refused."""

import pytest

from apps import config
from apps.config import Config, Distributed
from apps.schema import ConfigError


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"coordinator": "host"}, "coordinator must be host:port, auto or null, got 'host'"),
        ({"coordinator": "host:port"}, "must be host:port"),
        ({"coordinator": "a b:1"}, "must be host:port"),
        ({"coordinator": "host:1"}, "coordinator=host:1 needs distributed.processes too"),
        ({"coordinator": "host:1", "processes": 2}, "needs distributed.rank too"),
        ({"coordinator": "host:1", "processes": 2, "rank": 2}, "rank must be below .* 2, got 2"),
        ({"processes": 2}, "processes=2 goes with distributed.coordinator=host:port, got null"),
        ({"rank": 0}, "rank=0 goes with distributed.coordinator=host:port, got null"),
        ({"coordinator": "auto", "rank": 1}, "rank=1 goes with .*, got auto"),
        ({"coordinator": "auto", "heartbeat": 0}, "heartbeat must be at least 1, got 0"),
        ({"coordinator": "auto", "patience": 0}, "patience must be at least 1, got 0"),
        ({"coordinator": "host:1", "processes": 0, "rank": 0}, "processes must be at least 1"),
        ({"coordinator": "host:1", "processes": 2, "rank": -1}, "rank must be at least 0"),
    ],
)
def test_what_does_not_say_who_the_processes_are_is_refused(values, message):
    with pytest.raises(ConfigError, match=rf"^distributed\..*{message}"):
        Distributed(**values)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"coordinator": "auto"},
        {"coordinator": "node-1.cluster:1234", "processes": 2, "rank": 1},
        {"coordinator": "[::1]:1234", "processes": 1, "rank": 0},
    ],
)
def test_what_does_is_taken(values):
    assert Distributed(**values).coordinator == values.get("coordinator")


def test_a_run_does_not_remember_its_processes():
    several = Config(distributed=Distributed(coordinator="auto", heartbeat=7))
    assert config.differences(several, Config()) == []
    assert config.digest(several) == config.digest(Config())
    assert "distributed" not in config.stored(several)
    assert "train.fsdp" in config.MAY_CHANGE
