"""The variational autoencoder: an encoder, a decoder, and a Gaussian between them."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from convt1d.models.bands import Banded, BandedEncoder, Heads
from convt1d.models.decoders import Decoder
from convt1d.models.encoders import Encoder


class VAE(eqx.Module):
    r"""An encoder of twice as many features as the decoder's latent has: means and scales.

    $$q(z|x) = \mathcal N(\mu, \sigma^2), \qquad \sigma = \operatorname{softplus}(s) + 10^{-4}$$

    Args:
        encoder: gives ``2·latent`` features: an `Encoder`, or one of bands.
        decoder: takes ``latent`` channels: a `Decoder`, or one of bands.

    Raises:
        ValueError: if the two do not fit.

    Source: Kingma & Welling 2013 (arXiv:1312.6114); the softplus is RAVE's (arXiv:2111.05011).

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from convt1d.models import VAE, Decoder, Encoder, Layout
        >>> keys = jax.random.split(jax.random.key(0))
        >>> layout = Layout(strides=(4, 2), channels=(8, 4), dilations=())
        >>> vae = VAE(Encoder(1, 8, layout, key=keys[0]), Decoder(1, 4, layout, key=keys[1]))
        >>> mean, log_std = vae.encode(jnp.ones((2, 64, 1)))
        >>> mean.shape, vae.decode(mean).shape
        ((2, 8, 4), (2, 64, 1))
    """

    encoder: Encoder | BandedEncoder
    decoder: Decoder | Heads | Banded

    def __init__(self, encoder: Encoder | BandedEncoder, decoder: Decoder | Heads | Banded) -> None:
        if encoder.features != 2 * decoder.latent:
            raise ValueError(
                f"`encoder` gives {encoder.features} features, but a mean and a scale for each of "
                f"the decoder's {decoder.latent} latent channels are {2 * decoder.latent}."
            )
        if (encoder.hop, encoder.length, encoder.signal) != (
            decoder.hop, decoder.length, decoder.signal,
        ):  # fmt: skip
            raise ValueError(
                f"`encoder` (hop {encoder.hop}, length {encoder.length}, {encoder.signal} "
                f"channels) and `decoder` (hop {decoder.hop}, length {decoder.length}, "
                f"{decoder.signal} channels) must agree."
            )
        self.encoder, self.decoder = encoder, decoder

    @property
    def hop(self) -> int:
        """Samples of the signal for one step of the latent."""
        return self.decoder.hop

    @property
    def latent(self) -> int:
        """Channels of the latent."""
        return self.decoder.latent

    def latent_length(self, length: int) -> int:
        """Steps of the latent for a signal of ``length`` samples."""
        return -(-length // self.hop) if self.decoder.length is None else 1

    def encode(
        self, signal: Float[Array, "batch length signal"]
    ) -> tuple[Float[Array, "batch frames latent"], Float[Array, "batch frames latent"]]:
        """Mean and logarithm of the standard deviation of the posterior."""
        mean, scale = jnp.split(self.encoder(signal), 2, axis=-1)
        return mean, jnp.log(jax.nn.softplus(scale) + 1e-4)

    def decode(
        self, latent: Float[Array, "batch frames latent"]
    ) -> Float[Array, "batch length signal"]:
        """The signal of a latent: ``frames·hop`` samples, or the decoder's fixed length."""
        return self.decoder(latent)
