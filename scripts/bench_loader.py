"""What reading costs: `python scripts/bench_loader.py batches|folder|long`.

- `batches WORDS...`: how many batches the loader makes while the step consumes one, both by one
  process in short turns, of a run with these settings of apps.train. The loader is asked for one
  batch after the other, by one thread, without the batches that a run has it make ahead.
- `folder --count 100000`: seconds from nothing to a source of so many small files, made for this:
  the first time, when every file is read through, and the times after, from what is kept of it.
- `long --minutes 60`: one recording of this length, made for this, as the only training record:
  seconds to the source, and for a crop the bytes read and the time.

Each measurement is a process of its own. The files were just written and lie in the system's
memory: a disk adds its own time.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

HOME = Path(__file__).resolve().parents[1]
RATE = 16_000


def timed(call: Callable[[], object], count: int) -> float:
    """Seconds of one call, over so many."""
    began = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - began) / count


def bytes_read() -> int | None:
    """Bytes that this process has read from files so far; None where nobody counts."""
    path = Path("/proc/self/io")
    return int(path.read_text().split()[1]) if path.exists() else None


# ------------------------------------------------------------------------- inside a child


def measure_batches(words: Sequence[str], rounds: int) -> list[dict[str, float]]:
    """Seconds of a batch and of a step, in each round."""
    from apps import build, command_line
    from apps.config import Config
    from apps.engine import compilation, memory
    from apps.engine.mesh import place_batch

    config = command_line.read(Config, command_line.sort(words))
    import jax

    compilation.keep_compilations()
    memory.keep_memory()
    records = build.source(config, "train")
    mesh, aim = build.mesh(config), build.objective(config, records.signal)
    course = build.step(config, aim, mesh)
    state = build.begun(config, records.signal, mesh)
    loader = build.loader(config, records, parts=aim.parts)
    batch = place_batch(loader.batch(0), mesh)

    def step() -> None:
        nonlocal state
        state, _ = jax.block_until_ready(course.at(0)(state, batch))

    timed(step, 3)
    # An epoch, or as much of it as goes: what a source keeps in memory is there from then on.
    epoch = min(-(-len(records) // loader.batch_size), 200)
    places = itertools.count()
    timed(lambda: loader.batch(next(places)), epoch)
    return [
        {"batch": timed(lambda: loader.batch(next(places)), 20), "step": timed(step, 5)}
        for _ in range(rounds)
    ]


def measure_source(root: str, crops: int, cache: float, length: int) -> dict[str, float | None]:
    """Seconds to a source of a folder, and of each crop, with the bytes that it read."""
    began = time.perf_counter()
    from apps.data import AudioFolder

    imported = time.perf_counter() - began
    source = AudioFolder(
        root=root, split="train", length=length, rate=RATE, test_pattern="test",
        cache_megabytes=cache,
    )  # fmt: skip
    found: dict[str, float | None] = {
        "imports": imported,
        "start": time.perf_counter() - began,
        "records": len(source),
    }
    if crops:
        rng = np.random.default_rng(0)
        source.example(0, rng)
        before = bytes_read()
        found["crop"] = timed(lambda: source.example(0, rng), crops)
        after = bytes_read()
        found["bytes"] = None if before is None or after is None else (after - before) / crops
    return found


# ---------------------------------------------------------------------------- the parent


def child(what: str, order: Any, *, environment: dict[str, str] | None = None) -> Any:
    """The answer of a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--here", what, json.dumps(order)],
        capture_output=True, text=True, check=False, cwd=HOME, env={**os.environ,
        **(environment or {})},
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def batches(wanted: argparse.Namespace) -> None:
    """Print how much faster the loader is than the step."""
    rows = []
    for _ in range(wanted.processes):
        rows += child("batches", [wanted.words, wanted.rounds])
    times = [row["step"] / row["batch"] for row in rows]
    low, middle, high = min(times), statistics.median(times), max(times)
    parts = {each: 1e3 * statistics.median(row[each] for row in rows) for each in ("batch", "step")}
    print(
        f"{' '.join(wanted.words)}: a batch {parts['batch']:.2f} ms, a step {parts['step']:.1f} "
        f"ms: {middle:.0f} batches for each consumed ({low:.0f} to {high:.0f})"
    )


def folder(wanted: argparse.Namespace) -> None:
    """Print the seconds of the first start with a folder of many files, and of later ones."""
    import soundfile

    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "sounds"
        for at in range(wanted.count):
            path = root / f"{at // 1000:04d}" / f"{'test' if at == 0 else at}.wav"
            if at % 1000 == 0:
                path.parent.mkdir(parents=True)
            soundfile.write(path, rng.uniform(-0.5, 0.5, 400), RATE, subtype="PCM_16")
        own = {"XDG_CACHE_HOME": f"{temporary}/cache"}
        order = [str(root), 0, 512, 256]
        for name in ("first", "second", "third"):
            found = child("source", order, environment=own)
            print(
                f"{name} start with {found['records']:,} files: {found['start']:.1f} s "
                f"({found['imports']:.1f} s of it imports)",
                flush=True,
            )


def long(wanted: argparse.Namespace) -> None:
    """Print what a crop of a long recording costs."""
    import soundfile

    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "sounds"
        root.mkdir()
        soundfile.write(root / "test.wav", rng.uniform(-0.5, 0.5, 2 * wanted.length), RATE)
        path = root / f"long.{wanted.format}"
        with soundfile.SoundFile(path, "w", wanted.rate, 1, subtype=None) as file:
            for _ in range(60 * wanted.minutes):
                file.write(rng.uniform(-0.5, 0.5, wanted.rate))
        own = {"XDG_CACHE_HOME": f"{temporary}/cache"}
        for name in ("first", "second"):
            order = [str(root), wanted.crops, wanted.cache, wanted.length]
            found = child("source", order, environment=own)
            count = "" if found["bytes"] is None else f", {found['bytes'] / 1e3:.1f} kB read"
            print(
                f"{name} start with {wanted.minutes} min ({path.stat().st_size / 1e6:.0f} MB): "
                f"{found['start']:.1f} s; a crop of {wanted.length} samples: "
                f"{1e3 * found['crop']:.2f} ms{count}",
                flush=True,
            )


def main() -> int:
    """Measure what is asked for."""
    if sys.argv[1:2] == ["--here"]:
        sys.path.insert(0, str(HOME))
        what, order = sys.argv[2], json.loads(sys.argv[3])
        print(json.dumps({"batches": measure_batches, "source": measure_source}[what](*order)))
        return 0
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    kinds = parser.add_subparsers(required=True)
    one = kinds.add_parser("batches")
    one.add_argument("words", nargs="+", help="what apps.train would be told")
    one.add_argument("--rounds", type=int, default=7)
    one.add_argument("--processes", type=int, default=3)
    one.set_defaults(do=batches)
    one = kinds.add_parser("folder")
    one.add_argument("--count", type=int, default=100_000)
    one.set_defaults(do=folder)
    one = kinds.add_parser("long")
    one.add_argument("--minutes", type=int, default=60)
    one.add_argument("--crops", type=int, default=200)
    one.add_argument("--length", type=int, default=4096, help="samples of a crop")
    one.add_argument("--format", default="wav", choices=("wav", "flac", "ogg", "mp3"))
    one.add_argument("--rate", type=int, default=RATE, help=f"resampled to {RATE} if another")
    one.add_argument("--cache", type=float, default=512, help="cache_megabytes of the source")
    one.set_defaults(do=long)
    wanted = parser.parse_args()
    print(f"load before: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores", flush=True)
    wanted.do(wanted)
    print(f"load after: {os.getloadavg()[0]:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
