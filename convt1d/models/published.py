"""The published families of decoders and encoders, by arguments alone.

What differs is in the `Layout`; the weights are drawn anew. `convt1d.interop.read_model` reads the
published ones into them.
"""

import dataclasses
import math

import jax
from jaxtyping import PRNGKeyArray

from convt1d._pqmf import PQMF
from convt1d.models.bands import Banded, Heads
from convt1d.models.decoders import Decoder
from convt1d.models.encoders import Encoder
from convt1d.models.layout import Layout

_HIFIGAN = {
    1: Layout(
        strides=(8, 8, 2, 2),
        channels=(512, 256, 128, 64, 32),
        residual_kernels=(3, 7, 11),
        dilations=(1, 3, 5),
        residual="twice",
        activation="leaky_relu",
        slope=0.1,
        closing_slope=0.01,
    ),
    3: Layout(
        strides=(8, 8, 4),
        channels=(256, 128, 64, 32),
        residual_kernels=(3, 5, 7),
        dilations=((1, 2), (2, 6), (3, 12)),
        residual="single",
        activation="leaky_relu",
        slope=0.1,
        closing_slope=0.01,
    ),
}
_HIFIGAN[2] = dataclasses.replace(_HIFIGAN[1], channels=(128, 64, 32, 16, 8))


def hifigan(version: int = 1, *, bands: int = 80, key: PRNGKeyArray) -> Decoder:
    """HiFi-GAN's generator: 256 samples of each mel frame, by branches of several kernel sizes.

    Args:
        version: 1 (13.926 M parameters, weight norm folded), 2 (0.926 M) or 3 (1.462 M).
        bands: of the mel spectra.
        key: of the weights.

    Raises:
        ValueError: if there is no such version.

    Source: Kong et al. 2020 (arXiv:2010.05646), tables 1 and 5.

    Example:
        >>> import equinox as eqx, jax
        >>> from convt1d.models import published
        >>> decoder = eqx.filter_eval_shape(lambda: published.hifigan(2, key=jax.random.key(0)))
        >>> decoder.hop, decoder.latent
        (256, 80)
    """
    if version not in _HIFIGAN:
        raise ValueError(f"`version` (={version!r}) must be 1, 2 or 3.")
    return Decoder(1, bands, _HIFIGAN[version], key=key)


_DAC = {44100: (8, 8, 4, 2), 24000: (8, 5, 4, 2), 16000: (8, 5, 4, 2)}


def dac(rate: int = 44100, *, exact: bool = False, key: PRNGKeyArray) -> Decoder:
    """DAC's decoder: Snake and dilated residual units, a latent of 1,024 channels.

    Args:
        rate: 44100 (54.091 M parameters, weight norm folded), 24000 or 16000 (52.322 M).
        exact: whether frames make exactly ``frames · hop`` samples. The published decoders of
            24 and 16 kHz, whose strides are odd, make 8 samples less, and so does this one then.
        key: of the weights.

    Raises:
        ValueError: if there is no such rate.

    Source: Kumar et al. 2023 (arXiv:2306.06546).

    Example:
        >>> import equinox as eqx, jax
        >>> from convt1d.models import published
        >>> decoder = eqx.filter_eval_shape(lambda: published.dac(24000, key=jax.random.key(0)))
        >>> latent = jax.ShapeDtypeStruct((1, 75, 1024), "float32")
        >>> eqx.filter_eval_shape(decoder, latent).shape
        (1, 23992, 1)
    """
    layout = Layout(
        strides=_dac_strides(rate),
        channels=(1536, 768, 384, 192, 96),
        padding="same" if exact else "symmetric",
    )
    return Decoder(1, 1024, layout, key=key)


def dac_encoder(rate: int = 44100, *, exact: bool = False, key: PRNGKeyArray) -> Encoder:
    """DAC's encoder; arguments and source as of `dac`.

    Example:
        >>> import equinox as eqx, jax
        >>> from convt1d.models import published
        >>> encoder = eqx.filter_eval_shape(lambda: published.dac_encoder(key=jax.random.key(0)))
        >>> encoder.hop, encoder.features
        (512, 1024)
    """
    layout = Layout(
        strides=_dac_strides(rate),
        channels=(1024, 512, 256, 128, 64),
        latent_kernel_size=3,
        padding="same" if exact else "symmetric",
    )
    return Encoder(1, 1024, layout, key=key)


def _dac_strides(rate: int) -> tuple[int, ...]:
    if rate not in _DAC:
        raise ValueError(f"`rate` (={rate!r}) must be one of {', '.join(map(str, _DAC))}.")
    return _DAC[rate]


_ENCODEC = Layout(
    strides=(8, 5, 4, 2),
    channels=(512, 256, 128, 64, 32),
    residual_kernels=(3,),
    dilations=(1,),
    compress=2,
    shortcut=True,
    activation="elu",
    padding="causal",
    padding_mode="reflect",
    lstm=2,
)
_NON_CAUSAL = dataclasses.replace(_ENCODEC, padding="same_lower")


def encodec(*, causal: bool = True, key: PRNGKeyArray) -> Decoder:
    """EnCodec's decoder of 24 kHz: SEANet with an LSTM, 7.423 M parameters, weight norm folded.

    It mirrors the signal at its ends, so that it cannot be streamed as it is: for a stream,
    replace its layout's ``padding_mode`` by ``'zeros'``, as AudioCraft's models have it.

    Args:
        causal: whether it looks back only.
        key: of the weights.

    Source: Défossez et al. 2022 (arXiv:2210.13438).

    Example:
        >>> import equinox as eqx, jax
        >>> from convt1d.models import published
        >>> decoder = eqx.filter_eval_shape(lambda: published.encodec(key=jax.random.key(0)))
        >>> decoder.hop, decoder.latent
        (320, 128)
    """
    return Decoder(1, 128, _ENCODEC if causal else _NON_CAUSAL, output="none", key=key)


def encodec_encoder(*, causal: bool = True, key: PRNGKeyArray) -> Encoder:
    """EnCodec's encoder of 24 kHz; arguments and source as of `encodec`.

    Example:
        >>> import equinox as eqx, jax
        >>> from convt1d.models import published
        >>> make = lambda: published.encodec_encoder(key=jax.random.key(0))
        >>> eqx.filter_eval_shape(make).features
        128
    """
    return Encoder(1, 128, _ENCODEC if causal else _NON_CAUSAL, key=key)


_MIMI = Layout(
    strides=(8, 6, 5, 4),
    channels=(1024, 512, 256, 128, 64),
    kernel_size=3,
    residual_kernels=(3,),
    dilations=(1,),
    compress=2,
    activation="elu",
    padding="causal",
    weight_norm=False,
)


def mimi(*, key: PRNGKeyArray) -> Decoder:
    """The SEANet decoder of Mimi: 960 samples of each latent of 512 channels, causal.

    Mimi's transformer and its change of rate from 12.5 to 25 Hz stand before it.

    Args:
        key: of the weights.

    Source: Défossez et al. 2024 (arXiv:2410.00037).

    Example:
        >>> import equinox as eqx, jax
        >>> from convt1d.models import published
        >>> eqx.filter_eval_shape(lambda: published.mimi(key=jax.random.key(0))).hop
        960
    """
    return Decoder(1, 512, _MIMI, output="none", key=key)


def mimi_encoder(*, key: PRNGKeyArray) -> Encoder:
    """The SEANet encoder of Mimi; argument and source as of `mimi`.

    Example:
        >>> import equinox as eqx, jax
        >>> from convt1d.models import published
        >>> eqx.filter_eval_shape(lambda: published.mimi_encoder(key=jax.random.key(0))).features
        512
    """
    swapped = dataclasses.replace(_MIMI, kernel_size=7, latent_kernel_size=3)
    return Encoder(1, 512, swapped, key=key)


_OOBLECK = Layout(
    strides=(8, 8, 4, 4, 2),
    channels=(2048, 1024, 512, 256, 128, 128),
    activation="snake_beta",
    closing_bias=False,
    padding="symmetric",
)


def oobleck(*, key: PRNGKeyArray) -> Decoder:
    """The decoder of Stable Audio 2.0's autoencoder: stereo, 2,048 samples of each latent of 64.

    It has 78.104 M parameters, weight norm folded.

    Args:
        key: of the weights.

    Source: Evans et al. 2024 (arXiv:2404.10301) and its published configuration.

    Example:
        >>> import equinox as eqx, jax
        >>> from convt1d.models import published
        >>> decoder = eqx.filter_eval_shape(lambda: published.oobleck(key=jax.random.key(0)))
        >>> decoder.hop, decoder.signal
        (2048, 2)
    """
    return Decoder(2, 64, _OOBLECK, output="none", key=key)


def oobleck_encoder(*, key: PRNGKeyArray) -> Encoder:
    """The encoder of Stable Audio 2.0's autoencoder: means and scales; argument as of `oobleck`.

    Example:
        >>> import equinox as eqx, jax
        >>> from convt1d.models import published
        >>> make = lambda: published.oobleck_encoder(key=jax.random.key(0))
        >>> eqx.filter_eval_shape(make).features
        128
    """
    layout = dataclasses.replace(_OOBLECK, latent_kernel_size=3, closing_bias=None)
    return Encoder(2, 128, layout, key=key)


def rave(version: int = 2, *, key: PRNGKeyArray) -> Banded:
    """RAVE's decoder: 16 bands, put together by a filter bank; 2,048 samples of each latent of 128.

    Args:
        version: 2 (15.468 M parameters, weight norm folded) or 1 (12.769 M, with loudness and
            noise).
        key: of the weights.

    Raises:
        ValueError: if there is no such version.

    Source: Caillon & Esling 2021 (arXiv:2111.05011), and the configurations that the authors
    published as v1 and v2.

    Example:
        >>> import equinox as eqx, jax
        >>> from convt1d.models import published
        >>> decoder = eqx.filter_eval_shape(lambda: published.rave(key=jax.random.key(0)))
        >>> decoder.hop, decoder.latent
        (2048, 128)
    """
    if version not in (1, 2):
        raise ValueError(f"`version` (={version!r}) must be 1 or 2.")
    layout = Layout(
        strides=(4, 4, 4, 2) if version == 1 else (2, 4, 4, 4),
        channels=(1024, 512, 256, 128, 64) if version == 1 else (1536, 768, 384, 192, 96),
        latent_kernel_size=7 if version == 1 else 3,
        residual_kernels=(3,),
        dilations=(1, 3, 5) if version == 1 else (1, 3, 9),
        residual="twice" if version == 1 else "pointwise",
        units=() if version == 1 else (2, 3, 3, 3),
        activation="leaky_relu",
        bias=False,
    )
    if version == 2:
        return Banded(Decoder(16, 128, layout, output="modulated", key=key), PQMF(16))
    body_key, heads_key = jax.random.split(key)
    features = Decoder(64, 128, layout, output="features", key=body_key)
    return Banded(Heads(features, 16, noise_strides=(4, 4, 4), key=heads_key), PQMF(16))


def wavegan(
    length: int = 16384, *, signal: int = 1, latent: int = 100, width: int = 64, key: PRNGKeyArray
) -> Decoder:
    """WaveGAN's generator: one latent for a whole signal, up to 16 steps, then four for one.

    The published ones have 16,384 samples (19,065,345 parameters), 32,768 and 65,536. Another
    length has as many layers as it needs, and what the last one makes too much is cut off.

    Args:
        length: samples of a signal.
        signal: channels of it.
        latent: numbers that make it.
        width: channels before the last layer; they double from each layer to the one before.
        key: of the weights.

    Source: Donahue et al. 2018 (arXiv:1802.04208), table 3, and the code published with it.

    Example:
        >>> import equinox as eqx, jax
        >>> from convt1d.models import published
        >>> decoder = eqx.filter_eval_shape(lambda: published.wavegan(65536, key=jax.random.key(0)))
        >>> decoder.layout.strides, decoder.layout.channels[0]
        ((4, 4, 4, 4, 4, 4), 2048)
    """
    strides = [4]
    while 16 * math.prod(strides) < length:
        strides.append(4)
    if 16 * math.prod(strides) // 2 >= length:
        strides[-1] = 2
    layout = Layout(
        strides=tuple(strides),
        channels=tuple(width * 2**i for i in reversed(range(len(strides)))),
        stride_kernels=(25,) * len(strides),
        dilations=(),
        activation="relu",
        weight_norm=False,
    )
    return Decoder(signal, latent, layout, length=length, key=key)
