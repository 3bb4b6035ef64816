"""From settings to networks, with their first weights."""

import dataclasses

import jax
from jaxtyping import Array, Key

from apps import config as settings
from apps.config import Config
from apps.data import Signal
from apps.objectives.critics import Critics, make_critics
from convt1d import PQMF
from convt1d.models import (
    VAE,
    Banded,
    BandedEncoder,
    Components,
    Conditional,
    ConditionalEncoder,
    Decoder,
    Encoder,
    Flow,
    Layout,
    MelFrontEnd,
    SeriesUpsampler,
    Upsampler,
    Vocoder,
)


def model(
    config: Config, signal: Signal, *, key: Key[Array, ""]
) -> VAE | Decoder | Conditional | Vocoder | Upsampler | SeriesUpsampler:
    """Return the network that is used afterwards, for such signals."""
    match config.objective:
        case settings.Vae() | settings.VaeGan():
            return _autoencoder(config, signal, key=key)
        case settings.Gan():
            return _generator(config, signal, key=key)
        case settings.Vocoder():
            return _vocoder(config, signal, key=key)
        case settings.Upsampler(low_rate="filtered"):
            return Upsampler(config.objective.factor, layout(config), key=key)
        case settings.Upsampler():
            return SeriesUpsampler(
                config.objective.factor, layout(config), channels=signal.channels,
                low_rate=config.objective.low_rate, key=key
            )  # fmt: skip


def critic(config: Config, signal: Signal, *, key: Key[Array, ""]) -> Critics | None:
    """Return who judges the signals, if anybody does."""
    wanted = config.critic
    if wanted is None:
        return None
    return make_critics(
        signal.channels + len(signal.covariates),  # the critic sees what is given, too
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
        compress=wanted.compress, shortcut=wanted.shortcut, activation=wanted.activation,
        slope=wanted.slope, padding=wanted.padding, padding_mode=wanted.padding_mode,
        bias=wanted.bias, weight_norm=wanted.weight_norm, lstm=wanted.lstm,
        rematerialise=wanted.rematerialise
    )  # fmt: skip


def _length(config: Config, signal: Signal) -> int | None:
    """The one length of a model of whole records."""
    return signal.length if config.model.entry == "dense" else None


def _decoder(
    config: Config, channels: int, latent: int, *, length: int | None, key: Key[Array, ""]
) -> Decoder:
    output = config.model.output
    return Decoder(channels, latent, layout(config), length=length, output=output, key=key)


def _autoencoder(config: Config, signal: Signal, *, key: Key[Array, ""]) -> VAE:
    """An encoder and a decoder, of the signal or of its bands."""
    encoder_key, decoder_key = jax.random.split(key)
    latent, bands, length = config.model.latent, config.model.bands, _length(config, signal)
    classes, covariates = len(signal.labels), len(signal.covariates)
    embedding = min(classes, latent)
    seen = signal.channels + embedding + covariates
    told = latent + embedding + covariates * (length or config.model.hop)
    short = dataclasses.replace(layout(config), latent_kernel_size=3)  # as DAC's encoder has it
    encoder = Encoder(seen * bands, 2 * latent, short, length=length, key=encoder_key)
    plain = _decoder(config, signal.channels * bands, told, length=length, key=decoder_key)
    decoder = plain
    if config.model.composed:
        decoder = _composed(config, plain, key=jax.random.fold_in(decoder_key, 2))
    if bands > 1:  # of signals of any length, which have no level
        encoder = BandedEncoder(encoder, PQMF(bands, channels=seen))
        decoder = Banded(plain, PQMF(bands, channels=signal.channels))
    if not classes and not covariates:
        return VAE(encoder, decoder, _prior(config, key=jax.random.fold_in(decoder_key, 3)))
    keys = [jax.random.fold_in(each, 1) for each in (encoder_key, decoder_key)]
    return VAE(
        ConditionalEncoder(
            encoder, classes, embedding=embedding, covariates=covariates, key=keys[0]
        ),
        Conditional(decoder, classes, embedding=embedding, covariates=covariates, key=keys[1]),
    )


def _composed(config: Config, rest: Decoder, *, key: Key[Array, ""]) -> Components:
    wanted = config.model
    return Components(
        rest, level=wanted.level, trend=wanted.trend, seasons=wanted.seasons,
        season_lengths=wanted.season_lengths, key=key
    )  # fmt: skip


def _prior(config: Config, *, key: Key[Array, ""]) -> Flow | None:
    if getattr(config.objective, "prior_from", None) is None:
        return None
    wanted = config.model.prior
    return Flow(
        config.model.latent, channels=wanted.channels, blocks=wanted.blocks,
        kernel_size=wanted.kernel_size, steps=wanted.steps, key=key
    )  # fmt: skip


def _generator(config: Config, signal: Signal, *, key: Key[Array, ""]) -> Decoder | Conditional:
    """A decoder of noise; of noise and of what is known of records, where anything is."""
    channels, latent, length = signal.channels, config.model.latent, _length(config, signal)
    classes, covariates = len(signal.labels), len(signal.covariates)
    if not classes and not covariates:
        return _decoder(config, channels, latent, length=length, key=key)
    decoder_key, label_key = jax.random.split(key)
    embedding = latent if classes else 0  # the label comes as as many channels again
    told = latent + embedding + covariates * (length or config.model.hop)
    decoder = _decoder(config, channels, told, length=length, key=decoder_key)
    return Conditional(decoder, classes, embedding=embedding, covariates=covariates, key=label_key)


def _vocoder(config: Config, signal: Signal, *, key: Key[Array, ""]) -> Vocoder:
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
    decoder = _decoder(config, signal.channels, wanted.mel_bands, length=None, key=key)
    return Vocoder(decoder, front_end)
