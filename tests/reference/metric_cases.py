"""The sounds on which the audio metrics are checked: made by numpy, the same everywhere.

Each is a voice-like tone with syllables and pauses; what was "made" of it is off in pitch, timbre
and level, and has noise.
"""

import numpy as np

RATES = (8000, 16000, 48000)
SECONDS = 1.3
PITCH_RATE = 8000


def voice(rate, seed, *, pitch=130.0, tilt=1.2):
    """Harmonics of a gliding pitch, in three syllables."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(SECONDS * rate)) / rate
    phase = 2 * np.pi * pitch * (time + 0.01 * np.sin(2 * np.pi * 1.1 * time + seed))
    top = int(0.45 * min(rate, 16000) / (1.3 * pitch))
    formants = 1 + 4 * np.exp(-(((np.arange(1, top + 1) * pitch - 700 - 100 * seed) / 300) ** 2))
    partials = formants / np.arange(1, top + 1) ** tilt
    sound = sum(a * np.sin(k * phase) for k, a in enumerate(partials, start=1))
    syllables = np.clip(4 * np.sin(2 * np.pi * time * 2.3 / SECONDS) ** 2 - 0.6, 0, 1)
    sound = sound / np.abs(sound).max() * syllables + 1e-3 * rng.standard_normal(len(time))
    return 0.5 * sound


def pairs(rate):
    """(made, wanted), each (3, length, 1)."""
    rng = np.random.default_rng(rate)
    wanted = [voice(rate, seed, pitch=pitch) for seed, pitch in enumerate((110.0, 150.0, 230.0))]
    other = [
        0.7 * wanted[0] + 0.05 * rng.standard_normal(len(wanted[0])),
        voice(rate, 1, pitch=154.0, tilt=1.0),
        0.3 * voice(rate, 2, pitch=225.0, tilt=1.6) + 0.005 * rng.standard_normal(len(wanted[2])),
    ]
    return np.stack(other)[..., None], np.stack(wanted)[..., None]


def tone(frequency, rate, *, seconds=0.3, harmonics=4):
    """Harmonics of one pitch, (1, 1, length)."""
    time = np.arange(round(seconds * rate)) / rate
    waves = [np.sin(2 * np.pi * k * frequency * time + k) / k for k in range(1, harmonics + 1)]
    return 0.3 * np.sum(waves, axis=0)[None, None]


def opinions(seed=0):
    """Log-probabilities (40, 5) and features (60, 6) of two sets."""
    rng = np.random.default_rng(seed)
    logits = 2.0 * rng.standard_normal((40, 5))
    mixing = rng.standard_normal((6, 6))
    first = rng.standard_normal((60, 6)) @ mixing
    second = 0.8 * rng.standard_normal((50, 6)) @ mixing + 0.3
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)), first, second
