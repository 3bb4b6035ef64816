"""Count the frequencies that a run has learnt to make: `count_modes.py RUN`, trained on tones.

Printed are, for every checkpoint, how many of the known frequencies occur (each in at least a
quarter of its share of the draws: coverage), what share of the draws has one of them, to half a
cycle of the record (precision), and what share has in addition 90 % of its energy there; of a run
that knows labels also what share has the frequency that was asked for, and with covariates what
share of a draw's energy is a tone of that frequency and course of amplitude, in the middle.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

HOME = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HOME))

from apps import build  # noqa: E402
from apps.data import fixed_batch  # noqa: E402
from apps.data.tones import Tones  # noqa: E402
from apps.engine.stored import stored_steps  # noqa: E402
from apps.metrics import modes  # noqa: E402
from apps.objectives import autoencoding, gan  # noqa: E402
from apps.objectives.batches import chosen, conditions, covariates_of, signal_of  # noqa: E402


def main(words: list[str] | None = None) -> int:
    """Judge every checkpoint of a run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("--count", type=int, default=1000, help="draws (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the draws")
    wanted = parser.parse_args(words)
    for step in stored_steps(wanted.run / "checkpoints"):
        run = build.trained(wanted.run, checkpoint=step)
        records = build.source(run.config, "test")
        if not isinstance(records, Tones):
            print(f"{wanted.run} was trained on {run.config.data.kind}, not on tones")
            return 2
        length, labels = run.signal.length, run.signal.labels
        label = np.arange(wanted.count) % len(labels) if labels else None
        batch = fixed_batch(records, wanted.count)
        places = np.arange(wanted.count) % len(signal_of(batch))
        covariates = chosen(covariates_of(batch), places)
        given = conditions(label, covariates)
        family = gan if run.config.objective.kind == "gan" else autoencoding
        made = family.sample(run.model, wanted.count, length=length, seed=wanted.seed, given=given)
        known = records.frequencies
        found, pure = (
            modes.nearest_modes(made[..., 0], known, tolerance=0.5 / length, purity=share)
            for share in (0.0, 0.9)
        )
        counts = np.bincount(found[found >= 0], minlength=len(known))
        asked = ""
        if label is not None:
            asked = f", as asked {100 * np.mean(found == label):.1f} %"
        if label is not None and covariates is not None:
            wanted_tones = [known[each] for each in label]
            share = modes.followed(made[..., 0], wanted_tones, np.asarray(covariates)[..., 0])
            asked += f", followed {100 * np.median(share):.1f} %"
        print(
            f"step {step:6d}: coverage {100 * modes.coverage(found, len(known)):.0f} % of "
            f"{len(known)} frequencies, precision {100 * modes.precision(found):.1f} %, pure "
            f"{100 * modes.precision(pure):.1f} %"
            f"{asked}; draws of each: {' '.join(map(str, counts))}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
