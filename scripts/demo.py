"""From nothing to sound: `python scripts/demo.py`, about five minutes on two cores.

Trains a small VAE on plucked strings that are made on the fly, lets it play new ones, sends strings
it has never heard through it, and measures how close it comes. It makes `.venv` if there is none.
A demo that was interrupted goes on where it was; words after the name change the configuration, as
in `python scripts/demo.py train.steps=200 --run runs/short`.
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
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in (".wav", ".png")]
    newest = sorted(files, key=lambda path: path.stat().st_mtime)[-12:]
    tensorboard = f"{shown(program('tensorboard'))} --logdir {shown(folder / 'tensorboard')}"
    return "\n".join(
        [
            "\n== Done. Listen to and look at",
            *(f"   {shown(path)}" for path in sorted(newest)),
            f"   the whole training: {tensorboard}",
        ]
    )


def main(arguments: list[str]) -> int:
    """Trains, samples, reconstructs and evaluates, and says where the results are."""
    parser = argparse.ArgumentParser(description="From nothing to sound, in about five minutes.")
    parser.add_argument("--run", default="runs/demo", help="folder of the run (default: runs/demo)")
    parser.add_argument("overrides", nargs="*", help="configuration, as in train.steps=200")
    options = parser.parse_args(arguments)
    python = prepare()
    folder = f"run={options.run}"
    steps = {
        "Training": ["apps.train", "experiment=plucks_vae", folder, *options.overrides],
        "Playing new strings": ["apps.generate", folder, "mode=sample"],
        "Repeating strings it has never heard": ["apps.generate", folder, "mode=reconstruct"],
        "Measuring": ["apps.evaluate", folder],
    }
    for title, words in steps.items():
        print(f"\n== {title}: {shown(python)} -m {' '.join(words)}", flush=True)
        code = run([python, "-m", *words])
        if code != 0:
            print(f"\nThe demo stopped: `python -m {words[0]}` left with exit code {code}.")
            return code
    print(farewell(ROOT / options.run))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
