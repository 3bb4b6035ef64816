"""A prior that is learnt: noise, carried along a field of velocities to where latents are."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from convt1d._convolution import Conv1d
from convt1d._geometry import is_integer

_FREQUENCIES = 32
_FASTEST = 1000.0  # radians over the whole way: differences of a thousandth of it are told apart


class _Block(eqx.Module):
    """A residual unit: what it adds depends on how far the way has been gone."""

    first: Conv1d
    second: Conv1d

    def __init__(self, channels: int, kernel_size: int, *, key: PRNGKeyArray) -> None:
        first_key, second_key = jax.random.split(key)
        self.first = Conv1d(
            channels, channels, kernel_size, w_init=_normal(1.0), b_init=0.0, key=first_key
        )
        self.second = Conv1d(
            channels, channels, 1, w_init=_normal(0.01), b_init=0.0, key=second_key
        )

    def __call__(
        self, x: Float[Array, "batch frames channels"], time: Float[Array, "batch 1 channels"]
    ) -> Float[Array, "batch frames channels"]:
        inner = jax.nn.silu(self.first(jax.nn.standardize(x) + time))
        return x + self.second(inner)


class Flow(eqx.Module):
    r"""A distribution of latents: standard normal noise, carried along a field of velocities.

    $$ \frac{dz}{dt} = v(z, t), \qquad z(0) \sim \mathcal N(0, 1), \qquad
       \text{latent} = \text{shift} + e^{\text{log\_scale}} z(1) $$

    An autoencoder's latents seldom are what its decoder is given when it samples: what the encoder
    makes of all signals together is no standard normal distribution, the less the less information
    costs. A flow that was trained on them by flow matching draws from what they are, at the price
    of ``steps`` passes through a small network. Before it is trained it draws from the normal
    distribution of its ``shift`` and ``log_scale``, at first the standard one.

    Args:
        latent: channels of the latent.
        channels: of the network.
        blocks: residual units of the network.
        kernel_size: of the convolutions along the latent's steps; 1 looks at each by itself, which
            is all there is where one step stands for a whole signal.
        steps: of Heun's method on the way, with two passes each.
        key: of the weights.

    Raises:
        ValueError: naming the argument that is wrong.

    Source: Lipman et al. 2022 (arXiv:2210.02747), with the straight paths of Liu, Gong & Liu 2022
    (arXiv:2209.03003); as a prior of an autoencoder's latents, Dao et al. 2023 (arXiv:2307.08698).

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from convt1d.models import Flow
        >>> flow = Flow(16, channels=32, blocks=2, key=jax.random.key(0))
        >>> noise = jax.random.normal(jax.random.key(1), (3, 5, 16))
        >>> bool(jnp.allclose(flow(noise), noise))  # not trained yet
        True
    """

    shift: Float[Array, " latent"]
    log_scale: Float[Array, " latent"]
    first: Conv1d
    time: Conv1d
    inner: tuple[_Block, ...]
    last: Conv1d
    latent: int = eqx.field(static=True)
    channels: int = eqx.field(static=True)
    blocks: int = eqx.field(static=True)
    kernel_size: int = eqx.field(static=True)
    steps: int = eqx.field(static=True)

    def __init__(
        self,
        latent: int,
        *,
        channels: int = 256,
        blocks: int = 4,
        kernel_size: int = 1,
        steps: int = 25,
        key: PRNGKeyArray,
    ) -> None:
        given = {
            "latent": latent, "channels": channels, "blocks": blocks,
            "kernel_size": kernel_size, "steps": steps,
        }  # fmt: skip
        for name, value in given.items():
            if not is_integer(value) or value < 1:
                raise ValueError(f"`{name}` (={value!r}) must be an int of at least 1.")
        self.latent, self.channels, self.blocks = latent, channels, blocks
        self.kernel_size, self.steps = kernel_size, steps
        self.shift, self.log_scale = jnp.zeros(latent), jnp.zeros(latent)
        first_key, time_key, *keys = jax.random.split(key, 2 + blocks)
        self.first = Conv1d(
            latent, channels, kernel_size, w_init=_normal(1.0), b_init=0.0, key=first_key
        )
        self.time = Conv1d(
            2 * _FREQUENCIES, channels, 1, w_init=_normal(2.0), b_init=0.0, key=time_key
        )
        self.inner = tuple(_Block(channels, kernel_size, key=each) for each in keys)
        # Nothing moves at first: a draw is the noise.
        self.last = Conv1d(channels, latent, 1, w_init=0.0, b_init=0.0)

    def velocity(
        self, z: Float[Array, "batch frames latent"], time: Float[Array, " batch"]
    ) -> Float[Array, "batch frames latent"]:
        """Where ``z`` is carried at a time between 0 and 1, each of the batch at its own."""
        rates = jnp.exp(jnp.linspace(0.0, math.log(_FASTEST), _FREQUENCIES)).astype(z.dtype)
        angles = time.astype(z.dtype)[:, None, None] * rates[None, None]
        waves = jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)
        told = self.time(waves)
        x = self.first(z)
        for block in self.inner:
            x = block(x, told)
        return self.last(jax.nn.standardize(x))

    def standardised(
        self, latent: Float[Array, "batch frames latent"]
    ) -> Float[Array, "batch frames latent"]:
        """What the way should end at for a latent: it less the shift, over the scale."""
        return (latent - self.shift[None, None]) * jnp.exp(-self.log_scale)[None, None]

    def placed(self, z: Float[Array, "batch frames latent"]) -> Float[Array, "batch frames latent"]:
        """The latent that belongs to an end of the way: the inverse of `standardised`."""
        return self.shift[None, None] + jnp.exp(self.log_scale)[None, None] * z

    def __call__(
        self, noise: Float[Array, "batch frames latent"]
    ) -> Float[Array, "batch frames latent"]:
        """The latents that standard normal noise is carried to."""
        length = 1.0 / self.steps

        def step(z: Array, number: Array) -> tuple[Array, None]:
            now = jnp.full(z.shape[0], length, z.dtype) * number.astype(z.dtype)
            here = self.velocity(z, now)
            there = self.velocity(z + length * here, now + length)
            return z + 0.5 * length * (here + there), None

        return self.placed(jax.lax.scan(step, noise, jnp.arange(self.steps))[0])


def _normal(variance: float) -> jax.nn.initializers.Initializer:
    return jax.nn.initializers.variance_scaling(variance, "fan_in", "normal")
