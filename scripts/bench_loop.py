"""What the loop costs beside its steps: `python scripts/bench_loop.py experiment=plucks_vae`.

Sides: the compiled step alone, fed from the device's memory; `loop.train` with the real loader,
signals and progress bar, but nothing due; the same with logging; with saving as well; with all,
that is pictures, sounds and measurements on the test split too. Each is due as often as the
settings say. Every side is a process of its own, and they take turns of forty steps, all but one
idle. What is due stands in the middle of a turn, so that what it leaves to the background falls
into the same turn.

Printed are milliseconds per step, and for each round the ratio to the step alone: the time on the
clock, and the processors' time, which other programs on the machine disturb less.
"""

import argparse
import dataclasses
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from machine import busy_cores
from timing import HOME, Bench, Server

ABOUT = {
    "step": "the compiled step alone",
    "loop": "the loop, with nothing due",
    "log": "and logging",
    "save": "and saving",
    "all": "and pictures, sounds, measurements",
}
LEFT_OUT = {
    "loop": ("log", "save", "sample", "evaluate"),
    "log": ("save", "sample", "evaluate"),
    "save": ("sample", "evaluate"),
    "all": (),
}
TURN = 40
BENCH = Bench(
    name="loop", script=Path(__file__).resolve(), about="", sides=dict.fromkeys(ABOUT, ()),
    cases={}, prepare=lambda side, case, backend: {}, passes=(),
)  # fmt: skip


class Turns:
    """Inside a child: answers at the end of each turn, and waits for the order of the next."""

    def __init__(self, answers: TextIO) -> None:
        self._answers = answers
        self._began = (0.0, 0.0)

    def step(self, done: int) -> None:
        """Ends the turn if this many steps are its last."""
        if done % TURN != TURN // 2:
            return
        import jax

        jax.block_until_ready([each for each in jax.live_arrays() if not each.is_deleted()])
        seconds = time.perf_counter() - self._began[0]
        found = {"seconds": seconds, "processor": time.process_time() - self._began[1]}
        self._answers.write(json.dumps(found) + "\n")
        self._answers.flush()
        if not sys.stdin.readline():
            os._exit(0)  # no more turns
        self._began = (time.perf_counter(), time.process_time())


def serve(side: str) -> None:
    """One side: for ever, as the parent orders."""
    sys.path.insert(0, str(HOME))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    order = json.loads(sys.stdin.readline())
    from contextlib import ExitStack

    from rich.console import Console

    from apps import build, command_line, train
    from apps.config import Config
    from apps.engine import compilation, loop, memory
    from apps.engine.signals import StopSignal

    wanted = command_line.read(Config, command_line.sort(order["words"]))
    compilation.keep_compilations()
    memory.keep_memory()
    turns = Turns(answers)
    with ExitStack() as stack, Path(os.devnull).open("w") as nowhere:
        screen = Console(file=nowhere, force_terminal=True, width=100)
        run = train.prepare(wanted, Path(order["folder"]), screen, stack)
        if side == "step":
            alone(run, turns)
        cadence = dataclasses.replace(build.cadence(wanted), **dict.fromkeys(LEFT_OUT[side], 0))
        loop.train(
            run.state,
            step=run.step,
            batches=counted(run.loader.batches, turns),
            mesh=run.mesh,
            steps=10**9,
            cadence=cadence,
            checkpoints=run.checkpoints,
            log=run.log,
            evaluate=build.evaluator(wanted, run.test, run.aim, devices=run.mesh),
            sample=build.sampler(wanted, run.test, run.aim, devices=run.mesh),
            stop=stack.enter_context(StopSignal()),
            names=run.loader.names,
            watch=run.aim.watch() if run.aim.watch else None,
            max_skipped=wanted.train.max_skipped,
        )


def alone(run: Any, turns: Turns) -> None:
    """Nothing but steps, on batches that lie on the device."""
    from apps.engine.mesh import place_batch

    stream = run.loader.batches(0)
    batches = [place_batch(next(stream), run.mesh) for _ in range(8)]
    stream.close()
    state, done = run.state, 0
    while True:
        turns.step(done)
        state, _ = run.step.at(done)(state, batches[done % len(batches)])
        done += 1


def counted(batches: Callable[[int], Iterator[Any]], turns: Turns) -> Any:
    """The same batches, and the turns."""

    def stream(start: int) -> Iterator[Any]:
        for done, batch in enumerate(batches(start), start):
            turns.step(done)
            yield batch

    return stream


# ---------------------------------------------------------------------------------- the parent


def measure(words: Sequence[str], *, sides: Sequence[str], rounds: int, cycle: int) -> Any:
    """For each side, the seconds of each round on the clock and of the processors, per step."""
    found: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    busy: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        servers = {side: Server(BENCH, side, sys.executable, "auto") for side in sides}
        try:
            for side, server in servers.items():  # compiles, and makes the first steps
                order = {"words": list(words), "folder": f"{folder}/{side}"}
                told(server.ask(order, limit=600), side)
            for number in range(rounds):
                sums = {side: {"seconds": 0.0, "processor": 0.0} for side in sides}
                for _ in range(cycle // TURN):
                    busy.append(busy_cores())
                    for side, server in servers.items():
                        for kind, value in told(server.ask({}, limit=600), side).items():
                            sums[side][kind] += value / cycle
                for side in sides:
                    found[side].append(sums[side])
                shown = ", ".join(f"{side} {1e3 * sums[side]['seconds']:.1f}" for side in sides)
                print(f"round {number + 1}: {shown} ms a step", flush=True)
        finally:
            for server in servers.values():
                server.close()
    return found, busy


def told(answer: dict[str, Any], side: str) -> dict[str, float]:
    """The answer, if it is one."""
    if "left out" in answer:
        raise SystemExit(f"{side}: {answer['left out']}")
    return answer


def ratios(found: Mapping[str, Any], side: str, kind: str) -> list[float]:
    """How much longer a side took than the step alone, in each round."""
    pairs = zip(found[side], found["step"], strict=True)
    return [mine[kind] / alone[kind] for mine, alone in pairs]


def table(found: Mapping[str, Any]) -> str:
    """All sides: milliseconds, and what they add to the step alone, with the rounds' extremes."""
    lines = [
        "| | ms a step | of processors | added, on the clock | added, of processors |",
        "|---|---:|---:|---:|---:|",
    ]  # fmt: skip
    for side in found:
        cells = [
            f"{1e3 * statistics.median(each[kind] for each in found[side]):.2f}"
            for kind in ("seconds", "processor")
        ]
        for kind in ("seconds", "processor"):
            added = sorted(100 * (each - 1) for each in ratios(found, side, kind))
            spread = f"{statistics.median(added):+.1f} % ({added[0]:+.1f} to {added[-1]:+.1f})"
            cells.append("" if side == "step" else spread)
        lines.append(f"| {ABOUT[side]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Measure all sides and print what they cost."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("words", nargs="*", default=["experiment=plucks_vae"],
                        help="what apps.train would be told")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cycle", type=int, default=200, help="steps of a round")
    parser.add_argument("--sides", nargs="+", choices=ABOUT, default=list(ABOUT))
    parser.add_argument("--serve", choices=ABOUT, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.serve:
        serve(wanted.serve)
        return 0
    sides = list(dict.fromkeys(["step", *wanted.sides]))
    found, busy = measure(wanted.words, sides=sides, rounds=wanted.rounds, cycle=wanted.cycle)
    print(table(found))
    print(f"others used {min(busy):.1f} to {max(busy):.1f} of {os.cpu_count()} cores; load "
          f"{os.getloadavg()[0]:.1f}")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
