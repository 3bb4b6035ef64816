"""Large blocks that were freed are still there: their pages need not be faulted in again."""

import resource
import subprocess
import sys

import pytest

from apps.engine.memory import give_back, keep_memory

PROGRAM = """
import resource
from apps.engine.memory import keep_memory
if {keep}:
    assert keep_memory()
for _ in range(20):
    bytearray(64 * 2**20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


def faults(*, keep: bool) -> int:
    program = PROGRAM.format(keep=keep)
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return int(answer.stdout)


PEAK = """
from apps.engine.memory import give_back, keep_memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1])

keep_memory()
blocks = [bytes(50_000) for _ in range(2_000)]
held = blocks[::400]  # between what is freed, so that the end of the heap stays where it is
del blocks
before = resident()
assert give_back()
print(before - resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc gives memory back when asked")
def test_what_a_peak_has_left_is_given_back_when_asked():
    answer = subprocess.run(
        [sys.executable, "-c", PEAK], capture_output=True, text=True, check=True
    )
    assert int(answer.stdout) * resource.getpagesize() > 80e6


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc gives memory back so eagerly")
def test_large_blocks_are_kept_between_uses():
    pages = 64 * 2**20 // resource.getpagesize()
    assert faults(keep=False) - faults(keep=True) > 9 * pages


def test_what_the_user_has_chosen_is_left_alone(monkeypatch):
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "100000")
    assert not keep_memory()
    assert not give_back()


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_memory()
