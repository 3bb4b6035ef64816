"""Write mel_front_end.npz: what librosa's transform and triangles make of what numpy can make.

Run it where librosa is installed: python tests/reference/make_mel_vectors.py
"""

from pathlib import Path

import librosa  # pyright: ignore[reportMissingImports]
import numpy as np
from mel_cases import CASES, sounds


def main():
    out = {}
    for name, (rate, n_fft, hop, bands, given) in CASES.items():
        triangles = librosa.filters.mel(
            sr=rate,
            n_fft=n_fft,
            n_mels=bands,
            fmin=given.get("low", 0.0),
            fmax=given.get("high"),
            htk=given.get("scale") == "htk",
            norm=given.get("norm", "slaney"),
            dtype=np.float64,
        )
        centred = given.get("centred", False)
        around = n_fft // 2 if centred else (n_fft - hop) // 2
        signal = sounds()
        padded = np.pad(signal, ((0, 0), (around, around)), mode="reflect")
        spectrum = librosa.stft(padded, n_fft=n_fft, hop_length=hop, center=False)
        power = spectrum.real**2 + spectrum.imag**2
        mels = np.einsum("bf,sft->stb", triangles, np.sqrt(power + 1e-9))
        out[name] = np.log(np.maximum(mels, 1e-5))[:, : signal.shape[1] // hop]
    np.savez_compressed(Path(__file__).with_name("mel_front_end.npz"), **out)


if __name__ == "__main__":
    main()
