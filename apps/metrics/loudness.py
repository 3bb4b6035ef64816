"""How loud a sound is to the ear: integrated loudness as broadcasters measure it."""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from apps.metrics.audio import Clips, Scores, channels_first

LEAST = -70.0
"""The absolute gate, LUFS: quieter than this is silence."""
_BLOCK, _STEP = 0.4, 0.1  # seconds
_SURROUND = (1.0, 1.0, 1.0, 1.41, 1.41)  # left, right, centre, and the two behind


def loudness_error(signal: Clips, reference: Clips, *, rate: float) -> Scores:
    """Absolute difference of integrated loudness in LU; lower is better.

    Args:
        signal: What was made.
        reference: What it should be.
        rate: Samples per second.

    Returns:
        One difference per clip.

    Raises:
        ValueError: If the shapes differ.
    """
    made, wanted = channels_first(signal, reference)
    return np.abs(integrated_loudness(made, rate=rate) - integrated_loudness(wanted, rate=rate))


def integrated_loudness(rows: Clips, *, rate: float) -> Scores:
    r"""Integrated loudness in LUFS.

    $$ -0.691 + 10 \log_{10} \Bigl\langle \sum_c G_c z_c \Bigr\rangle $$

    z is the mean square of a channel in a block, after the K weighting. The mean is over the blocks
    of 400 ms, one every 100 ms, that are louder than -70 LUFS and then than 10 LU below the mean of
    these. A clip shorter than a block is one block, all of it. Without any block that loud, silence
    is at -70 LUFS. The channels count alike, but for five: of these the last two, those behind,
    count 1.41 times.

    Args:
        rows: Shape (clips, channels, length).
        rate: Samples per second.

    Returns:
        One loudness per clip.

    Source:
        ITU-R BS.1770-4, annex 1. Its filters are given at 48 kHz; at other rates they are the same
        analogue filters through the bilinear transform (De Man, Evaluation of implementations of
        the EBU R128 loudness measurement, 2018).
    """
    heard = rows
    for above, below in weighting(rate):
        heard = np.asarray(lfilter(above, below, heard, axis=2))
    length = heard.shape[2]
    block = min(round(_BLOCK * rate), length)
    count = 1 + int((length - block) / (_STEP * rate))
    starts = [int(at * _STEP * rate) for at in range(count)]
    gains = np.asarray(_SURROUND if rows.shape[1] == 5 else [1.0] * rows.shape[1])
    blocks = [np.square(heard[..., at : at + block]).mean(axis=2) @ gains for at in starts]
    return np.asarray([_gated(powers) for powers in np.stack(blocks, axis=1)])


def weighting(rate: float) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """The K weighting: a shelf for the head, then a high pass, as (numerator, denominator)."""
    gain = 10.0 ** (3.999843853973347 / 20.0)
    shelf = (gain, gain**0.4996667741545416, 1.0)
    # The standard writes the second numerator as 1, -2, 1, which at 48 kHz is this gain.
    high_pass = (1.0049948987146884, 0.0, 0.0)
    return [
        _biquad(1681.974450955533, 0.7071752369554196, shelf, rate=rate),
        _biquad(38.13547087602444, 0.5003270373238773, high_pass, rate=rate),
    ]


def _biquad(
    frequency: float, quality: float, shape: tuple[float, float, float], *, rate: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(h·s² + m·s·ω/q + l·ω²) / (s² + s·ω/q + ω²), of shape (h, m, l), made digital."""
    k = np.tan(np.pi * frequency / rate)
    above, below = (
        np.array(
            [
                high + middle * k / quality + low * k * k,
                2.0 * (low * k * k - high),
                high - middle * k / quality + low * k * k,
            ]
        )
        for high, middle, low in (shape, (1.0, 1.0, 1.0))
    )
    return above / below[0], below / below[0]


def _gated(powers: NDArray[np.float64]) -> float:
    """The loudness of one clip's blocks."""
    heard = powers[_level(powers) > LEAST]
    if not len(heard):
        return LEAST
    heard = heard[_level(heard) > _level(heard.mean()) - 10.0]
    return float(_level(heard.mean()))


def _level(power: NDArray[np.float64] | np.floating) -> NDArray[np.float64]:
    return -0.691 + 10.0 * np.log10(np.maximum(power, 1e-30))
