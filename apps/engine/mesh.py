"""Which devices train, and where the state and the batch lie on them."""

from typing import Any, TypeVar

import equinox as eqx
import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

_Tree = TypeVar("_Tree")


def make_mesh(devices: str | int, batch_size: int, *, accumulate: int = 1) -> Mesh:
    """Returns the mesh that a batch is spread over.

    Args:
        devices: `"one"`, `"all"`, or how many.
        batch_size: Examples in a batch, over all devices.
        accumulate: In how many pieces, one after the other, the batch is computed.

    Raises:
        ValueError: if `devices` is something else, there are not so many, or they and the pieces
            do not divide the batch.
    """
    available = jax.devices()
    count = {"one": 1, "all": len(available)}.get(devices) if isinstance(devices, str) else devices
    if count is None or isinstance(count, bool) or count < 1:
        raise ValueError(
            f"`devices` is {devices!r}: it must be 'one', 'all' or a positive number of devices"
        )
    if count > len(available):
        raise ValueError(
            f"`devices` is {devices}, but this process has {len(available)} "
            f"({available[0].platform}): ask for {len(available)} or fewer, or for 'all'"
        )
    shares = count * accumulate
    if batch_size % shares:
        below = batch_size - batch_size % shares
        choices = f"{below} or {below + shares}" if below else f"{shares}"
        pieces = f" × {accumulate} pieces (`accumulate`)" if accumulate > 1 else ""
        raise ValueError(
            f"`batch_size` {batch_size} is not divisible by {count} devices{pieces}: "
            f"use {choices}, or another number of devices"
        )
    # Automatic axes: explicit ones, the default of `jax.make_mesh`, refuse sharded convolutions.
    return Mesh(np.asarray(available[:count]), ("data",), axis_types=(AxisType.Auto,))


def state_sharding(leaf: Any, mesh: Mesh) -> NamedSharding:
    """Returns where an array of the state lies: the one rule, used by step and restore alike.

    Every device holds the whole state.

    Args:
        leaf: Anything with a shape and a dtype.
        mesh: The mesh.
    """
    del leaf
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh, *, axis: int = 0) -> NamedSharding:
    """Returns where a batch lies: its first axis, or another one, is spread over the devices."""
    return NamedSharding(mesh, PartitionSpec(*(None,) * axis, "data"))


def place(state: _Tree, mesh: Mesh) -> _Tree:
    """Lays a state, or any part of one, onto the mesh."""
    return jax.tree.map(
        lambda leaf: (
            jax.device_put(leaf, state_sharding(leaf, mesh)) if eqx.is_array(leaf) else leaf
        ),
        state,
    )


def place_batch(batch: _Tree, mesh: Mesh) -> _Tree:
    """Lays a host batch onto the mesh: every array's first axis over the devices."""
    return jax.device_put(batch, batch_sharding(mesh))


def abstract_placed(state: _Tree, mesh: Mesh) -> _Tree:
    """Tells a state of shapes where each of its arrays is to lie."""
    return jax.tree.map(
        lambda leaf: (
            jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=state_sharding(leaf, mesh))
            if isinstance(leaf, jax.ShapeDtypeStruct)
            else leaf
        ),
        state,
    )


def pin(state: _Tree, mesh: Mesh) -> _Tree:
    """Fixes, inside a compiled function, where the arrays of its result lie.

    Left free, XLA lays a leaf elsewhere after the first step; the program then differs from the
    one a resumed run begins with, and the losses differ in their last digit.
    """
    return jax.tree.map(
        lambda leaf: (
            jax.lax.with_sharding_constraint(leaf, state_sharding(leaf, mesh))
            if eqx.is_array(leaf)
            else leaf
        ),
        state,
    )


def spread(batch: _Tree, mesh: Mesh, *, axis: int = 0) -> _Tree:
    """Fixes, inside a compiled function, that a batch's axis is spread over the devices."""
    place = batch_sharding(mesh, axis=axis)
    return jax.tree.map(lambda leaf: jax.lax.with_sharding_constraint(leaf, place), batch)
