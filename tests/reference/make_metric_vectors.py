"""Write metrics.npz: what other people's code makes of the sounds of metric_cases.py.

Run it where the packages of metric_oracles.py are installed:
python tests/reference/make_metric_vectors.py
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from reference.metric_oracles import ORACLES


def main():
    out = {
        f"{name} {rate}": oracle(rate)
        for name, (oracle, rates, _) in ORACLES.items()
        for rate in rates
    }
    for name, values in out.items():
        print(name, np.array2string(values, threshold=6, precision=5))
    np.savez_compressed(Path(__file__).with_name("metrics.npz"), **out)


if __name__ == "__main__":
    main()
