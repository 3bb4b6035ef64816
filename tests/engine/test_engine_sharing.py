"""Devices that share one copy of the state train as one device does."""

import functools
import math

import jax
import numpy as np
import pytest
from engine_toys import BATCH, GAN, VAE, arrays, batch_at, gan_players, vae_players, values
from jax.sharding import NamedSharding

from apps.engine import mesh as meshes
from apps.engine.mesh import make_mesh, place, place_batch
from apps.engine.state import init_state
from apps.engine.step import make_train_step

PLACES = {  # devices, those that share, pieces
    "one": ("one", 1, 1),
    "data": ("all", 1, 1),
    "fsdp": ("all", 8, 1),
    "data and fsdp": ("all", 4, 1),
    "pieces": ("one", 1, 2),
    "data in pieces": (4, 1, 2),
    "fsdp in pieces": (4, 4, 2),
    "data and fsdp in pieces": (4, 2, 2),
}
OBJECTIVES = {"vae": (VAE, vae_players), "gan": (GAN, gan_players)}
COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")


@pytest.fixture(autouse=True)
def share_toys(monkeypatch):
    monkeypatch.setattr(meshes, "_SHARED_FROM", 16)  # a toy has no array of 4,096 elements


@functools.cache
def trained(objective, where, steps=20):
    """Returns the losses, the last state and the compiled step's text."""
    turns, players = OBJECTIVES[objective]
    models, optimisers = players()
    devices, fsdp, accumulate = PLACES[where]
    mesh = make_mesh(devices, BATCH, fsdp=fsdp, accumulate=accumulate)
    step = make_train_step(turns, optimisers, mesh=mesh, accumulate=accumulate)
    state = place(init_state(models, optimisers, key=jax.random.key(0)), mesh)
    before, reported = [leaf.sharding for leaf in arrays(state)], []
    program = step.lower(state, place_batch(batch_at(0), mesh)).compile().as_text()
    for index in range(steps):
        state, metrics = step(state, place_batch(batch_at(index), mesh))
        reported.append({name: float(value) for name, value in metrics.items()})
        assert [leaf.sharding for leaf in arrays(state)] == before
    assert program is not None
    assert step.memory is not None
    return reported, state, program, step.memory


@pytest.mark.parametrize("where", [name for name in PLACES if name != "one"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_placement_agrees_with_one_device(objective, where):
    alone, one, *_ = trained(objective, "one")
    together, many, *_ = trained(objective, where)
    for name in alone[0]:
        found = np.array([metrics[name] for metrics in together])
        wanted = np.array([metrics[name] for metrics in alone])
        # Another order of adding: some ulps of float32, no more.
        assert np.max(np.abs(found - wanted)) <= 1e-6 * np.max(np.abs(wanted)), name
    for found, wanted in zip(values(many), values(one), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("one", set()),
        ("data", {"all-reduce"}),
        ("fsdp", {"all-reduce", "all-gather"}),
        ("data and fsdp", {"all-reduce", "all-gather"}),
        ("data and fsdp in pieces", {"all-reduce", "all-gather"}),
    ],
)
def test_weights_are_gathered_gradients_summed_and_nothing_else_is_sent(objective, where, expected):
    program = trained(objective, where)[2]
    assert {name for name in COLLECTIVES if name in program} == expected


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_device_keeps_its_part_of_the_state(objective):
    """Weights, averages and moments alike: all that the rule can cut is cut by the devices."""
    _, state, _, memory = trained(objective, "fsdp")
    _, _, _, alone = trained(objective, "one")
    total = sum(leaf.nbytes for leaf in arrays(state))
    small = sum(leaf.nbytes for leaf in arrays(state) if leaf.is_fully_replicated)
    assert alone.state == total
    assert memory.state == small + (total - small) / 8
    assert small < 0.1 * total
    cut = [leaf for leaf in arrays(state) if not leaf.is_fully_replicated]
    for leaf in cut:
        assert isinstance(leaf.sharding, NamedSharding)
        assert math.prod(leaf.sharding.shard_shape(leaf.shape)) * 8 == leaf.size
