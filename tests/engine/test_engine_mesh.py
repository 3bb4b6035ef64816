import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from apps.engine.mesh import make_mesh, own_rows, place, place_batch, state_sharding, whole


@pytest.mark.parametrize(("devices", "count"), [("one", 1), ("all", 8), (4, 4)])
def test_a_mesh_has_as_many_devices_as_asked_for(devices, count):
    assert make_mesh(devices, 16).size == count


@pytest.mark.parametrize("devices", ["two", 0, -1, True])
def test_a_number_of_devices_that_is_none_is_refused(devices):
    with pytest.raises(ValueError, match="must be 'one', 'all' or a positive number"):
        make_mesh(devices, 16)


def test_more_devices_than_there_are_is_refused():
    with pytest.raises(ValueError, match=r"`devices` is 9, but this process has 8 \(cpu\)"):
        make_mesh(9, 18)


def test_a_batch_that_the_devices_do_not_divide_is_refused_with_those_they_do():
    with pytest.raises(ValueError, match="30 is not divisible by 8 devices: use 24 or 32"):
        make_mesh("all", 30)
    with pytest.raises(ValueError, match="3 is not divisible by 8 devices: use 8,"):
        make_mesh("all", 3)
    with pytest.raises(
        ValueError, match=r"24 .* 8 devices × 2 pieces \(`accumulate`\): use 16 or 32"
    ):
        make_mesh("all", 24, accumulate=2)


def test_a_batch_is_spread_by_its_first_axis_also_in_a_tree():
    mesh = make_mesh("all", 16)
    batch = place_batch({"signal": np.zeros((16, 5)), "label": np.zeros(16, np.int32)}, mesh)
    assert {s.data.shape for s in batch["signal"].addressable_shards} == {(2, 5)}
    assert {s.data.shape for s in batch["label"].addressable_shards} == {(2,)}
    assert len(jax.devices()) == 8


def test_devices_that_share_a_state_stand_beside_those_with_copies():
    assert make_mesh("all", 16).shape == {"data": 8, "fsdp": 1}
    assert make_mesh("all", 16, fsdp=4).shape == {"data": 2, "fsdp": 4}
    assert own_rows(make_mesh("all", 16, fsdp=4), 16) == slice(0, 16)


@pytest.mark.parametrize("fsdp", [0, 3, 16])
def test_groups_that_do_not_divide_the_devices_are_refused(fsdp):
    with pytest.raises(ValueError, match=f"`fsdp` is {fsdp}, and 8 devices .* one of 1, 2, 4, 8"):
        make_mesh("all", 16, fsdp=fsdp)


@pytest.mark.parametrize(
    ("shape", "spec"),
    [
        ((64, 128), (None, "fsdp")),  # the longest axis
        ((128, 128), ("fsdp",)),  # the first of the longest
        ((7, 30, 128), (None, None, "fsdp")),
        ((63, 31, 12), (None, None, "fsdp")),  # the longest that four devices divide
        ((63, 129), ()),  # none does
        ((4, 4), ()),  # too small to share
        ((), ()),
    ],
)
def test_a_large_array_is_cut_along_its_longest_axis_that_can_be(shape, spec):
    mesh = make_mesh("all", 16, fsdp=4)
    leaf = jax.ShapeDtypeStruct(shape, jnp.float32)
    assert state_sharding(leaf, mesh).spec == PartitionSpec(*spec)
    assert state_sharding(leaf, make_mesh("all", 16)).spec == PartitionSpec()


@pytest.mark.parametrize("fsdp", [1, 2, 8])
def test_a_tree_comes_together_whole_on_every_device(fsdp):
    mesh = make_mesh("all", 16, fsdp=fsdp)
    tree = {"weight": np.arange(8192.0, dtype=np.float32).reshape(64, 128), "word": "same"}
    found = whole(place(jax.tree.map(jnp.asarray, tree["weight"]), mesh), mesh)
    assert found.is_fully_replicated
    np.testing.assert_array_equal(found, tree["weight"])
    assert whole(tree["word"], mesh) == "same"
