"""The variational autoencoder: an encoder, a decoder, and a Gaussian between them."""

from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from convt1d.models.bands import Banded, BandedEncoder, Heads
from convt1d.models.components import Components
from convt1d.models.conditional import Conditional, ConditionalEncoder
from convt1d.models.decoders import Decoder
from convt1d.models.encoders import Encoder
from convt1d.models.flow import Flow

AnyEncoder: TypeAlias = Encoder | BandedEncoder | ConditionalEncoder
AnyDecoder: TypeAlias = Decoder | Heads | Banded | Components | Conditional


class VAE(eqx.Module):
    r"""An encoder of twice as many features as the decoder's latent has: means and scales.

    $$q(z|x) = \mathcal N(\mu, \sigma^2), \qquad \sigma = \operatorname{softplus}(s) + 10^{-4}$$

    Of a `ConditionalEncoder` and a `Conditional` decoder it is a conditional one, $q(z|x,c)$ and
    $p(x|z,c)$, which is given labels, covariates or both with every signal and every latent.

    Args:
        encoder: gives ``2·latent`` features: an `Encoder`, or one of bands or of conditions.
        decoder: takes ``latent`` channels: a `Decoder`, or one of bands, of components or of
            conditions.
        prior: what latents are drawn from to make new signals; None is the standard normal
            distribution.

    Raises:
        ValueError: if they do not fit.

    Source: Kingma & Welling 2013 (arXiv:1312.6114); the softplus is RAVE's (arXiv:2111.05011);
    conditions as in Sohn, Lee & Yan 2015.

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

    encoder: AnyEncoder
    decoder: AnyDecoder
    prior: Flow | None

    def __init__(self, encoder: AnyEncoder, decoder: AnyDecoder, prior: Flow | None = None) -> None:
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
        if _known(encoder) != _known(decoder):
            (labels, covariates), (theirs, others) = _known(encoder), _known(decoder)
            raise ValueError(
                f"`encoder` knows {labels} labels and {covariates} covariates, and `decoder` "
                f"{theirs} and {others}: they must be told of the same."
            )
        if prior is not None and prior.latent != decoder.latent:
            raise ValueError(
                f"`prior` is of {prior.latent} latent channels, and `decoder` has {decoder.latent}."
            )
        self.encoder, self.decoder, self.prior = encoder, decoder, prior

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

    def from_noise(
        self, noise: Float[Array, "batch frames latent"]
    ) -> Float[Array, "batch frames latent"]:
        """The latents that standard normal noise stands for: draws from the prior."""
        return noise if self.prior is None else self.prior(noise)

    def encode(
        self,
        signal: Float[Array, "batch length signal"],
        label: Int[Array, " batch"] | None = None,
        covariates: Float[Array, "batch length covariates"] | None = None,
    ) -> tuple[Float[Array, "batch frames latent"], Float[Array, "batch frames latent"]]:
        """Mean and logarithm of the standard deviation of the posterior.

        Raises:
            ValueError: if a condition is missing, or is not of this model.
        """
        both = _told(self.encoder, signal, label, covariates)
        mean, scale = jnp.split(both, 2, axis=-1)
        return mean, jnp.log(jax.nn.softplus(scale) + 1e-4)

    def decode(
        self,
        latent: Float[Array, "batch frames latent"],
        label: Int[Array, " batch"] | None = None,
        covariates: Float[Array, "batch length covariates"] | None = None,
    ) -> Float[Array, "batch length signal"]:
        """The signal of a latent: ``frames·hop`` samples, or the decoder's fixed length.

        Raises:
            ValueError: if a condition is missing, or is not of this model.
        """
        return _told(self.decoder, latent, label, covariates)


def _known(part: AnyEncoder | AnyDecoder) -> tuple[int, int]:
    """How many labels and covariates a part is told of."""
    if isinstance(part, Conditional | ConditionalEncoder):
        return part.classes, part.covariates
    return 0, 0


def _told(
    part: AnyEncoder | AnyDecoder, x: Array, label: Array | None, covariates: Array | None
) -> Array:
    """What a part makes of ``x``, and of what it is told besides."""
    if isinstance(part, Conditional | ConditionalEncoder):
        return part(x, label, covariates)
    if label is not None or covariates is not None:
        name = "covariates" if label is None else "label"
        raise ValueError(f"`{name}` is given, but this model was made without: leave it out.")
    return part(x)
