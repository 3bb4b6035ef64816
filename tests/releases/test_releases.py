"""What a release has written, every later version reads: runs, and models saved by the library.

`scripts/make_release_fixture.py` makes what lies here; the numbers beside it were computed by the
code of the release.
"""

import json
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import convt1d
from apps import build, config, evaluate, export, generate, train
from apps.config.migration import migrated
from apps.engine import renaming
from apps.engine.checkpoint import Checkpoints

HERE = Path(__file__).parent
RUNS = sorted(HERE.glob("*/*.zip"))
NAMES = [f"{path.parent.name} {path.stem}" for path in RUNS]
# The same sums in another order, of values up to 1 and not more than a thousand terms.
CLOSE: Any = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """What finds a run's folder, unpacked once."""
    folder = tmp_path_factory.mktemp("releases")

    def find(packed: Path) -> Path:
        run = folder / packed.parent.name / packed.stem
        if not run.is_dir():
            with zipfile.ZipFile(packed) as archive:
                archive.extractall(run)
        return run

    return find


def reference(packed: Path) -> dict[str, np.ndarray]:
    with np.load(packed.with_suffix(".npz")) as stored:
        return dict(stored)


def test_every_release_has_left_something_here():
    text = (HERE.parent.parent / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", text, flags=re.MULTILINE)
    assert set(released) <= {path.parent.name for path in RUNS}


@pytest.mark.parametrize("packed", RUNS, ids=NAMES)
def test_a_run_of_a_release_decodes_as_it_did(packed: Path, unpacked):
    run, then = unpacked(packed), reference(packed)
    signal, latent = jnp.asarray(then["signal"]), jnp.asarray(then["latent"])
    for averaged, decoded in ((True, then["decoded"]), (False, then["raw"])):
        model = build.trained(run, averaged=averaged).model
        np.testing.assert_allclose(eqx.filter_jit(model.decoder)(latent), decoded, **CLOSE)
        if averaged:
            np.testing.assert_allclose(
                eqx.filter_jit(model.encoder)(signal), then["features"], **CLOSE
            )


@pytest.mark.parametrize("packed", RUNS, ids=NAMES)
def test_the_state_of_a_release_is_restored_with_its_optimisers(packed: Path, unpacked):
    run, then = unpacked(packed), reference(packed)
    wanted, signal = config.load(run), build.stored_signal(run)
    with Checkpoints(run / "checkpoints") as checkpoints:
        found = checkpoints.restore(build.template(wanted, signal, build.mesh(wanted)))
    assert found is not None
    step, state = found
    assert step == then["step"] == state.step
    for name, player in state.players.items():
        leaves = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(player.opt_state)]
        norms = np.sort([(leaf**2).sum() for leaf in leaves])
        np.testing.assert_allclose(norms, then[f"norms of {name}"], rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("packed", RUNS, ids=NAMES)
def test_every_door_takes_a_run_of_a_release(packed: Path, unpacked, tmp_path: Path):
    run = tmp_path / "run"
    shutil.copytree(unpacked(packed), run)
    kept = (run / config.FILE).read_bytes()
    assert generate.main([f"run={run}", f"output={tmp_path / 'made'}", "count=2"]) == 0
    assert evaluate.main([f"run={run}", f"output={tmp_path / 'report.json'}", "seeds=0"]) == 0
    assert export.main([f"run={run}", f"output={tmp_path / 'exported'}"]) == 0
    assert train.main([f"run={run}", "train.steps=6"]) == 0
    assert train.main([f"run={run}", "train.steps=7"]) == 0  # from what this version has saved
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["step"] for line in lines][-2:] == [6, 7]
    assert (run / config.FILE).read_bytes() == kept


@pytest.mark.parametrize("packed", RUNS, ids=NAMES)
def test_a_model_saved_by_the_library_of_a_release_is_loaded(packed: Path):
    then, model = reference(packed), convt1d.load(packed.with_suffix(".model"))
    decoded = eqx.filter_jit(model.decoder)(jnp.asarray(then["latent"]))
    np.testing.assert_allclose(decoded, then["decoded"], **CLOSE)
    description = convt1d.load_description(packed.with_suffix(".model"))
    assert description["extra"] == {"release": True}


def test_settings_and_names_of_this_version_stay_as_they_are():
    now = {"model": {"kernel_size": 5, "residual_kernels": [3]}, "objective": {"kind": "gan"}}
    assert migrated(now) == now
    name = "players.vae.model.decoder.stages.0.branches.0.1.mixing.weight"
    assert renaming.present_name(name, 2) == name


@pytest.mark.parametrize(
    ("stored", "now"),
    [
        ({"objective": {"l1_weight": 3}}, {"objective": {"l1_weight": 3, "kind": "vae"}}),
        ({"model": {"kernel_size": 5}}, {"model": {"kernel_size": 5, "residual_kernels": [5]}}),
        ({"model": 3, "objective": None}, {"model": 3, "objective": None}),  # refused later on
    ],
)
def test_settings_of_0_1_0_are_told_in_the_words_of_now(stored, now):
    assert migrated(stored) == now
