import subprocess
import sys

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from trained_runs import plucks, sines

import convt1d
from apps import build, export
from apps.engine import compilation


@pytest.fixture(autouse=True)
def _no_shared_cache(monkeypatch):
    monkeypatch.setattr(compilation, "keep_compilations", lambda: None)


def test_the_export_is_the_averaged_model_and_says_where_it_is_from(tmp_path, capsys):
    assert export.main([f"run={plucks()}", f"output={tmp_path / 'model'}"]) == 0
    loaded = convt1d.load(tmp_path / "model")
    assert eqx.tree_equal(loaded, build.trained(plucks()).model)
    about = convt1d.load_description(tmp_path / "model")["extra"]
    assert about["step"] == 4
    assert about["weights"] == "ema"
    assert about["signal"]["rate"] == 8000
    assert about["config"]["data"]["kind"] == "plucks"
    assert "convt1d.load(" in capsys.readouterr().out


def test_weights_and_checkpoint_can_be_chosen_and_the_default_folder_is_in_the_run():
    assert export.main([f"run={sines()}", "weights=model", "checkpoint=2"]) == 0
    wanted = build.trained(sines(), checkpoint=2, averaged=False)
    assert eqx.tree_equal(convt1d.load(sines() / "export"), wanted.model)


def test_the_export_runs_without_the_application(tmp_path):
    assert export.main([f"run={plucks()}", f"output={tmp_path}"]) == 0
    run = build.trained(plucks())
    latent = jnp.ones((1, 3, run.model.latent))
    np.save(tmp_path / "here.npy", np.asarray(run.model.decode(latent)))
    code = f"""
import sys
import numpy as np
import convt1d
model = convt1d.load({str(tmp_path)!r})
made = model.decode(np.ones((1, 3, {run.model.latent}), np.float32))
np.testing.assert_allclose(made, np.load({str(tmp_path / "here.npy")!r}), atol=1e-5)
assert not any(name.split(".")[0] in ("apps", "optax", "orbax") for name in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_cannot_be_is_said(capsys, tmp_path):
    assert export.main([f"run={tmp_path}"]) == 2
    assert "is not a run" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert export.main([f"run={plucks()}", f"output={tmp_path / 'file'}"]) == 2
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["weights=emma", "checkpoint=bset"])
def test_misspelt_choices_find_their_neighbour(capsys, word):
    assert export.main(["run=r", word]) == 2
    assert "did you mean" in capsys.readouterr().err
