"""Time the layers against their floor and against the layers of other libraries.

`python scripts/bench_layers.py` measures every case on the sides that are installed, prints the
ratios and writes them to `scripts/tables/`; `--only dense` takes one group, `--list` names them
all, `--python PATH` finds more sides in another interpreter, and `--quick` is a trial. On a GPU the
same command measures float32, tf32 and bfloat16, and `lax` is cuDNN. Measure on a quiet machine.
"""

import sys
from pathlib import Path

from layer_cases import CASES, Case, by_default
from layer_sides import SIDES, prepare
from timing import Bench, main

BENCH = Bench(
    name="layers",
    script=Path(__file__).resolve(),
    about="Transposed convolution and convolution against other libraries' and against the floor",
    sides=SIDES,
    cases=CASES,
    prepare=prepare,
    passes=("forward", "forward + backward"),
    sizes=Case.sizes,
    floor="floor",
)

if __name__ == "__main__":
    sys.exit(main(BENCH, select=by_default))
