"""Snake and SnakeBeta: periodic activations, with a fast sine and a gradient of their own."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from convt1d._channels import spread
from convt1d._sine import sine_cosine

_GUARD = 1e-9


def snake(
    x: Float[Array, "*shape channels"], alpha: Float[Array, " channels"], *, exact: bool = False
) -> Array:
    r"""Periodic activation $x + \sin^2(\alpha x) / (\alpha + 10^{-9})$.

    In float32 the sine is within two units in the last place for $|\alpha x| \le 10^4$ and bounded
    everywhere, at the speed of memory; float64 uses `jnp.sin`, and half types compute in float32.

    Args:
        x: ``(..., channels)``.
        alpha: frequency of each channel.
        exact: whether to use `jnp.sin` in float32 too: within one unit, and several times slower on
            CPU.

    Returns:
        ``(..., channels)``, in the dtype of ``x``.

    Source: Ziyin et al. 2020 (arXiv:2006.08195); the guard is DAC's (arXiv:2306.06546).

    Example:
        >>> import jax.numpy as jnp, convt1d
        >>> convt1d.snake(jnp.zeros((2, 5, 3)), jnp.ones(3)).shape
        (2, 5, 3)
    """
    signal, frequency = _wide(x, alpha)
    return _snake(signal, frequency, exact).astype(x.dtype)


def snake_beta(
    x: Float[Array, "*shape channels"],
    alpha: Float[Array, " channels"],
    beta: Float[Array, " channels"],
    *,
    exact: bool = False,
) -> Array:
    r"""Periodic activation $x + \sin^2(\alpha x) / (\beta + 10^{-9})$.

    Args:
        x: ``(..., channels)``.
        alpha: frequency of each channel.
        beta: inverse of each channel's amplitude.
        exact: as in `snake`.

    Returns:
        ``(..., channels)``, in the dtype of ``x``.

    Source: Lee et al. 2023, BigVGAN (arXiv:2206.04658), whose code names it so.

    Example:
        >>> import jax.numpy as jnp, convt1d
        >>> convt1d.snake_beta(jnp.zeros((2, 5, 3)), jnp.ones(3), jnp.ones(3)).shape
        (2, 5, 3)
    """
    signal, frequency = _wide(x, alpha)
    return _snake_beta(signal, frequency, _wide(x, beta)[1], exact).astype(x.dtype)


class Snake(eqx.Module):
    """The periodic activation `snake` with a learned frequency for each channel.

    Args:
        channels: of the signal.
        exact: as in `snake`.

    Attributes:
        alpha: ``(channels,)``, one at first.

    Raises:
        ValueError: if there is no channel.

    Example:
        >>> import jax.numpy as jnp, convt1d
        >>> convt1d.Snake(8)(jnp.ones((2, 100, 8))).shape
        (2, 100, 8)
    """

    alpha: Float[Array, " channels"]
    exact: bool = eqx.field(static=True)

    def __init__(self, channels: int, *, exact: bool = False) -> None:
        self.alpha = jnp.ones(_checked(channels))
        self.exact = exact

    @property
    def channels(self) -> int:
        """Channels of the signals that it takes."""
        return self.alpha.size

    def __call__(self, x: Float[Array, "*shape channels"]) -> Float[Array, "*shape channels"]:
        """Activate ``x`` of shape ``(..., channels)``."""
        return snake(x, self.alpha, exact=self.exact)


class SnakeBeta(eqx.Module):
    """The periodic activation `snake_beta` with learned frequencies and amplitudes.

    Both are kept as logarithms, as in BigVGAN and Oobleck: they stay positive, and training moves
    them by factors.

    Args:
        channels: of the signal.
        exact: as in `snake`.

    Attributes:
        log_alpha: ``(channels,)``, logarithm of the frequency, zero at first.
        log_beta: ``(channels,)``, logarithm of the inverse amplitude, zero at first.

    Raises:
        ValueError: if there is no channel.

    Example:
        >>> import jax.numpy as jnp, convt1d
        >>> convt1d.SnakeBeta(8)(jnp.ones((2, 100, 8))).shape
        (2, 100, 8)
    """

    log_alpha: Float[Array, " channels"]
    log_beta: Float[Array, " channels"]
    exact: bool = eqx.field(static=True)

    def __init__(self, channels: int, *, exact: bool = False) -> None:
        self.log_alpha = jnp.zeros(_checked(channels))
        self.log_beta = jnp.zeros(channels)
        self.exact = exact

    @property
    def channels(self) -> int:
        """Channels of the signals that it takes."""
        return self.log_alpha.size

    def __call__(self, x: Float[Array, "*shape channels"]) -> Float[Array, "*shape channels"]:
        """Activate ``x`` of shape ``(..., channels)``."""
        alpha, beta = jnp.exp(self.log_alpha), jnp.exp(self.log_beta)
        return snake_beta(x, alpha, beta, exact=self.exact)


def _checked(channels: int) -> int:
    if channels < 1:
        raise ValueError(f"`channels` (={channels}) must be at least 1.")
    return channels


def _wide(x: Array, values: Array) -> tuple[Array, Array]:
    """Signal and channel values in the dtype to compute in, of equal rank."""
    dtype = jnp.float32 if jnp.finfo(x.dtype).bits < 32 else x.dtype
    return x.astype(dtype), values.astype(dtype).reshape((1,) * (x.ndim - 1) + values.shape)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _snake(x: Array, alpha: Array, exact: bool) -> Array:  # noqa: FBT001
    sine, _ = sine_cosine(alpha * x, exact=exact)
    return x + sine * sine / (alpha + _GUARD)


@_snake.defjvp
def _snake_jvp(
    exact: bool,  # noqa: FBT001
    primals: tuple[Array, Array],
    tangents: tuple[Array, Array],
) -> tuple[Array, Array]:
    return _snake(*primals, exact), _snake_tangent(*primals, *tangents, exact)


@functools.partial(jax.custom_jvp, nondiff_argnums=(3,))
def _snake_beta(x: Array, alpha: Array, beta: Array, exact: bool) -> Array:  # noqa: FBT001
    sine, _ = sine_cosine(alpha * x, exact=exact)
    return x + sine * sine / (beta + _GUARD)


@_snake_beta.defjvp
def _snake_beta_jvp(
    exact: bool,  # noqa: FBT001
    primals: tuple[Array, Array, Array],
    tangents: tuple[Array, Array, Array],
) -> tuple[Array, Array]:
    y = _snake_beta(*primals, exact)
    return y, _snake_beta_tangent(*primals, y, *tangents, exact)


# Kept for the backward pass are the signal and the channels' values alone: the factors below are
# cheaper to compute again than to write to memory and read back, three signals per activation.
_computed_again = functools.partial(jax.checkpoint, prevent_cse=False)


@functools.partial(_computed_again, static_argnums=4)
def _snake_tangent(x: Array, alpha: Array, dx: Array, dalpha: Array, exact: bool) -> Array:  # noqa: FBT001
    sine, cosine = sine_cosine(alpha * x, exact=exact)
    inverse = 1 / (alpha + _GUARD)
    double = 2 * sine * cosine * inverse  # sin(2 alpha x) / alpha
    by_alpha = x * double - (sine * inverse) ** 2
    return (1 + alpha * double) * dx + by_alpha * spread(dalpha.reshape(-1), x.shape)


@functools.partial(_computed_again, static_argnums=7)
def _snake_beta_tangent(
    x: Array,
    alpha: Array,
    beta: Array,
    y: Array,
    dx: Array,
    dalpha: Array,
    dbeta: Array,
    exact: bool,  # noqa: FBT001
) -> Array:
    sine, cosine = sine_cosine(alpha * x, exact=exact)
    inverse = 1 / (beta + _GUARD)
    double = 2 * sine * cosine * inverse  # sin(2 alpha x) / beta
    by_alpha = x * double * spread(dalpha.reshape(-1), x.shape)
    # The next layer keeps y for its own gradient: sin² from it spares a third sine.
    by_beta = (y - x) * inverse * spread(dbeta.reshape(-1), x.shape)
    return (1 + alpha * double) * dx + by_alpha - by_beta
