"""How alike two sounds are: measured on the host in float64, apart from the training losses.

Arrays are (clips, length, channels); every function gives one number per clip, the mean over its
channels. Nothing here is shared with `convt1d._spectral`: a mistake there must show here.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import ShortTimeFFT
from scipy.signal.windows import hann

Clips = NDArray[np.floating[Any]]  # (clips, length, channels)
Scores = NDArray[np.float64]  # (clips,)


SCALES = {64: 10, 128: 20, 256: 40, 512: 64}
"""Window lengths, and mel triangles of each, that sounds are measured by, whatever they were
trained by: runs are to be comparable."""


def resemblance(signal: Clips, reference: Clips, *, rate: int) -> dict[str, Scores]:
    """What every sound that has a reference is measured by: mel_distance, stft_distance, si_sdr.

    Clips too short for one of the `SCALES` are measured on the others, so that any length can be
    trained.

    Args:
        signal: What was made.
        reference: What it should be.
        rate: Samples per second.

    Returns:
        One number per clip for each.
    """
    scales = {n_fft: count for n_fft, count in SCALES.items() if n_fft // 2 < signal.shape[1]}
    n_ffts, bands = tuple(scales), tuple(scales.values())
    return {
        "mel_distance": mel_distance(signal, reference, rate=rate, n_ffts=n_ffts, bands=bands),
        "stft_distance": stft_distance(signal, reference, n_ffts=n_ffts),
        "si_sdr": si_sdr(signal, reference),
    }


def mel_distance(
    signal: Clips,
    reference: Clips,
    *,
    rate: float,
    n_ffts: Sequence[int] = (64, 128, 256, 512),
    bands: Sequence[int] = (10, 20, 40, 64),
    floor: float = 1e-5,
) -> Scores:
    """Sum over scales of the mean of |Δ log10 mel magnitude|; lower is better.

    Frames have a periodic Hann window, a hop of a quarter, and are centred on their samples, the
    signal being reflected at both ends (the default of torch.stft). Mel triangles are HTK's, with
    peak one, from 0 Hz to half the rate.

    Args:
        signal: What was made.
        reference: What it should be.
        rate: Samples per second.
        n_ffts: Window length of each scale, in samples.
        bands: Triangles of each scale.
        floor: Mel magnitudes below it count as it.

    Returns:
        One distance per clip.

    Raises:
        ValueError: If the shapes differ, or a clip is too short to be reflected.
    """
    made, wanted = channels_first(signal, reference)
    total = np.zeros(made.shape[:2])
    for n_fft, count in zip(n_ffts, bands, strict=True):
        triangles = htk_triangles(rate, n_fft, count)
        levels = [
            np.log10(np.maximum(triangles.T @ magnitudes(rows, n_fft), floor))
            for rows in (made, wanted)
        ]
        total += np.abs(levels[0] - levels[1]).mean(axis=(2, 3))
    return total.mean(axis=1)


def stft_distance(
    signal: Clips,
    reference: Clips,
    *,
    n_ffts: Sequence[int] = (64, 128, 256, 512),
    floor: float = 1e-5,
) -> Scores:
    """Spectral convergence plus mean |Δ log magnitude|, averaged over resolutions; lower is better.

    Frames are those of `mel_distance`. Magnitudes below the floor count as it.

    Args:
        signal: What was made.
        reference: What it should be.
        n_ffts: Window length of each resolution, in samples.
        floor: The least magnitude told from silence.

    Returns:
        One distance per clip.

    Raises:
        ValueError: If the shapes differ, or a clip is too short to be reflected.

    Source:
        Yamamoto, Song and Kim, Parallel WaveGAN (2020), eq. 4 to 6.
    """
    made, wanted = channels_first(signal, reference)
    total = np.zeros(made.shape[:2])
    for n_fft in n_ffts:
        first, second = (np.maximum(magnitudes(rows, n_fft), floor) for rows in (made, wanted))
        error = np.sqrt(np.square(first - second).sum(axis=(2, 3)))
        total += error / np.sqrt(np.square(second).sum(axis=(2, 3)))
        total += np.abs(np.log(first / second)).mean(axis=(2, 3))
    return total.mean(axis=1) / len(n_ffts)


def si_sdr(signal: Clips, reference: Clips) -> Scores:
    r"""Scale-invariant signal-to-distortion ratio in dB; higher is better.

    $$ 10 \log_{10} \frac{\lVert \alpha y \rVert^2}{\lVert \alpha y - x \rVert^2},
       \qquad \alpha = \frac{\langle x, y \rangle}{\lVert y \rVert^2} $$

    No mean is removed. The ratio is kept within ±100 dB: an exact copy has 100, and silence, as
    signal or as reference, -100.

    Args:
        signal: x, what was made.
        reference: y, what it should be.

    Returns:
        One ratio per clip.

    Raises:
        ValueError: If the shapes differ.

    Source:
        Le Roux, Wisdom, Erdogan and Hershey, SDR: half-baked or well done? (2019), eq. 3 and 4.
    """
    made, wanted = channels_first(signal, reference)
    least = 1e-30  # keeps silence from dividing zero by zero
    scale = (made * wanted).sum(axis=2) / (np.square(wanted).sum(axis=2) + least)
    target = scale[..., None] * wanted
    distortion = np.square(target - made).sum(axis=2)
    ratio = np.square(target).sum(axis=2) / (distortion + least)
    return (10.0 * np.log10(np.clip(ratio, 1e-10, 1e10))).mean(axis=1)


def log_spectral_distance(
    signal: Clips,
    reference: Clips,
    *,
    n_fft: int = 256,
    floor: float = 1e-8,
    share: float = 1.0,
) -> Scores:
    r"""Mean over frames of the root mean square over frequency of Δ log10 power; lower is better.

    Frames are those of `mel_distance`. A decade of power is 10 dB.

    Args:
        signal: What was made.
        reference: What it should be.
        n_fft: Window length in samples; the hop is a quarter of it.
        floor: Powers below it count as it.
        share: Of the band from 0 Hz to half the rate: only frequencies below are compared. 1
            compares all.

    Returns:
        One distance per clip, in decades.

    Raises:
        ValueError: If the shapes differ, a clip is too short to be reflected, or no frequency is
            left.

    Source:
        Gray and Markel, Distance measures for speech processing (1976), with log10 of the power in
        place of decibels.
    """
    made, wanted = channels_first(signal, reference)
    powers = [np.square(magnitudes(rows, n_fft)) for rows in (made, wanted)]
    levels = [np.log10(np.maximum(power, floor)) for power in powers]
    difference = (levels[0] - levels[1])[:, :, : _below(n_fft // 2 + 1, share)]
    return np.sqrt(np.square(difference).mean(axis=2)).mean(axis=(1, 2))


def snr(signal: Clips, reference: Clips, *, share: float = 1.0) -> Scores:
    r"""Signal-to-noise ratio in dB; higher is better.

    $$ 10 \log_{10} \frac{\lVert y \rVert^2}{\lVert x - y \rVert^2} $$

    The ratio is kept within ±100 dB: an exact copy has 100, and any signal beside silence -100.

    Args:
        signal: x, what was made.
        reference: y, what it should be.
        share: Of the band from 0 Hz to half the rate: only frequencies below, of the Fourier
            transform of the whole clip, are compared. 1 compares all.

    Returns:
        One ratio per clip.

    Raises:
        ValueError: If the shapes differ, or no frequency is left.
    """
    made, wanted = channels_first(signal, reference)
    if share != 1.0:
        count = _below(made.shape[2] // 2 + 1, share)
        # The constant counts half as much as a frequency, which has two signs.
        weight = np.where(np.arange(count) == 0, 0.5, 1.0) ** 0.5
        made, wanted = (np.fft.rfft(rows)[..., :count] * weight for rows in (made, wanted))
    least = 1e-30  # keeps silence from dividing zero by zero
    noise = np.square(np.abs(made - wanted)).sum(axis=2)
    ratio = np.square(np.abs(wanted)).sum(axis=2) / (noise + least)
    return (10.0 * np.log10(np.clip(ratio, 1e-10, 1e10))).mean(axis=1)


def _below(count: int, share: float) -> int:
    """How many of `count` frequencies, from 0 to half the rate, are below a share of the band."""
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}; give a part of the band, above 0 and at most 1")
    kept = count if share == 1 else int(np.ceil(share * (count - 1)))
    if kept < 1:
        raise ValueError(f"share = {share} leaves none of {count} frequencies; give more")
    return kept


def fitting(n_fft: int, length: int) -> int:
    """A window length, or the largest half, quarter, … of it that clips of this length can have."""
    while n_fft // 2 >= length:
        n_fft //= 2
    return n_fft


def channels_first(signal: Clips, reference: Clips) -> tuple[Clips, Clips]:
    """Both as float64 (clips, channels, length)."""
    if np.shape(signal) != np.shape(reference) or np.ndim(signal) != 3:
        raise ValueError(
            f"signal has shape {np.shape(signal)} and reference {np.shape(reference)}; both must "
            "be (clips, length, channels)"
        )
    made, wanted = np.asarray(signal, np.float64), np.asarray(reference, np.float64)
    return np.moveaxis(made, 2, 1), np.moveaxis(wanted, 2, 1)


def magnitudes(rows: Clips, n_fft: int) -> Clips:
    """Magnitudes of shape (clips, channels, frequencies, frames)."""
    length, half = rows.shape[-1], n_fft // 2
    if length <= half:
        raise ValueError(
            f"the clips have {length} samples; frames of n_fft = {n_fft} need more than {half}"
        )
    transform = ShortTimeFFT(hann(n_fft, sym=False), n_fft // 4, fs=1.0, phase_shift=None)
    return np.abs(transform.stft(rows, p0=0, p1=1 + length // (n_fft // 4), padding="even"))


def htk_triangles(rate: float, n_fft: int, count: int) -> NDArray[np.float64]:
    """Shape (frequencies, count), each column interpolated between its three corners."""
    top = 2595.0 * np.log10(1.0 + rate / 2.0 / 700.0)
    corners = 700.0 * (10.0 ** (np.linspace(0.0, top, count + 2) / 2595.0) - 1.0)
    frequencies = np.fft.rfftfreq(n_fft, 1.0 / rate)
    columns = [
        np.interp(frequencies, corners[at : at + 3], [0.0, 1.0, 0.0], left=0.0, right=0.0)
        for at in range(count)
    ]
    return np.stack(columns, axis=1)
