"""Latents drawn for people to see and metrics to measure; arrays laid where a model is."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, UInt32
from numpy.typing import NDArray

from apps.engine.mesh import batch_sharding

Signals = NDArray[np.floating[Any]]  # host arrays of shape (batch, length, channels)
Unscale = Callable[[Signals], Signals]


def normal(count: int, *, steps: int, latent: int, seed: int) -> Signals:
    """Standard normal latents; that of draw i depends on the seed, i, steps and latent alone.

    Args:
        count: How many.
        steps: Of each.
        latent: Channels of each.
        seed: Chooses the draws; from 0, below 2³².

    Returns:
        Host array of shape (count, steps, latent).
    """
    drawn = _normal(jax.device_put(np.uint32(seed)), count=count, steps=steps, latent=latent)
    return jax.device_get(drawn)


def blocks(count: int, size: int = 1024) -> Iterator[slice]:
    """So many rows in pieces that fit into memory at once."""
    for at in range(0, count, size):
        yield slice(at, at + size)


def normal_blocks(
    index: int, *, steps: int, latent: int, seed: int, size: int
) -> Iterator[Signals]:
    """One standard normal latent, of any length, block by block.

    It is another one than `normal` draws, and depends on the seed, the index, latent and size
    alone: one of more steps begins with the same.

    Args:
        index: The draw's number.
        steps: Of the latent.
        latent: Channels.
        seed: Chooses the draws; from 0, below 2³².
        size: Steps of a block.

    Yields:
        Host arrays of shape (size, latent), the last perhaps shorter.
    """
    for number, at in enumerate(range(0, steps, size)):
        place = jax.device_put(np.asarray([seed, index, number], np.uint32))
        yield jax.device_get(_block(place, size=size, latent=latent))[: steps - at]


def beside(model: Any, rows: Any) -> Any:
    """Lay host arrays where the model is, over its devices if they divide the first axis.

    Numbers become float32, whole ones int32: what a model takes.
    """
    leaf = next(leaf for leaf in jax.tree.leaves(model) if isinstance(leaf, jax.Array))
    own = leaf.sharding

    def lay(array: Any) -> Array:
        whole = np.issubdtype(np.asarray(array).dtype, np.integer)
        array = np.asarray(array, np.int32 if whole else np.float32)
        sharding = own
        if isinstance(own, NamedSharding) and isinstance(own.mesh, Mesh):
            spread = len(array) % own.mesh.size == 0
            sharding = (
                batch_sharding(own.mesh) if spread else NamedSharding(own.mesh, PartitionSpec())
            )
        return jax.device_put(array, sharding)

    return jax.tree.map(lay, rows)


def of_class(labels: Sequence[str], label: Any, index: int) -> str:
    """What to add to the title of a draw: its class, where it has one."""
    return f" of {labels[label[index]]}" if labels and label is not None else ""


@functools.partial(jax.jit, static_argnames=("count", "steps", "latent"))
def _normal(
    seed: UInt32[Array, ""], *, count: int, steps: int, latent: int
) -> Float[Array, "count steps latent"]:
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), jnp.arange(count))
    return jax.vmap(lambda key: jax.random.normal(key, (steps, latent), jnp.float32))(keys)


@functools.partial(jax.jit, static_argnames=("size", "latent"))
def _block(place: UInt32[Array, "3"], *, size: int, latent: int) -> Float[Array, "size latent"]:
    seed, index, number = place
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), index), number)
    return jax.random.normal(key, (size, latent), jnp.float32)
