"""Train for an hour and see whether memory grows: `python scripts/soak.py --minutes 60`.

A small run of `python -m apps.train`, in a process of its own, logs, saves, measures and draws some
hundred times as often as it would by default. Its memory, files and threads are sampled from
outside, so that nothing in it knows. What is fitted is the slope of its memory after a warm-up, in
megabytes per hour, by least squares over the means of twelve equal blocks of time: samples follow
one another too closely to count as independent, and the standard error would be too small.

The run, what it printed, the samples (JSON) and a picture of them lie in the folder named at the
end.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

HOME = Path(__file__).resolve().parents[1]
BLOCKS = 12
CADENCE = {"log": 10, "evaluate": 10, "save": 10, "sample": 200}  # steps between two
WORDS = (
    *("data=plucks", "data.length=512", "data.count=256"),
    *("model.channels=[8,4,4]", "model.strides=[4,4]", "model.latent=4", "model.dilations=[1]"),
    *("objective.n_ffts=[64]", "objective.bands=[10]"),
    *("train.batch_size=4", "train.samples=2", "train.evaluate_records=8"),
    "train.steps=100000000",
    *(f"train.{what}_every={steps}" for what, steps in CADENCE.items()),
)


def slope(minutes: Sequence[float], values: Sequence[float], *, blocks: int = BLOCKS) -> Any:
    """Least squares over block means: the slope per hour, its standard error, and the offset."""
    parts = np.array_split(np.stack([minutes, values], axis=1), blocks)
    x, y = np.array([part.mean(axis=0) for part in parts if len(part)]).T
    x = x / 60.0
    middle = x - x.mean()
    found = float(middle @ y / (middle @ middle))
    rest = y - y.mean() - found * middle
    error = float(np.sqrt(rest @ rest / (len(x) - 2) / (middle @ middle)))
    return found, error, float(y.mean() - found * x.mean())


def sample(process: psutil.Process, since: float) -> dict[str, float]:
    """Memory in megabytes, open files and threads of a process, and when."""
    with process.oneshot():
        memory = process.memory_full_info()
        return {
            "minutes": (time.monotonic() - since) / 60,
            "rss": memory.rss / 1e6,
            "own": memory.uss / 1e6,  # without pages of files that the system may drop
            "files": process.num_handles() if sys.platform == "win32" else process.num_fds(),
            "threads": process.num_threads(),
        }


def watch(child: subprocess.Popen[bytes], *, minutes: float, every: float) -> list[dict[str, Any]]:
    """Sample a process for so long, or until it ends."""
    process, since = psutil.Process(child.pid), time.monotonic()
    samples: list[dict[str, Any]] = []
    while child.poll() is None and time.monotonic() - since < 60 * minutes:
        samples.append(sample(process, since))
        if len(samples) % 60 == 0:
            last = samples[-1]
            print(f"{last['minutes']:.0f} min: {last['rss']:.1f} MB", flush=True)
        time.sleep(every)
    return samples


def done(run: Path, said: str) -> dict[str, int]:
    """What a run did: counted in what it left, where it leaves it."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    steps = int(lines[-1]["step"])
    return {
        "steps": steps,
        "logged": len(lines),
        "evaluations": sum(any(name.startswith("test/") for name in line) for line in lines),
        "saves": steps // CADENCE["save"] - said.count("was not saved"),
        "pictures": len(list((run / "samples").glob("*.png"))),
    }


def draw(path: Path, samples: Sequence[dict[str, Any]], fitted: dict[str, Any]) -> None:
    """Memory over time, and the line that was fitted."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 3.0), layout="constrained")
    axes = figure.subplots()
    minutes = np.array([each["minutes"] for each in samples])
    axes.plot(minutes, [each["rss"] for each in samples], linewidth=0.8, label="resident")
    axes.plot(minutes, [each["own"] for each in samples], linewidth=0.8, label="its own")
    late = minutes[minutes >= fitted["warm_up_minutes"]]
    line = fitted["rss"]["at_start"] + fitted["rss"]["mb_per_hour"] * late / 60
    words = f"{fitted['rss']['mb_per_hour']:+.2f} ± {fitted['rss']['standard_error']:.2f} MB/hour"
    axes.plot(late, line, "k--", linewidth=1.0, label=words)
    axes.set(xlabel="minutes", ylabel="memory (MB)", ylim=(0, None))
    axes.legend(loc="lower right", fontsize="small")
    figure.savefig(path, dpi=100)


def fit(samples: Sequence[dict[str, Any]], *, warm_up: float) -> dict[str, Any]:
    """Slopes after the warm-up, a share of the time, and what was open at its end and the last."""
    begin = warm_up * samples[-1]["minutes"]
    late = [each for each in samples if each["minutes"] >= begin]
    if len(late) < 2 * BLOCKS:
        raise SystemExit(f"{len(late)} samples after the warm-up are too few; take more --minutes")
    found: dict[str, Any] = {"minutes": samples[-1]["minutes"], "warm_up_minutes": begin}
    for kind in ("rss", "own"):
        values = [each[kind] for each in late]
        per_hour, error, offset = slope([each["minutes"] for each in late], values)
        found[kind] = {
            "mb_per_hour": per_hour, "standard_error": error, "at_start": offset,
            "least": min(values), "most": max(values),
        }  # fmt: skip
    for kind in ("files", "threads"):
        values = [each[kind] for each in late]
        found[kind] = {"first": values[0], "last": values[-1], "most": max(values)}
    return found


def tell(found: dict[str, Any]) -> None:
    """Print what was found."""
    for kind, name in (("rss", "resident memory"), ("own", "its own memory")):
        row = found[kind]
        print(
            f"{name}: {row['mb_per_hour']:+.2f} MB/hour (standard error "
            f"{row['standard_error']:.2f}), {row['least']:.1f} to {row['most']:.1f} MB"
        )
    for kind, name in (("files", "open files"), ("threads", "threads")):
        row = found[kind]
        print(f"{name}: {row['first']} after the warm-up, {row['last']} at the end, "
              f"{row['most']} at most")  # fmt: skip
    print(", ".join(f"{number:,} {what}" for what, number in found["done"].items()))
    low, high = min(found["load"]), max(found["load"])
    print(f"{found['minutes']:.1f} min, load {low:.1f} to {high:.1f} on {os.cpu_count()} cores")


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, watch, stop and say what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("words", nargs="*", help="settings of apps.train, after those of its own")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between samples")
    parser.add_argument("--warm-up", type=float, default=0.2, help="share of the time left out")
    parser.add_argument("--folder", type=Path, help="where all of it goes; a new one by default")
    parser.add_argument("--core", type=int, help="the one processor core that it may use")
    wanted = parser.parse_args(arguments)
    folder = (wanted.folder or Path(tempfile.mkdtemp(prefix="soak-"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if wanted.core is not None:
        os.sched_setaffinity(0, {wanted.core})  # the child inherits it
    command = [sys.executable, "-m", "apps.train", *WORDS, *wanted.words, f"run={folder / 'run'}"]
    load = [os.getloadavg()[0]]
    with (folder / "output.txt").open("wb") as output:
        child = subprocess.Popen(command, cwd=HOME, stdout=output, stderr=subprocess.STDOUT)
        try:
            samples = watch(child, minutes=wanted.minutes, every=wanted.every)
        finally:
            load.append(os.getloadavg()[0])
            early = child.poll()
            child.send_signal(signal.SIGTERM)
            code = child.wait(timeout=120)
    said = (folder / "output.txt").read_text("utf-8", errors="replace")
    if early is not None or code != 0:
        last = "\n".join(said.splitlines()[-5:])
        print(f"the run ended with exit code {code}:\n{last}", file=sys.stderr)
        return 1
    found = fit(samples, warm_up=wanted.warm_up)
    found |= {"done": done(folder / "run", said), "load": load, "samples": samples}
    rounded = json.loads(json.dumps(found), parse_float=lambda word: round(float(word), 3))
    (folder / "soak.json").write_text(json.dumps(rounded) + "\n", encoding="utf-8")
    draw(folder / "soak.png", samples, found)
    tell(found)
    print(f"all of it: {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
