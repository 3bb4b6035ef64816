"""Time one training step of a run, on its data: `bench_train_step.py experiment=fsdd_vae ...`.

Each measurement is a process of its own, which compiles the step, runs it on real batches and says
how long each took. Printed are the load before, the time to the first step, and over the processes
the median step with its spread. Measure on a quiet machine: with another busy process the figures
double.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]


def measure(words: list[str], steps: int) -> dict[str, float]:
    """Seconds to import, to the first step, and for each step after it, as quantiles."""
    began = time.perf_counter()
    sys.path.insert(0, str(HOME))
    from apps import build, command_line
    from apps.config import Config
    from apps.engine.memory import keep_memory
    from apps.engine.mesh import place_batch

    config = command_line.read(Config, command_line.sort(words))
    import jax

    keep_memory()
    records = build.source(config, "train")
    mesh = build.mesh(config)
    aim = build.objective(config, records.signal)
    step = build.step(config, aim, mesh).at(0)
    state = build.begun(config, records.signal, mesh)
    batches = build.loader(config, records, parts=aim.parts).batches(0)
    state, _ = jax.block_until_ready(step(state, place_batch(next(batches), mesh)))
    first = time.perf_counter() - began
    times = []
    for _ in range(steps):
        batch = place_batch(next(batches), mesh)
        start = time.perf_counter()
        state, _ = jax.block_until_ready(step(state, batch))
        times.append(time.perf_counter() - start)
    batches.close()
    low, middle, high = statistics.quantiles(times[5:], n=4)
    return {"first": first, "low": low, "median": middle, "high": high}


def main() -> int:
    """Run the measurements and print them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("words", nargs="+", help="what apps.train would be told")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.here:
        print(json.dumps(measure(wanted.words, wanted.steps)))
        return 0
    print(f"load before: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")
    found = []
    for number in range(wanted.processes):
        command = [sys.executable, __file__, "--here", f"--steps={wanted.steps}", *wanted.words]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode:
            print(answer.stderr, file=sys.stderr)
            return answer.returncode
        found.append(json.loads(answer.stdout.splitlines()[-1]))
        row = found[-1]
        print(
            f"process {number + 1}: first step after {row['first']:.1f} s, then "
            f"{1e3 * row['median']:.1f} ms a step "
            f"(quartiles {1e3 * row['low']:.1f} to {1e3 * row['high']:.1f})"
        )
    medians = [1e3 * row["median"] for row in found]
    spread = f"({min(medians):.1f} to {max(medians):.1f})"
    print(f"median {statistics.median(medians):.1f} ms a step {spread}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
