"""Searches for good settings with Optuna: `python scripts/search.py runs/search --trials 20`.

An example to copy: `draw` says what is searched for, `--experiment` in which run, `--metric` by
what. Every trial is a run folder of its own below the search's; the study is its `journal.log`.
The same command goes on with what is there: a trial that was stopped is resumed from its
checkpoint, one that falls behind the others is ended early. Needs the extra `search`:
`pip install -e ".[apps,search]"`.
"""

import argparse
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
POLL = 0.5  # seconds between two looks at a run's metrics
WIDTHS = {"narrow": "[16,16,8]", "middle": "[32,32,16]", "wide": "[64,64,32]"}


class BrokenOffError(RuntimeError):
    """A run that ended by itself before its last step."""


def draw(trial: Any) -> list[str]:
    """Say what a trial tries, in the words of `apps.train`."""
    rate = trial.suggest_float("learning_rate", 3e-4, 1e-2, log=True)
    weight = trial.suggest_float("kl_weight", 1e-6, 1e-2, log=True)
    width = trial.suggest_categorical("width", list(WIDTHS))
    return [
        f"optimiser.learning_rate={rate}",
        f"objective.kl_weight={weight}",
        f"model.channels={WIDTHS[width]}",
    ]


def main(arguments: list[str]) -> int:
    """Searches until there are so many trials, and says which was best."""
    parser = argparse.ArgumentParser(description="Searches for good settings with Optuna.")
    parser.add_argument("folder", type=Path, help="of the search; an old one is gone on with")
    parser.add_argument("words", nargs="*", help="key=value, for every run")
    parser.add_argument("--experiment", default="sines_vae")
    parser.add_argument("--metric", default="test/mean_absolute_error", help="the lower the better")
    parser.add_argument("--trials", type=int, default=20, help="in all, those that are there too")
    wanted = parser.parse_intermixed_args(arguments)
    try:
        import optuna  # pyright: ignore[reportMissingImports]
    except ImportError:
        sys.exit("scripts/search.py needs Optuna: pip install 'optuna>=5'")
    for each in (signal.SIGTERM, signal.SIGINT):  # leave the trial as one that is running
        signal.signal(each, lambda *_: sys.exit(130))
    wanted.folder.mkdir(parents=True, exist_ok=True)
    journal = optuna.storages.journal.JournalFileBackend(str(wanted.folder / "journal.log"))
    study = optuna.create_study(
        study_name="search",
        storage=optuna.storages.JournalStorage(journal),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4),
        load_if_exists=True,
    )
    take_up(study, optuna.trial.TrialState)

    def objective(trial: Any) -> float:
        run = wanted.folder / str(trial.user_attrs.get("run", trial.number))
        trial.set_user_attr("run", run.name)
        words = [f"experiment={wanted.experiment}", *wanted.words, *draw(trial), f"run={run}"]
        return train(trial, words, run, metric=wanted.metric, pruned=optuna.TrialPruned)

    states = optuna.trial.TrialState
    done = len(study.get_trials(states=(states.COMPLETE, states.PRUNED), deepcopy=False))
    study.optimize(objective, n_trials=max(0, wanted.trials - done), catch=(BrokenOffError,))
    if not study.get_trials(states=(states.COMPLETE,), deepcopy=False):
        sys.exit(f"no trial in {wanted.folder} came to its end")
    best = study.best_trial
    settings = ", ".join(f"{name}={value}" for name, value in best.params.items())
    print(f"best: {wanted.metric} {best.value:.4g} in {wanted.folder / best.user_attrs['run']}")
    print(f"      {settings}")
    return 0


def take_up(study: Any, states: Any) -> None:
    """Line up again the trials that were stopped, each in its old run folder."""
    for trial in study.get_trials(states=(states.RUNNING,), deepcopy=False):
        study.tell(trial.number, state=states.FAIL)
        kept = {"run": trial.user_attrs["run"]} if "run" in trial.user_attrs else None
        study.enqueue_trial(trial.params, user_attrs=kept)


def train(
    trial: Any, words: list[str], run: Path, *, metric: str, pruned: type[Exception]
) -> float:
    """Train to the end, unless the trial falls behind; return the last value of the metric.

    Raises:
        BrokenOffError: If the run failed, or never told of the metric.
    """
    command = [sys.executable, "-m", "apps.train", *words]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    told = -1
    try:
        while process.poll() is None:
            time.sleep(POLL)
            for step, value in values(run, metric):
                if step > told:
                    trial.report(value, told := step)
                    if trial.should_prune():
                        raise pruned(f"behind the others at step {step}")
    finally:
        if process.poll() is None:
            process.terminate()  # it saves, so that a person may still go on with it
            process.wait()
    found = list(values(run, metric))
    if process.returncode or not found:
        raise BrokenOffError(f"{run} ended with {process.returncode}, {len(found)} × {metric}")
    return found[-1][1]


def values(run: Path, metric: str) -> list[tuple[int, float]]:
    """The metric as the run has told it so far: (step, value)."""
    path = run / "metrics.jsonl"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    lines = text.split("\n")[:-1]  # the last one may be half written
    rows = [json.loads(line) for line in lines if line]
    return [(row["step"], row[metric]) for row in rows if row.get(metric) is not None]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
