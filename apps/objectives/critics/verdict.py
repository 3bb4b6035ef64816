"""What critics say of a batch."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class Verdict(NamedTuple):
    """What critics say of a batch.

    Attributes:
        scores: Of each critic, one number per example and position: high where it looks real.
        features: Of each critic, its activations from the first layer to the last, each with the
            examples along its first axis. The scores are not among them.
    """

    scores: tuple[Float[Array, "batch positions"], ...]
    features: tuple[tuple[Float[Array, "batch ..."], ...], ...]

    def means(self) -> Float[Array, " batch"]:
        """One number per example, D(x): the mean over positions, then over critics."""
        return jnp.mean(jnp.stack([jnp.mean(each, axis=1) for each in self.scores]), axis=0)
