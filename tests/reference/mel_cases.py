"""The settings of mel front ends of which reference vectors are stored, and the sounds."""

import numpy as np

CASES = {
    "hifigan": (22050, 1024, 256, 80, {"high": 8000.0}),
    "small": (8000, 256, 64, 40, {}),
    "odd hop": (8000, 128, 50, 20, {"low": 80.0, "high": 3800.0}),
    "gemm": (8000, 64, 16, 12, {"scale": "htk", "norm": None}),
    "centred": (8000, 128, 32, 20, {"centred": True}),
}


def sounds():
    """A chord that swells, noise, and silence: what a front end meets, 2,100 samples of each."""
    rng = np.random.default_rng(0)
    time = np.arange(2100) / 8000
    chord = sum(np.sin(2 * np.pi * f * time) for f in (220.0, 331.0, 1234.5)) * time
    return np.stack([chord, 0.1 * rng.standard_normal(2100), np.zeros(2100)])
