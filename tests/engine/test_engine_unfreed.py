"""Saves leave nothing behind in memory, and orbax is itself again afterwards."""

import gc
import sys

import jax
import jax.numpy as jnp
import optax
import pytest
import tensorstore
from orbax.checkpoint._src.serialization import tensorstore_utils

from apps.engine import unfreed
from apps.engine.checkpoint import Checkpoints
from apps.engine.state import init_state

ARRAYS, SAVES = 100, 8


@pytest.mark.slow
def test_a_save_leaves_next_to_nothing_behind(tmp_path):
    model = {f"layer {index}": jnp.full(3, float(index)) for index in range(ARRAYS)}
    state = init_state({"model": model}, {"model": optax.sgd(0.1)}, key=jax.random.key(0))

    def blocks_after(first):
        for step in range(first, first + SAVES):
            checkpoints.save(step, state)
        checkpoints.wait()
        gc.collect()
        return sys.getallocatedblocks()

    with Checkpoints(tmp_path, keep_latest=1) as checkpoints:
        before = blocks_after(1)
        left = (blocks_after(1 + SAVES) - before) / SAVES
    assert left < ARRAYS  # TensorStore alone leaves several for each array, and 400 besides


def test_descriptions_are_tensorstores_own_and_orbax_is_left_as_it_was(tmp_path):
    folder = {"driver": "file", "path": f"{tmp_path}/"}
    with Checkpoints(tmp_path / "checkpoints"):
        store = tensorstore_utils.ts
        assert store is not tensorstore
        assert store.KvStore.Spec(folder).to_json() == tensorstore.KvStore.Spec(folder).to_json()
        assert store.KvStore.Spec({"driver": "memory"}) == tensorstore.KvStore.Spec("memory://")
        assert store.experimental_collect_matching_metrics("/tensorstore/") == []
        assert store.int32 is tensorstore.int32
    assert tensorstore_utils.ts is tensorstore


def test_another_orbax_is_left_alone(monkeypatch):
    monkeypatch.delattr(tensorstore_utils, "ts")
    undo = unfreed.ask_less()
    assert not hasattr(tensorstore_utils, "ts")
    undo()
    monkeypatch.setattr(unfreed, "tensorstore_utils", None)
    unfreed.ask_less()()
