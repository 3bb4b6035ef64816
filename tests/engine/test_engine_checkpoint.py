import errno
import json
import math
import os
import shutil
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from engine_toys import Auto, Run, arrays, copied, gan_players, same_bits, values
from jax.sharding import SingleDeviceSharding

from apps.engine import checkpoint, integrity, stored
from apps.engine.checkpoint import CheckpointError, Checkpoints, restore_ema
from apps.engine.lock import InUseError
from apps.engine.mesh import abstract_placed, make_mesh, place
from apps.engine.state import abstract_state, init_state
from apps.engine.stored import read_meta

CONFIG = {"model": {"strides": [2, 4]}, "name": "Übung 音"}


@pytest.fixture
def toy(tmp_path):
    return Run(tmp_path / "a run, with = (odd) näme")


def save_steps(run, steps, metrics=None, **options):
    """Saves states that differ by their step, and returns them."""
    states = {}
    with Checkpoints(run.checkpoints, config=CONFIG, **options) as checkpoints:
        for step in steps:
            state = eqx.tree_at(lambda s: s.step, run.fresh(), jnp.asarray(step, jnp.int32))
            states[step] = state
            assert checkpoints.save(step, state, (metrics or {}).get(step))
    return states


# what is saved comes back


def test_a_state_comes_back_bit_for_bit_where_it_lay(toy):
    saved = save_steps(toy, [3])[3]
    with Checkpoints(toy.checkpoints) as checkpoints:
        found = checkpoints.restore(toy.fresh())
    assert found is not None
    assert found[0] == 3
    assert same_bits(found[1], saved)
    assert [a.sharding for a in arrays(found[1])] == [a.sharding for a in arrays(toy.fresh())]


def test_a_template_of_shapes_restores_without_building_a_model(toy):
    saved = save_steps(toy, [3])[3]
    mesh = make_mesh("all", 8)
    template = abstract_placed(
        abstract_state(
            lambda: init_state(
                {"vae": Auto(jax.random.key(9))}, toy.optimisers, key=jax.random.key(0)
            )
        ),
        mesh,
    )
    with Checkpoints(toy.checkpoints) as checkpoints:
        found = checkpoints.restore(template)
    assert found is not None
    assert same_bits(found[1], saved)
    assert {len(a.sharding.device_set) for a in arrays(found[1])} == {8}
    assert found[1].players["vae"].model.decoder.activation is not None


def test_a_state_may_be_donated_as_soon_as_save_returns(toy):
    with Checkpoints(toy.checkpoints) as checkpoints:
        state = toy.fresh()
        expected = copied(state)
        checkpoints.save(1, state)
        for array in arrays(state):
            array.delete()
        found = checkpoints.restore(toy.fresh())
    assert found is not None
    assert same_bits(found[1], expected)


def test_an_empty_folder_has_nothing_to_restore(toy):
    with Checkpoints(toy.checkpoints) as checkpoints:
        assert checkpoints.restore(toy.fresh()) is None
        assert checkpoints.steps() == []


def test_the_config_and_the_metrics_come_back(toy):
    save_steps(toy, [3], {3: {"loss": 0.1, "worst": math.nan}})
    meta = read_meta(toy.checkpoints)
    assert meta["config"] == CONFIG
    assert meta["metrics"] == {"loss": 0.1}
    assert (meta["format"], meta["step"]) == (2, 3)
    assert meta["arrays"]["ema"]["players.vae.ema.encoder.weight"] == ["float32", [4, 16]]


def test_a_checkpoint_of_format_1_has_no_skipped_updates(toy, monkeypatch):
    def without_counts(state):
        items = stored.named_arrays(state)
        items["train"] = {n: leaf for n, leaf in items["train"].items() if ".skips." not in n}
        return items

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "named_arrays", without_counts)
        patch.setattr(checkpoint, "FORMAT", 1)
        saved = save_steps(toy, [3])[3]
    with Checkpoints(toy.checkpoints) as checkpoints:
        found = checkpoints.restore(toy.fresh())
    assert found is not None
    assert same_bits(found[1], saved)


def test_the_product_alone_is_read_whatever_happened_to_the_rest(tmp_path):
    run = Run(tmp_path, objective="gan")
    state = init_state(run.models, run.optimisers, key=jax.random.key(0), ema=["decoder"])
    with Checkpoints(run.checkpoints) as checkpoints:
        assert checkpoints.save(1, place(state, run.mesh))
    shutil.rmtree(run.checkpoints / "1" / "train")
    product = {"decoder": run.models["decoder"]}
    step, players = restore_ema(run.checkpoints, product)
    assert step == 1
    assert same_bits(players["decoder"], state.players["decoder"].ema)


def test_a_newer_format_is_refused(toy):
    save_steps(toy, [3])
    path = toy.checkpoints / "3" / "meta" / "metadata"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 3}))
    integrity.seal(toy.checkpoints / "3")
    with pytest.raises(CheckpointError, match="has format 3, this program reads up to 2"):
        read_meta(toy.checkpoints)


# which are kept


def test_a_checkpoint_no_longer_kept_goes_in_one_step(toy, monkeypatch):
    monkeypatch.setattr(Checkpoints, "_remove_leftovers", lambda self: None)
    save_steps(toy, [1, 2], keep_latest=1)
    assert integrity.damage(toy.checkpoints / "retired" / "1") is None  # renamed, still whole
    monkeypatch.undo()
    Checkpoints(toy.checkpoints).close()
    assert sorted(path.name for path in toy.checkpoints.iterdir()) == ["2", "lock"]


def test_the_best_can_be_the_largest_and_steps_without_a_metric_are_none(toy):
    metrics = {1: {"snr": 3.0}, 2: {"snr": 9.0}, 3: {"snr": 5.0}, 4: {"other": 99.0}}
    options = {"keep_latest": 1, "keep_best": 1, "best_metric": "snr", "best_mode": "max"}
    save_steps(toy, [1, 2, 3, 4, 5], metrics, **options)
    assert sorted(p.name for p in toy.checkpoints.glob("[0-9]*")) == ["2", "5"]
    assert restore_ema(toy.checkpoints, toy.models, step="best")[0] == 2


# damage is done in tests/faults/test_damage.py


def test_what_a_killed_save_left_behind_is_removed(toy):
    save_steps(toy, [10])
    (toy.checkpoints / "20.orbax-checkpoint-tmp" / "train").mkdir(parents=True)
    with Checkpoints(toy.checkpoints) as checkpoints:
        assert not (toy.checkpoints / "20.orbax-checkpoint-tmp").exists()
        assert checkpoints.steps() == [10]


# another model


def other_state(run, model, optimiser):
    state = init_state({"vae": model}, {"vae": optimiser}, key=jax.random.key(0))
    return place(state, run.mesh)


def test_a_checkpoint_of_another_model_is_refused_and_not_set_aside(toy):
    save_steps(toy, [10])
    wider = other_state(toy, Auto(jax.random.key(1), width=9), optax.adamw(1e-2))
    with Checkpoints(toy.checkpoints) as checkpoints:
        with pytest.raises(
            CheckpointError,
            match=r"checkpoint 10 is of another model or optimiser: .*"
            r"is float32\(8,\) there and float32\(9,\) here \(and \d+ more\)",
        ):
            checkpoints.restore(wider)
        assert checkpoints.steps() == [10]


def test_a_checkpoint_of_another_optimiser_is_refused(toy):
    save_steps(toy, [10])
    plain = other_state(toy, toy.models["vae"], optax.sgd(1e-2))
    with (
        Checkpoints(toy.checkpoints) as checkpoints,
        pytest.raises(CheckpointError, match=r"opt_state.* there and missing here"),
    ):
        checkpoints.restore(plain)


def test_a_template_that_lies_nowhere_is_refused(toy):
    save_steps(toy, [10])
    template = abstract_state(lambda: init_state(toy.models, toy.optimisers, key=jax.random.key(0)))
    with (
        Checkpoints(toy.checkpoints) as checkpoints,
        pytest.raises(ValueError, match=r"does not say where .* lies: use `abstract_placed`"),
    ):
        checkpoints.restore(template)


# a disk that does not take it


def test_without_room_nothing_is_written_and_one_line_says_so(toy, caplog, monkeypatch):
    saved = save_steps(toy, [10])
    usage = shutil.disk_usage(toy.checkpoints)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with Checkpoints(toy.checkpoints) as checkpoints:
        assert not checkpoints.save(20, saved[10])
        assert [r.message for r in caplog.records if r.name.startswith("apps")] == [
            f"checkpoint 20 was not saved: it needs 0.0 MB, and 0.0 MB are free in "
            f"{toy.checkpoints}. Earlier ones are kept"
        ]
        with pytest.raises(CheckpointError, match="checkpoint 20 was not saved: it needs"):
            checkpoints.save(20, saved[10], force=True)
        assert checkpoints.steps() == [10]


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes there")
@pytest.mark.parametrize("force", [False, True])
def test_a_write_that_fails_costs_one_checkpoint_and_one_line(toy, caplog, capfd, force):
    import resource

    saved = save_steps(toy, [10])
    caplog.clear()
    capfd.readouterr()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Checkpoints(toy.checkpoints, keep_latest=1) as checkpoints:
        resource.setrlimit(resource.RLIMIT_FSIZE, (600, hard))  # every larger file fails
        try:
            if force:
                with pytest.raises(CheckpointError, match="20 was not saved: File too large"):
                    checkpoints.save(20, saved[10], force=True)
            else:
                checkpoints.save(20, saved[10])
                checkpoints.wait()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        lines = [r.message for r in caplog.records if r.name.startswith("apps")]
        said = "checkpoint 20 was not saved: File too large. Earlier ones are kept"
        assert lines == ([] if force else [said])
        assert checkpoints.steps() == [10]
        assert [p.name for p in toy.checkpoints.iterdir() if "tmp" in p.name] == []
        # and the run goes on
        assert checkpoints.save(30, saved[10], force=True)
        assert checkpoints.steps() == [30]
    assert capfd.readouterr().err == ""


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match=r"checkpoints cannot be written to .*: Not a dir"):
        Checkpoints(tmp_path / "file" / "checkpoints")

    def refuse(*arguments, **options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(CheckpointError, match=r"cannot be written to .*: Read-only"):
        Checkpoints(tmp_path / "checkpoints")


def test_a_second_run_in_the_same_folder_is_refused(toy):
    with Checkpoints(toy.checkpoints), pytest.raises(InUseError, match="is in use by process"):
        Checkpoints(toy.checkpoints)
    Checkpoints(toy.checkpoints).close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"keep_latest": 0}, "`keep_latest` is 0: at least 1"),
        ({"keep_best": -1}, "`keep_best` is -1: it must be 0 or more"),
        ({"best_mode": "least"}, "`best_mode` is 'least': it must be 'min' or 'max'"),
    ],
)
def test_impossible_numbers_of_checkpoints_are_refused(tmp_path, options, said):
    with pytest.raises(ValueError, match=said):
        Checkpoints(tmp_path, **options)


# use


def test_the_averages_are_read_alone_onto_one_device(toy, monkeypatch):
    saved = save_steps(toy, [10])[10]
    shutil.rmtree(toy.checkpoints / "10" / "train")  # nothing else is opened
    template = eqx.filter_eval_shape(lambda: toy.models)
    step, players = restore_ema(toy.checkpoints, template)
    assert step == 10
    assert same_bits(players["vae"], saved.players["vae"].ema)
    here = SingleDeviceSharding(jax.devices()[0])
    assert {a.sharding for a in arrays(players)} == {here}
    assert players["vae"].decoder(jnp.zeros(4)).shape == (16,)


def test_a_player_without_an_average_is_read_as_it_was_trained(tmp_path):
    models, optimisers = gan_players()
    mesh = make_mesh("one", 8)
    key = jax.random.key(0)
    state = place(init_state(models, optimisers, key=key, ema=["decoder"]), mesh)
    state = eqx.tree_at(lambda s: s.players["decoder"].ema.weight, state, jnp.ones((16, 4)))
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state, force=True)
        found = checkpoints.restore(state)
    assert found is not None
    assert same_bits(found[1], state)
    _, players = restore_ema(tmp_path, models)
    assert np.all(np.asarray(players["decoder"].weight) == 1)
    assert same_bits(players["critic"], models["critic"])
    assert restore_ema(tmp_path, {"decoder": models["decoder"]})[1].keys() == {"decoder"}


def test_a_run_may_be_read_while_it_trains(toy):
    save_steps(toy, [10])
    with Checkpoints(toy.checkpoints):
        assert restore_ema(toy.checkpoints, toy.models)[0] == 10


def test_what_cannot_be_read_is_refused_in_words(toy, tmp_path):
    with pytest.raises(CheckpointError, match=r"no checkpoint in .*nothing here"):
        restore_ema(tmp_path / "nothing here", toy.models)
    save_steps(toy, [10])
    with pytest.raises(CheckpointError, match="no checkpoint 7 in"):
        restore_ema(toy.checkpoints, toy.models, step=7)
    with pytest.raises(CheckpointError, match="was evaluated, so none is best: take the newest"):
        restore_ema(toy.checkpoints, toy.models, step="best")
    with pytest.raises(ValueError, match="`step` is 'last': it must be a number, 'best' or None"):
        restore_ema(toy.checkpoints, toy.models, step="last")
    with pytest.raises(CheckpointError, match="checkpoint 10 has no player 'decoder'"):
        restore_ema(toy.checkpoints, {"decoder": toy.models["vae"]})
    with pytest.raises(CheckpointError, match=r"is float32\(8,\) there and float32\(9,\) here"):
        restore_ema(toy.checkpoints, {"vae": Auto(jax.random.key(0), width=9)})


def test_the_next_orbax_interface_opens_the_same_folder(toy):
    from orbax.checkpoint import v1

    saved = save_steps(toy, [10])[10]
    with v1.training.Checkpointer(toy.checkpoints) as reader:
        assert reader.latest is not None
        assert reader.latest.step == 10
        names = read_meta(toy.checkpoints)["arrays"]["ema"]
        template = {
            name: jax.ShapeDtypeStruct(
                shape, dtype, sharding=SingleDeviceSharding(jax.devices()[0])
            )
            for name, (dtype, shape) in names.items()
        }
        found = reader.load_checkpointables(reader.latest, {"ema": template})["ema"]
    weight = found["players.vae.ema.encoder.weight"]
    assert np.array_equal(weight, values(saved.players["vae"].ema.encoder)[0])
