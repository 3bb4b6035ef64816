"""The pitch of sounds, frame by frame, and how far the pitches of two sounds are apart."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len

from apps.metrics.audio import Clips, Scores, channels_first

GROSS = 0.2
"""A pitch off by more than a fifth is another one, not the same played badly."""
_HIGHEST = 600.0  # Hz: above the voices of children, and most of what is sung
_SILENT = 1e-2  # frames 40 dB below the loudest have no pitch


class Track(NamedTuple):
    """Pitches of shape (clips, channels, frames).

    Attributes:
        frequency: In Hz, also where there is none to speak of.
        voiced: Whether there is one.
    """

    frequency: NDArray[np.float64]
    voiced: NDArray[np.bool_]


def pitch_errors(signal: Clips, reference: Clips, *, rate: float) -> dict[str, Scores]:
    r"""How far the pitches of two sounds are apart, by `track`; lower is better.

    f0_error is the root mean square of 1200 log2(f / f') cents over the frames that are voiced in
    both; gross_pitch_error the share of these frames in which f is off by more than a fifth
    (Rabiner et al., A comparative performance study of several pitch detection algorithms, 1976,
    have a millisecond in place of a fifth); voicing_error the share of all frames that are voiced
    in one of the two alone.

    Args:
        signal: What was made.
        reference: What it should be.
        rate: Samples per second.

    Returns:
        One number per clip for each, of all frames of its channels. NaN says that a clip cannot be
        measured: none of its frames is voiced in both, or it is shorter than one frame.

    Raises:
        ValueError: If the shapes differ.
    """
    highest = min(_HIGHEST, rate / 4)
    made, wanted = (
        track(rows, rate=rate, highest=highest) for rows in channels_first(signal, reference)
    )
    both = made.voiced & wanted.voiced
    cents = 1200.0 * np.log2(made.frequency / wanted.frequency)
    gross = np.abs(made.frequency / wanted.frequency - 1.0) > GROSS
    return {
        "f0_error": np.sqrt(_mean(np.square(cents), both)),
        "gross_pitch_error": _mean(gross, both),
        "voicing_error": _mean(made.voiced != wanted.voiced, np.ones_like(both)),
    }


def track(
    rows: Clips,
    *,
    rate: float,
    lowest: float = 60.0,
    highest: float = _HIGHEST,
    window: float = 0.025,
    hop: float = 0.01,
    threshold: float = 0.15,
) -> Track:
    r"""The pitch of each frame by YIN.

    $$ d(\tau) = \sum_{j=1}^{W} (x_j - x_{j+\tau})^2, \qquad
       d'(\tau) = d(\tau) \Big/ \frac{1}{\tau} \sum_{j=1}^{\tau} d(j) $$

    The period is the first dip of d' that is below the threshold, or else its lowest point, and
    lies where a parabola through d has its lowest point there. A frame is voiced if the dip is
    below the threshold, which means that at most threshold / 2 of its power is not periodic, and if
    it is no more than 40 dB quieter than the loudest frame of its clip. Frames lie wholly within
    the clip, the window and the longest period after it.

    Args:
        rows: Shape (clips, channels, length).
        rate: Samples per second.
        lowest: Pitch that can be found, in Hz.
        highest: Pitch that can be found, in Hz.
        window: Seconds that are compared with what follows a period later.
        hop: Seconds from one frame to the next.
        threshold: Of d', 0 to 1.

    Returns:
        No frame at all if the clips are shorter than one.

    Raises:
        ValueError: If the pitches are not in order, or too high for the rate.

    Source:
        De Cheveigné and Kawahara, YIN, a fundamental frequency estimator for speech and music
        (2002), eq. 6 and 8 and steps 4 and 5. Its step 6, the best of the neighbouring frames, is
        left out: it is to be seen where a sound that was made loses its pitch.
    """
    if not 0 < lowest < highest <= rate / 4:
        raise ValueError(
            f"lowest is {lowest} and highest {highest}; they must be 0 < lowest < highest <= "
            f"{rate / 4}, a quarter of the rate"
        )
    size, longest, shortest = round(window * rate), int(rate / lowest), int(rate / highest)
    whole, step = size + longest + 1, max(round(hop * rate), 1)
    if rows.shape[2] < whole:
        none = np.zeros((*rows.shape[:2], 0))
        return Track(none, none > 0)
    frames = np.lib.stride_tricks.sliding_window_view(rows, whole, axis=2)[:, :, ::step]
    clips = [_periods(clip, size=size, shortest=shortest, threshold=threshold) for clip in frames]
    periods, dips = (np.stack(each) for each in zip(*clips, strict=True))
    level = np.sqrt(np.square(frames[..., :size]).mean(axis=3))
    loud = level > _SILENT * level.max(axis=2, keepdims=True)
    return Track(rate / periods, loud & (dips < threshold))


def _periods(
    frames: NDArray[np.float64], *, size: int, shortest: int, threshold: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of frames (channels, frames, samples) the periods in samples, and how deep d' dips there."""
    difference = _difference(frames, size)  # d(0), d(1), … to one more than the longest period
    lags = np.arange(1, difference.shape[-1])
    mean = np.cumsum(difference[..., 1:], axis=-1) / lags
    # Silence repeats itself, and yet has no pitch.
    relative = np.divide(difference[..., 1:], mean, out=np.ones_like(mean), where=mean > 0)
    inner = relative[..., shortest - 1 : -1]  # d' at lags `shortest` and above
    falls = inner <= relative[..., shortest - 2 : -2]
    rises = inner <= relative[..., shortest:]
    dip = falls & rises & (inner < threshold)
    at = np.where(dip.any(axis=-1), dip.argmax(axis=-1), inner.argmin(axis=-1))[..., None]
    before, here, after = (
        np.take_along_axis(difference, at + shortest + side, axis=-1)[..., 0] for side in (-1, 0, 1)
    )
    curve = before - 2.0 * here + after
    shift = np.divide(before - after, 2.0 * curve, out=np.zeros_like(curve), where=curve > 0)
    depth = np.take_along_axis(inner, at, axis=-1)[..., 0]
    return at[..., 0] + shortest + np.clip(shift, -0.5, 0.5), depth


def _difference(frames: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """D by Σx² + Σx₊² - 2 Σx·x₊, the products by Fourier transforms."""
    whole = frames.shape[-1]
    lags, points = whole - size + 1, next_fast_len(whole, real=True)
    spectrum = np.fft.rfft(frames, points) * np.conj(np.fft.rfft(frames[..., :size], points))
    products = np.fft.irfft(spectrum, points)[..., :lags]
    running = np.cumsum(np.square(frames), axis=-1)
    running = np.concatenate([np.zeros_like(running[..., :1]), running], axis=-1)
    power = running[..., size:] - running[..., :lags]
    return np.maximum(power[..., :1] + power - 2.0 * products, 0.0)


def _mean(values: NDArray[np.generic], where: NDArray[np.bool_]) -> Scores:
    """Of each clip the mean over some of its frames; NaN if there is none of them."""
    count = where.sum(axis=(1, 2))
    total = np.where(where, values, 0.0).sum(axis=(1, 2))
    return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
