"""Draws the README's picture from what `scripts/demo.py` made.

`.venv/bin/python scripts/readme_picture.py`, after the demo.
"""

import sys

from environment import ROOT

from apps import pictures
from apps.data import read_signal

RATE = 8000
MADE = ROOT / "runs" / "demo" / "generated" / "reconstruct"
PICTURE = ROOT / ".github" / "plucks.png"
STRINGS = {"plucks-0": "a low string", "plucks-1024": "a high string"}


def main() -> int:
    """Puts the strings and their reconstructions on one page."""
    if not MADE.is_dir():
        sys.exit(f"{MADE} is not there: run `python scripts/demo.py` first")
    rows = [
        pictures.Comparison(
            title,
            *(
                read_signal(MADE / f"{name}-{part}.wav", rate=RATE, channels=1)
                for part in ("reconstruction", "reference")
            ),
        )
        for name, title in STRINGS.items()
    ]
    print(pictures.save(pictures.grid(rows, rate=RATE), PICTURE, dots_per_inch=90))
    return 0


if __name__ == "__main__":
    sys.exit(main())
