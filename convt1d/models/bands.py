"""Decoders and encoders whose signal is the bands of a filter bank, and heads for them: RAVE's."""

import math
from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from convt1d._convolution import Conv1d
from convt1d._geometry import conv_padding, kernel_extent
from convt1d._pqmf import PQMF
from convt1d._stream_parts import stream_chain
from convt1d._streaming import Stream, stream
from convt1d._weight_norm import WeightNorm
from convt1d.models.blocks import QUIET, Layer, convolution, plain, through
from convt1d.models.decoders import Decoder
from convt1d.models.encoders import Encoder
from convt1d.models.noise import FilteredNoise, loudness_of
from convt1d.models.recurrent import LSTM


class Heads(eqx.Module):
    r"""What RAVE's first version makes of a decoder's features: a wave, its loudness, and noise.

    $$ y = \tanh(\text{wave}) \cdot \text{loudness} + \text{noise} $$

    One convolution makes the wave, another one amplitude for all of its channels. The noise is
    filtered: amplitudes at ``noise_bands`` frequencies, for every channel and every
    $P = \prod\text{noise\_strides}$ frames, are the response of a filter that white noise passes
    through. It is only added if there is a key for it.

    Args:
        decoder: with ``output='features'``.
        signal: channels of what is made, such as the bands of a `convt1d.PQMF`.
        kernel_size: taps of the wave's convolution.
        loudness_kernel: taps of the loudness's convolution.
        noise_strides: of the noise's convolutions, of three taps each; none if empty. Their product
            divides the decoder's hop and is at least ``2·noise_bands - 2``.
        noise_bands: frequencies, from zero to half the frame rate, that have an amplitude.
        key: of the weights.

    Raises:
        ValueError: naming the argument that is wrong.

    Source: Caillon & Esling 2021 (arXiv:2111.05011); the noise is that of DDSP (Engel et al. 2020,
    arXiv:2001.04643).

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from convt1d.models import Decoder, Heads, Layout
        >>> keys = jax.random.split(jax.random.key(0), 3)
        >>> layout = Layout(strides=(4, 2), channels=(16, 8, 8), activation="leaky_relu")
        >>> features = Decoder(8, 16, layout, output="features", key=keys[0])
        >>> decoder = Heads(features, 4, noise_strides=(4, 2), key=keys[1])
        >>> latent = jnp.ones((3, 10, 16))
        >>> decoder(latent).shape, decoder(latent, key=keys[2]).shape
        ((3, 80, 4), (3, 80, 4))
    """

    decoder: Decoder
    wave: Layer
    loudness: Layer
    noise: "FilteredNoise | None"
    signal: int = eqx.field(static=True)
    kernel_size: int = eqx.field(static=True)
    loudness_kernel: int = eqx.field(static=True)
    noise_strides: tuple[int, ...] = eqx.field(static=True)
    noise_bands: int = eqx.field(static=True)

    def __init__(
        self,
        decoder: Decoder,
        signal: int,
        *,
        kernel_size: int = 7,
        loudness_kernel: int = 3,
        noise_strides: tuple[int, ...] = (),
        noise_bands: int = 5,
        key: PRNGKeyArray,
    ) -> None:
        if decoder.output != "features" or decoder.length is not None:
            raise ValueError(
                f"`decoder` (output={decoder.output!r}, length={decoder.length}) must have "
                "output='features' and length=None: the heads stand where its last layer would."
            )
        self.decoder, self.signal = decoder, signal
        self.kernel_size, self.loudness_kernel = kernel_size, loudness_kernel
        self.noise_strides, self.noise_bands = tuple(noise_strides), noise_bands
        features, layout, keys = decoder.signal, decoder.layout, jax.random.split(key, 3)
        self.wave = convolution(
            features, signal, kernel_size, layout, variance=QUIET, closing=True, key=keys[0]
        )
        self.loudness = convolution(features, 1, loudness_kernel, layout, closing=True, key=keys[1])
        self.noise = None
        if noise_strides:
            if decoder.hop % math.prod(noise_strides):
                raise ValueError(
                    f"`noise_strides` (={noise_strides}) must have a product that divides the "
                    f"decoder's hop, {decoder.hop}."
                )
            self.noise = FilteredNoise(
                features,
                signal,
                strides=self.noise_strides,
                frequencies=noise_bands,
                bias=layout.bias,
                key=keys[2],
            )

    @property
    def hop(self) -> int:
        """Samples of the signal for one step of the latent."""
        return self.decoder.hop

    @property
    def latent(self) -> int:
        """Channels of the latent."""
        return self.decoder.latent

    @property
    def length(self) -> None:
        """Signals are of any length."""
        return

    def __call__(
        self, latent: Float[Array, "batch frames latent"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "batch length signal"]:
        """Decode ``frames · hop`` samples.

        Args:
            latent: in any dtype, which the signal has too.
            key: of the noise: one for the batch, or one for each of its examples. None adds none.
        """
        features = self.decoder(latent.astype(plain(self.wave).weight.dtype))
        y = jnp.tanh(through(self.wave, features))
        y = y * loudness_of(through(self.loudness, features))
        if self.noise is not None and key is not None:
            y = y + self.noise(features, key=key)
        return y.astype(latent.dtype)

    def layers(self) -> Iterator[tuple[str, Layer | LSTM]]:
        """The layers that mix samples, in the order in which a signal passes them, by name."""
        for name, layer in self.decoder.layers():
            yield f"decoder.{name}", layer
        yield "wave", self.wave
        yield "loudness", self.loudness
        if self.noise is not None:
            for i, layer in enumerate(self.noise.layers):
                yield f"noise.layers.{i}", layer


class Banded(eqx.Module):
    """A decoder that makes the bands of a signal, and the bank that puts them together.

    Args:
        decoder: a `Decoder` or `Heads` of ``pqmf.channels · pqmf.bands`` channels.
        pqmf: the filter bank.

    Raises:
        ValueError: if the two do not fit.

    Source: Caillon & Esling 2021 (arXiv:2111.05011).

    Example:
        >>> import jax, jax.numpy as jnp, convt1d
        >>> from convt1d.models import Banded, Decoder, Layout
        >>> layout = Layout(strides=(4, 2), channels=(16, 8, 8), activation="leaky_relu")
        >>> bands = Decoder(4, 16, layout, output="modulated", key=jax.random.key(0))
        >>> decoder = Banded(bands, convt1d.PQMF(4))
        >>> decoder(jnp.ones((3, 10, 16))).shape, decoder.hop
        ((3, 320, 1), 32)
    """

    decoder: Decoder | Heads
    pqmf: PQMF

    def __init__(self, decoder: Decoder | Heads, pqmf: PQMF) -> None:
        _check_bands("decoder", decoder.signal, pqmf)
        self.decoder, self.pqmf = decoder, pqmf

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
        """Decode ``frames · hop`` samples; ``key`` is that of `Heads`, and of no use to others."""
        return self.pqmf.synthesis(self.bands(latent, key=key))

    def bands(
        self, latent: Float[Array, "batch frames latent"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "batch frames bands"]:
        """The bands before they are put together."""
        decoder = self.decoder
        return decoder(latent, key=key) if isinstance(decoder, Heads) else decoder(latent)

    def layers(self) -> Iterator[tuple[str, Layer | LSTM]]:
        """The layers that mix samples, in the order in which a signal passes them, by name."""
        for name, layer in self.decoder.layers():
            yield f"decoder.{name}", layer


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

    def layers(self) -> Iterator[tuple[str, Layer | LSTM]]:
        """The layers that mix samples, in the order in which a signal passes them, by name."""
        for name, layer in self.encoder.layers():
            yield f"encoder.{name}", layer


def _check_bands(argument: str, signal: int, pqmf: PQMF) -> None:
    if signal != pqmf.channels * pqmf.bands:
        raise ValueError(
            f"`{argument}` has a signal of {signal} channels, but `pqmf` makes {pqmf.bands} bands "
            f"of each of {pqmf.channels}: it must have {pqmf.channels * pqmf.bands}."
        )


@stream.register
def _(heads: Heads) -> Stream:
    """Without noise. Wave and loudness are one convolution, side by side."""
    return stream_chain(heads.decoder, _side_by_side(heads.wave, heads.loudness), _loud)


@stream.register
def _(banded: Banded) -> Stream:
    return stream_chain(banded.decoder, banded.pqmf.synthesis)


@stream.register
def _(encoder: BandedEncoder) -> Stream:
    return stream_chain(encoder.pqmf.analysis, encoder.encoder)


def _loud(x: Array) -> Array:
    return jnp.tanh(x[..., :-1]) * loudness_of(x[..., -1:])


def _side_by_side(*layers: Layer) -> Conv1d:
    """One convolution that makes the channels of several, of one stride, one after the other."""
    bare = [layer.folded() if isinstance(layer, WeightNorm) else layer for layer in layers]
    found = [layer for layer in bare if isinstance(layer, Conv1d)]
    pads = [
        conv_padding(it.padding, length=1, stride=1, extent=kernel_extent(it.kernel_size[0], 1))
        for it in found
    ]
    before, after = (max(side) for side in zip(*pads, strict=True))
    weights = [
        jnp.pad(it.weight, ((before - low, after - high), (0, 0), (0, 0)))
        for it, (low, high) in zip(found, pads, strict=True)
    ]
    biases = [jnp.zeros(it.out_channels) if it.bias is None else it.bias for it in found]
    return Conv1d(
        found[0].in_channels,
        sum(it.out_channels for it in found),
        before + after + 1,
        padding=(before, after),
        padding_mode=found[0].padding_mode,
        w_init=jnp.concatenate(weights, axis=2),
        b_init=None if found[0].bias is None else jnp.concatenate(biases),
    )
