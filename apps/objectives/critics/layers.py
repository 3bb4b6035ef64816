"""What critics are built from: convolutions in time and in time and frequency, norms, labels."""

import functools
from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from convt1d import Conv1d, WeightNorm, conv1d

NORMS = ("none", "weight", "spectral")
ITERATIONS = 12
"""Of the power method: PyTorch's goes on from where the last step left it, this one starts anew."""


class SpectralNorm(eqx.Module):
    r"""A layer whose weight is divided by its largest singular value, as a matrix by outputs.

    The value is found by the power method from one fixed vector, so that nothing has to be kept
    from step to step; it is a little too small where the largest values lie close together.

    Source: Miyato et al., Spectral normalization for GANs (2018), algorithm 1.
    """

    layer: Conv1d

    def __call__(
        self, signal: Float[Array, "batch length channels"]
    ) -> Float[Array, "batch frames out_channels"]:
        """Call the layer with the normalised weight."""
        weight = self.layer.weight / largest_singular_value(self.layer.weight)
        return eqx.tree_at(lambda layer: layer.weight, self.layer, weight)(signal)


def largest_singular_value(weight: Float[Array, "..."]) -> Float[Array, ""]:
    """Of the weight as a matrix with one column for each output, its last axis.

    Differentiable in the weight, with the singular vectors held fixed: the exact gradient.
    """
    matrix = weight.reshape(-1, weight.shape[-1])
    fixed = lax.stop_gradient(matrix)
    start = jax.random.normal(jax.random.key(0), (matrix.shape[1],), matrix.dtype)

    def once(_: Array, right: Array) -> Array:
        return _unit(_unit(fixed @ right) @ fixed)

    right = lax.fori_loop(0, ITERATIONS, once, _unit(start))
    return _unit(fixed @ right) @ (matrix @ right)


def _unit(vector: Array) -> Array:
    return vector / jnp.maximum(jnp.linalg.norm(vector), jnp.asarray(1e-12, vector.dtype))


Layer: TypeAlias = Conv1d | WeightNorm | SpectralNorm


def convolution(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    slope: float,
    stride: int = 1,
    groups: int = 1,
    padding: str | int = "SAME",
    norm: str = "none",
    key: PRNGKeyArray,
) -> Layer:
    """A convolution that keeps the variance of what a leaky ReLU of this slope lets through.

    Source: He et al., Delving deep into rectifiers (2015), eq. 15.
    """
    layer = Conv1d(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        groups=groups,
        padding=padding,
        w_init=_rectified(slope),
        key=key,
    )
    return {"none": lambda: layer, "weight": lambda: WeightNorm(layer)}.get(
        norm, lambda: SpectralNorm(layer)
    )()


def _rectified(slope: float) -> jax.nn.initializers.Initializer:
    variance = 2.0 / (1.0 + slope * slope)
    return jax.nn.initializers.variance_scaling(variance, "fan_in", "truncated_normal")


class FrameConv(eqx.Module):
    """A weight-normalised convolution over frames and frequencies, strided along frequency alone.

    Zeros around it keep the number of frames, and of frequencies up to the stride: PyTorch's
    `Conv2d(..., padding=kernel // 2)`.
    """

    weight: Float[Array, "frames frequencies in_channels out_channels"]
    gain: Float[Array, " out_channels"]
    bias: Float[Array, " out_channels"]
    stride: int = eqx.field(static=True)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, int],
        *,
        slope: float,
        stride: int = 1,
        key: PRNGKeyArray,
    ) -> None:
        self.weight = _rectified(slope)(key, (*kernel_size, in_channels, out_channels))
        self.gain = jnp.sqrt(jnp.sum(jnp.square(self.weight), axis=(0, 1, 2)))
        self.bias = jnp.zeros((out_channels,))
        self.stride = stride

    def __call__(
        self, image: Float[Array, "batch frames frequencies in_channels"]
    ) -> Float[Array, "batch frames bins out_channels"]:
        """Filter an image."""
        norm = jnp.sqrt(jnp.sum(jnp.square(self.weight), axis=(0, 1, 2)))
        weight = self.weight * (self.gain / norm).reshape(1, 1, 1, -1)
        convolve = _frames_as_channels if weight.shape[2] >= WIDE else _as_image
        return convolve(image, weight, self.stride) + self.bias.reshape(1, 1, 1, -1)


WIDE = 4
"""Input channels from which on a two-dimensional convolution is computed as one along frequency."""


def _as_image(image: Array, weight: Array, stride: int) -> Array:
    return lax.conv_general_dilated(
        image,
        weight,
        window_strides=(1, stride),
        padding=[(size // 2, size // 2) for size in weight.shape[:2]],
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def _frames_as_channels(image: Array, weight: Array, stride: int) -> Array:
    """The taps over frames as outputs of one convolution along frequency, then added in place.

    Twice as fast forward and backward on a CPU, where XLA runs the gradients of strided
    two-dimensional convolutions at a fraction of the speed of their forward pass. Named by hand:
    the automatic choice takes another, slower weight gradient for so many short rows.
    """
    frames, taps, inputs, outputs = weight.shape
    rows = image.reshape(-1, image.shape[2], inputs)
    kernel = weight.transpose(1, 2, 0, 3).reshape(taps, inputs, frames * outputs)
    made = conv1d(rows, kernel, stride=stride, padding=taps // 2, lowering="lax")
    made = made.reshape(*image.shape[:2], -1, frames, outputs)
    made = jnp.pad(made, ((0, 0), (frames // 2, frames // 2), (0, 0), (0, 0), (0, 0)))
    length = image.shape[1]
    shifted = [made[:, at : at + length, :, at] for at in range(frames)]
    return functools.reduce(jnp.add, shifted)


class Label(eqx.Module):
    r"""A projection critic's share of the score: $\langle e_c, h \rangle$ at every position.

    Source: Miyato and Koyama, cGANs with projection discriminator (2018), eq. 3.
    """

    vectors: Float[Array, "classes channels"]

    def __init__(self, classes: int, channels: int, *, key: PRNGKeyArray) -> None:
        self.vectors = jax.random.normal(key, (classes, channels)) / jnp.sqrt(float(channels))

    def __call__(
        self, label: Int[Array, " batch"], features: Float[Array, "batch positions channels"]
    ) -> Float[Array, "batch positions"]:
        """What to add to the scores of features of these labels."""
        return jnp.einsum("bpc,bc->bp", features, self.vectors[label])


def labelled(
    scores: Float[Array, "batch positions"],
    part: Label | None,
    label: Int[Array, " batch"] | None,
    features: Float[Array, "batch positions channels"],
) -> Float[Array, "batch positions"]:
    """The scores, and what the label adds to them where the critic knows labels.

    Raises:
        ValueError: If one of critic and signal has labels and the other has none.
    """
    if (part is None) != (label is None):
        raise ValueError(
            "label is given to critics made with classes=0"
            if part is None
            else "label is None; critics made with classes > 0 need the label of each example"
        )
    return scores if part is None or label is None else scores + part(label, features)
