"""Critics of the short-time spectrum: of its magnitude, or of its real and imaginary parts."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from apps.objectives.critics.layers import FrameConv, Label, labelled
from convt1d._spectral import stft

SPECTRA = ("complex", "magnitude")
SLOPE = 0.1
# Kernel (frames, frequencies) and stride along frequency of each layer of a band.
LAYERS = (((3, 9), 1), ((3, 9), 2), ((3, 9), 2), ((3, 9), 2), ((3, 3), 1))
# Where bands begin and end, in parts of all frequencies.
BANDS = {
    "complex": ((0.0, 0.1), (0.1, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0)),
    "magnitude": ((0.0, 1.0),),
}
QUIET = 1e-12
"""Added to |X|²: a magnitude's second derivative would overflow near silence."""


class SpectrumCritic(eqx.Module):
    """Convolutions over frames and frequencies of a spectrum, band by band.

    Of "complex", the real and the imaginary part are channels, and each of five bands has layers
    of its own, joined at the score. Of "magnitude", all frequencies are one band. Frames are
    centred, with a hop of a quarter.

    Source: Kumar et al., High-fidelity audio compression with improved RVQGAN (2023), section 3.4;
    Jang et al., UnivNet (2021), section 2.2.
    """

    bands: tuple[tuple[FrameConv, ...], ...]
    score: FrameConv
    label: Label | None
    n_fft: int = eqx.field(static=True)
    spectrum: str = eqx.field(static=True)
    edges: tuple[tuple[int, int], ...] = eqx.field(static=True)

    def __init__(
        self,
        signal_channels: int,
        *,
        n_fft: int,
        spectrum: str,
        channels: int,
        classes: int,
        key: PRNGKeyArray,
    ) -> None:
        count = n_fft // 2 + 1
        edges = tuple((int(low * count), int(high * count)) for low, high in BANDS[spectrum])
        self.edges = tuple((low, high) for low, high in edges if low < high)
        band_keys = jax.random.split(jax.random.fold_in(key, 0), len(self.edges))
        inputs = signal_channels * (2 if spectrum == "complex" else 1)
        self.bands = tuple(_layers(inputs, channels, key=each) for each in band_keys)
        self.score = FrameConv(channels, 1, (3, 3), slope=1.0, key=jax.random.fold_in(key, 1))
        label_key = jax.random.fold_in(key, 2)
        self.label = Label(classes, channels, key=label_key) if classes else None
        self.n_fft, self.spectrum = n_fft, spectrum

    def __call__(
        self,
        signal: Float[Array, "batch length channels"],
        *,
        keys: Key[Array, " batch"] | None,
        label: Int[Array, " batch"] | None,
    ) -> tuple[Float[Array, "batch positions"], tuple[Array, ...]]:
        """Scores and features, of shape (batch, frames, bins, channels)."""
        del keys
        image = self._image(signal).astype(self.score.weight.dtype)
        features: list[Array] = []
        seen: list[Array] = []
        for (low, high), layers in zip(self.edges, self.bands, strict=True):
            band = image[:, :, low:high]
            for layer in layers:
                band = jax.nn.leaky_relu(layer(band), SLOPE)
                features.append(band)
            seen.append(band)
        whole = jnp.concatenate(seen, axis=2)
        scores = self.score(whole).reshape(signal.shape[0], -1)
        flat = whole.reshape(signal.shape[0], -1, whole.shape[3])
        return labelled(scores, self.label, label, flat), tuple(features)

    def _image(
        self, signal: Float[Array, "batch length channels"]
    ) -> Float[Array, "batch frames frequencies inputs"]:
        values = stft(signal, self.n_fft)
        if self.spectrum == "complex":
            return jnp.concatenate([values.real, values.imag], axis=3)
        power = jnp.square(values.real) + jnp.square(values.imag)
        return jnp.sqrt(power + jnp.asarray(QUIET, power.dtype))


def _layers(inputs: int, channels: int, *, key: PRNGKeyArray) -> tuple[FrameConv, ...]:
    return tuple(
        FrameConv(
            channels if i else inputs,
            channels,
            kernel_size,
            stride=stride,
            slope=SLOPE,
            key=jax.random.fold_in(key, i),
        )
        for i, (kernel_size, stride) in enumerate(LAYERS)
    )
