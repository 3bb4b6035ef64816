"""What can be set of several processes that train one model together."""

import re
from dataclasses import dataclass

from apps.schema import ConfigError, at_least


@dataclass(frozen=True, kw_only=True)
class Distributed:
    """Several processes that train one model; each is started with the same words and its rank.

    Attributes:
        coordinator: host:port at which the first process listens; auto leaves this and the next
            two to what SLURM, Open MPI or Kubernetes tells; null is one process alone
        processes: how many there are
        rank: which of them this one is, from 0
        heartbeat: seconds after which a process that is not heard of counts as lost
        patience: seconds for which a process waits for the others at the start
    """

    coordinator: str | None = None
    processes: int | None = None
    rank: int | None = None
    heartbeat: int = 30
    patience: int = 300

    def __post_init__(self) -> None:
        at_least(1, self, "distributed", "processes", "heartbeat", "patience")
        at_least(0, self, "distributed", "rank")
        named = {"processes": self.processes, "rank": self.rank}
        given = [name for name, value in named.items() if value is not None]
        if self.coordinator in (None, "auto"):
            if given:
                raise ConfigError(
                    f"distributed.{given[0]}={named[given[0]]} goes with distributed.coordinator="
                    f"host:port, got {self.coordinator or 'null'}"
                )
            return
        if not re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[^:\s]+):[0-9]+", self.coordinator):
            raise ConfigError(
                f"distributed.coordinator must be host:port, auto or null, got {self.coordinator!r}"
            )
        if missing := [name for name, value in named.items() if value is None]:
            raise ConfigError(
                f"distributed.coordinator={self.coordinator} needs distributed.{missing[0]} too"
            )
        if self.rank is not None and self.processes is not None and self.rank >= self.processes:
            raise ConfigError(
                f"distributed.rank must be below distributed.processes {self.processes}, got "
                f"{self.rank}"
            )
