"""Train, generate and score on the data sets that generators of time series are compared by.

    python scripts/benchmark_series.py --data FOLDER

For every set and model it trains an experiment of `conf/experiment/` in a process of its own, draws
as many series as there are real ones, and scores them by the published protocols, several seeds of
each, with real against real as control. FOLDER holds what is not made on the fly: `stock_data.csv`
(TimeGAN's, which its code turns round), `energy.npz` and `air.npz` (timeVAE's windows of 24 steps).
What is there already is not done again: a run that was cut off goes on, and one that is whole is
only scored. Results land in `scripts/scores/series.json` and, to be read, in `series.md` beside it;
those of other sets and models stay there.

Published scores: Yuan and Qiao, Diffusion-TS (ICLR 2024), table 1, whose ± are 95 % intervals over
five runs; ours are standard deviations over seeds.
"""

import argparse
import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from machine import describe

ROOT = Path(__file__).resolve().parent.parent
SCORED = ROOT / "scripts" / "scores"
SCORES = ("discriminative", "predictive", "context_fid", "correlational")

PUBLISHED: dict[str, dict[str, dict[str, str]]] = {
    "sines": {
        "TimeVAE": {"discriminative": ".041", "predictive": ".093", "context_fid": ".307",
                    "correlational": ".131"},
        "TimeGAN": {"discriminative": ".011", "predictive": ".093", "context_fid": ".101"},
        "Diffusion-TS": {"discriminative": ".006 ± .007", "predictive": ".093 ± .000",
                         "context_fid": ".006"},
        "original": {"predictive": ".094"},
    },
    "stocks": {
        "TimeVAE": {"discriminative": ".145", "predictive": ".039", "context_fid": ".215",
                    "correlational": ".095"},
        "TimeGAN": {"discriminative": ".102", "predictive": ".038", "context_fid": ".103"},
        "Diffusion-TS": {"discriminative": ".067 ± .015", "predictive": ".036 ± .000",
                         "context_fid": ".147"},
        "original": {"predictive": ".036"},
    },
    "energy": {
        "TimeVAE": {"discriminative": ".499", "predictive": ".292", "context_fid": "1.631",
                    "correlational": "1.688"},
        "TimeGAN": {"discriminative": ".236", "predictive": ".273", "context_fid": ".767"},
        "Diffusion-TS": {"discriminative": ".122 ± .003", "predictive": ".250 ± .000",
                         "context_fid": ".089"},
        "original": {"predictive": ".250"},
    },
    "air": {},
}  # fmt: skip


def words(data: str, folder: Path | None) -> list[str]:
    """The settings of a data set, everything of which is trained on, as in the published tables."""
    if data == "sines":
        return ["data=sines"]
    files = {"stocks": "stock_data.csv", "energy": "energy.npz", "air": "air.npz"}
    if folder is None or not (folder / files[data]).is_file():
        sys.exit(f"{data} needs --data FOLDER, where {files[data]} is; or leave it out by --sets")
    given = [f"data.path={folder / files[data]}", "data.split_by=none"]
    return given + (["data.length=24", "data.newest_first=true"] if data == "stocks" else [])


def experiment(model: str, data: str, folder: Path | None) -> list[str]:
    """The words that train a model on a data set."""
    given = words(data, folder)
    if model == "flow":
        chosen = [f"experiment={data if data != 'air' else 'energy'}_flow"]
        return chosen + [word for word in given if word.startswith("data.path=")]
    chosen = [f"experiment=sines_{model}"]
    return chosen + (["data=arrays", *given] if data != "sines" else [])


def timed(command: Sequence[str]) -> tuple[float, float]:
    """Run it, and return what it took by the clock and of the processors, in seconds."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with code {done.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = sum(getattr(after, each) - getattr(before, each) for each in ("ru_utime", "ru_stime"))
    return time.perf_counter() - began, used


def measured(model: str, data: str, wanted: argparse.Namespace) -> dict[str, Any]:
    """Train and score; what an earlier call has done is read."""
    run = wanted.runs / f"{data}-{model}"
    kept = run / "benchmark.json"
    held = json.loads(kept.read_text()) if kept.is_file() else {}
    given = [*experiment(model, data, wanted.data), f"train.seed={wanted.seed}", *wanted.words]
    if held.get("words") != given:
        wall, used = timed(["apps.train", *given, f"run={run}"])
        held = {"words": given, "seconds": wall, "processor_seconds": used}
        kept.write_text(json.dumps(held, indent=2) + "\n")
    if held.get("seeds") != wanted.seeds:
        path = run / "benchmark-scores.json"
        wall, _ = timed(
            [
                *("apps.evaluate", f"run={run}", "split=train", f"seeds={wanted.seeds}"),
                f"output={path}",
            ]
        )
        found = json.loads(path.read_text())
        held |= {"seeds": wanted.seeds, "judging_seconds": wall, "records": found["records"]}
        held["scores"] = {name: found["metrics"][name] for name in SCORES}
        kept.write_text(json.dumps(held, indent=2) + "\n")
    public = [word for word in held["words"] if not word.startswith("data.path=")]
    return {**held, "words": public, "set": data, "model": model}


def number(score: dict[str, Any]) -> str:
    """A mean and its spread, as papers print them."""
    return re.sub(r"\b0\.", ".", f"{score['mean']:.3f} ± {score['std']:.3f}")


def table(rows: Sequence[dict[str, Any]]) -> str:
    """All of it, to be read: a part for each set, ours, the control, and what was published."""
    lines = ["# Generated series, by the published protocols", ""]
    here = describe((None, "cpu"))
    place = f"{here['cpu']}, {here['cores']} cores, {here['system']}"
    lines += [f"`python scripts/benchmark_series.py --data FOLDER`, on {place}.", ""]
    for data in (each for each in PUBLISHED if any(row["set"] == each for row in rows)):
        mine = [row for row in rows if row["set"] == data]
        lines += [f"## {data}, {mine[0]['records']:,} windows of 24 steps", ""]
        lines += [f"| | {' | '.join(f'{name} ↓' for name in SCORES)} | trained in |"]
        lines += ["| --- |" + " ---: |" * (len(SCORES) + 1)]
        for row in mine:
            cells = [number(row["scores"][name]) for name in SCORES]
            took = f"{row['seconds']:.0f} s ({row['processor_seconds']:.0f} s of processors)"
            who = f"**{row['model']}** (ours, {row['seeds']} seeds)"
            lines.append(f"| {who} | {' | '.join(cells)} | {took} |")
        control = [number(mine[0]["scores"][name]["control"]) for name in SCORES]
        lines.append(f"| real against real, here | {' | '.join(control)} | |")
        for name, scores in PUBLISHED[data].items():
            lines.append(f"| {name} | {' | '.join(scores.get(each, '') for each in SCORES)} | |")
        lines.append("")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Train and score what is asked for, and write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of stock_data.csv, energy.npz, air.npz")
    parser.add_argument("--sets", default="sines,stocks,energy", help="default: %(default)s")
    parser.add_argument("--models", default="flow,timevae", help="default: %(default)s")
    parser.add_argument("--seeds", type=int, default=7, help="judges of each kind (default: 7)")
    parser.add_argument("--seed", type=int, default=0, help="of the training (default: 0)")
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmark"), help="run folders")
    parser.add_argument("--output", type=Path, default=SCORED, help="folder of the tables")
    parser.add_argument("words", nargs="*", help="settings, as in train.steps=200")
    wanted = parser.parse_args(arguments)
    wanted.data = wanted.data and wanted.data.resolve()
    wanted.runs = wanted.runs.resolve()
    path = wanted.output / "series.json"
    held = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    rows = {(row["set"], row["model"]): row for row in held}
    for data in wanted.sets.split(","):
        if data not in PUBLISHED:
            parser.error(f"--sets={data}: choose from {', '.join(PUBLISHED)}")
        for model in wanted.models.split(","):
            rows[data, model] = measured(model, data, wanted)
            # After each: what took minutes is not lost with what comes later.
            wanted.output.mkdir(parents=True, exist_ok=True)
            text = json.dumps(list(rows.values()), indent=2, ensure_ascii=False)
            path.write_text(text + "\n", encoding="utf-8")
            read = table(list(rows.values()))
            path.with_suffix(".md").write_text(read + "\n", encoding="utf-8")
    print(table(list(rows.values())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
