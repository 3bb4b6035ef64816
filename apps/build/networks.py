"""From settings to networks, with their first weights."""

import dataclasses
from typing import Any

import jax
from jaxtyping import Array, Key

from apps import config as settings
from apps.config import Config
from apps.data import Signal
from apps.objectives.critics import Critics, make_critics
from convt1d.models import VAE, Decoder, Encoder, Layout


def model(config: Config, signal: Signal, *, key: Key[Array, ""]) -> Any:
    """Return the network that is used afterwards, for such signals."""
    settings.check_length(signal.length, config.model)
    match config.objective:
        case settings.Vae() | settings.VaeGan():
            encoder_key, decoder_key = jax.random.split(key)
            encoder = _encoder(config, signal, key=encoder_key)
            return VAE(encoder, _decoder(config, signal, config.model.latent, key=decoder_key))
        case settings.Gan():
            return _generator(config, signal, key=key)
        case settings.Vocoder():
            return _vocoder(config, signal, key=key)
        case settings.Upsampler():
            from convt1d.models import Upsampler

            return Upsampler(config.objective.factor, layout(config), key=key)


def critic(config: Config, signal: Signal, *, key: Key[Array, ""]) -> Critics | None:
    """Return who judges the signals, if anybody does."""
    wanted = config.critic
    if wanted is None:
        return None
    return make_critics(
        signal.channels,
        length=signal.length,
        wave=wanted.wave,
        scales=wanted.scales,
        periods=wanted.periods,
        n_ffts=wanted.n_ffts,
        stack=wanted.stack,
        spectrum=wanted.spectrum,
        channels=wanted.channels,
        phase_shuffle=wanted.phase_shuffle,
        classes=len(signal.labels),
        key=key,
    )


def layout(config: Config) -> Layout:
    """Return what tells the decoder from others."""
    wanted = config.model
    return Layout(
        strides=wanted.strides, channels=wanted.channels, stride_kernels=wanted.stride_kernels,
        kernel_size=wanted.kernel_size, residual_kernels=wanted.residual_kernels,
        dilations=wanted.dilations, units=wanted.units, residual=wanted.residual,
        activation=wanted.activation, slope=wanted.slope, padding=wanted.padding,
        lstm=wanted.lstm, weight_norm=wanted.weight_norm, rematerialise=wanted.rematerialise
    )  # fmt: skip


def _length(config: Config, signal: Signal) -> int | None:
    """The one length of a model of whole records."""
    return signal.length if config.model.entry == "dense" else None


def _decoder(config: Config, signal: Signal, latent: int, *, key: Key[Array, ""]) -> Decoder:
    length, output = _length(config, signal), config.model.output
    return Decoder(signal.channels, latent, layout(config), length=length, output=output, key=key)


def _encoder(config: Config, signal: Signal, *, key: Key[Array, ""]) -> Encoder:
    short = dataclasses.replace(layout(config), latent_kernel_size=3)  # as DAC's encoder has it
    length = _length(config, signal)
    return Encoder(signal.channels, 2 * config.model.latent, short, length=length, key=key)


def _generator(config: Config, signal: Signal, *, key: Key[Array, ""]) -> Any:
    """A decoder of noise; of noise and a label where records have one."""
    if not signal.labels:
        return _decoder(config, signal, config.model.latent, key=key)
    from convt1d.models import Conditional

    decoder_key, label_key = jax.random.split(key)
    # The label comes as as many channels again.
    decoder = _decoder(config, signal, 2 * config.model.latent, key=decoder_key)
    return Conditional(decoder, len(signal.labels), key=label_key)


def _vocoder(config: Config, signal: Signal, *, key: Key[Array, ""]) -> Any:
    from convt1d.models import MelFrontEnd, Vocoder

    wanted = config.objective
    assert isinstance(wanted, settings.Vocoder)
    assert signal.rate is not None
    front_end = MelFrontEnd(
        rate=signal.rate,
        n_fft=wanted.n_fft,
        hop=config.model.hop,
        bands=wanted.mel_bands,
        low=wanted.low,
        high=wanted.high,
    )
    return Vocoder(_decoder(config, signal, wanted.mel_bands, key=key), front_end)
