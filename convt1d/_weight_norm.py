"""Weight normalisation as a wrapper, in PyTorch's ``dim=0`` form."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from convt1d._convolution import Conv1d
from convt1d._layers import ConvTranspose1d


class WeightNorm(eqx.Module):
    r"""A layer whose weight is $w = g\, v / \lVert v \rVert$, with a gain for each slice.

    As ``torch.nn.utils.weight_norm(layer, dim=0)``, whose first axis holds the *output* channels
    of a convolution and the *input* channels of a transposed one. Wrapping changes nothing: the
    gain begins as the norm.

    Args:
        layer: a `convt1d.Conv1d` or `convt1d.ConvTranspose1d` with a bare weight.

    Attributes:
        layer: the wrapped layer, whose weight is the direction $v$.
        gain: $g$, of shape ``(out_channels,)`` or, of a transposed layer, ``(in_channels,)``.

    Raises:
        ValueError: if there is no bare weight to normalise.

    Source: Salimans & Kingma 2016 (arXiv:1602.07868), equation 2.

    Example:
        >>> import jax.numpy as jnp, convt1d
        >>> layer = convt1d.ConvTranspose1d((28, 16), 8, 4, stride=2)
        >>> normed = convt1d.WeightNorm(layer)
        >>> bool(jnp.allclose(normed(jnp.ones((28, 16))), layer(jnp.ones((28, 16))), atol=1e-5))
        True
    """

    layer: Conv1d | ConvTranspose1d
    gain: Float[Array, " slices"]

    def __init__(self, layer: Conv1d | ConvTranspose1d) -> None:
        if not isinstance(layer, Conv1d | ConvTranspose1d) or not eqx.is_array(layer.weight):
            raise ValueError(
                f"`layer` (={type(layer).__name__}) must be a Conv1d or ConvTranspose1d whose "
                "weight is a bare array: use WeightNorm without `param_type`."
            )
        self.layer = layer
        self.gain = _norms(layer).reshape(-1)

    @property
    def weight(self) -> Array:
        """The normalised weight, in the wrapped layer's layout."""
        norms = _norms(self.layer)
        scale = self.gain.reshape(norms.shape) / norms
        weight = self.layer.weight
        if isinstance(self.layer, Conv1d):
            return weight * scale
        taps, out, per_group = weight.shape
        groups = self.layer.groups
        return (weight.reshape(taps, groups, out // groups, per_group) * scale).reshape(
            weight.shape
        )

    def folded(self) -> Conv1d | ConvTranspose1d:
        """The plain layer that computes the same."""
        return eqx.tree_at(lambda layer: layer.weight, self.layer, self.weight)

    def __call__(self, x: Array) -> Array:
        """Call the wrapped layer with the normalised weight."""
        return self.folded()(x)


def _norms(layer: Conv1d | ConvTranspose1d) -> Array:
    """Norm of each slice, with the reduced axes kept as ones."""
    weight = layer.weight
    if isinstance(layer, Conv1d):  # (K, I/g, O): one norm per output channel
        return jnp.sqrt(jnp.sum(jnp.square(weight), axis=(0, 1), keepdims=True))
    taps, out, per_group = weight.shape  # (K, O, I/g): one norm per input channel
    blocks = weight.reshape(taps, layer.groups, out // layer.groups, per_group)
    return jnp.sqrt(jnp.sum(jnp.square(blocks), axis=(0, 2), keepdims=True))
