"""Short-time Fourier transform, magnitude and mel: differentiable, and fast on CPU.

Signals are `[batch, length, channels]`, `[batch, length]` or `[length]`; two new axes, frames and
frequencies, stand where the length stood. Whatever depends on sizes alone (windows, Fourier and
mel matrices) is computed by numpy in float64 while tracing and cast once.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float
from numpy.typing import NDArray

from convt1d._fourier import real_fft
from convt1d._mel import mel_filterbank as mel_filterbank

# Up to this window a Fourier transform is one matrix product: GEMM runs on every core, and its
# gradient is one more GEMM. Above it the product's n_fft^2 loses to XLA's FFT.
LONGEST_GEMM_WINDOW = 64


def stft(
    signal: Float[Array, "..."],
    n_fft: int,
    *,
    hop: int | None = None,
    window_length: int | None = None,
    centred: bool = True,
) -> Complex[Array, "..."]:
    r"""Short-time Fourier transform with a periodic Hann window.

    $$ X[t, k] = \sum_{n=0}^{N-1} w[n]\, x[t h + n]\, e^{-2 \pi i k n / N} $$

    Args:
        signal: Shape (batch, length, channels), (batch, length) or (length,).
        n_fft: Length N of a frame in samples, even.
        hop: Samples h from one frame to the next; default n_fft / 4.
        window_length: Length of the Hann window, centred in the frame; default n_fft.
        centred: Whether frame t is centred on sample t·h, the signal being reflected at both ends
            (PyTorch's and librosa's default). Otherwise frames start at t·h, and none reaches
            over the end.

    Returns:
        Complex, with (frames, n_fft / 2 + 1) in the place of length. There are 1 + length // hop
        frames when centred, else 1 + (length - n_fft) // hop.

    Raises:
        ValueError: If an argument is out of range, or the signal is too short for one frame.

    Example:
        >>> import jax.numpy as jnp
        >>> from convt1d._spectral import stft
        >>> stft(jnp.ones((2, 2048, 1)), 256).shape
        (2, 33, 129, 1)
    """
    rows = _rows(signal)
    real, imaginary = _transform(
        rows, _check(n_fft, hop, window_length), centred=centred, length=rows.shape[-1]
    )
    return _restore(jax.lax.complex(real, imaginary), signal)


def magnitude(
    signal: Float[Array, "..."],
    n_fft: int,
    *,
    hop: int | None = None,
    window_length: int | None = None,
    centred: bool = True,
) -> Float[Array, "..."]:
    """Magnitude of the short-time Fourier transform, with gradient zero at silence.

    Args:
        signal: As in `stft`.
        n_fft: As in `stft`.
        hop: As in `stft`.
        window_length: As in `stft`.
        centred: As in `stft`.

    Returns:
        |X|, of the shape of `stft`.

    Raises:
        ValueError: As `stft`.

    Example:
        >>> import jax.numpy as jnp
        >>> from convt1d._spectral import magnitude
        >>> float(magnitude(jnp.zeros((1, 64)), 16).max())
        0.0
    """
    return _restore(_magnitude(_rows(signal), n_fft, hop, window_length, centred=centred), signal)


def mel(
    signal: Float[Array, "..."],
    n_fft: int,
    *,
    rate: float,
    bands: int,
    hop: int | None = None,
    centred: bool = True,
    low: float = 0.0,
    high: float | None = None,
    scale: str = "htk",
    norm: str | None = None,
) -> Float[Array, "..."]:
    """Magnitudes summed into the triangles of `mel_filterbank`.

    Args:
        signal: As in `stft`.
        n_fft: As in `stft`.
        rate: Samples per second.
        bands: Number of triangles.
        hop: As in `stft`.
        centred: As in `stft`.
        low: Where the lowest triangle begins, in Hz.
        high: Where the highest triangle ends, in Hz; default half the rate.
        scale: "htk" or "slaney".
        norm: None or "slaney".

    Returns:
        Shape with (frames, bands) in the place of length.

    Raises:
        ValueError: As `stft` and `mel_filterbank`.

    Example:
        >>> import jax.numpy as jnp
        >>> from convt1d._spectral import mel
        >>> mel(jnp.ones((2, 2048, 1)), 256, rate=8000, bands=40).shape
        (2, 33, 40, 1)
    """
    filters = mel_filterbank(rate, n_fft, bands, low=low, high=high, scale=scale, norm=norm)
    values = _magnitude(_rows(signal), n_fft, hop, None, centred=centred)
    return _restore(_product(values, filters), signal)


def log_mel(
    signal: Float[Array, "..."],
    n_fft: int,
    *,
    rate: float,
    bands: int,
    hop: int | None = None,
    centred: bool = True,
    low: float = 0.0,
    high: float | None = None,
    scale: str = "htk",
    norm: str | None = None,
    floor: float = 1e-5,
) -> Float[Array, "..."]:
    """log10 of the mel magnitudes, clamped from below.

    Args:
        signal: As in `stft`.
        n_fft: As in `stft`.
        rate: As in `mel`.
        bands: As in `mel`.
        hop: As in `stft`.
        centred: As in `stft`.
        low: As in `mel`.
        high: As in `mel`.
        scale: As in `mel`.
        norm: As in `mel`.
        floor: Mel magnitudes below it count as it, and pass no gradient.

    Returns:
        Shape of `mel`.

    Raises:
        ValueError: As `mel`, or if the floor is not positive.

    Example:
        >>> import jax.numpy as jnp
        >>> from convt1d._spectral import log_mel
        >>> float(log_mel(jnp.zeros((1, 64)), 16, rate=8000, bands=4).max())
        -5.0
    """
    if floor <= 0:
        raise ValueError(f"floor is {floor}; the logarithm needs a positive one, such as 1e-5")
    values = mel(
        signal,
        n_fft,
        rate=rate,
        bands=bands,
        hop=hop,
        centred=centred,
        low=low,
        high=high,
        scale=scale,
        norm=norm,
    )
    return jnp.log10(jnp.maximum(values, jnp.asarray(floor, values.dtype)))


def _check(n_fft: int, hop: int | None, window_length: int | None) -> tuple[int, int, int]:
    if n_fft < 2 or n_fft % 2:
        raise ValueError(f"n_fft is {n_fft}; give an even number of at least 2")
    hop = max(n_fft // 4, 1) if hop is None else hop
    if hop < 1:
        raise ValueError(f"hop is {hop}; give at least 1")
    window_length = n_fft if window_length is None else window_length
    if not 1 <= window_length <= n_fft:
        raise ValueError(f"window_length is {window_length}; give 1 to n_fft = {n_fft}")
    return n_fft, hop, window_length


def _rows(signal: Float[Array, "..."]) -> Float[Array, "... length"]:
    """Channels before the length, so that a row is one channel of one example; at least float32."""
    if signal.ndim not in (1, 2, 3):
        raise ValueError(
            f"signal has shape {signal.shape}; give (batch, length, channels), (batch, length) "
            "or (length,)"
        )
    if jnp.finfo(signal.dtype).bits < 32:
        signal = signal.astype(jnp.float32)  # half precision would leave 40 dB of spectrum
    return jnp.moveaxis(signal, 2, 1) if signal.ndim == 3 else signal


def _restore(values: Array, signal: Array) -> Array:
    """(batch, channels, frames, frequencies) to channels last again."""
    return jnp.moveaxis(values, 1, 3) if signal.ndim == 3 else values


def _magnitude(
    rows: Float[Array, "... length"],
    n_fft: int,
    hop: int | None,
    window_length: int | None,
    *,
    centred: bool,
) -> Float[Array, "... frames frequencies"]:
    sizes = _check(n_fft, hop, window_length)
    real, imaginary = _transform(rows, sizes, centred=centred, length=rows.shape[-1])
    return _safe_root(real * real + imaginary * imaginary)


def _safe_root(power: Float[Array, "..."]) -> Float[Array, "..."]:
    """Square root with gradient zero at zero.

    The inner `where` keeps the infinite slope out of the product that would make it NaN.
    """
    positive = power > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, power, jnp.ones_like(power))), power)


def _transform(
    rows: Float[Array, "... length"], sizes: tuple[int, int, int], *, centred: bool, length: int
) -> tuple[Float[Array, "... frames frequencies"], Float[Array, "... frames frequencies"]]:
    """Real and imaginary part."""
    n_fft, hop, window_length = sizes
    if centred and length <= n_fft // 2:
        raise ValueError(
            f"signal has length {length}, but centred frames of n_fft = {n_fft} reflect "
            f"{n_fft // 2} samples at its ends; use n_fft <= {2 * (length - 1)}"
        )
    if not centred and length < n_fft:
        raise ValueError(f"signal has length {length}, shorter than one frame of n_fft = {n_fft}")
    if centred:
        around = [(0, 0)] * (rows.ndim - 1) + [(n_fft // 2, n_fft // 2)]
        rows = jnp.pad(rows, around, mode="reflect")
    frames = _frames(rows, n_fft, hop)
    if n_fft <= LONGEST_GEMM_WINDOW:
        both = _product(frames, _fourier_matrix(n_fft, window_length))
        return both[..., : n_fft // 2 + 1], both[..., n_fft // 2 + 1 :]
    window = jnp.asarray(_window(n_fft, window_length), frames.dtype)
    spectrum = real_fft(frames * window.reshape((1,) * (frames.ndim - 1) + (-1,)))
    return spectrum.real, spectrum.imag


def _frames(
    rows: Float[Array, "... length"], n_fft: int, hop: int
) -> Float[Array, "... frames n_fft"]:
    """Overlapping frames from slices of hop-sized blocks.

    A gather would say the same, but its gradient is a scatter, which XLA runs one element at a
    time on CPU; the gradient of a slice is a padding.
    """
    count = 1 + (rows.shape[-1] - n_fft) // hop
    overlap = -(-n_fft // hop)  # blocks in a frame, the last perhaps in part
    wanted = (count + overlap - 1) * hop
    missing = max(wanted - rows.shape[-1], 0)
    rows = jnp.pad(rows, [(0, 0)] * (rows.ndim - 1) + [(0, missing)])[..., :wanted]
    blocks = rows.reshape(*rows.shape[:-1], count + overlap - 1, hop)
    pieces = [
        blocks[..., index : index + count, : min(hop, n_fft - index * hop)]
        for index in range(overlap)
    ]
    return jnp.concatenate(pieces, axis=-1)


def _product(values: Float[Array, "... n"], matrix: NDArray[np.float64]) -> Float[Array, "... m"]:
    # Highest: TF32 or bfloat16 products would raise a noise floor at -60 or -40 dB.
    return jnp.matmul(
        values, jnp.asarray(matrix, values.dtype), precision=jax.lax.Precision.HIGHEST
    )


@functools.lru_cache(maxsize=64)
def _window(n_fft: int, window_length: int) -> NDArray[np.float64]:
    """Periodic Hann window, centred in zeros."""
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(window_length) / window_length)
    before = (n_fft - window_length) // 2
    return np.pad(hann, (before, n_fft - window_length - before))


@functools.lru_cache(maxsize=64)
def _fourier_matrix(n_fft: int, window_length: int) -> NDArray[np.float64]:
    """Window and cosines beside window and sines: shape (n_fft, 2 · (n_fft / 2 + 1))."""
    phase = -2.0 * np.pi * np.outer(np.arange(n_fft), np.arange(n_fft // 2 + 1)) / n_fft
    window = _window(n_fft, window_length)[:, None]
    return np.concatenate([window * np.cos(phase), window * np.sin(phase)], axis=1)
