"""A decoder of time series that says what its signals are made of: level, trend, seasons, rest."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from convt1d._convolution import Conv1d
from convt1d._geometry import is_integer
from convt1d.models.decoders import Decoder
from convt1d.models.layout import Layout

Part = Float[Array, "batch length signal"]


class Components(eqx.Module):
    r"""TimeVAE's decoder: of one latent a sum of parts, each of which can be looked at.

    $$ x_t = \underbrace{l}_{\text{level}}
       + \underbrace{\textstyle\sum_{p=1}^{P} a_p\, (t / L)^p}_{\text{trend}}
       + \underbrace{\textstyle\sum_j s_{j,\, \lfloor t / m_j \rfloor \bmod n_j}}_{\text{seasons}}
       + \underbrace{r_t}_{\text{rest}} $$

    Level and trend are made of the latent by two dense layers each, a cycle of seasons by one, and
    the rest by transposed convolutions.

    Args:
        decoder: makes the rest: one of a fixed length.
        level: whether there is a level.
        trend: P, the degree of the trend; 0 has none.
        seasons: n of each cycle: how many seasons it has, in each of which the signal is as high.
        season_lengths: m of each cycle: steps of one season; 1 each if empty.
        key: of the weights.

    Raises:
        ValueError: naming the argument that is wrong.

    Source: Desai et al. 2021, "TimeVAE: a variational auto-encoder for multivariate time series
    generation" (arXiv:2111.08095), section 3.2, and its code for the layers.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from convt1d.models import Components, Decoder, Layout
        >>> layout = Layout(strides=(2, 2), channels=(8, 4), dilations=(), activation="relu")
        >>> keys = jax.random.split(jax.random.key(0))
        >>> rest = Decoder(5, 8, layout, length=24, output="none", key=keys[0])
        >>> decoder = Components(rest, trend=2, seasons=(7,), key=keys[1])
        >>> parts = decoder.parts(jnp.ones((3, 1, 8)))
        >>> list(parts), parts["trend"].shape
        (['level', 'trend', 'season 7 x 1', 'rest'], (3, 24, 5))
        >>> bool(jnp.allclose(decoder(jnp.ones((3, 1, 8))), sum(parts.values())))
        True
    """

    decoder: Decoder
    levels: tuple[Conv1d, ...]
    trends: tuple[Conv1d, ...]
    cycles: tuple[Conv1d, ...]
    level: bool = eqx.field(static=True)
    trend: int = eqx.field(static=True)
    seasons: tuple[int, ...] = eqx.field(static=True)
    season_lengths: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self,
        decoder: Decoder,
        *,
        level: bool = True,
        trend: int = 0,
        seasons: Sequence[int] = (),
        season_lengths: Sequence[int] = (),
        key: PRNGKeyArray,
    ) -> None:
        if decoder.length is None:
            raise ValueError(
                "`decoder` makes signals of any length, but a level is one of a whole signal: "
                "give it a length."
            )
        if not is_integer(trend) or trend < 0:
            raise ValueError(f"`trend` (={trend!r}) must be a degree, an int of at least 0.")
        self.season_lengths = tuple(season_lengths) or (1,) * len(seasons)
        self.decoder, self.level, self.trend = decoder, bool(level), int(trend)
        self.seasons = tuple(seasons)
        counts = (*self.seasons, *self.season_lengths)
        if len(self.season_lengths) != len(self.seasons) or not all(
            is_integer(each) and each >= 1 for each in counts
        ):
            raise ValueError(
                f"`seasons` (={self.seasons}) and `season_lengths` (={self.season_lengths}) must "
                "hold an int of at least 1 for each cycle."
            )
        latent, signal = decoder.latent, decoder.signal
        keys = iter(jax.random.split(key, 4 + len(self.seasons)))

        def dense(inputs: int, outputs: int) -> Conv1d:
            return Conv1d(inputs, outputs, 1, b_init=0.0, key=next(keys))

        self.levels = (dense(latent, signal), dense(signal, signal)) if level else ()
        made = signal * self.trend
        self.trends = (dense(latent, made), dense(made, made)) if trend else ()
        self.cycles = tuple(dense(latent, signal * count) for count in self.seasons)

    @property
    def hop(self) -> int:
        """Samples of the signal for one step of the coarsest layer."""
        return self.decoder.hop

    @property
    def latent(self) -> int:
        """Channels of the latent."""
        return self.decoder.latent

    @property
    def signal(self) -> int:
        """Channels of the signal."""
        return self.decoder.signal

    @property
    def length(self) -> int:
        """Samples of every signal."""
        assert self.decoder.length is not None
        return self.decoder.length

    @property
    def layout(self) -> Layout:
        """That of the rest."""
        return self.decoder.layout

    def __call__(self, latent: Float[Array, "batch 1 latent"]) -> Part:
        """Decode: the sum of all parts."""
        return jnp.sum(jnp.stack(list(self.parts(latent).values())), axis=0)

    def parts(self, latent: Float[Array, "batch 1 latent"]) -> dict[str, Part]:
        """Each part by its name, in the order of the formula."""
        batch, length, signal = latent.shape[0], self.length, self.signal
        shape, dtype = (batch, length, signal), latent.dtype
        found: dict[str, Part] = {}
        if self.levels:
            found["level"] = jnp.broadcast_to(_through(self.levels, latent), shape)
        if self.trends:
            share = jnp.arange(length, dtype=dtype) / length
            powers = share[:, None] ** jnp.arange(1, self.trend + 1, dtype=dtype)[None]
            slopes = _through(self.trends, latent).reshape(batch, self.trend, signal)
            found["trend"] = jnp.einsum("lp,bpc->blc", powers, slopes)
        for layer, count, steps in zip(self.cycles, self.seasons, self.season_lengths, strict=True):
            season = np.arange(length) // steps % count
            heights = layer(latent).reshape(batch, count, signal)
            found[f"season {count} x {steps}"] = heights[:, season]
        return {**found, "rest": self.decoder(latent)}


def _through(layers: tuple[Conv1d, ...], latent: Array) -> Array:
    first, second = layers
    return second(jax.nn.relu(first(latent)))
