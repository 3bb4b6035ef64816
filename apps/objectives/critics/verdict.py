"""What a critic says, and the parts that all critics share."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from convt1d import Conv1d, WeightNorm

Scores = Float[Array, "batch positions"]


class Verdict(NamedTuple):
    """What critics say of a batch.

    Attributes:
        scores: Of each critic, one number per example and position: high where it looks real.
        features: Of each critic, its activations from the first layer to the last, each with the
            examples along its first axis. The scores are not among them.
    """

    scores: tuple[Scores, ...]
    features: tuple[tuple[Float[Array, "batch ..."], ...], ...]

    def means(self) -> Float[Array, " batch"]:
        """One number per example, D(x): the mean over positions, then over critics."""
        return jnp.mean(jnp.stack([jnp.mean(each, axis=1) for each in self.scores]), axis=0)


def convolution(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    slope: float,
    stride: int = 1,
    groups: int = 1,
    padding: str | int = "SAME",
    key: PRNGKeyArray,
) -> Conv1d:
    """A convolution that keeps the variance of what a leaky ReLU of this slope lets through.

    Source: He et al., Delving deep into rectifiers (2015), eq. 15.
    """
    variance = 2.0 / (1.0 + slope * slope)
    return Conv1d(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        groups=groups,
        padding=padding,
        w_init=jax.nn.initializers.variance_scaling(variance, "fan_in", "truncated_normal"),
        key=key,
    )


class Label(eqx.Module):
    r"""A projection critic's share of the score: $\langle e_c, h \rangle$ at every position.

    Source: Miyato and Koyama, cGANs with projection discriminator (2018), eq. 3.
    """

    vectors: Float[Array, "classes channels"]

    def __init__(self, classes: int, channels: int, *, key: PRNGKeyArray) -> None:
        self.vectors = jax.random.normal(key, (classes, channels)) / jnp.sqrt(float(channels))

    def __call__(
        self, label: Int[Array, " batch"], features: Float[Array, "batch positions channels"]
    ) -> Scores:
        """What to add to the scores of features of these labels."""
        return jnp.einsum("bpc,bc->bp", features, self.vectors[label])


Layer = Conv1d | WeightNorm
