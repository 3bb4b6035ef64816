"""Decoders and encoders that are told what a signal is: its class, and numbers at each sample."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, PRNGKeyArray

from convt1d._geometry import is_integer
from convt1d._streaming import Stream, stream
from convt1d.models.bands import Banded, BandedEncoder, Heads
from convt1d.models.components import Components
from convt1d.models.decoders import Decoder
from convt1d.models.encoders import Encoder
from convt1d.models.layout import Layout

Label = Int[Array, " batch"]
Covariates = Float[Array, "batch length covariates"]


class Conditional(eqx.Module):
    r"""A decoder whose latent ends with what is known of the signal.

    $$x = \operatorname{decoder}([z_t, v_c, u_{th}, u_{th+1}, \dots, u_{th+h-1}])$$

    The label's learned vector $v_c$ is the same at every step $t$. The covariates $u$, known at
    every sample, come in the order of the samples, all those of a hop $h$ side by side: a latent
    step is told of each of the samples that it stands for, so that nothing which happens within a
    hop is lost, as it would be in a mean. A decoder of one fixed length is told of all of its
    samples at its only step: its first layer has a weight for each, which suits short signals.
    What of the decoder's ``latent`` channels these do not take is left for $z$.

    It does not stream: stream ``decoder`` with `conditions` beside the latent.

    Args:
        decoder: a `Decoder`, or one of bands or components, of more latent channels than the
            conditions have.
        classes: number of labels, which are counted from 0; 0 has none.
        embedding: channels of a label's vector; if None, half of what the covariates leave.
        covariates: channels of the covariates; 0 has none.
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
        >>> driven = Conditional(decoder, covariates=2, key=keys[1])  # 2 at each of 8 samples
        >>> driven.latent, driven(jnp.ones((3, 5, 4)), covariates=jnp.ones((3, 40, 2))).shape
        (4, (3, 40, 1))
    """

    decoder: Decoder | Heads | Banded | Components
    vectors: Float[Array, "classes embedding"] | None
    classes: int = eqx.field(static=True)
    embedding: int = eqx.field(static=True)
    covariates: int = eqx.field(static=True)

    def __init__(
        self,
        decoder: Decoder | Heads | Banded | Components,
        classes: int = 0,
        *,
        embedding: int | None = None,
        covariates: int = 0,
        key: PRNGKeyArray,
    ) -> None:
        _check_counts(classes, covariates)
        left = decoder.latent - covariates * (decoder.length or decoder.hop)
        if embedding is None:
            embedding = max(1, left // 2) if classes else 0
        _check_embedding(classes, embedding)
        if left <= embedding:
            raise ValueError(
                f"`decoder` has {decoder.latent} latent channels, of which `embedding` "
                f"(={embedding}) are the label's and {decoder.latent - left} the covariates', "
                f"`covariates` (={covariates}) at each sample of a step: give it more, so that "
                "some are left for noise."
            )
        self.decoder, self.classes, self.embedding = decoder, int(classes), int(embedding)
        self.covariates = int(covariates)
        self.vectors = _vectors(classes, embedding, key=key)

    @property
    def hop(self) -> int:
        """Samples of the signal for one step of the coarsest layer."""
        return self.decoder.hop

    @property
    def latent(self) -> int:
        """Channels of the noise."""
        return self.decoder.latent - self.embedding - self.covariates * (self.length or self.hop)

    @property
    def signal(self) -> int:
        """Channels of the signal."""
        return self.decoder.signal

    @property
    def layout(self) -> Layout:
        """The decoder's."""
        inner = self.decoder
        while not isinstance(inner, Decoder):
            inner = inner.decoder
        return inner.layout

    @property
    def length(self) -> int | None:
        """The decoder's: samples of every signal, or None if they are of any length."""
        return self.decoder.length

    def latent_length(self, length: int) -> int:
        """Steps of the latent for a signal of ``length`` samples."""
        return math.ceil(length / self.hop) if self.length is None else 1

    def __call__(
        self,
        latent: Float[Array, "batch frames latent"],
        label: Label | None = None,
        covariates: Covariates | None = None,
    ) -> Float[Array, "batch length signal"]:
        """Decode noise to signals of these classes and covariates, in the latent's dtype.

        A label outside of the classes makes NaN, as there is no vector of it. Covariates that end
        within a hop are continued by zeros.

        Raises:
            ValueError: if a condition is missing, is not of this model, or does not fit the latent.
        """
        frames = latent.shape[1]
        given = self.conditions(frames, label, covariates, dtype=latent.dtype)
        return self.decoder(jnp.concatenate([latent, given], axis=-1))

    def conditions(
        self,
        frames: int,
        label: Label | None = None,
        covariates: Covariates | None = None,
        *,
        dtype: DTypeLike = jnp.float32,
    ) -> Float[Array, "batch frames conditions"]:
        """What stands beside a latent of ``frames`` steps: the decoder's last channels."""
        _check_given(self, label, covariates)
        rows = []
        if self.vectors is not None and label is not None:
            rows.append(_repeated(self.vectors, label, frames, dtype))
        if covariates is not None:
            samples = self.length or self.hop
            steps, missing = divmod(-covariates.shape[1], samples)
            if -steps != frames or (missing and self.length is not None):
                raise ValueError(
                    f"`covariates` are of {covariates.shape[1]} samples, and the latent's "
                    f"{frames} steps are of {samples} each: give one for each sample."
                )
            filled = jnp.pad(covariates, ((0, 0), (0, missing), (0, 0)))
            rows.append(filled.reshape(covariates.shape[0], frames, -1).astype(dtype))
        return jnp.concatenate(rows, axis=-1)


class ConditionalEncoder(eqx.Module):
    r"""An encoder that hears, beside the signal, what is known of it.

    $$ \operatorname{encoder}([x_t, v_c, u_t]) $$

    With a `Conditional` it makes a conditional `VAE`, whose posterior $q(z|x,c)$ need not hold what
    the decoder is told anyway.

    It does not stream: stream ``encoder`` with `conditions` beside the signal.

    Args:
        encoder: an `Encoder`, or one of bands, whose last channels are those of the conditions.
        classes: number of labels, which are counted from 0; 0 has none.
        embedding: channels of a label's vector; as many as there are classes if None.
        covariates: channels of the covariates; 0 has none.
        key: of the vectors.

    Raises:
        ValueError: naming the argument that is wrong.

    Source: Sohn, Lee & Yan 2015, "Learning structured output representation using deep conditional
    generative models", NeurIPS 28.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from convt1d.models import VAE, Conditional, ConditionalEncoder
        >>> from convt1d.models import Decoder, Encoder, Layout
        >>> layout = Layout(strides=(4, 2), channels=(8, 4), dilations=())
        >>> keys = jax.random.split(jax.random.key(0), 4)
        >>> encoder = Encoder(1 + 3 + 2, 8, layout, key=keys[0])
        >>> decoder = Decoder(1, 4 + 3 + 2 * 8, layout, key=keys[1])
        >>> vae = VAE(
        ...     ConditionalEncoder(encoder, 3, covariates=2, key=keys[2]),
        ...     Conditional(decoder, 3, embedding=3, covariates=2, key=keys[3]),
        ... )
        >>> label, covariates = jnp.asarray([2, 0]), jnp.ones((2, 64, 2))
        >>> mean, log_std = vae.encode(jnp.ones((2, 64, 1)), label, covariates)
        >>> mean.shape, vae.decode(mean, label, covariates).shape
        ((2, 8, 4), (2, 64, 1))
    """

    encoder: Encoder | BandedEncoder
    vectors: Float[Array, "classes embedding"] | None
    classes: int = eqx.field(static=True)
    embedding: int = eqx.field(static=True)
    covariates: int = eqx.field(static=True)

    def __init__(
        self,
        encoder: Encoder | BandedEncoder,
        classes: int = 0,
        *,
        embedding: int | None = None,
        covariates: int = 0,
        key: PRNGKeyArray,
    ) -> None:
        _check_counts(classes, covariates)
        embedding = classes if embedding is None else embedding
        _check_embedding(classes, embedding)
        if encoder.signal <= embedding + covariates:
            raise ValueError(
                f"`encoder` takes {encoder.signal} channels, of which `embedding` (={embedding}) "
                f"are the label's and `covariates` (={covariates}): give it more, so that some "
                "are left for the signal."
            )
        self.encoder, self.classes, self.embedding = encoder, int(classes), int(embedding)
        self.covariates = int(covariates)
        self.vectors = _vectors(classes, embedding, key=key)

    @property
    def hop(self) -> int:
        """Samples of the signal for one step of the coarsest layer."""
        return self.encoder.hop

    @property
    def signal(self) -> int:
        """Channels of the signal."""
        return self.encoder.signal - self.embedding - self.covariates

    @property
    def features(self) -> int:
        """Channels of what is made."""
        return self.encoder.features

    @property
    def length(self) -> int | None:
        """The encoder's: samples of every signal, or None if they are of any length."""
        return self.encoder.length

    def __call__(
        self,
        signal: Float[Array, "batch length signal"],
        label: Label | None = None,
        covariates: Covariates | None = None,
    ) -> Float[Array, "batch frames features"]:
        """Encode signals of these classes and covariates.

        A label outside of the classes makes NaN, as there is no vector of it.

        Raises:
            ValueError: if a condition is missing, is not of this model, or does not fit the signal.
        """
        given = self.conditions(signal.shape[1], label, covariates, dtype=signal.dtype)
        return self.encoder(jnp.concatenate([signal, given], axis=-1))

    def conditions(
        self,
        length: int,
        label: Label | None = None,
        covariates: Covariates | None = None,
        *,
        dtype: DTypeLike = jnp.float32,
    ) -> Float[Array, "batch length conditions"]:
        """What stands beside a signal of ``length`` samples: the encoder's last channels."""
        _check_given(self, label, covariates)
        rows = []
        if self.vectors is not None and label is not None:
            rows.append(_repeated(self.vectors, label, length, dtype))
        if covariates is not None:
            if covariates.shape[1] != length:
                raise ValueError(
                    f"`covariates` are of {covariates.shape[1]} samples, and the signal has "
                    f"{length}: give one for each."
                )
            rows.append(covariates.astype(dtype))
        return jnp.concatenate(rows, axis=-1)


def _check_counts(classes: int, covariates: int) -> None:
    for name, value in (("classes", classes), ("covariates", covariates)):
        if not is_integer(value) or value < 0:
            raise ValueError(f"`{name}` (={value!r}) must be an int of at least 0.")
    if not classes and not covariates:
        raise ValueError("`classes` and `covariates` are both 0: then there is no condition.")


def _check_embedding(classes: int, embedding: int) -> None:
    if not is_integer(embedding) or embedding < bool(classes):
        least = "1" if classes else "0"
        raise ValueError(f"`embedding` (={embedding!r}) must be an int of at least {least}.")
    if embedding and not classes:
        raise ValueError(f"`embedding` (={embedding}) is of labels, and `classes` is 0: leave it.")


def _vectors(
    classes: int, embedding: int, *, key: PRNGKeyArray
) -> Float[Array, "classes embedding"] | None:
    # As wide as the noise beside it, so that from the first step both are heard.
    return jax.random.normal(key, (classes, embedding)) if classes else None


def _repeated(
    vectors: Float[Array, "classes embedding"], label: Label, steps: int, dtype: DTypeLike
) -> Float[Array, "batch steps embedding"]:
    found = vectors.at[label].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)
    shape = (found.shape[0], steps, found.shape[1])
    return jnp.broadcast_to(found[:, None].astype(dtype), shape)


def _check_given(
    model: Conditional | ConditionalEncoder, label: Label | None, covariates: Covariates | None
) -> None:
    for name, value, count in (
        ("label", label, model.classes), ("covariates", covariates, model.covariates),
    ):  # fmt: skip
        if (value is None) == bool(count):
            raise ValueError(
                f"`{name}` is None, but this model was made with some: give them."
                if value is None
                else f"`{name}` is given, but this model was made without: leave it out."
            )
    if covariates is not None and covariates.shape[-1] != model.covariates:
        raise ValueError(
            f"`covariates` have {covariates.shape[-1]} channels, and this model was made with "
            f"`covariates` (={model.covariates})."
        )


@stream.register
def _(model: Conditional) -> Stream:
    raise ValueError(
        "`module` is a Conditional, whose label and covariates no stream takes: stream its "
        "`decoder`, with what its `conditions` gives beside the latent."
    )


@stream.register
def _(model: ConditionalEncoder) -> Stream:
    raise ValueError(
        "`module` is a ConditionalEncoder, whose label and covariates no stream takes: stream its "
        "`encoder`, with what its `conditions` gives beside the signal."
    )
