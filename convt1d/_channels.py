"""Numbers that every sample of a channel shares, with gradients at the speed of a matrix product.

The gradient of a bias, or of an activation's frequency, is a sum over all samples. XLA:CPU runs
that reduction only after writing each of its factors to memory; a product with a row of ones
needs no more than the summand.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array


def spread(values: Array, shape: tuple[int, ...]) -> Array:
    """``values`` of shape ``(channels,)`` at every sample of ``shape = (..., channels)``."""
    rows = jnp.ones((*shape[:-1], 1), values.dtype)
    return jnp.matmul(rows.reshape(-1, 1), values.reshape(1, -1)).reshape(shape)


@jax.custom_jvp
def add_bias(signal: Array, bias: Array) -> Array:
    """``signal (..., channels) + bias (channels,)``."""
    return signal + bias.reshape((1,) * (signal.ndim - 1) + bias.shape)


@add_bias.defjvp
def _add_bias_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]):
    (signal, bias), (dsignal, dbias) = primals, tangents
    return add_bias(signal, bias), dsignal + spread(dbias, signal.shape)
