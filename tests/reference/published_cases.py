"""Published models in small: ours of the same layout, and numbers that need no generator."""

import dataclasses
import math
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from convt1d import PQMF
from convt1d.interop._published import Source
from convt1d.models import Banded, Decoder, Encoder, Heads, published

KEY = jax.random.key(0)
CHANNELS = (16, 8, 4)


class Case(NamedTuple):
    """Ours, whose names it has, and the input: batch, length, channels."""

    source: Source
    make: Callable[[], Any]
    shape: tuple[int, int, int]
    run: Callable[[Any, Any], Any] = lambda model, x: model(x)


def small(make, strides, *, signal=1, latent=5, channels=CHANNELS, **changes) -> Any:
    """A published decoder or encoder of two stages; its layout is otherwise its own."""
    whole = eqx.filter_eval_shape(make)
    changes |= {"strides": strides, "stride_kernels": (), "channels": channels}
    layout = dataclasses.replace(whole.layout, **changes)
    if isinstance(whole, Encoder):
        return Encoder(signal, latent, layout, key=KEY)
    return Decoder(signal, latent, layout, output=whole.output, key=KEY)


def small_rave(version):
    """RAVE with four bands instead of sixteen."""
    whole = eqx.filter_eval_shape(lambda: published.rave(version, key=KEY)).decoder
    if version == 2:
        bands = small(lambda: whole, (2, 4), signal=4, units=(2, 3))
        return Banded(bands, PQMF(4))
    features = small(lambda: whole.decoder, (4, 2), signal=CHANNELS[-1])
    return Banded(Heads(features, 4, noise_strides=(4, 2), key=KEY), PQMF(4))


def noise_of_rave(model, x):
    """What the noise of RAVE's first version is, of white noise that is no noise."""
    heads = model.decoder
    features = heads.decoder(x)
    shape = (x.shape[0], x.shape[1], heads.signal, 8)
    return heads.noise.filtered(features, jnp.asarray(numbers("noise", shape), x.dtype))


def decoder(make, source, strides=(8, 2), *, frames=4, latent=5, **changes):
    return Case(source, lambda: small(make, strides, latent=latent, **changes), (2, frames, latent))


def encoder(make, source, strides=(8, 2), *, latent=5):
    samples = 4 * math.prod(strides)
    return Case(source, lambda: small(make, strides, latent=latent), (2, samples, 1))


CASES = {
    "hifigan 1": decoder(lambda: published.hifigan(1, key=KEY), "hifigan"),
    "hifigan 3": decoder(lambda: published.hifigan(3, key=KEY), "hifigan"),
    "speecht5": decoder(lambda: published.hifigan(1, key=KEY), "transformers_hifigan"),
    "dac": decoder(lambda: published.dac(24000, key=KEY), "dac", (8, 5)),
    "dac encoder": encoder(lambda: published.dac_encoder(24000, key=KEY), "dac", (8, 5)),
    "transformers dac 44": decoder(
        lambda: published.dac(44100, key=KEY), "transformers_dac", latent=16
    ),
    "transformers dac 24": decoder(
        lambda: published.dac(24000, key=KEY), "transformers_dac", (8, 5), latent=16
    ),
    "transformers dac encoder": encoder(
        lambda: published.dac_encoder(24000, key=KEY), "transformers_dac", (8, 5), latent=16
    ),
    "encodec": decoder(lambda: published.encodec(key=KEY), "encodec", (5, 2)),
    "transformers encodec": decoder(
        lambda: published.encodec(key=KEY), "transformers_seanet", (5, 2), frames=9
    ),
    "transformers encodec, not causal": decoder(
        lambda: published.encodec(causal=False, key=KEY), "transformers_seanet", (5, 2), frames=3
    ),
    "transformers encodec encoder": encoder(
        lambda: published.encodec_encoder(key=KEY), "transformers_seanet", (5, 2)
    ),
    "transformers encodec encoder, not causal": encoder(
        lambda: published.encodec_encoder(causal=False, key=KEY), "transformers_seanet", (5, 2)
    ),
    "mimi": decoder(lambda: published.mimi(key=KEY), "transformers_seanet", (5, 4)),
    "mimi encoder": encoder(lambda: published.mimi_encoder(key=KEY), "transformers_seanet", (5, 4)),
    "oobleck": decoder(
        lambda: published.oobleck(key=KEY), "oobleck", (3, 2), signal=2, channels=(8, 4, 4)
    ),
    "rave 2": Case("rave_v2", lambda: small_rave(2), (1, 4, 5)),
    "rave 1": Case("rave_v1", lambda: small_rave(1), (1, 4, 5)),
    "rave 1 noise": Case("rave_v1", lambda: small_rave(1), (1, 4, 5), noise_of_rave),
}
OUTSIDE = ("mean", "scale")
"""Arrays of published models that scale their input, which ours do not."""


def numbers(name, shape):
    """Irregular numbers for an array, which keep signals of size one from layer to layer."""
    i = np.arange(math.prod(shape), dtype=np.float64)
    drawn = np.sqrt(2) * np.sin(0.7 * i + 0.003 * i * i + zlib.crc32(name.encode()) % 1000)
    drawn = drawn.reshape(shape)
    kind = name.rpartition(".")[2]
    if kind in ("weight_g", "original0"):
        return 0.5 + 0.2 * drawn
    if kind in ("alpha", "beta"):
        return 0.8 + 0.2 * drawn
    if kind.startswith("bias"):
        return 0.1 * drawn
    if kind in ("input", "noise"):
        return drawn
    if kind == "hk":  # kept in single precision everywhere
        return (0.1 * drawn).astype(np.float32).astype(np.float64)
    return 0.75 * drawn / np.sqrt(max(1, math.prod(shape[1:])))


def state_of(shapes):
    """All arrays of a model, from their names and shapes."""
    return {name: numbers(name, tuple(shape)) for name, shape in shapes.items()}
