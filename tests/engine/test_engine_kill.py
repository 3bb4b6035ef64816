import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from engine_toys import Run

DRIVER = Path(__file__).with_name("engine_driver.py")
ROOT = DRIVER.parents[2]
STEPS = 45


def logged(folder):
    """Returns the losses by step in a run's record, a line torn by a kill left out."""
    found = {}
    if (folder / "metrics.jsonl").exists():
        for line in (folder / "metrics.jsonl").read_text().splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            assert row["step"] not in found
            found[row.pop("step")] = row
    return found


def start(folder, objective, devices):
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests"))),
        "JAX_COMPILATION_CACHE_DIR": str(folder.parent / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
    }
    command = [sys.executable, str(DRIVER), str(folder), str(STEPS), objective, devices]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def interrupt(process, folder, number, *, inside_a_save, steps, chance):
    """Sends a signal after some steps, or while a checkpoint is being written after them."""
    target = max(logged(folder), default=0) + steps
    while process.poll() is None:
        saving = any(folder.glob("checkpoints/*.orbax-checkpoint-tmp*"))
        if max(logged(folder), default=0) >= target and (saving or not inside_a_save):
            if inside_a_save:
                time.sleep(chance.uniform(0, 0.1))
            process.send_signal(number)
            break
        time.sleep(0.002)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def survive(folder, objective, devices, plan, chance):
    reference = Run(folder / "whole", objective=objective, devices=devices)
    reference.train(STEPS)
    expected = logged(folder / "whole")
    assert list(expected) == list(range(1, STEPS + 1))
    broken = folder / "broken"
    for number, inside_a_save in plan:
        process = start(broken, objective, devices)
        steps = chance.randrange(1, 9)
        code, errors = interrupt(
            process, broken, number, inside_a_save=inside_a_save, steps=steps, chance=chance
        )
        assert code == (0 if number != signal.SIGKILL else -signal.SIGKILL), errors
        for step, metrics in logged(broken).items():
            assert metrics == expected[step], step
        if number != signal.SIGKILL:
            assert (broken / "checkpoints" / str(max(logged(broken)))).is_dir()
    process = start(broken, objective, devices)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert output == f"left at step {STEPS}\n"
    assert errors == ""
    found = logged(broken)
    assert list(found) == list(expected)
    assert found == expected


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL there")
def test_a_run_killed_anywhere_repeats_every_loss_bit_for_bit(tmp_path):
    survive(tmp_path, "vae", "one", [(signal.SIGKILL, True)], random.Random(1))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL there")
@pytest.mark.parametrize(("objective", "devices"), [("vae", "all"), ("gan", "one")])
def test_many_kills_change_no_loss(tmp_path, objective, devices):
    chance = random.Random(2)
    plan = [(signal.SIGKILL, chance.random() < 0.5) for _ in range(4)]
    plan.insert(2, (signal.SIGTERM, False))
    survive(tmp_path, objective, devices, plan, chance)
