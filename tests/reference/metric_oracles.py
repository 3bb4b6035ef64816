"""The audio metrics by other people's code: librosa, pyloudnorm, torchmetrics, pesq, pystoi, scipy.

Each oracle imports its package itself, so that those that are there can be used without the others.
"""
# pyright: reportMissingImports=false

import warnings

import numpy as np
from reference.metric_cases import PITCH_RATE, RATES, opinions, pairs


def each(measure, made, wanted):
    """One number per clip."""
    return np.array([measure(x, y) for x, y in zip(made[..., 0], wanted[..., 0], strict=True)])


def spectrum(row, n_fft):
    import librosa

    return np.abs(
        librosa.stft(np.asarray(row), n_fft=n_fft, hop_length=n_fft // 4, pad_mode="reflect")
    )


def mels(row, rate, n_fft, bands):
    import librosa

    triangles = librosa.filters.mel(
        sr=rate, n_fft=n_fft, n_mels=bands, htk=True, norm=None, dtype=np.float64
    )
    return triangles @ spectrum(row, n_fft)


def mel_distance(rate):
    def measure(x, y):
        total = 0.0
        for n_fft, bands in ((64, 10), (128, 20), (256, 40), (512, 64)):
            first, second = (
                np.log10(np.maximum(mels(row, rate, n_fft, bands), 1e-5)) for row in (x, y)
            )
            total += np.abs(first - second).mean()
        return total

    return each(measure, *pairs(rate))


def mel_cepstral_distortion(rate):
    import librosa

    n_fft = {8000: 256, 16000: 512, 48000: 1024}[rate]

    def measure(x, y):
        # librosa's cosines are orthonormal: sqrt(2 / bands) of them make the logarithm.
        first, second = (
            librosa.feature.mfcc(S=np.log(np.maximum(mels(row, rate, n_fft, 40), 1e-5)), n_mfcc=14)
            for row in (x, y)
        )
        difference = np.sqrt(2 / 40) * (first - second)[1:]
        return 10 / np.log(10) * np.sqrt(2 * (difference**2).sum(axis=0)).mean()

    return each(measure, *pairs(rate))


def log_spectral_distance(rate):
    def measure(x, y):
        first, second = (np.log10(np.maximum(spectrum(row, 256) ** 2, 1e-8)) for row in (x, y))
        return np.sqrt(((first - second) ** 2).mean(axis=0)).mean()

    return each(measure, *pairs(rate))


def si_sdr(rate):
    import torch
    import torchmetrics.functional.audio as measures

    made, wanted = (torch.tensor(rows[..., 0]) for rows in pairs(rate))
    return measures.scale_invariant_signal_distortion_ratio(made, wanted).numpy()


def snr(rate):
    import torch
    import torchmetrics.functional.audio as measures

    made, wanted = (torch.tensor(rows[..., 0]) for rows in pairs(rate))
    return measures.signal_noise_ratio(made, wanted).numpy()


def loudness(rate):
    """Of what was made and of what was wanted, (2, 3), LUFS."""
    import pyloudnorm

    meter = pyloudnorm.Meter(rate, filter_class="DeMan")
    return np.array([[meter.integrated_loudness(row) for row in rows] for rows in pairs(rate)])


def pitch(rate):
    """Of frames of 50 ms of what was wanted that begin every 10 ms, (3, frames), Hz."""
    import librosa

    assert rate == PITCH_RATE
    _, wanted = pairs(rate)
    return np.stack(
        [
            librosa.yin(
                row[:, 0], fmin=60, fmax=600, sr=rate, frame_length=400, hop_length=80,
                trough_threshold=0.15, center=False
            )
            for row in wanted
        ]
    )  # fmt: skip


def pesq(rate):
    import pesq as package

    mode = "wb" if rate == 16000 else "nb"
    return each(lambda x, y: package.pesq(rate, y, x, mode), *pairs(rate))


def stoi(rate):
    import pystoi

    return each(lambda x, y: pystoi.stoi(y, x, rate), *pairs(rate))


def inception_score(rate):
    """By torchmetrics, whose network is replaced by one that passes logits on."""
    del rate
    import torch
    from torchmetrics.image.inception import InceptionScore

    logs, _, _ = opinions()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it asks for memory, and for the spread of one number
        score = InceptionScore(feature=torch.nn.Identity(), splits=1)
        score.update(torch.tensor(logs))
        return np.array([float(score.compute()[0])])


def frechet_distance(rate):
    """By its definition with scipy's square root of a matrix."""
    del rate
    import scipy.linalg

    _, first, second = opinions()
    left, right = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    root = np.real(np.asarray(scipy.linalg.sqrtm(left @ right)))
    shift = first.mean(axis=0) - second.mean(axis=0)
    return np.array([shift @ shift + np.trace(left + right - 2 * root)])


# What each is called, at which rates, and which packages it needs.
ORACLES = {
    "mel_distance": (mel_distance, (8000,), ("librosa",)),
    "mel_cepstral_distortion": (mel_cepstral_distortion, RATES, ("librosa",)),
    "log_spectral_distance": (log_spectral_distance, (8000,), ("librosa",)),
    "si_sdr": (si_sdr, (8000,), ("torch", "torchmetrics")),
    "snr": (snr, (8000,), ("torch", "torchmetrics")),
    "loudness": (loudness, RATES, ("pyloudnorm",)),
    "pitch": (pitch, (PITCH_RATE,), ("librosa",)),
    "pesq": (pesq, (8000, 16000), ("pesq",)),
    "stoi": (stoi, (8000, 16000), ("pystoi",)),
    "inception_score": (inception_score, (0,), ("torch", "torchmetrics")),
    "frechet_distance": (frechet_distance, (0,), ("scipy",)),
}
