"""How far the run is: a live bar on a terminal, plain lines elsewhere."""

import logging
import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn


class ProgressBar:
    """Loss, steps per second, time left and number of devices.

    Messages of the application's other parts, sent through `logging` under "apps", are printed
    above the bar.

    Args:
        console: Where to print.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = Console() if console is None else console
        self._live: Progress | None = None
        self._task: TaskID | None = None
        self._handler: logging.Handler | None = _Above(self.console)
        self._logger = logging.getLogger("apps")
        self._logger.addHandler(self._handler)
        self._logger.propagate = False
        self._done = self._first = self._steps = self._devices = 0
        self._since: float | None = None

    def begin(self, done: int, steps: int, devices: int) -> None:
        """Starts at `done` of `steps`, on so many devices."""
        self._done = self._first = done
        self._steps, self._devices, self._since = steps, devices, None
        if self.console.is_terminal:
            self._live = Progress(
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.description}"),
                console=self.console,
                refresh_per_second=2,
            )
            self._task = self._live.add_task("compiling", total=steps, completed=done)
            self._live.start()

    def step(self, done: int, metrics: Mapping[str, float]) -> None:
        """Moves on to `done` steps."""
        self._done = done
        if self._since is None:
            # The clock starts after the first step, whose time is mostly compilation.
            self._since, self._first = time.perf_counter(), done
        if self._live is not None and self._task is not None:
            self._live.update(self._task, completed=done, description=self._describe(metrics))

    def line(self, metrics: Mapping[str, float]) -> None:
        """Prints where the run is, unless a bar shows it."""
        if self._live is None:
            text = f"step {self._done} of {self._steps} · {self._describe(metrics)}"
            self.message(text)

    def message(self, text: str) -> None:
        """Prints a line, above the bar if there is one."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    @property
    def steps_per_second(self) -> float | None:
        """The pace since the first step of this process, or None while nothing is known."""
        if self._since is None or self._done == self._first:
            return None
        return (self._done - self._first) / max(time.perf_counter() - self._since, 1e-9)

    def close(self) -> None:
        """Takes the bar down."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self._handler is not None:
            self._logger.removeHandler(self._handler)
            self._logger.propagate = True
            self._handler = None

    def _describe(self, metrics: Mapping[str, float]) -> str:
        parts = [f"{n} {v:.4g}" for n, v in metrics.items() if n.split("/")[-1] == "loss"]
        pace = self.steps_per_second
        if pace is not None:
            left = round((self._steps - self._done) / pace)
            parts += [f"{pace:.3g} steps/s", f"{_clock(left)} left"]
        parts.append(f"{self._devices} device{'s' if self._devices != 1 else ''}")
        return " · ".join(parts)


class _Above(logging.Handler):
    """Prints records through the console that holds the bar."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(record.getMessage(), markup=False, highlight=False, soft_wrap=True)


def _clock(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
