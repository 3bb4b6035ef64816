"""Write published_models.npz: what published models make of numbers that numpy can make again.

Run it where torch and transformers are installed: python tests/reference/make_published_vectors.py
"""

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch  # pyright: ignore[reportMissingImports]
from reference.published_cases import CASES, numbers
from reference.published_torch import MODELS, run


def main():
    shapes, out = {}, {}
    torch.set_default_dtype(torch.float64)
    for name, case in CASES.items():
        model = MODELS[name]().to(torch.float64).eval()
        shapes[name] = {key: list(array.shape) for key, array in model.state_dict().items()}
        with torch.no_grad():
            for key, array in model.state_dict().items():
                array.copy_(torch.from_numpy(numbers(key, tuple(array.shape))))
            y = run(name, model, torch.from_numpy(numbers("input", case.shape)))
        out[name] = y.numpy()
        print(f"{name}: {y.shape}, at most {y.abs().max():.3f}, mean {y.abs().mean():.3f}")
    names = np.frombuffer(json.dumps(shapes).encode(), np.uint8)
    np.savez_compressed(Path(__file__).with_name("published_models.npz"), shapes=names, **out)


if __name__ == "__main__":
    main()
