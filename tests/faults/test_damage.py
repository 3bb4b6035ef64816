"""Checkpoints that are not as they were written: named, set aside, and passed over."""

import errno
import math
import os
import shutil
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import pytest
from engine_toys import Run, same_bits

from apps.engine.checkpoint import CheckpointError, Checkpoints, restore_ema

OUTCOME = (
    "named in one line and set aside as `20.bad`; the checkpoint before it is used, bit for bit; "
    "20 can be saved again"
)


METRIC: dict[str, Any] = {"best_metric": "loss"}


def state_at(run, step):
    return eqx.tree_at(lambda s: s.step, run.fresh(), jnp.asarray(step, jnp.int32))


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The folder of a run with checkpoints 10 and 20, which differ by their step."""
    run = Run(tmp_path_factory.mktemp("sound"))
    with Checkpoints(run.checkpoints, **METRIC) as checkpoints:
        for step in (10, 20):
            checkpoints.save(step, state_at(run, step), {"loss": 1.0}, force=True)
    return run.folder


@pytest.fixture
def run(sound, tmp_path):
    """A run of one's own with those checkpoints."""
    return Run(shutil.copytree(sound, tmp_path / "run"))


def files(folder):
    """The files of a checkpoint, those with random names by their folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(folder)
            found[str(name if name.parent.name != "d" else name.parent / "…")] = path
    return found


def flip(path, bit=None):
    content = bytearray(path.read_bytes())
    bit = len(content) * 4 if bit is None else bit
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def largest(step, item="train"):
    return max((step / item).rglob("*"), key=lambda path: path.stat().st_size * path.is_file())


def truncate(step):
    os.truncate(largest(step), largest(step).stat().st_size // 2)


def empty(step):
    shutil.rmtree(step)
    step.mkdir()


def replace_by_a_file(step):
    shutil.rmtree(step)
    step.write_bytes(b"not a checkpoint")


DAMAGES = {
    "the newest checkpoint's data truncated": truncate,
    "its data file emptied": lambda step: os.truncate(largest(step), 0),
    "its folder emptied": empty,
    "a file in place of its folder": replace_by_a_file,
    "its manifest missing": lambda step: (step / "train" / "manifest.ocdbt").unlink(),
    "its weights missing": lambda step: shutil.rmtree(step / "train"),
    "its averages missing": lambda step: shutil.rmtree(step / "ema"),
    "its description missing": lambda step: shutil.rmtree(step / "meta"),
    "its metrics missing": lambda step: shutil.rmtree(step / "metrics"),
    "its seal missing": lambda step: (step / "integrity.json").unlink(),
    "its seal emptied": lambda step: os.truncate(step / "integrity.json", 0),
    "orbax's own description garbled": lambda step: (step / "_CHECKPOINT_METADATA").write_bytes(
        b"\x00{"
    ),
}


def warnings(caplog):
    return [record.message for record in caplog.records if record.name.startswith("apps")]


def is_passed_over(run, caplog):
    """Whether 10 is restored instead of 20, in one line; False if 20 is."""
    caplog.clear()
    with Checkpoints(run.checkpoints, **METRIC) as checkpoints:
        found = checkpoints.restore(run.fresh())
    assert found is not None
    step, state = found
    assert same_bits(state, state_at(run, step))
    if step == 20:
        assert warnings(caplog) == []
        return False
    (line,) = warnings(caplog)
    assert line.startswith("checkpoint 20 is damaged (")
    assert "set aside as 20.bad, " in line
    assert (run.checkpoints / "20.bad").exists()
    return True


@pytest.mark.parametrize("spoil", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_checkpoint_is_named_set_aside_and_passed_over(run, caplog, told, spoil):
    (name,) = [name for name, each in DAMAGES.items() if each is spoil]
    told("checkpoints", name, OUTCOME)
    spoil(run.checkpoints / "20")
    assert is_passed_over(run, caplog)
    with Checkpoints(run.checkpoints, **METRIC) as again:
        assert again.save(20, state_at(run, 20), {"loss": 1.0}, force=True)
    assert not is_passed_over(run, caplog)


# Orbax writes these; nothing is restored from them.
HARMLESS = ("_CHECKPOINT_METADATA", "commit_success.txt")


def test_one_flipped_bit_is_seen_in_every_kind_of_file(sound, tmp_path, caplog, told):
    told("checkpoints", "one bit flipped, in each kind of file of the newest one", OUTCOME)
    kinds = files(sound / "checkpoints" / "20")
    assert {"train/d/…", "ema/d/…", "meta/metadata", "integrity.json"} < kinds.keys()
    for number, kind in enumerate(kinds):
        run = Run(shutil.copytree(sound, tmp_path / str(number)))
        flip(files(run.checkpoints / "20")[kind])
        passed_over = is_passed_over(run, caplog)
        assert passed_over or kind in HARMLESS, kind


def test_reading_to_use_a_model_passes_over_damage_and_changes_nothing(run, caplog, told):
    told(
        "checkpoints",
        "a damaged one is to be generated from",
        "named in one line; the one before it is used, and nothing is renamed",
    )
    flip(largest(run.checkpoints / "20", "ema"))
    before = sorted(path.name for path in run.checkpoints.iterdir())
    assert restore_ema(run.checkpoints, run.models)[0] == 10
    assert warnings(caplog)[0].startswith("checkpoint 20 is damaged (ema/")
    with pytest.raises(CheckpointError, match=r"no checkpoint 20 in .* can be used \(20: ema/"):
        restore_ema(run.checkpoints, run.models, step=20)
    assert sorted(path.name for path in run.checkpoints.iterdir()) == before


@pytest.mark.parametrize("spoil", [truncate, empty], ids=["data", "description"])
def test_when_every_checkpoint_is_damaged_nothing_begins_anew(run, told, spoil):
    told("checkpoints", "all damaged", "the run is refused, each one named; nothing is touched")
    for step in (10, 20):
        spoil(run.checkpoints / str(step))
    said = r"every checkpoint in .* is damaged \(10: "
    with pytest.raises(CheckpointError, match=said), Checkpoints(run.checkpoints) as again:
        again.restore(run.fresh())
    assert sorted(path.name for path in run.checkpoints.glob("[0-9]*")) == ["10", "20"]


def test_damage_twice_at_the_same_step_keeps_both(run, told):
    told("checkpoints", "damaged again at the same step", "kept as `20.bad` and `20.bad-2`")
    for _ in range(2):
        truncate(run.checkpoints / "20")
        with Checkpoints(run.checkpoints) as checkpoints:
            checkpoints.restore(run.fresh())
            checkpoints.save(20, state_at(run, 20), force=True)
    assert {path.name for path in run.checkpoints.glob("*.bad*")} == {"20.bad", "20.bad-2"}


def test_the_best_is_kept_over_restarts(tmp_path, told):
    told("checkpoints", "restarts", "the best checkpoint so far is kept, also without evaluations")
    run = Run(tmp_path / "run")
    quality = {1: 0.5, 2: 0.1, 3: 0.4, 4: 0.3, 5: math.nan, 6: None, 7: 0.2}
    options = {"keep_latest": 2, "keep_best": 1, "best_metric": "test/distance"}
    for steps in ((1, 2, 3, 4), (5, 6), (7,)):
        with Checkpoints(run.checkpoints, **options) as checkpoints:
            for step in steps:
                value = quality[step]
                metrics = {} if value is None else {"test/distance": value}
                assert checkpoints.save(step, state_at(run, step), metrics)
    assert sorted(path.name for path in run.checkpoints.glob("[0-9]*")) == ["2", "6", "7"]
    assert restore_ema(run.checkpoints, run.models, step="best")[0] == 2


def test_a_whole_checkpoint_that_cannot_be_loaded_is_not_set_aside(run, told, monkeypatch):
    told(
        "checkpoints",
        "the newest one is whole, and cannot be loaded (memory, open files, a drive that is away)",
        "the run is refused and says why; nothing is set aside, since nothing is damaged",
    )

    def refuse(*arguments):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(Checkpoints, "_load", refuse)
    said = "checkpoint 20 is as it was written, and cannot be loaded: Too many open files"
    with Checkpoints(run.checkpoints) as checkpoints, pytest.raises(CheckpointError, match=said):
        checkpoints.restore(run.fresh())
    monkeypatch.undo()
    assert sorted(path.name for path in run.checkpoints.iterdir()) == ["10", "20", "lock"]
