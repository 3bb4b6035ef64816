r"""Snake, with a sine that vectorises and a gradient of its own.

XLA:CPU evaluates `jnp.sin` one element at a time, about 4 ns each: in a decoder of narrow layers
that is more than the convolutions. Snake needs only $\sin^2$, whose period is $\pi$ and whose sign
does not matter, so a reduction to $|r| \le \pi/2$ and two short polynomials give it and its
derivative at the speed of memory.
"""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from convt1d._channels import spread

# pi in four parts whose products with integers below 2**13 are exact in float32 (Cody & Waite
# 1980): what is left after the subtractions keeps its last bits.
_PI = (3.140625, 9.675025939941406e-04, 1.5099067240953445e-07, 5.126688136514179e-12)
# Minimax for |r| <= 1.002 pi/2, found by Remez exchange: sin(r) = r + r t S(t), cos(r) = 1 + t C(t)
# with t = r**2; relative error 6.2e-9 and absolute error 2.5e-10.
_SINE = (-0.16666659432761816, 0.0083330629684651, -0.0001980934655545698, 2.605182091945447e-06)
_COSINE = (
    -0.4999999954055,
    0.0416666403145824,
    -0.0013888397731371882,
    2.4761573196298425e-05,
    -2.607133025979073e-07,
)


def snake(x: Float[Array, "*shape channels"], alpha: Float[Array, " channels"]) -> Array:
    r"""Periodic activation $x + \sin^2(\alpha x) / (\alpha + 10^{-9})$.

    In float32 the sine is within 2e-7 of the exact one for $|\alpha x| \le 10^4$ and bounded
    everywhere; float64 uses `jnp.sin`, and half types compute in float32.

    Args:
        x: ``(..., channels)``.
        alpha: frequency of each channel.

    Returns:
        ``(..., channels)``, in the dtype of ``x``.

    Source: Ziyin et al. 2020 (arXiv:2006.08195); the guard is DAC's (arXiv:2306.06546).

    Example:
        >>> import jax.numpy as jnp, convt1d
        >>> convt1d.snake(jnp.zeros((2, 5, 3)), jnp.ones(3)).shape
        (2, 5, 3)
    """
    wide = jnp.float32 if jnp.finfo(x.dtype).bits < 32 else x.dtype
    frequency = alpha.astype(wide).reshape((1,) * (x.ndim - 1) + alpha.shape)
    return _snake(x.astype(wide), frequency).astype(x.dtype)


class Snake(eqx.Module):
    """The periodic activation `snake` with a learned frequency for each channel.

    Attributes:
        alpha: ``(channels,)``, one at first.

    Example:
        >>> import jax.numpy as jnp, convt1d
        >>> convt1d.Snake(8)(jnp.ones((2, 100, 8))).shape
        (2, 100, 8)
    """

    alpha: Float[Array, " channels"]

    def __init__(self, channels: int) -> None:
        if channels < 1:
            raise ValueError(f"`channels` (={channels}) must be at least 1.")
        self.alpha = jnp.ones(channels)

    def __call__(self, x: Float[Array, "*shape channels"]) -> Float[Array, "*shape channels"]:
        """Activate ``x`` of shape ``(..., channels)``."""
        return snake(x, self.alpha)


@jax.custom_jvp
def _snake(x: Array, alpha: Array) -> Array:
    sine, _ = _sine_cosine(alpha * x)
    return x + sine * sine / (alpha + 1e-9)


@_snake.defjvp
def _snake_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    return _snake(*primals), _snake_tangent(*primals, *tangents)


# Kept for the backward pass are x and alpha alone: the factors below are cheaper to compute again
# than to write to memory and read back, three signals for each activation.
@functools.partial(jax.checkpoint, prevent_cse=False)
def _snake_tangent(x: Array, alpha: Array, dx: Array, dalpha: Array) -> Array:
    sine, cosine = _sine_cosine(alpha * x)
    inverse = 1 / (alpha + 1e-9)
    double = 2 * sine * cosine * inverse  # sin(2 alpha x) / alpha
    by_alpha = x * double - (sine * inverse) ** 2
    return (1 + alpha * double) * dx + by_alpha * spread(dalpha.reshape(-1), x.shape)


def _sine_cosine(u: Array) -> tuple[Array, Array]:
    """Sine and cosine of ``u`` up to a common sign, which neither sin² nor sin·cos can see."""
    if u.dtype != jnp.float32:
        return jnp.sin(u), jnp.cos(u)
    turns = jnp.round(u * np.float32(1 / np.pi))
    rest = u
    for part in _PI:
        rest = rest - turns * np.float32(part)
    # Beyond float32's last correct digit the remainder means nothing; keep it where sin is defined.
    rest = jnp.clip(rest, -1.574, 1.574)
    square = rest * rest
    sine = rest + rest * square * _polynomial(_SINE, square)
    return sine, 1 + square * _polynomial(_COSINE, square)


def _polynomial(coefficients: tuple[float, ...], t: Array) -> Array:
    value = jnp.full_like(t, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = value * t + np.float32(coefficient)
    return value
