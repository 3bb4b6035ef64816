"""From nothing to sound: `python scripts/demo.py`, about five minutes on two cores.

Trains a small VAE on plucked strings that are made on the fly, sends strings it has never heard
through it, glides from one to another, draws from its prior, and measures how close it comes. It
makes `.venv` if there is none. A demo that was interrupted goes on where it was; words after the
name change the configuration, as in `python scripts/demo.py train.steps=200 --run runs/short`.
"""

from __future__ import annotations  # so that an older Python gets as far as being refused

import argparse
import sys
from pathlib import Path

from environment import ROOT, prepare, program, run


def shown(path: Path) -> str:
    """A path as a person in the repository would type it."""
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def farewell(folder: Path) -> str:
    """Where the results are, and how to look at them."""
    made = folder / "generated"
    rows = {
        "report": f"{shown(folder / 'report.html')}, for a browser; each folder below has one too",
        "reconstructions": shown(made / "reconstruct"),
        "between strings": shown(made / "interpolate"),
        "from the prior": shown(made / "sample"),
        "pictures": f"overview.png in each, {shown(folder / 'samples')} from while it learnt",
        "curves and sounds": f"{shown(program('tensorboard'))} --logdir {shown(folder)}",
    }
    return "\n".join(["\n== Done", *(f"{name:<19}{text}" for name, text in rows.items())])


def main(arguments: list[str]) -> int:
    """Trains, generates and evaluates, and says where the results are."""
    parser = argparse.ArgumentParser(description="From nothing to sound, in about five minutes.")
    parser.add_argument("--run", default="runs/demo", help="folder of the run (default: runs/demo)")
    parser.add_argument("overrides", nargs="*", help="configuration, as in train.steps=200")
    options = parser.parse_args(arguments)
    python = prepare()
    run_folder = f"run={options.run}"
    made = f"output={options.run}/generated"
    steps = {
        "Training": ["apps.train", "experiment=plucks_vae", run_folder, *options.overrides],
        "Strings it has never heard, through the model and back": [
            *("apps.generate", run_folder, "mode=reconstruct", f"{made}/reconstruct")
        ],
        "From one string to another": [
            *("apps.generate", run_folder, "mode=interpolate", f"{made}/interpolate")
        ],
        # One independent draw for each hop has the strings' colour and none of their order.
        "Draws from the prior: the strings' colour, without a note": [
            *("apps.generate", run_folder, "mode=sample", f"{made}/sample")
        ],
        "How close it comes": ["apps.evaluate", run_folder],
    }
    for title, words in steps.items():
        print(f"\n== {title}\n{shown(python)} -m {' '.join(words)}\n", flush=True)
        code = run([python, "-m", *words])
        if code != 0:
            again = "; the same command goes on from there" if code >= 128 else ""
            print(f"\nThe demo stopped at {words[0]}, with exit code {code}{again}.")
            return code
    print(farewell(ROOT / options.run))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
