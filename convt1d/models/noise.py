"""Noise whose spectrum is made frame by frame: DDSP's and RAVE's head for what has no pitch."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from numpy.typing import NDArray

from convt1d._convolution import Conv1d
from convt1d._fourier import inverse_real_fft, real_fft

QUIETER = 5.0
"""What RAVE takes off the noise's amplitudes before they are squashed: it begins inaudible."""


def loudness_of(x: Array) -> Array:
    """``2·sigmoid(x)^2.3 + 1e-7``: a positive amplitude, as in RAVE, from DDSP."""
    return 2 * jax.nn.sigmoid(x) ** 2.3 + 1e-7


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
        bias: bool,
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
            Conv1d(
                widths[i],
                widths[i + 1],
                3,
                stride=stride,
                padding=1,
                b_init=0.0 if bias else None,
                key=keys[i],
            )
            for i, stride in enumerate(strides)
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
            x = layer(x if i == 0 else jax.nn.leaky_relu(x, 0.2))
        batch, filters, _ = x.shape
        amplitudes = loudness_of(x - QUIETER).reshape(batch, filters, self.bands, -1)
        wide = np.promote_types(x.dtype, np.float32)  # transforms have no half types
        response = _response(amplitudes.shape[-1], self.frames).astype(wide)
        kernels = jnp.einsum("...f,fp->...p", amplitudes.astype(wide), jnp.asarray(response))
        twice = ((0, 0),) * 3 + ((0, self.frames),)  # so that nothing comes round
        noise_spectrum = real_fft(jnp.pad(noise.astype(wide), twice))
        spectrum = noise_spectrum * real_fft(jnp.pad(kernels, twice))
        y = inverse_real_fft(spectrum)[..., : self.frames]
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
