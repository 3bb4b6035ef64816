"""Write interop_layers: names and shapes of other libraries' arrays, and what these compute.

Run it wherever some of the libraries are installed; what the others have given stays:
python tests/reference/make_interop_vectors.py
"""

import importlib.util
import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from reference.interop_cases import CASES, ORIGINS, PAIRS, filled, signal
from reference.interop_originals import flat, original

from convt1d.interop._names import flat_arrays

FILE = Path(__file__).with_name("interop_layers.npz")
NAMES = FILE.with_suffix(".json")


def main():
    outputs = dict(np.load(FILE)) if FILE.exists() else {}
    shapes = json.loads(NAMES.read_text()) if NAMES.exists() else {}
    for origin, i in PAIRS:
        if not is_here(origin):
            continue
        key = f"{origin}:{i}"
        print(key, CASES[i])
        state, apply = original(origin, CASES[i])
        if origin == "equinox":
            state = flat_arrays(state, "equinox")
        named = flat(state, "/" if ORIGINS[origin].library in SLASHED else ".")
        shapes[key] = {name: array.shape for name, array in named.items()}
        outputs[key] = apply(filled(shapes[key]), signal(CASES[i]))
    keys = [f"{origin}:{i}" for origin, i in PAIRS]
    np.savez_compressed(FILE, **{key: outputs[key] for key in keys if key in outputs})
    lines = [f"{json.dumps(key)}: {json.dumps(shapes[key])}" for key in keys if key in shapes]
    NAMES.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(FILE.stat().st_size, "bytes and", NAMES.stat().st_size)


SLASHED = ("flax", "flax_transpose_kernel", "haiku", "keras")


def is_here(origin):
    """Whether the library is installed, in the version that is meant."""
    package = ORIGINS[origin].package
    if importlib.util.find_spec(package) is None:
        return False
    if package != "brainstate":
        return True
    old = tuple(map(int, version("brainstate").split(".")[:2])) < (0, 5)
    return old == origin.endswith("<0.5")


if __name__ == "__main__":
    main()
