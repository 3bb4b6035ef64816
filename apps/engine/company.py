"""The processes that train one model together: how they meet, agree and part.

They stay in step by the collectives of the training step. What is not an array goes through the
key-value store of JAX's coordination service, as orbax's barriers do.
"""

import contextlib
import json
from collections.abc import Callable
from typing import Any, TypeVar

import jax

_Value = TypeVar("_Value")
_DAY = 86_400_000  # milliseconds; whoever is lost meanwhile ends the waiting
_STOP = "convt1d/stop"


class ElsewhereError(ValueError):
    """What went wrong in the first process, told to the others."""


class Company:
    """The processes of a run, this one among them.

    All of them call the same methods in the same order. For a process that is alone they return
    at once.

    Attributes:
        rank: Which this one is, from 0.
        size: How many there are.
    """

    def __init__(self, *, rank: int = 0, size: int = 1, client: Any = None) -> None:
        self.rank, self.size, self._client = rank, size, client
        self._asked = 0
        self._stop: tuple[int, str] | None = None

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks for all."""
        return self.rank == 0

    def agreed(self, make: Callable[[], _Value]) -> _Value:
        """Returns in every process what `make` returns in the first, the only one to call it.

        Args:
            make: Returns what JSON can hold.

        Raises:
            ElsewhereError: in the others, with the words of what `make` raised in the first.
        """
        if self._client is None:
            return make()
        self._asked += 1
        key = f"convt1d/agreed/{self._asked}"
        if self.first:
            try:
                value = make()
            except Exception as error:
                self._client.key_value_set(key, json.dumps({"error": str(error)}))
                raise
            self._client.key_value_set(key, json.dumps({"value": value}))
            return value
        told = json.loads(self._client.blocking_key_value_get(key, _DAY))
        if "error" in told:
            raise ElsewhereError(told["error"])
        return told["value"]

    def stop_at(self, done: int, request: str | None) -> tuple[int, str] | None:
        """Returns after which step all processes stop, and why; None while nobody asks for it.

        Called before every step. A process can be one step ahead of another, and look one step
        before that; so what is asked for after `done` steps is known to all before `done` + 2.

        Args:
            done: Steps this process has begun.
            request: Why it wants to stop, or None.
        """
        if self._client is None:
            return None if request is None else (done, request)
        if self._stop is None and request is not None:
            with contextlib.suppress(Exception):  # another process was first
                self._client.key_value_set(_STOP, json.dumps([done + 2, request]))
        if self._stop is None and (told := self._look(_STOP)) is not None:
            step, reason = json.loads(told)
            self._stop = int(step), str(reason)
        return self._stop

    def leave(self) -> None:
        """Waits until the others leave too, and parts from them."""
        if self._client is not None:
            jax.distributed.shutdown()
            self._client = None

    def _look(self, key: str) -> str | None:
        assert self._client is not None
        try:
            return self._client.key_value_try_get(key)
        except Exception as error:
            if "NOT_FOUND" in str(error):
                return None
            raise


ALONE = Company()


def join(
    coordinator: str, *, processes: int | None, rank: int | None, heartbeat: int, patience: int
) -> Company:
    """Meets the other processes; nothing may have been computed before.

    Args:
        coordinator: host:port at which the first listens, or `"auto"`.
        processes: How many there are; None with `"auto"`.
        rank: Which this one is; None with `"auto"`.
        heartbeat: Seconds after which a silent process counts as lost.
        patience: Seconds to wait for the others.

    Raises:
        ValueError: if nothing here says who the others are, or the address cannot be used. If they
            do not come, JAX ends the process.
    """
    # Its handler of SIGTERM would take the place of ours, which knows three signals.
    jax.config.update("jax_enable_preemption_service", False)  # noqa: FBT003
    try:
        jax.distributed.initialize(
            None if coordinator == "auto" else coordinator,
            processes,
            rank,
            heartbeat_timeout_seconds=heartbeat,
            initialization_timeout=patience,
        )
    except (ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if coordinator == "auto":
            raise ValueError(
                f"distributed.coordinator=auto finds neither SLURM, Open MPI nor Kubernetes here "
                f"({reason}): give host:port, distributed.processes and distributed.rank, or null "
                f"for one process"
            ) from error
        raise ValueError(
            f"the {processes} processes cannot meet at distributed.coordinator={coordinator}: "
            f"{reason}"
        ) from error
    from jax._src.distributed import global_state  # no public name; orbax takes it from here too

    return Company(rank=jax.process_index(), size=jax.process_count(), client=global_state.client)


def is_loss(error: BaseException) -> bool:
    """Returns whether an error says that another process is gone."""
    words = ("Gloo", "NCCL", "UNAVAILABLE", "Connection", "heartbeat", "oordination")
    return any(word in str(error) for word in words)
