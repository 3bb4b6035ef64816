"""Decoding of any length at constant memory."""

import equinox as eqx
import numpy as np
from jaxtyping import Array, Inexact
from numpy.typing import NDArray

from convt1d._geometry import single
from convt1d._streaming import Stream, stream, whole_hops


def decode_chunked(
    decoder: eqx.Module, latent: Inexact[Array | np.ndarray, "..."], *, chunk: int
) -> NDArray[np.inexact]:
    """What ``decoder(latent)`` gives, computed window by window.

    Each window is a chunk and what the receptive field of its output needs on both sides, so that
    the pieces equal the whole, up to the rounding of their sums. All windows are of one length, for
    which the decoder is compiled once; a signal no longer than that is decoded at once. Against
    `convt1d.stream` this computes the overlap twice, but large chunks by the fastest lowering.

    Args:
        decoder: any module of which `convt1d.stream` can be made and that sees a finite part of
            its input: a `convt1d.models.Decoder` or `convt1d.models.Encoder` without a fixed length
            and recurrent layers, a layer, a block.
        latent: ``(batch, frames, channels)``, on the host or the device.
        chunk: frames decoded for each piece of the output, rounded up to whole hops where the
            module shortens its input. Device memory grows with it and not with the frames.

    Returns:
        The signal, on the host.

    Raises:
        ValueError: if ``chunk`` is no positive int, or the module cannot be streamed.

    Example:
        >>> import jax, jax.numpy as jnp, numpy as np, convt1d
        >>> layout = convt1d.models.Layout(strides=(4, 2), channels=(16, 8, 4), dilations=())
        >>> decoder = convt1d.models.Decoder(1, 16, layout, key=jax.random.key(0))
        >>> latent = np.asarray(jax.random.normal(jax.random.key(1), (1, 100, 16)))
        >>> signal = convt1d.decode_chunked(decoder, latent, chunk=20)
        >>> bool(np.allclose(signal, decoder(jnp.asarray(latent)), atol=1e-5))
        True
    """
    geometry: Stream = eqx.filter_eval_shape(stream, decoder)
    axis = latent.ndim - (1 if geometry.channel_first else 2)
    frames, hop = latent.shape[axis], geometry.hop
    geometry._length(frames)  # refuses a length that cannot be cut
    chunk = whole_hops(single("chunk", chunk), hop)
    first, last = geometry._seen((0, int(chunk * geometry.ratio)))
    before = whole_hops(max(0, -first), hop)
    window = whole_hops(before + max(chunk, last), hop)
    latest = whole_hops(frames - window, hop)
    latent = np.asarray(latent)
    if window >= frames:
        return np.asarray(_decode(decoder, latent))
    pieces = []
    for begin in range(0, frames, chunk):
        start = max(0, min(begin - before, latest))
        signal = np.asarray(_decode(decoder, _cut(latent, start, start + window, axis)))
        end = begin + chunk - start if begin + chunk < frames else None
        to = None if end is None else int(end * geometry.ratio)
        pieces.append(_cut(signal, int((begin - start) * geometry.ratio), to, axis))
    return np.concatenate(pieces, axis)


@eqx.filter_jit
def _decode(decoder: eqx.Module, window: Array | NDArray[np.inexact]) -> Array:
    return decoder(window)  # pyright: ignore[reportCallIssue]


def _cut(
    signal: NDArray[np.inexact], start: int, end: int | None, axis: int
) -> NDArray[np.inexact]:
    return signal[(slice(None),) * axis + (slice(start, end),)]
