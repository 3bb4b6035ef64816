"""Decoders and encoders whose signal is the bands of a filter bank, as RAVE's.

``Banded(decoder, pqmf, *, loudness_kernel=0, noise_strides=(), noise_bands=5, key=None)`` and
``BandedEncoder(encoder, pqmf)``. A decoder's ``signal`` is the bank's ``channels · bands``.
"""

import math
from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from numpy.typing import NDArray

from convt1d._convolution import Conv1d
from convt1d._pqmf import PQMF
from convt1d._stream_parts import stream_chain
from convt1d._streaming import Stream, stream
from convt1d._weight_norm import WeightNorm
from convt1d.models.blocks import Layer, leaky_relu
from convt1d.models.decoders import Decoder
from convt1d.models.encoders import Encoder

QUIETER = 5.0
"""What RAVE takes off the noise's amplitudes before they are squashed: it begins inaudible."""


def loudness_of(x: Array) -> Array:
    r"""``2·sigmoid(x)^2.3 + 1e-7``: a positive amplitude, as in RAVE and DDSP (arXiv:2001.04643)."""
    return 2 * jax.nn.sigmoid(x) ** 2.3 + 1e-7


class Banded(eqx.Module):
    r"""A `Decoder` that makes the bands of a signal, and the bank that puts them together.

    RAVE's first version has two more heads beside the decoder's last convolution, on the same
    features. One makes a loudness for each frame, which multiplies all bands. The other makes
    noise: amplitudes at ``noise_bands`` frequencies, for every band and every
    $P = \prod\text{noise\_strides}$ frames, are a filter's response that white noise is passed
    through. The noise is only added if there is a key for it.

    Args:
        decoder: of ``pqmf.channels · pqmf.bands`` channels, and with a last convolution where there
            are heads.
        pqmf: the filter bank.
        loudness_kernel: taps of the loudness's convolution; 0 for none.
        noise_strides: of the noise's convolutions, of three taps each; none if empty. Their product
            divides the decoder's hop and is at least ``2·noise_bands - 2``.
        noise_bands: frequencies, from zero to half the frame rate, at which amplitudes are made.
        key: of the heads' weights; needed for them only.

    Raises:
        ValueError: naming the argument that is wrong.

    Source: Caillon & Esling 2021 (arXiv:2111.05011); the noise is that of DDSP (Engel et al. 2020,
    arXiv:2001.04643).

    Example:
        >>> import jax, jax.numpy as jnp, convt1d
        >>> from convt1d.models import Banded, Decoder, Layout
        >>> layout = Layout(strides=(4, 2), channels=(16, 8, 8), activation="leaky_relu")
        >>> decoder = Banded(Decoder(4, 16, layout, key=jax.random.key(0)), convt1d.PQMF(4))
        >>> decoder(jnp.ones((3, 10, 16))).shape, decoder.hop
        ((3, 320, 1), 32)
    """

    decoder: Decoder
    pqmf: PQMF
    loudness: Layer | None
    noise: "FilteredNoise | None"
    loudness_kernel: int = eqx.field(static=True)
    noise_strides: tuple[int, ...] = eqx.field(static=True)
    noise_bands: int = eqx.field(static=True)

    def __init__(
        self,
        decoder: Decoder,
        pqmf: PQMF,
        *,
        loudness_kernel: int = 0,
        noise_strides: tuple[int, ...] = (),
        noise_bands: int = 5,
        key: PRNGKeyArray | None = None,
    ) -> None:
        _check_bands("decoder", decoder.signal, pqmf)
        self.decoder, self.pqmf = decoder, pqmf
        self.loudness_kernel = loudness_kernel
        self.noise_strides, self.noise_bands = tuple(noise_strides), noise_bands
        self.loudness, self.noise = None, None
        if not loudness_kernel and not noise_strides:
            return
        if key is None:
            raise ValueError("`key` (=None) must be given for the weights of loudness and noise.")
        if decoder.last is None:
            raise ValueError(
                "`decoder` makes its signal by its last transposed convolution, but loudness and "
                "noise are made beside a last convolution: give it one more of `channels`."
            )
        loudness_key, noise_key = jax.random.split(key)
        features = decoder.channels[-1]
        if loudness_kernel:
            layer = Conv1d(features, 1, loudness_kernel, b_init=None, key=loudness_key)
            self.loudness = WeightNorm(layer)
        if noise_strides:
            if decoder.hop % math.prod(noise_strides):
                raise ValueError(
                    f"`noise_strides` (={noise_strides}) must have a product that divides the "
                    f"decoder's hop, {decoder.hop}."
                )
            self.noise = FilteredNoise(
                features,
                decoder.signal,
                strides=self.noise_strides,
                frequencies=noise_bands,
                key=noise_key,
            )

    @property
    def hop(self) -> int:
        """Samples of the signal for one step of the latent."""
        return self.decoder.hop * self.pqmf.bands

    @property
    def latent(self) -> int:
        """Channels of the latent."""
        return self.decoder.latent

    @property
    def signal(self) -> int:
        """Channels of the signal."""
        return self.pqmf.channels

    @property
    def length(self) -> int | None:
        """Of the signal, where it is fixed."""
        return None if self.decoder.length is None else self.decoder.length * self.pqmf.bands

    def __call__(
        self, latent: Float[Array, "batch frames latent"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "batch length signal"]:
        """Decode ``frames · hop`` samples.

        Args:
            latent: in any dtype, which the signal has too.
            key: of the noise: one for the batch, or one for each of its examples. None adds none.
        """
        return self.pqmf.synthesis(self.bands(latent, key=key))

    def bands(
        self, latent: Float[Array, "batch frames latent"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "batch frames bands"]:
        """The bands before they are put together; arguments as those of a call."""
        if self.loudness is None and self.noise is None:
            return self.decoder(latent)
        features = self.decoder.features(latent)
        bands = self.decoder.made_of(features)
        if self.loudness is not None:
            bands = bands * loudness_of(self.loudness(features))
        if self.noise is not None and key is not None:
            bands = bands + self.noise(features, key=key)
        return bands.astype(latent.dtype)

    def layers(self) -> Iterator[tuple[str, Layer]]:
        """The convolutions in the order in which a signal passes them, by name."""
        for name, layer in self.decoder.layers():
            yield f"decoder.{name}", layer
        if self.loudness is not None:
            yield "loudness", self.loudness
        if self.noise is not None:
            for i, layer in enumerate(self.noise.layers):
                yield f"noise.layers.{i}", layer


class BandedEncoder(eqx.Module):
    """An `Encoder` of the bands of a signal, and the bank that takes the signal apart.

    Args:
        encoder: of ``pqmf.channels · pqmf.bands`` channels.
        pqmf: the filter bank.

    Raises:
        ValueError: if the two do not fit.

    Source: Caillon & Esling 2021 (arXiv:2111.05011).

    Example:
        >>> import jax, jax.numpy as jnp, convt1d
        >>> from convt1d.models import BandedEncoder, Encoder, Layout
        >>> layout = Layout(strides=(4, 2), channels=(16, 8, 8), activation="leaky_relu")
        >>> encoder = BandedEncoder(Encoder(4, 32, layout, key=jax.random.key(0)), convt1d.PQMF(4))
        >>> encoder(jnp.ones((3, 320, 1))).shape, encoder.hop
        ((3, 10, 32), 32)
    """

    encoder: Encoder
    pqmf: PQMF

    def __init__(self, encoder: Encoder, pqmf: PQMF) -> None:
        _check_bands("encoder", encoder.signal, pqmf)
        self.encoder, self.pqmf = encoder, pqmf

    @property
    def hop(self) -> int:
        """Samples of the signal for one step of the features."""
        return self.encoder.hop * self.pqmf.bands

    @property
    def features(self) -> int:
        """Channels of what is made."""
        return self.encoder.features

    @property
    def signal(self) -> int:
        """Channels of the signal."""
        return self.pqmf.channels

    @property
    def length(self) -> int | None:
        """Of the signal, where it is fixed."""
        return None if self.encoder.length is None else self.encoder.length * self.pqmf.bands

    def __call__(
        self, signal: Float[Array, "batch length signal"]
    ) -> Float[Array, "batch frames features"]:
        """Encode: ``ceil(length / hop)`` frames, zeros after the end."""
        return self.encoder(self.pqmf.analysis(signal))

    def layers(self) -> Iterator[tuple[str, Layer]]:
        """The convolutions in the order in which a signal passes them, by name."""
        for name, layer in self.encoder.layers():
            yield f"encoder.{name}", layer


class FilteredNoise(eqx.Module):
    """White noise through filters that convolutions of the features have made."""

    layers: tuple[Conv1d, ...]
    bands: int = eqx.field(static=True)

    def __init__(
        self,
        features: int,
        bands: int,
        *,
        strides: tuple[int, ...],
        frequencies: int,
        key: PRNGKeyArray,
    ) -> None:
        self.bands = bands
        if min(strides) < 1 or frequencies < 2 or math.prod(strides) < 2 * frequencies - 2:
            raise ValueError(
                f"`noise_strides` (={strides}) must be positive and have a product of at least "
                f"2·noise_bands - 2 (noise_bands={frequencies}, at least 2): the filter must fit "
                "into the frames that it is for."
            )
        widths = [features] * len(strides) + [bands * frequencies]
        keys = jax.random.split(key, len(strides))
        self.layers = tuple(
            Conv1d(widths[i], widths[i + 1], 3, stride=s, padding=1, b_init=None, key=keys[i])
            for i, s in enumerate(strides)
        )

    def __call__(
        self, features: Float[Array, "batch length features"], *, key: PRNGKeyArray
    ) -> Float[Array, "batch length bands"]:
        """Draw the noise and filter it."""
        frames = features.shape[1] // self.frames
        shape = (features.shape[0], frames, self.bands, self.frames)
        if key.ndim:
            noise = jax.vmap(lambda k: jax.random.uniform(k, shape[1:], minval=-1, maxval=1))(key)
        else:
            noise = jax.random.uniform(key, shape, minval=-1, maxval=1)
        return self.filtered(features, noise)

    @property
    def frames(self) -> int:
        """For which one filter is."""
        return math.prod(layer.stride for layer in self.layers)

    def filtered(
        self,
        features: Float[Array, "batch length features"],
        noise: Float[Array, "batch filters bands frames"],
    ) -> Float[Array, "batch length bands"]:
        """``noise`` of ours, each piece of it through its filter and cut where the next begins."""
        x = features
        for i, layer in enumerate(self.layers):
            x = layer(x if i == 0 else leaky_relu(x))
        batch, filters, _ = x.shape
        amplitudes = loudness_of(x - QUIETER).reshape(batch, filters, self.bands, -1)
        wide = np.promote_types(x.dtype, np.float32)  # transforms have no half types
        response = _response(amplitudes.shape[-1], self.frames).astype(wide)
        kernels = jnp.einsum("...f,fp->...p", amplitudes.astype(wide), jnp.asarray(response))
        spectrum = jnp.fft.rfft(noise.astype(wide), 2 * self.frames) * jnp.fft.rfft(
            kernels, 2 * self.frames
        )
        y = jnp.fft.irfft(spectrum, 2 * self.frames)[..., : self.frames]
        return y.swapaxes(2, 3).reshape(batch, -1, self.bands).astype(x.dtype)


def _response(frequencies: int, length: int) -> NDArray[np.float64]:
    """What each frequency adds to a filter's taps: Hann's window, and its middle at tap 0.

    The taps before the middle come last, as in DDSP's own convolution, where they are cut off but
    for a few samples at the end of each piece.
    """
    taps = np.fft.irfft(np.eye(frequencies))
    size = taps.shape[1]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    taps = np.roll(taps, size // 2, axis=1) * window
    return np.roll(np.pad(taps, ((0, 0), (0, length - size))), -(size // 2), axis=1)


def _check_bands(argument: str, signal: int, pqmf: PQMF) -> None:
    if signal != pqmf.channels * pqmf.bands:
        raise ValueError(
            f"`{argument}` has a signal of {signal} channels, but `pqmf` makes {pqmf.bands} bands "
            f"of each of {pqmf.channels}: it must have {pqmf.channels * pqmf.bands}."
        )


@stream.register
def _(encoder: BandedEncoder) -> Stream:
    return stream_chain(encoder.pqmf.analysis, encoder.encoder)
