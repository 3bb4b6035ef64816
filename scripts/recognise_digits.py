"""Let a classifier judge spoken digits that a run makes: `recognise_digits.py --root DIGITS RUN`.

The classifier is trained on the recordings' training split; its accuracy on the test split is
printed first, then that and the inception score of every checkpoint's digits, as a curve over the
steps. Digits are drawn for all labels alike, with the same noise at every checkpoint.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

HOME = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HOME))

from recogniser import digits, log_probabilities  # noqa: E402

from apps import build  # noqa: E402
from apps.engine.stored import stored_steps  # noqa: E402
from apps.metrics.recognition import accuracy, inception_score  # noqa: E402
from apps.objectives import gan  # noqa: E402
from apps.objectives.batches import conditions  # noqa: E402


def main(words: list[str] | None = None) -> int:
    """Train the classifier, then judge every checkpoint of the run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of a run with labels, the ten digits")
    parser.add_argument("--root", required=True, help="folder of the recordings")
    parser.add_argument("--each", type=int, default=30, help="made of each digit (default: 30)")
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    wanted = parser.parse_args(words)
    signal = build.stored_signal(wanted.run)
    began = time.perf_counter()
    judge = digits(wanted.root, length=signal.length, rate=signal.rate or 8000)
    if judge.labels != signal.labels:
        print(f"{wanted.run} makes {signal.labels}, but the recordings are of {judge.labels}")
        return 2
    real = log_probabilities(judge.model, judge.test.signal)
    print(f"the classifier, trained in {time.perf_counter() - began:.0f} s:")
    row = f"{100 * judge.accuracy:5.1f} %   inception score {inception_score(real):.2f}"
    print(f"  real test split, {len(real)} recordings: {row}")
    label = np.arange(wanted.each * len(judge.labels)) % len(judge.labels)
    for step in stored_steps(wanted.run / "checkpoints"):
        model = build.trained(wanted.run, checkpoint=step).model
        made = gan.sample(
            model, len(label), length=signal.length, seed=wanted.seed, given=conditions(label)
        )
        found = log_probabilities(judge.model, made)
        taken = found.argmax(axis=1)
        each = [f"{100 * np.mean(taken[label == k] == k):.0f}" for k in range(len(judge.labels))]
        row = (
            f"{100 * accuracy(found, label):5.1f} %   inception score {inception_score(found):.2f}"
        )
        print(f"  step {step:6d}: {row}   by digit {' '.join(each)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
