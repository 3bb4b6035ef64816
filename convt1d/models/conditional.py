"""A decoder that is told which class of signals to make."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from convt1d._geometry import is_integer
from convt1d.models.decoders import Decoder
from convt1d.models.layout import Layout


class Conditional(eqx.Module):
    r"""A decoder whose latent begins with noise and ends with a learned vector of the label.

    $$x = \operatorname{decoder}([z_t, v_c])$$

    The vector $v_c$ is the same at every step $t$. What of the decoder's ``latent`` channels the
    vector does not take is left for the noise.

    Args:
        decoder: of more than ``embedding`` latent channels.
        classes: number of labels, which are counted from 0.
        embedding: channels of a label's vector; half of the decoder's latent if None.
        key: of the vectors.

    Raises:
        ValueError: naming the argument that is wrong.

    Source: Mirza & Osindero 2014 (arXiv:1411.1784).

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from convt1d.models import Conditional, Decoder, Layout
        >>> layout = Layout(strides=(4, 2), channels=(8, 4), dilations=())
        >>> keys = jax.random.split(jax.random.key(0))
        >>> decoder = Decoder(1, 20, layout, key=keys[0])
        >>> digits = Conditional(decoder, 10, embedding=4, key=keys[1])
        >>> digits(jnp.ones((3, 5, 16)), jnp.asarray([7, 0, 9])).shape
        (3, 40, 1)
    """

    decoder: Decoder
    vectors: Float[Array, "classes embedding"]
    classes: int = eqx.field(static=True)
    embedding: int = eqx.field(static=True)

    def __init__(
        self,
        decoder: Decoder,
        classes: int,
        *,
        embedding: int | None = None,
        key: PRNGKeyArray,
    ) -> None:
        embedding = max(1, decoder.latent // 2) if embedding is None else embedding
        for name, value in (("classes", classes), ("embedding", embedding)):
            if not is_integer(value) or value < 1:
                raise ValueError(f"`{name}` (={value!r}) must be an int of at least 1.")
        if decoder.latent <= embedding:
            raise ValueError(
                f"`decoder` has {decoder.latent} latent channels, of which `embedding` "
                f"(={embedding}) are the label's: give it more, so that some are left for noise."
            )
        self.decoder, self.classes, self.embedding = decoder, int(classes), int(embedding)
        # As wide as the noise beside it, so that from the first step both are heard.
        self.vectors = jax.random.normal(key, (classes, embedding))

    @property
    def hop(self) -> int:
        """Samples of the signal for one step of the coarsest layer."""
        return self.decoder.hop

    @property
    def latent(self) -> int:
        """Channels of the noise."""
        return self.decoder.latent - self.embedding

    @property
    def signal(self) -> int:
        """Channels of the signal."""
        return self.decoder.signal

    @property
    def layout(self) -> Layout:
        """The decoder's."""
        return self.decoder.layout

    @property
    def length(self) -> int | None:
        """The decoder's: samples of every signal, or None if they are of any length."""
        return self.decoder.length

    def latent_length(self, length: int) -> int:
        """Steps of the latent for a signal of ``length`` samples."""
        return math.ceil(length / self.hop) if self.length is None else 1

    def __call__(
        self, latent: Float[Array, "batch frames latent"], label: Int[Array, " batch"]
    ) -> Float[Array, "batch length signal"]:
        """Decode noise to signals of these classes, in the latent's dtype.

        A label outside of the classes makes NaN, as there is no vector of it.
        """
        vectors = self.vectors.at[label].get(
            mode="fill", fill_value=jnp.nan, wrap_negative_indices=False
        )
        repeated = jnp.broadcast_to(
            vectors[:, None].astype(latent.dtype), (*latent.shape[:2], self.embedding)
        )
        return self.decoder(jnp.concatenate([latent, repeated], axis=-1))
