"""What the numbers of `python -m apps.evaluate` are in, and which way is better."""

from typing import NamedTuple


class Meaning(NamedTuple):
    """How to read a metric."""

    unit: str
    better: str


MEANINGS = {
    "mel_distance": Meaning("log10", "lower"),
    "stft_distance": Meaning("", "lower"),
    "si_sdr": Meaning("dB", "higher"),
    "mean_absolute_error": Meaning("the data's", "lower"),
    "root_mean_square_error": Meaning("the data's", "lower"),
    "correlation_difference": Meaning("", "lower"),  # of new signals to the records
    "kl": Meaning("nats per step", ""),
}
