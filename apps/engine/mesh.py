"""Which devices train, and where the state and the batch lie on them.

The devices form a grid of two axes. A batch is spread over all of them. Those along `fsdp` share
one copy of the state, each keeping a part of every large array; those along `data` have a copy
each. A step is written for one device: where its arguments lie decides what is sent.
"""

import functools
from typing import Any, TypeVar

import equinox as eqx
import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

AXES = ("data", "fsdp")
# Below this a part is smaller than what a message costs, and its array is kept whole everywhere.
_SHARED_FROM = 4096  # elements
_Tree = TypeVar("_Tree")


def make_mesh(devices: str | int, batch_size: int, *, fsdp: int = 1, accumulate: int = 1) -> Mesh:
    """Returns the mesh that a batch is spread over.

    Args:
        devices: `"one"`, `"all"`, or how many; of each process, where there are several.
        batch_size: Examples in a batch, over all devices.
        fsdp: How many devices share one copy of the state.
        accumulate: In how many pieces, one after the other, the batch is computed.

    Raises:
        ValueError: if `devices` is something else, there are not so many, they and the pieces
            do not divide the batch, or `fsdp` does not divide them.
    """
    chosen = _chosen(devices)
    count = len(chosen)
    shares = count * accumulate
    if batch_size % shares:
        below = batch_size - batch_size % shares
        choices = f"{below} or {below + shares}" if below else f"{shares}"
        pieces = f" × {accumulate} pieces (`accumulate`)" if accumulate > 1 else ""
        raise ValueError(
            f"`batch_size` {batch_size} is not divisible by {count} devices{pieces}: "
            f"use {choices}, or another number of devices"
        )
    if fsdp < 1 or count % fsdp:
        fitting = ", ".join(str(each) for each in range(1, count + 1) if count % each == 0)
        raise ValueError(
            f"`fsdp` is {fsdp}, and {count} devices cannot be divided into groups of so many: "
            f"use one of {fitting}"
        )
    # Automatic axes: explicit ones, the default of `jax.make_mesh`, refuse sharded convolutions.
    grid = np.asarray(chosen).reshape(count // fsdp, fsdp)
    return Mesh(grid, AXES, axis_types=(AxisType.Auto,) * len(AXES))


def _chosen(devices: str | int) -> list[Any]:
    local = jax.local_devices()
    count = {"one": 1, "all": len(local)}.get(devices) if isinstance(devices, str) else devices
    if count is None or isinstance(count, bool) or count < 1:
        raise ValueError(
            f"`devices` is {devices!r}: it must be 'one', 'all' or a positive number of devices"
        )
    if count > len(local):
        raise ValueError(
            f"`devices` is {devices}, but this process has {len(local)} "
            f"({local[0].platform}): ask for {len(local)} or fewer, or for 'all'"
        )
    owned: dict[int, list[Any]] = {}
    for device in jax.devices():
        owned.setdefault(device.process_index, []).append(device)
    most = None if devices == "all" else count
    return [device for process in sorted(owned) for device in owned[process][:most]]


def state_sharding(leaf: Any, mesh: Mesh) -> NamedSharding:
    """Returns where an array of the state lies: the one rule, used by step and restore alike.

    A large array is cut along its longest axis that the devices which share a copy divide.
    Weights, averages and moments of one weight have one shape, so they are cut alike.

    Args:
        leaf: Anything with a shape and a dtype.
        mesh: The mesh.
    """
    shape, sharers = np.shape(leaf), mesh.shape["fsdp"]
    if sharers > 1 and np.prod(shape) >= _SHARED_FROM:
        for axis in sorted(range(len(shape)), key=lambda axis: -shape[axis]):
            if shape[axis] % sharers == 0:
                return NamedSharding(mesh, PartitionSpec(*(None,) * axis, "fsdp"))
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh, *, axis: int = 0) -> NamedSharding:
    """Returns where a batch lies: its first axis, or another one, is spread over the devices."""
    return NamedSharding(mesh, PartitionSpec(*(None,) * axis, AXES))


def own_rows(mesh: Mesh, batch_size: int) -> slice:
    """Returns which examples of a batch lie on this process's devices: all of them if it is alone.

    Args:
        mesh: The mesh; each process's devices follow one another in it.
        batch_size: Examples in a batch, over all devices.
    """
    places = batch_sharding(mesh).addressable_devices_indices_map((batch_size,)).values()
    bounds = [place[0].indices(batch_size) for place in places if place is not None]
    return slice(min(start for start, _, _ in bounds), max(stop for _, stop, _ in bounds))


def place(state: _Tree, mesh: Mesh) -> _Tree:
    """Lays a state, or any part of one, onto the mesh."""
    return jax.tree.map(
        lambda leaf: (
            jax.device_put(leaf, state_sharding(leaf, mesh)) if eqx.is_array(leaf) else leaf
        ),
        state,
    )


def place_batch(batch: _Tree, mesh: Mesh) -> _Tree:
    """Lays a host batch onto the mesh: every array's first axis over the devices.

    Each of several processes brings its own rows (`own_rows`).
    """
    sharding = batch_sharding(mesh)
    if sharding.is_fully_addressable:
        return jax.device_put(batch, sharding)
    return jax.tree.map(lambda rows: jax.make_array_from_process_local_data(sharding, rows), batch)


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
    """Fixes, inside a compiled function, where the arrays of a state lie.

    Left free, XLA lays a leaf elsewhere after the first step; the program then differs from the
    one a resumed run begins with, and the losses differ in their last digit.
    """
    return _constrained(state, lambda leaf: state_sharding(leaf, mesh))


def gather(model: _Tree, mesh: Mesh) -> _Tree:
    """Makes, inside a compiled function, every array of a model whole on every device.

    Left free where weights are shared, XLA sends activations about instead, which are larger.
    """
    if mesh.shape["fsdp"] == 1:
        return model
    return _constrained(model, lambda _: NamedSharding(mesh, PartitionSpec()))


def spread(batch: _Tree, mesh: Mesh, *, axis: int = 0) -> _Tree:
    """Fixes, inside a compiled function, that a batch's axis is spread over the devices."""
    return _constrained(batch, lambda _: batch_sharding(mesh, axis=axis))


def whole(tree: _Tree, mesh: Mesh) -> _Tree:
    """Returns a tree whose arrays are whole on each of this process's devices.

    What one process measures or shows of a model needs no other process then. All of them have to
    call this, though.
    """
    own = NamedSharding(mesh.local_mesh, PartitionSpec())
    arrays, rest = eqx.partition(tree, eqx.is_array)
    if mesh.shape["fsdp"] > 1:
        arrays = _gathered(mesh)(arrays)
    if mesh.local_mesh != mesh:
        arrays = jax.tree.map(
            lambda leaf: jax.make_array_from_single_device_arrays(
                leaf.shape, own, [shard.data for shard in leaf.addressable_shards]
            ),
            arrays,
        )
    return eqx.combine(arrays, rest)


@functools.cache  # one function for each mesh, so that it is compiled once
def _gathered(mesh: Mesh) -> Any:
    return jax.jit(lambda arrays: arrays, out_shardings=NamedSharding(mesh, PartitionSpec()))


def _constrained(tree: _Tree, where: Any) -> _Tree:
    return jax.tree.map(
        lambda leaf: (
            jax.lax.with_sharding_constraint(leaf, where(leaf)) if eqx.is_array(leaf) else leaf
        ),
        tree,
    )
