"""The machine of a measurement: whether it is quiet, and what it is."""

import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

BUSY = 0.25  # processor cores that others may use before a measurement waits


def busy_cores(seconds: float = 0.2) -> float:
    """Processor cores in use by anyone over so many seconds; the load average off Linux."""

    def idle_and_all() -> tuple[int, int]:
        numbers = [int(n) for n in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return numbers[3] + numbers[4], sum(numbers)

    if not Path("/proc/stat").exists():
        return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    idle, every = idle_and_all()
    time.sleep(seconds)
    more_idle, more = idle_and_all()
    cores = os.cpu_count() or 1
    return cores * (1 - (more_idle - idle) / max(more - every, 1))


def wait_until_quiet(patience: float) -> float:
    """Wait, at most so many seconds, until others use next to nothing; say how much they use."""
    until = time.monotonic() + patience
    while (busy := busy_cores()) > BUSY and time.monotonic() < until:
        time.sleep(0.5)
    return busy


def describe(device: Sequence[str | None]) -> dict[str, Any]:
    """What the measurement ran on; no name of the machine, no path."""
    facts = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    rows = dict(line.split(":", 1) for line in facts.splitlines() if ":" in line)
    fields = {name.strip(): value.strip() for name, value in rows.items()}
    flags = fields.get("flags", "").split()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": fields.get("model name") or platform.processor() or platform.machine(),
        "instructions": [name for name in ("avx2", "avx512f", "amx_bf16") if name in flags],
        "cores": cores,
        "system": platform.system(),
        "device": device[1],
    }
