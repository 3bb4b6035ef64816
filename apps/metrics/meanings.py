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
    "lsd": Meaning("log10", "lower"),
    "kept_lsd": Meaning("log10", "lower"),  # of what the low rate holds
    "snr": Meaning("dB", "higher"),
    "kept_snr_change": Meaning("dB", "higher"),  # from that of resampling
    "mel_l1": Meaning("nats", "lower"),
    "mel_cepstral_distortion": Meaning("dB", "lower"),
    "loudness_error": Meaning("LU", "lower"),
    "f0_error": Meaning("cents", "lower"),
    "gross_pitch_error": Meaning("share of voiced", "lower"),
    "voicing_error": Meaning("share of frames", "lower"),
    "pesq": Meaning("MOS, 1 to 4.6", "higher"),
    "stoi": Meaning("0 to 1", "higher"),
    "frechet_distance": Meaning("", "lower"),  # in mel spectra, or in means and spreads of series
    "recogniser_distance": Meaning("", "lower"),  # the same, in features of the recogniser
    "recognised": Meaning("share", "higher"),
    "inception_score": Meaning("classes", "higher"),
    "mean_absolute_error": Meaning("the data's", "lower"),
    "root_mean_square_error": Meaning("the data's", "lower"),
    # of interpolation, beside an upsampler of series
    "mae_linear": Meaning("the data's", "lower"),
    "rmse_linear": Meaning("the data's", "lower"),
    "rmse_over_linear": Meaning("× linear's, by variable", "below 1"),
    "mae_cubic": Meaning("the data's", "lower"),
    "rmse_cubic": Meaning("the data's", "lower"),
    "rmse_over_cubic": Meaning("× cubic spline's, by variable", "below 1"),
    "mae_fourier": Meaning("the data's", "lower"),
    "rmse_fourier": Meaning("the data's", "lower"),
    "rmse_over_fourier": Meaning("× Fourier's, by variable", "below 1"),
    "correlation_difference": Meaning("", "lower"),  # of new signals to the records
    "discriminative": Meaning("", "lower"),  # 0 to 1/2
    "predictive": Meaning("of the range", "lower"),
    "context_fid": Meaning("", "lower"),
    "correlational": Meaning("", "lower"),
    "kl": Meaning("nats per step", ""),
}
