"""A process in the keeping of another, which tells in one line what ended it.

Where several processes train together and one is lost, JAX ends the others from within, with a
hundred lines and no chance for Python to say a word. So the work is done by a child process, and
what native code prints goes to a file: it is shown only if it explains something.
"""

import multiprocessing
import multiprocessing.connection
import os
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

_FORWARDED = ("SIGTERM", "SIGINT", "SIGUSR1")
_NOT_MET = (
    "the others did not come within distributed.patience seconds. Start all of them, with one "
    "distributed.coordinator and a distributed.rank each, and see that they can reach it"
)
_SHOWN = 20  # last lines of native output, where no better words are known

Main = Callable[[list[str]], int]


def run(main: Main, words: Sequence[str], *, who: str) -> int:
    """Calls `main(words)` in a child process.

    Signals to this process are passed on; the child ends when this process does.

    Args:
        main: A function of a module; returns the exit code.
        words: Its argument.
        who: What to call the child in messages.

    Returns:
        The exit code: the child's, or 1 if another process was lost, or 128 + n for signal n.
    """
    with tempfile.TemporaryDirectory(prefix="convt1d-") as folder:
        native = Path(folder, "native")
        # Not a fork: that copies locks that JAX's threads hold.
        context = multiprocessing.get_context("spawn")
        child = context.Process(target=_work, args=(main, list(words), str(native)))
        child.start()
        with _forwarding(child):
            child.join()
        output = native.read_text("utf-8", "replace") if native.exists() else ""
    code = child.exitcode or 0
    if code >= 0:
        return code
    if "distributed service detected fatal errors" in output and "RegisterTask" in output:
        print(f"{who} ends: {_NOT_MET}", file=sys.stderr)
        return 1
    if "distributed service detected fatal errors" in output:
        lost = re.search(r"stopped sending heartbeats\):\s*\n([0-9, ]+)", output)
        other = f"process {lost[1].strip()} was lost" if lost else "the first process was lost"
        print(f"{who} ends: {other}. {ADVICE}", file=sys.stderr)
        return 1
    last = "\n".join(output.splitlines()[-_SHOWN:])
    name = signal.Signals(-code).name
    print(f"{last}\n{who} was ended by {name}".strip(), file=sys.stderr)
    return 128 - code


ADVICE = "Saved checkpoints are kept: start all processes again to go on from the last"


def _work(main: Main, words: list[str], native: str) -> None:
    if hasattr(os, "setpgrp"):
        os.setpgrp()  # Ctrl-C comes once, passed on, and not from the terminal besides
    # Python keeps the terminal; what C++ writes to the same descriptors goes to the file.
    sys.stdout = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8", errors="replace")
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="replace")
    file = os.open(native, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    keeper = multiprocessing.parent_process()
    if keeper is not None:
        threading.Thread(target=_end_with, args=(keeper.sentinel,), daemon=True).start()
    code = main(words)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a regular end would wait for processes that this one has parted from


def _end_with(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)


@contextmanager
def _forwarding(child: Any) -> Iterator[None]:
    former: dict[int, Any] = {}

    def forward(number: int, frame: FrameType | None) -> None:
        del frame
        if child.is_alive():
            os.kill(child.pid, number)

    for name in _FORWARDED:
        number = getattr(signal, name, None)
        if number is not None:  # Windows has no SIGUSR1
            former[number] = signal.signal(number, forward)
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
