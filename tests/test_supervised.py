"""A child process in our keeping: its words, its exit code, its end, and ours."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from apps import supervised

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
ROOT = Path(__file__).parents[1]
ABORTED = """F0101 client.h:80] Terminating: the JAX distributed service detected fatal errors.
UNAVAILABLE: The following tasks are unhealthy (stopped sending heartbeats):
3
*** Check failure stack trace: ***
"""
LATE = "JAX distributed service detected fatal errors. DEADLINE_EXCEEDED\n\nRPC: /x/RegisterTask\n"
LEADER = (
    "the JAX distributed service detected fatal errors. Failed to send RPC to coordination service."
)


def child(words: list[str]) -> int:
    """What the tests have a process do; at the top of a module, where a new process finds it."""
    what, *rest = words
    if what == "code":
        print("said aloud")
        os.write(1, b"native noise on the output\n")
        os.write(2, b"native noise on the errors\n")
        return int(rest[0])
    if what == "native":
        os.write(2, rest[0].encode())
        os.kill(os.getpid(), signal.SIGABRT)
    if what == "wait":
        signal.signal(signal.SIGUSR1, lambda number, frame: os._exit(7))
        print("waiting", os.getpid(), flush=True)
        time.sleep(60)
    return 0


def test_words_and_the_exit_code_come_through_and_native_noise_does_not(capfd):
    assert supervised.run(child, ["code", "5"], who="process 1") == 5
    output, errors = capfd.readouterr()
    assert output == "said aloud\n"
    assert errors == ""


@pytest.mark.parametrize(
    ("native", "code", "said"),
    [
        (ABORTED, 1, "process 1 ends: process 3 was lost. Saved checkpoints are kept: start all"),
        (LEADER, 1, "process 1 ends: the first process was lost. Saved checkpoints are kept"),
        (LATE, 1, "process 1 ends: the others did not come within distributed.patience seconds"),
        ("a bug\n", 128 + signal.SIGABRT, "a bug\nprocess 1 was ended by SIGABRT"),
    ],
)
def test_what_ended_the_child_is_told(capfd, native, code, said):
    assert supervised.run(child, ["native", native], who="process 1") == code
    errors = capfd.readouterr().err
    assert errors.startswith(said)
    assert len(errors.splitlines()) == len(said.splitlines())


def start():
    script = "import test_supervised as t; t.supervised.run(t.child, ['wait'], who='process 1')"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    keeper = subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert keeper.stdout is not None
    return keeper, int(keeper.stdout.readline().split()[1])


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_a_signal_is_passed_on():
    keeper, pid = start()
    with keeper:
        keeper.send_signal(signal.SIGUSR1)
        keeper.wait(20)
    assert gone(pid)


def test_the_child_ends_with_its_keeper_however_that_ends():
    keeper, pid = start()
    with keeper:
        keeper.kill()
    assert gone(pid)
