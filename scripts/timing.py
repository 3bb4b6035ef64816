"""Measure several sides of a question fairly: what the benchmarks in this folder share.

Each side is a process of its own in a clean environment, because the thread pools of two libraries
disturb each other inside one. For every case the processes take turns, all but one of them idle,
and before each turn the machine is seen to be quiet. A round begins with new processes; medians are
over rounds, and the spread of the rounds is kept beside them.
"""

import argparse
import datetime
import fnmatch
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import describe, wait_until_quiet
from report import TABLES, markdown, merge

HOME = Path(__file__).resolve().parents[1]
# What a child inherits: enough to find its libraries and devices, nothing that tunes them.
INHERITED = (
    *("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES"),
    *("SYSTEMROOT", "TEMP", "USERPROFILE"),  # Windows
)
ENOUGH = 10.0  # a side so many times slower than ours is measured in one round only

Run = Callable[[], object]


@dataclass(frozen=True)
class Bench:
    """A question: its sides, its cases, and how a side prepares a case.

    Attributes:
        name: of the tables' files.
        script: what a child process runs.
        about: one line over the tables.
        sides: modules that each side needs; the first side is the one compared with the others,
            and one with a colon in its name is measured only when it is asked for.
        cases: name to case; a name begins with its group and a space.
        prepare: ``(side, case, backend)`` to the passes to time, by name; each must wait for its
            result. Raises `NotImplementedError` with the reason if the side has no such thing.
        passes: names of the passes, in the tables' order.
        sizes: ``case`` to numbers worth keeping beside it, such as its GFLOP.
        floor: a side that is a bound rather than a rival, if there is one.
    """

    name: str
    script: Path
    about: str
    sides: Mapping[str, Sequence[str]]
    cases: Mapping[str, Any]
    prepare: Callable[[str, Any, str], Mapping[str, Run]]
    passes: Sequence[str]
    sizes: Callable[[Any], Mapping[str, float]] = lambda case: {}
    floor: str | None = None


# ------------------------------------------------------------------------------ inside a child


def median_time(run: Run, *, seconds: float) -> float:
    """Median milliseconds of ``run``, over about so many seconds and at least five times."""

    def once() -> float:
        start = time.perf_counter()
        run()
        return time.perf_counter() - start

    once()  # compiles
    times = [second] if (second := once()) > seconds else []  # a quick one fills the caches
    while sum(times) < seconds or (len(times) < 5 and sum(times) < 5 * seconds):
        times.append(once())
    return 1e3 * statistics.median(times)


def measure(bench: Bench, side: str, order: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to one order: milliseconds of each pass, or why the case is left out."""
    try:
        passes = bench.prepare(side, bench.cases[order["case"]], order["backend"])
        found = {name: median_time(run, seconds=order["seconds"]) for name, run in passes.items()}
    except Exception as error:  # whatever goes wrong there is a fact about that side
        reason = (str(error).strip().splitlines() or [""])[0][:120]
        if not isinstance(error, NotImplementedError):
            reason = f"{type(error).__name__}: {reason}"
        return {"left out": reason, "expected": isinstance(error, NotImplementedError)}
    return {"ms": found}


def serve(bench: Bench, side: str) -> None:
    """Answer orders from the standard input until it ends, one line of JSON each."""
    sys.path.insert(0, str(HOME))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    for line in sys.stdin:
        answers.write(json.dumps(measure(bench, side, json.loads(line))) + "\n")
        answers.flush()


# ---------------------------------------------------------------------------- from the parent


def environment(backend: str) -> dict[str, str]:
    """The environment of a child: no setting of the caller's reaches the libraries."""
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    platforms = {"JAX_PLATFORMS": "cpu"} if backend == "cpu" else {}
    together = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}  # several sides share a GPU's memory
    return {**kept, **platforms, **together, "KERAS_BACKEND": "jax"}


class Server:
    """One side's process; started when first asked."""

    def __init__(self, bench: Bench, side: str, python: str, backend: str) -> None:
        self._command = [python, str(bench.script), "--serve", side]
        self._environment = environment(backend)
        self._process: subprocess.Popen[str] | None = None
        self._noise = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115

    def ask(self, order: Mapping[str, Any], *, limit: float) -> dict[str, Any]:
        """Send one order and wait for its answer, at most ``limit`` seconds."""
        if self._process is None:
            self._process = subprocess.Popen(
                self._command, env=self._environment, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._noise,
            )  # fmt: skip
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        alarm = threading.Timer(limit, process.kill)
        began = time.monotonic()
        alarm.start()
        try:
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        alarm.cancel()
        if line:
            return json.loads(line)
        self.close()
        if time.monotonic() - began > limit:
            return {"left out": f"took more than {limit:.0f} s", "expected": False}
        self._noise.seek(0)
        last = self._noise.read().strip().splitlines()[-1:]
        return {"left out": f"the process ended: {' '.join(last)[:120]}", "expected": False}

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._process = None


_PROBE = """
import importlib.metadata, importlib.util, json, platform, sys
names = sys.argv[1:]
found = {name: importlib.util.find_spec(name) is not None for name in names}
packages = importlib.metadata.packages_distributions()
versions = {"python": platform.python_version()}
for name in names:
    if found[name] and name in packages:
        versions[name] = importlib.metadata.version(packages[name][0])
device = [None, None]
if "jax" in versions:
    import jax
    device = [jax.default_backend(), jax.devices()[0].device_kind]
print(json.dumps({"found": found, "versions": versions, "device": device}))
"""


def probe(python: str, modules: Sequence[str], backend: str) -> dict[str, Any]:
    """Which of the modules an interpreter has, in which versions, and its JAX device."""
    done = subprocess.run(
        [python, "-c", _PROBE, *modules],
        env=environment(backend), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"`--python` {python} does not run:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def interpreters(
    bench: Bench, sides: Sequence[str], pythons: Sequence[str], backend: str
) -> tuple[dict[str, str], dict[str, dict[str, str]], list[str]]:
    """The interpreter and the versions of each side that there is, and the device of the first."""
    named = dict(entry.split("=", 1) for entry in pythons if "=" in entry)
    general = [sys.executable, *(entry for entry in pythons if "=" not in entry)]
    needed = {"jax", "jaxlib", *(m for side in sides for m in bench.sides[side])}
    modules = sorted(needed - {"convt1d"})  # that lies beside us
    known = {
        python: probe(python, modules, backend)
        for python in dict.fromkeys([*general, *named.values()])
    }
    where, versions = {}, {}
    for side in sides:
        candidates = [named[side]] if side in named else general
        needs = [name for name in bench.sides[side] if name != "convt1d"]
        found = [p for p in candidates if all(known[p]["found"][name] for name in needs)]
        if found:
            where[side] = found[0]
            has = known[found[0]]["versions"]
            names = ["python", *needs, *(["jaxlib"] if "jax" in needs else [])]
            versions[side] = {name: has[name] for name in names if name in has}
        else:
            print(f"left out: {side}, for want of {', '.join(needs)} (see --python)")
    return where, versions, known[sys.executable]["device"]


# ------------------------------------------------------------------------------------ the run


def run_rounds(
    bench: Bench, names: Sequence[str], where: Mapping[str, str], wanted: argparse.Namespace
) -> list[dict[str, Any]]:
    """Every case in every round on every side, in turn."""
    first = next(iter(bench.sides))
    rows = {name: _empty_row(bench, name) for name in names}
    for number in range(wanted.rounds):
        servers = {s: Server(bench, s, python, wanted.backend) for s, python in where.items()}
        try:
            for name in names:
                row = rows[name]
                for side, server in servers.items():
                    if side in row["left out"] or (number and _is_slow(row, side, first)):
                        continue
                    busy = 0.0 if wanted.quick else wait_until_quiet(wanted.wait)
                    row["busy"] = round(max(row["busy"], busy), 2)
                    order = {"case": name, "seconds": wanted.seconds, "backend": wanted.backend}
                    _enter(row, side, server.ask(order, limit=wanted.limit))
                print(f"round {number + 1}: {_line(row, bench)}", flush=True)
        finally:
            for server in servers.values():
                server.close()
    return list(rows.values())


def _empty_row(bench: Bench, name: str) -> dict[str, Any]:
    return {
        "case": name,
        "date": datetime.date.today().isoformat(),
        "busy": 0.0,
        **{key: float(f"{value:.4g}") for key, value in bench.sizes(bench.cases[name]).items()},
        "ms": {each: {} for each in bench.passes},
        "left out": {},
    }


def _enter(row: dict[str, Any], side: str, answer: Mapping[str, Any]) -> None:
    if "left out" in answer:
        row["left out"][side] = answer["left out"]
        if not answer["expected"]:
            print(f"{row['case']}: {side} failed: {answer['left out']}", file=sys.stderr)
        return
    for name, ms in answer["ms"].items():
        row["ms"][name].setdefault(side, []).append(float(f"{ms:.4g}"))


def _is_slow(row: Mapping[str, Any], side: str, first: str) -> bool:
    times = row["ms"].values()
    return any(side in ms and first in ms and ms[side][0] > ENOUGH * max(ms[first]) for ms in times)


def _line(row: Mapping[str, Any], bench: Bench) -> str:
    """One case on the screen: the last pass's latest times."""
    last = row["ms"][bench.passes[-1]]
    return f"{row['case']}: " + ", ".join(f"{side} {ms[-1]:.3g}" for side, ms in last.items())


def group(name: str) -> str:
    """The group that a case belongs to."""
    return name.split(" ")[0]


def chosen(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """The names of the groups named, or that match one of the patterns; all without any."""
    groups = set(map(group, names))
    return [
        name
        for name in names
        if not patterns
        or any(group(name) == p if p in groups else fnmatch.fnmatch(name, p) for p in patterns)
    ]


def parse(bench: Bench, arguments: Sequence[str] | None) -> argparse.Namespace:
    """What the command line wants."""
    parser = argparse.ArgumentParser(
        description=bench.about, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add(
        "--only",
        action="append",
        default=[],
        metavar="PATTERN",
        help="a group, or a pattern such as '*s=8*'",
    )
    add("--sides", nargs="+", choices=bench.sides, help="these alone, kept only in `--output`")
    add("--python", action="append", default=[], metavar="[SIDE=]PATH",
        help="an interpreter that has what this one lacks, for all sides or for one")  # fmt: skip
    add("--rounds", type=int, default=3, help="new processes so many times")
    add("--seconds", type=float, default=0.4, help="for each pass of a side")
    add("--wait", type=float, default=60.0, help="seconds to wait for a quiet machine")
    add("--limit", type=float, default=120.0, help="seconds that a side may take for a case")
    add("--backend", choices=("auto", "cpu"), default="auto", help="auto: a GPU if JAX has one")
    add("--quick", action="store_true", help="a trial: one short round, no wait")
    add("--output", type=Path, help="folder of the tables; those beside this script by default")
    add("--list", action="store_true", help="name the cases and stop")
    add("--serve", help=argparse.SUPPRESS)
    wanted = parser.parse_args(arguments)
    if wanted.quick:
        wanted.rounds, wanted.seconds = 1, 0.02
    return wanted


def main(
    bench: Bench,
    arguments: Sequence[str] | None = None,
    *,
    select: Callable[[str, str], bool] = lambda name, backend: not name.startswith("tiny"),
) -> int:
    """Run a benchmark's command line; ``select(case name, backend)`` are the cases by default."""
    wanted = parse(bench, arguments)
    if wanted.serve:
        serve(bench, wanted.serve)
        return 0
    sides = [s for s in bench.sides if (s in wanted.sides if wanted.sides else ":" not in s)]
    where, versions, device = interpreters(bench, sides, wanted.python, wanted.backend)
    wanted.backend = device[0] or "cpu"
    names = chosen(list(bench.cases), wanted.only)
    if not wanted.only:
        names = [name for name in names if select(name, wanted.backend)]
    if wanted.list or not names:
        print("\n".join(names) if names else f"no case matches {wanted.only}: see --list")
        return 0 if names else 2
    rows = run_rounds(bench, names, where, wanted)
    found = {
        "bench": bench.name,
        "about": bench.about,
        "backend": wanted.backend,
        "machine": describe(device),
        "convt1d": tomllib.loads((HOME / "pyproject.toml").read_text())["project"]["version"],
        "versions": versions,
        "sides": list(where),
        "floor": bench.floor,
        "passes": list(bench.passes),
        "rows": rows,
    }
    print(markdown(found))
    if wanted.output or not (wanted.quick or wanted.sides):
        merge(found, wanted.output or TABLES, order=list(bench.cases))
    return 0
