"""Let a classifier judge what a run makes of its labels: `recognise_digits.py RUN`.

The classifier is trained on the records' training split; its accuracy on the test split is printed
first, then that and the inception score of every checkpoint's signals, as a curve over the steps.
Signals are drawn for all labels alike, with the same noise at every checkpoint.
"""

import argparse
import dataclasses
import sys
import time
from pathlib import Path

import numpy as np

HOME = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HOME))

from apps import build  # noqa: E402
from apps.engine.stored import stored_steps  # noqa: E402
from apps.judges.recogniser import judged  # noqa: E402
from apps.judges.recognition import recognition  # noqa: E402
from apps.metrics.recognition import accuracy, inception_score  # noqa: E402
from apps.objectives import gan  # noqa: E402
from apps.objectives.batches import conditions  # noqa: E402


def main(words: list[str] | None = None) -> int:
    """Train the classifier, then judge every checkpoint of the run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of a run of recordings with labels")
    parser.add_argument("--root", help="folder of the recordings, if they have moved")
    parser.add_argument("--each", type=int, default=30, help="made of each label (default: 30)")
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    wanted = parser.parse_args(words)
    run = build.trained(wanted.run)
    signal, data = run.signal, run.config.data
    if wanted.root:
        data = dataclasses.replace(data, root=wanted.root)  # pyright: ignore
    began = time.perf_counter()
    train, test = (build.records(data, split) for split in ("train", "test"))
    if train.signal.labels != signal.labels or not signal.labels:
        print(
            f"{wanted.run} makes {signal.labels}, but the recordings are of {train.signal.labels}"
        )
        return 2
    judge = recognition(train, test, train, told=True, kept=wanted.run)
    real, classes = judge.real[0], len(signal.labels)
    print(f"the classifier, there in {time.perf_counter() - began:.0f} s:")
    row = f"{100 * judge.accuracy:5.1f} %   inception score {inception_score(real):.2f}"
    print(f"  real test split, {len(real)} recordings: {row}")
    label = np.arange(wanted.each * classes) % classes
    for step in stored_steps(wanted.run / "checkpoints"):
        model = build.trained(wanted.run, checkpoint=step).model
        made = gan.sample(
            model, len(label), length=signal.length, seed=wanted.seed, given=conditions(label)
        )
        found = judged(judge.model, made)[0]
        taken = found.argmax(axis=1)
        each = [f"{100 * np.mean(taken[label == k] == k):.0f}" for k in range(classes)]
        row = (
            f"{100 * accuracy(found, label):5.1f} %   inception score {inception_score(found):.2f}"
        )
        print(f"  step {step:6d}: {row}   by label {' '.join(each)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
