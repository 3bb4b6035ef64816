"""The vocoder: from mel spectra back to sound, and the front end that makes the spectra."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from convt1d._geometry import choice, single
from convt1d._spectral import mel_filterbank, stft
from convt1d._stream_parts import stream_chain
from convt1d._stream_samples import stream_pointwise
from convt1d._streaming import Stream, stream
from convt1d.models.decoders import Decoder

POWER_FLOOR = 1e-9
"""Under the root of the magnitude, as in HiFi-GAN: the slope at silence stays finite."""


class MelFrontEnd(eqx.Module):
    r"""Natural logarithms of mel magnitudes, a frame for every hop: HiFi-GAN's front end.

    $$ m = \ln \max(\text{floor},\ \sqrt{|X|^2 + 10^{-9}}\ M) $$

    $X$ is the short-time Fourier transform with a periodic Hann window, $M$ the mel triangles.
    ``length // hop`` frames are made of a signal. Its ends are reflected, so that they can be.

    Args:
        rate: samples per second.
        n_fft: samples of a frame, even.
        hop: samples from one frame to the next, at most ``n_fft``.
        bands: number of mel triangles.
        low: where the lowest triangle begins, in Hz.
        high: where the highest triangle ends, in Hz; half the rate if None.
        scale: ``'slaney'`` or ``'htk'``.
        norm: ``'slaney'``, triangles of area one, or None, triangles of height one.
        centred: whether frame t is centred on sample t·hop, as in librosa. Otherwise it is centred
            on the samples t·hop to (t + 1)·hop, those that a vocoder makes of it, as in HiFi-GAN.
        floor: mel magnitudes below it count as it.

    Raises:
        ValueError: naming the argument that is wrong.

    Source: Kong et al. 2020 (arXiv:2010.05646) and its published front end, which is
    ``MelFrontEnd(22050, 1024, 256, 80, high=8000)`` of a signal times 0.95.

    Example:
        >>> import jax.numpy as jnp
        >>> from convt1d.models import MelFrontEnd
        >>> front_end = MelFrontEnd(8000, 256, 64, 40)
        >>> front_end(jnp.ones((2, 2048, 1))).shape
        (2, 32, 40)
    """

    rate: float = eqx.field(static=True)
    n_fft: int = eqx.field(static=True)
    hop: int = eqx.field(static=True)
    bands: int = eqx.field(static=True)
    low: float = eqx.field(static=True)
    high: float | None = eqx.field(static=True)
    scale: str = eqx.field(static=True)
    norm: str | None = eqx.field(static=True)
    centred: bool = eqx.field(static=True)
    floor: float = eqx.field(static=True)

    def __init__(
        self,
        rate: float,
        n_fft: int,
        hop: int,
        bands: int,
        *,
        low: float = 0.0,
        high: float | None = None,
        scale: str = "slaney",
        norm: str | None = "slaney",
        centred: bool = False,
        floor: float = 1e-5,
    ) -> None:
        self.rate, self.n_fft, self.hop = rate, single("n_fft", n_fft), single("hop", hop)
        self.bands, self.low, self.high = single("bands", bands), low, high
        self.scale, self.norm = choice("scale", scale, ("slaney", "htk")), norm
        self.centred, self.floor = centred, floor
        if n_fft < 2 or n_fft % 2:
            raise ValueError(f"`n_fft` (={n_fft}) must be an even number of at least 2.")
        if hop > n_fft:
            raise ValueError(
                f"`hop` (={hop}) must be at most n_fft (={n_fft}), or samples are lost."
            )
        if not 0 < floor < 1:
            raise ValueError(f"`floor` (={floor}) must lie between 0 and 1, such as 1e-5.")
        mel_filterbank(rate, n_fft, bands, low=low, high=high, scale=scale, norm=norm)

    @property
    def reach(self) -> tuple[int, int]:
        """Samples that the first frame sees before a signal's beginning, the last after its end."""
        around = self.n_fft - self.hop
        before = self.n_fft // 2 if self.centred else around // 2
        return before, max(around - before, 0)

    def __call__(
        self, signal: Float[Array, "batch length 1"]
    ) -> Float[Array, "batch frames bands"]:
        """The log-mels of whole signals, their ends reflected: ``length // hop`` frames.

        Raises:
            ValueError: if the signal has several channels, or is too short to be reflected.
        """
        if signal.ndim != 3 or signal.shape[2] != 1:
            raise ValueError(
                f"`signal` has shape {signal.shape}, but a mel front end takes (batch, length, 1): "
                "mix the channels, or put them beside one another in the batch."
            )
        if signal.shape[1] <= max(self.reach):
            raise ValueError(
                f"`signal` has {signal.shape[1]} samples, but its ends are reflected by "
                f"{max(self.reach)}: append zeros, to {max(self.reach) + 1} samples at least."
            )
        padded = jnp.pad(signal, ((0, 0), self.reach, (0, 0)), mode="reflect")
        return self.frames(padded)[:, : signal.shape[1] // self.hop]

    def frames(self, padded: Float[Array, "batch length 1"]) -> Float[Array, "batch frames bands"]:
        """The log-mels of every frame inside of a signal that has been padded by `reach`.

        Frame t begins at sample t·hop of it, so that a long signal may come in pieces that overlap
        by ``n_fft - hop`` samples.
        """
        spectrum = stft(padded[..., 0], self.n_fft, hop=self.hop, centred=False)
        real, imaginary = spectrum.real, spectrum.imag
        magnitude = jnp.sqrt(real * real + imaginary * imaginary + POWER_FLOOR)
        triangles = mel_filterbank(
            self.rate, self.n_fft, self.bands,
            low=self.low, high=self.high, scale=self.scale, norm=self.norm,
        )  # fmt: skip
        mels = jnp.matmul(
            magnitude,
            jnp.asarray(triangles, magnitude.dtype),
            precision=jax.lax.Precision.HIGHEST,  # a TF32 product would raise a noise floor
        )
        return jnp.log(jnp.maximum(mels, self.floor)).astype(padded.dtype)


class Vocoder(eqx.Module):
    r"""A decoder whose latent is a log-mel spectrum, with the front end that makes such spectra.

    The decoder sees log-mels moved and scaled so that silence is -2 and a mel of one +2:
    $(m - \tfrac12 \ln \text{floor}) / (-\tfrac14 \ln \text{floor})$. As they are, from -11.5 to
    about 2, they would drive the tanh at the other end into saturation, for the decoder keeps the
    variance of its input. The two numbers follow from the floor alone: no statistics of the data
    have to travel with the weights.

    Args:
        decoder: from ``bands`` channels to a signal of one, with the front end's hop.
        mel: what makes the spectra; its settings are saved with the model.

    Raises:
        ValueError: if the two do not fit.

    Source: Kong et al. 2020 (arXiv:2010.05646), HiFi-GAN; the moved and scaled input is ours.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from convt1d.models import Decoder, Layout, MelFrontEnd, Vocoder
        >>> layout = Layout(strides=(4, 2), channels=(16, 8), dilations=())
        >>> decoder = Decoder(1, 10, layout, key=jax.random.key(0))
        >>> vocoder = Vocoder(decoder, MelFrontEnd(8000, 64, 8, 10))
        >>> mel = vocoder.front_end(jnp.ones((2, 80, 1)))
        >>> mel.shape, vocoder(mel).shape
        ((2, 10, 10), (2, 80, 1))
    """

    decoder: Decoder
    mel: MelFrontEnd

    def __init__(self, decoder: Decoder, mel: MelFrontEnd) -> None:
        if decoder.length is not None:
            raise ValueError(
                f"`decoder` makes signals of {decoder.length} samples, but spectra come in any "
                "length: give one without `length`."
            )
        if (decoder.hop, decoder.latent, decoder.signal) != (mel.hop, mel.bands, 1):
            raise ValueError(
                f"`decoder` (hop {decoder.hop}, latent {decoder.latent}, signal {decoder.signal}) "
                f"must have the front end's hop {mel.hop}, its {mel.bands} bands as latent, and a "
                "signal of 1 channel."
            )
        self.decoder, self.mel = decoder, mel

    @property
    def hop(self) -> int:
        """Samples of the signal for one frame."""
        return self.mel.hop

    def front_end(
        self, signal: Float[Array, "batch length 1"]
    ) -> Float[Array, "batch frames bands"]:
        """The log-mels of signals: ``length // hop`` frames."""
        return self.mel(signal)

    def __call__(self, mel: Float[Array, "batch frames bands"]) -> Float[Array, "batch length 1"]:
        """The signal of a log-mel spectrum: ``frames·hop`` samples."""
        return self.decoder(_Level(self.mel.floor)(mel))


class _Level(eqx.Module):
    """-2 at the floor, 2 at a mel of one."""

    floor: float = eqx.field(static=True)

    def __call__(self, mel: Float[Array, "batch frames bands"]) -> Array:
        lowest = math.log(self.floor)
        return (mel - lowest / 2) / (-lowest / 4)


@stream.register
def _(vocoder: Vocoder) -> Stream:
    return stream_chain(stream_pointwise(_Level(vocoder.mel.floor)), vocoder.decoder)
