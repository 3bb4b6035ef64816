import jax
import numpy as np
import pytest

from apps.engine.mesh import make_mesh, place_batch


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
