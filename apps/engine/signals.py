"""Asking a run to stop: SIGTERM, SIGINT (Ctrl-C), SIGUSR1 and SIGHUP set a flag for the loop."""

import signal
from types import FrameType, TracebackType

# SIGUSR1 is what batch systems send some minutes ahead of the end, SIGHUP comes of a connection
# that breaks. Windows has neither.
_NAMES = ("SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP")


class StopSignal:
    """A flag that a signal sets, as a context manager.

    The first signal asks: the loop saves and leaves, and the process ends with 0. A second
    Ctrl-C insists: `KeyboardInterrupt` at once. On exit the former handlers are back.

    Attributes:
        received: The name of the signal that came, or None.
    """

    def __init__(self) -> None:
        self.received: str | None = None
        self._former: dict[signal.Signals, object] = {}

    @property
    def requested(self) -> bool:
        """Whether the run is asked to stop."""
        return self.received is not None

    def __enter__(self) -> "StopSignal":
        for name in _NAMES:
            number: signal.Signals | None = getattr(signal, name, None)
            if number is not None and not (name == "SIGHUP" and _is_ignored(number)):
                self._former[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._former.items():
            # A handler that was not set from Python reads as None and cannot be put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # pyright: ignore[reportArgumentType]
        self._former.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = signal.Signals(number).name


def _is_ignored(number: signal.Signals) -> bool:
    """Whether who started the process wants it to go on whatever comes: `nohup`."""
    return signal.getsignal(number) is signal.SIG_IGN
