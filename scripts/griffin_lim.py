"""Measure a vocoder against Griffin-Lim on the same mel spectra: `griffin_lim.py RUN ROOT`.

Both are given the log-mels that the run's own front end makes of the test files below ROOT. For
Griffin-Lim librosa solves for the magnitudes (non-negative least squares) and finds phases for them
(`librosa.feature.inverse.mel_to_audio`, momentum 0.99); it frames as the front end does. The files
are brought to the run's peak. Needs librosa beside the application's packages.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

HOME = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HOME))

from apps import build  # noqa: E402
from apps.config import AudioFolder  # noqa: E402
from apps.data import read_signal  # noqa: E402
from apps.metrics import audio  # noqa: E402
from apps.modes.vocode import vocode  # noqa: E402
from convt1d.models import MelFrontEnd  # noqa: E402

Samples = NDArray[np.floating[Any]]
SCALES = {64: 10, 128: 20, 256: 40, 512: 64}


def griffin_lim(
    log_mel: Samples, front_end: MelFrontEnd, *, length: int, iterations: int
) -> Samples:
    """Sound of so many samples from log-mels [frames, bands]."""
    import librosa  # pyright: ignore[reportMissingImports]

    before, _ = front_end.reach
    made = librosa.feature.inverse.mel_to_audio(
        np.exp(log_mel.T.astype(np.float64)),
        sr=front_end.rate,
        n_fft=front_end.n_fft,
        hop_length=front_end.hop,
        center=False,
        power=1.0,
        n_iter=iterations,
        fmin=front_end.low,
        fmax=front_end.high or front_end.rate / 2,
        htk=front_end.scale == "htk",
        norm=front_end.norm,
    )[before : before + length]
    return np.pad(made, (0, length - len(made)))


def measure(made: Samples, wanted: Samples, front_end: MelFrontEnd) -> dict[str, float]:
    """How near one sound is to another of as many samples, whole hops."""
    # One by one and not in a batch: whole files differ in length. Not compiled, for the same cause.
    log_mels = [np.asarray(front_end(jnp.asarray(each[None, :, None]))) for each in (made, wanted)]
    pair = made[None, :, None], wanted[None, :, None]
    n_ffts = [n_fft for n_fft in SCALES if n_fft // 2 < len(wanted)]
    bands = [SCALES[n_fft] for n_fft in n_ffts]
    rate = front_end.rate
    return {
        "mel L1": float(np.abs(log_mels[0] - log_mels[1]).mean()),
        "mel distance": audio.mel_distance(*pair, rate=rate, n_ffts=n_ffts, bands=bands)[0],
        "SI-SDR": audio.si_sdr(*pair)[0],
    }


def clips(run: build.Trained, root: Path, *, length: int | None) -> list[Samples]:
    """The test files at the run's rate and peak: so many samples, or all, in whole hops."""
    data = run.config.data
    if not isinstance(data, AudioFolder) or data.rate is None or data.peak is None:
        raise SystemExit(
            f"{root} is measured with the run of an audio folder, at a rate and a peak"
        )
    pattern = re.compile(data.test_pattern or "")
    hop, found = run.model.hop, []
    for path in sorted(root.rglob("*.wav")):
        if not pattern.search(path.relative_to(root).as_posix()):
            continue
        signal = read_signal(path, rate=data.rate, channels=1)[:, 0]
        signal = signal * (data.peak / np.abs(signal).max())
        wanted = length or -(-len(signal) // hop) * hop
        signal = signal[:wanted]
        found.append(np.pad(signal, (0, wanted - len(signal))).astype(np.float32))
    return found


def main() -> int:
    """Measure, and print one line for each way and length."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("run", type=Path, help="the folder of a trained vocoder")
    parser.add_argument("root", type=Path, help="the folder of its recordings")
    parser.add_argument("--length", type=int, default=2048, help="samples of the short clips")
    parser.add_argument("--iterations", type=int, nargs="+", default=[32, 60])
    parser.add_argument("--checkpoint", default="latest")
    wanted = parser.parse_args()
    run = build.trained(wanted.run, checkpoint=wanted.checkpoint)
    front_end = run.model.mel

    def ours(clip: Samples, log_mel: Samples) -> Samples:
        del log_mel
        made = vocode(run.model, [clip[:, None]], channels=1, spectra=False)
        return np.concatenate(list(made))[: len(clip), 0]

    ways: dict[str, Any] = {f"vocoder, step {run.step}": ours}
    for count in wanted.iterations:
        ways[f"Griffin-Lim, {count} iterations"] = lambda clip, log_mel, count=count: griffin_lim(
            log_mel, front_end, length=len(clip), iterations=count
        )
    for length in (wanted.length, None):
        given = clips(run, wanted.root, length=length)
        print(f"{len(given)} clips, {'whole' if length is None else f'{length} samples'}")
        spectra = [np.asarray(front_end(jnp.asarray(clip[None, :, None])))[0] for clip in given]
        for name, way in ways.items():
            rows = [
                measure(way(clip, log_mel), clip, front_end)
                for clip, log_mel in zip(given, spectra, strict=True)
            ]
            means = {key: np.mean([row[key] for row in rows]) for key in rows[0]}
            print(f"  {name}: " + ", ".join(f"{key} {value:.4f}" for key, value in means.items()))
            jax.clear_caches()
    return 0


if __name__ == "__main__":
    sys.exit(main())
