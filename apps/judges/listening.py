"""How near sounds are to what they should be, by all that can be measured of a pair."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from apps.metrics import audio
from apps.metrics.audio import Clips, Scores
from apps.metrics.cepstra import SHORTEST, mel_cepstral_distortion
from apps.metrics.loudness import loudness_error
from apps.metrics.pitch import pitch_errors
from apps.metrics.speech import speech_scores


class Listening:
    """Looks at pairs of sounds, batch after batch.

    Args:
        rate: Samples per second.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._rows: list[Mapping[str, Scores]] = []

    def look(self, made: Clips, wanted: Clips | None) -> None:
        """Measure a batch; what is to be like no record cannot be compared."""
        if wanted is not None:
            self._rows.append(likeness(made, wanted, rate=self.rate))

    def scores(self) -> dict[str, NDArray[np.float64]]:
        """One number per sound for each metric, NaN where it cannot be measured."""
        names = self._rows[0] if self._rows else ()
        return {name: np.concatenate([row[name] for row in self._rows]) for name in names}


def likeness(made: Clips, wanted: Clips, *, rate: int) -> dict[str, Scores]:
    """All that can be measured of sounds beside what they should be.

    Args:
        made: What was made.
        wanted: What it should be.
        rate: Samples per second.

    Returns:
        One number per sound for each: mel_distance, stft_distance, si_sdr, lsd, and loudness_error,
        mel_cepstral_distortion, f0_error, gross_pitch_error, voicing_error; pesq and stoi where
        their packages are installed.
    """
    found = audio.resemblance(made, wanted, rate=rate)
    n_fft = audio.fitting(256, made.shape[1])
    found["lsd"] = audio.log_spectral_distance(made, wanted, n_fft=n_fft)
    if made.shape[1] > SHORTEST:
        found["mel_cepstral_distortion"] = mel_cepstral_distortion(made, wanted, rate=rate)
    found["loudness_error"] = loudness_error(made, wanted, rate=rate)
    return {
        **found,
        **pitch_errors(made, wanted, rate=rate),
        **speech_scores(made, wanted, rate=rate),
    }
