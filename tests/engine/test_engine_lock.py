import errno
import subprocess
import sys

import pytest

from apps.engine.lock import InUseError, Lock

HOLD = """
import sys, time
from pathlib import Path
from apps.engine.lock import Lock
lock = Lock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_a_folder_in_use_is_refused_and_one_released_is_not(tmp_path):
    lock = Lock(tmp_path / "lock")
    with pytest.raises(InUseError, match=r"is in use by process \d+: stop that run or choose"):
        Lock(tmp_path / "lock")
    lock.release()
    lock.release()
    Lock(tmp_path / "lock").release()


def test_a_drive_without_locks_costs_a_warning(tmp_path, monkeypatch, caplog):
    def refuse(file):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("apps.engine.lock._acquire", refuse)
    Lock(tmp_path / "lock").release()
    assert "cannot be locked (No locks available): see to it that no second run" in caplog.text


def test_the_lock_of_a_process_that_was_killed_is_taken_over(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InUseError, match=rf"in use by process {holder.pid}:"):
            Lock(tmp_path / "lock")
        holder.kill()
        holder.wait()
    Lock(tmp_path / "lock").release()
