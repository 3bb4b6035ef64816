"""Several real processes on loopback train one model: together, stopped, killed, and resumed."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from processes import TIMEOUT, command, needs_signals, record, saved, share_compiled, wait_until

SECTION = "many processes"
HEARTBEAT = 10  # seconds
SMALL = (
    *("experiment=sines_vae", "data.count=64", "model.channels=[8,8,8]", "model.dilations=[1]"),
    *("train.batch_size=8", "train.log_every=1", "train.sample_every=0", "train.devices=all"),
    *("train.evaluate_every=10", "train.evaluate_records=8"),
)
pytestmark = [needs_signals, pytest.mark.filterwarnings("ignore::ResourceWarning")]


class Together:
    """Starts processes that train together, with two devices each."""

    def __init__(self, compiled: Path, place: Path) -> None:
        self._place = place
        self._environment = {**share_compiled(compiled), "JAX_NUM_CPU_DEVICES": "2"}

    def alone(self, *words: str) -> subprocess.Popen[str]:
        """One process that is none of several."""
        return command(*SMALL, *words, folder=self._place, **self._environment)

    def start(
        self, *words: str, ranks: Sequence[int] = (0, 1), special: dict[int, str] | None = None
    ) -> list[subprocess.Popen[str]]:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        several = (
            *(f"distributed.coordinator=127.0.0.1:{port}", "distributed.processes=2"),
            f"distributed.heartbeat={HEARTBEAT}",
        )
        return [
            self.alone(
                *several,
                f"distributed.rank={rank}",
                *words,
                *filter(None, [(special or {}).get(rank)]),
            )
            for rank in ranks
        ]


@pytest.fixture
def together(compiled, tmp_path):
    return Together(compiled, tmp_path)


def ended(processes):
    """What each process printed and complained of, and its exit code."""
    found = []
    for process in processes:
        output, errors = process.communicate(timeout=TIMEOUT)
        found.append((process.returncode, output, errors))
    return found


def workers(process):
    """The processes that a process has started."""
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    own = [int(pid) for pid in listed.split()]
    return [pid for pid in own if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]


def close(found, wanted):
    assert list(found) == list(wanted)
    for step, numbers in wanted.items():
        for name, number in numbers.items():
            # Sums over devices are added in another order: some ulps, that grow with the steps.
            assert found[step][name] == pytest.approx(number, rel=1e-4, abs=1e-5), (step, name)


def test_two_processes_train_as_one_and_one_goes_on_alone(together, tmp_path, told):
    told(
        SECTION,
        "two processes, with two devices each",
        "the batches, losses, log and checkpoints of one process; goes on with another number",
    )
    run, fsdp = tmp_path / "two", "train.fsdp=2"
    (code, output, errors), other = ended(
        together.start(f"run={run}", fsdp, "train.steps=12", "train.save_every=6")
    )
    assert (code, errors) == (0, "")
    assert other == (0, "", "")
    assert "4 × cpu, in 2 processes, 2 × 2 that share one copy of the state" in output
    assert saved(run) == [6, 12]
    [whole] = ended([together.alone(f"run={tmp_path / 'one'}", "train.steps=12")])
    assert whole[0] == 0, whole
    close(record(run), record(tmp_path / "one"))
    [longer] = ended([together.alone(f"run={run}", "train.steps=16")])
    assert longer[0] == 0, longer
    assert "resuming two at step 12 of 16" in longer[1]
    assert saved(run)[-1] == 16


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rank"), [("SIGTERM", 1), ("SIGINT", 0), ("SIGUSR1", 1)])
def test_a_signal_to_one_process_stops_all_at_one_step(together, tmp_path, told, name, rank):
    told(
        SECTION,
        f"{name} to process {rank} of two",
        "both save the same step and leave with 0; two processes go on from there",
    )
    run = tmp_path / "run"
    processes = together.start(f"run={run}", "train.steps=100000", "train.save_every=100000")
    wait_until(lambda: len(record(run)) >= 5, processes[0])
    processes[rank].send_signal(getattr(signal, name))
    found = ended(processes)
    assert [code for code, *_ in found] == [0, 0], found
    assert [errors for *_, errors in found] == ["", ""]
    [last] = saved(run)
    assert f"{name}: saving step {last} and leaving" in found[0][1]
    assert max(record(run)) == last
    again = ended(together.start(f"run={run}", f"train.steps={last + 2}"))
    assert [code for code, *_ in again] == [0, 0], again
    assert f"resuming run at step {last} of {last + 2}" in again[0][1]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
@pytest.mark.parametrize(("what", "rank"), [("process", 0), ("process", 1), ("worker", 0)])
def test_the_others_end_when_one_is_killed(together, tmp_path, told, rank, what):
    told(
        SECTION,
        f"kill −9 of {what} {rank} of two",
        f"the other says so in one line and ends within {HEARTBEAT} s and a few; both resume",
    )
    run = tmp_path / "run"
    processes = together.start(f"run={run}", "train.steps=100000", "train.save_every=5")
    wait_until(lambda: max(record(run), default=0) >= 12, processes[0])
    assert processes[0].poll() is None, processes[0].communicate()
    [worker] = workers(processes[rank])
    os.kill(worker if what == "worker" else processes[rank].pid, signal.SIGKILL)
    start = time.monotonic()
    found = ended(processes)
    assert time.monotonic() - start < 3 * HEARTBEAT
    code, _, errors = found[1 - rank]
    said = errors if rank == 0 else found[0][1] + errors
    assert code == 1, found
    assert len(errors.splitlines()) <= 1
    assert re.search(r"process \d.* ends: .* lost. Saved checkpoints are kept: start all", said)
    if what == "worker":
        assert "was ended by SIGKILL" in found[rank][2]
    kept = saved(run)
    again = ended(together.start(f"run={run}", f"train.steps={kept[-1] + 2}"))
    assert [each[0] for each in again] == [0, 0], again
    assert sorted(record(run)) == list(range(1, kept[-1] + 3))


@pytest.mark.slow
def test_processes_started_with_other_words_are_refused(together, tmp_path, told):
    told(SECTION, "processes started with other settings", "refused, with the settings that differ")
    found = ended(
        together.start(
            f"run={tmp_path / 'run'}", "train.steps=4", special={1: "optimiser.learning_rate=0.5"}
        )
    )
    assert [code for code, *_ in found] == [1, 2], found
    assert "process 1 was started with other settings than the first:" in found[1][2]
    assert "optimiser.learning_rate" in found[1][2]


@pytest.mark.slow
def test_a_process_whose_others_do_not_come_says_so(together, tmp_path, told):
    told(SECTION, "the other processes do not come", "ends after distributed.patience, in one line")
    [found] = ended(together.start(f"run={tmp_path / 'run'}", "distributed.patience=5", ranks=[0]))
    assert found[0] != 0
    assert found[2].startswith(
        "process 0 ends: the others did not come within distributed.patience"
    )
    assert len(found[2].splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_what_the_first_process_refuses_is_refused_by_all(together, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "other").write_text("of another program")
    found = ended(together.start(f"run={run}", "train.steps=4"))
    assert [code for code, *_ in found] == [2, 2], found
    for _, _, errors in found:
        assert "holds other and no run" in errors
