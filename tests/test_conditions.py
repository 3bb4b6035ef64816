"""From data to generate: what is made is what was asked for, by label and by covariate."""

import json

import numpy as np
import pytest

from apps import generate, train
from apps.data import read_table
from apps.metrics import modes

SMALL = (
    *("train.log_every=100", "train.save_every=1000", "train.sample_every=0", "train.samples=1"),
    *("train.evaluate_every=1000", "train.evaluate_records=32", "train.ema_decay=0.9"),
    *("train.batch_size=32", "model.dilations=[]", "model.weight_norm=false", "model.latent=4"),
    *("model.activation=elu", "objective=vae_series", "optimiser.learning_rate=1e-2"),
    "objective.kl_weight=0.1",  # what is known anyway is not worth its price in the latent
)


@pytest.fixture(scope="module")
def levels(tmp_path_factory):
    """A run on windows of 32 whose level is known: it jumps, wherever in a hop of 8 that is."""
    folder = tmp_path_factory.mktemp("levels")
    rng = np.random.default_rng(0)
    at = rng.integers(0, 32, (400, 2))
    steps = np.arange(32)[None] >= np.sort(at)[..., None, 0]
    later = np.arange(32)[None] >= np.sort(at)[..., None, 1]
    heights = rng.uniform(-3, 3, (400, 3, 1))
    level = np.where(later, heights[:, 2], np.where(steps, heights[:, 1], heights[:, 0]))
    noise = 0.3 * rng.standard_normal(level.shape)
    np.savez(folder / "levels.npz", data=np.stack([50 + 10 * level + noise, level], 2))
    run = folder / "run"
    words = (f"data.path={folder / 'levels.npz'}", "data.covariates=[2]", "train.steps=300")
    shape = ("model.strides=[4,2]", "model.channels=[32,16,8]", "model.output=none")
    assert train.main(["data=arrays", *words, *shape, *SMALL, f"run={run}"]) == 0
    return run


def made(run, folder, *words):
    assert generate.main([f"run={run}", f"output={folder}", *words]) == 0
    return json.loads((folder / "generated.json").read_text())


def test_samples_follow_the_level_that_is_given_within_a_hop_too(levels, tmp_path):
    wanted = np.where(np.arange(32) < 11, -2.0, np.where(np.arange(32) < 21, 2.5, 0.0))
    table = np.stack([np.zeros(32), wanted], 1)
    np.savetxt(tmp_path / "plan.csv", table[:, 1:], delimiter=",")
    about = made(levels, tmp_path / "a", f"covariates={tmp_path / 'plan.csv'}", "count=5")
    assert about["covariates"] == str(tmp_path / "plan.csv")
    assert about["signals"][0] == "sample-01-plan"
    drawn = read_table(tmp_path / "a" / "signals.npz").values[..., 0]
    for each in drawn:
        assert np.corrcoef(each, wanted)[0, 1] > 0.9
        np.testing.assert_allclose(each.mean(), 50 + 10 * wanted.mean(), atol=5)
    up = (drawn > 52.5).argmax(axis=1)  # the fourth sample of a hop is the first one above
    down = 16 + (drawn[:, 16:] < 62.5).argmax(axis=1)  # and the sixth one of another below
    assert np.abs(up - 11).max() <= 1
    assert np.abs(down - 21).max() <= 1


def test_reconstructions_and_ways_take_a_plan_as_well(levels, tmp_path):
    plan = np.linspace(-2, 2, 40)
    np.savetxt(tmp_path / "plan.csv", plan)
    np.savetxt(tmp_path / "signal.csv", 50 + 10 * plan)
    words = (f"input={tmp_path / 'signal.csv'}", f"covariates={tmp_path / 'plan.csv'}")
    made(levels, tmp_path / "a", *words)
    back = read_table(tmp_path / "a" / "signal-reconstruction.csv").values[:, 0]
    assert np.corrcoef(back, plan)[0, 1] > 0.98
    made(levels, tmp_path / "b", *words, "mode=interpolate", f"to={tmp_path / 'signal.csv'}")
    way = read_table(tmp_path / "b" / "signals.npz").values[0, :, 0]
    np.testing.assert_allclose(way, back, atol=1e-3)
    about = made(levels, tmp_path / "c", "count=2", "mode=reconstruct")
    assert about["signals"][0].startswith("levels.npz window")


def test_a_plan_that_does_not_fit_is_refused(levels, tmp_path, capsys):
    np.savetxt(tmp_path / "two.csv", np.zeros((32, 2)), delimiter=",")
    np.savetxt(tmp_path / "plan.csv", np.zeros(32))
    np.savetxt(tmp_path / "signal.csv", np.zeros(40))
    for words, said in (
        ([f"covariates={tmp_path / 'two.csv'}"], "has 2 channels where channels=1 (2)"),
        (["length=40", f"covariates={tmp_path / 'plan.csv'}"], "the covariates are of 32 samples"),
        ([f"input={tmp_path / 'signal.csv'}"], "give covariates=FILE"),
        (
            [f"input={tmp_path / 'signal.csv'}", f"covariates={tmp_path / 'plan.csv'}"],
            "has 32 rows, and the signal 40 samples",
        ),
        (["label=a"], "was trained without labels"),
        (["covariates=nowhere.csv"], "nowhere.csv is not there"),
    ):
        assert generate.main([f"run={levels}", f"output={tmp_path / 'x'}", *words]) == 2
        assert said in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_a_vae_makes_the_frequency_that_is_asked_for(tmp_path, capsys):
    run = tmp_path / "run"
    words = ("data=tones", "data.rate=null", "data.labels=frequency", "data.modes=4")
    shape = ("data.length=64", "model.strides=[4,4]", "model.channels=[32,16,8]", "train.steps=400")
    assert train.main([*words, *shape, *SMALL, f"run={run}"]) == 0
    known = [(4 + 4 * k) / 64 for k in range(4)]
    for place, label in enumerate(("4 cycles", "12 cycles")):
        folder = tmp_path / str(place)
        about = made(run, folder, f"label={label}", "count=20", "mode=sample")
        assert about["signals"][0] == f"sample-01-{label}"
        drawn = read_table(folder / "signals.npz").values[..., 0]
        found = modes.nearest_modes(drawn, known, tolerance=1 / 64)
        assert np.mean(found == (0, 2)[place]) > 0.9
    np.savetxt(tmp_path / "a.csv", np.sin(2 * np.pi * known[2] * np.arange(64)) * 0.7)
    made(run, tmp_path / "c", f"input={tmp_path / 'a.csv'}", "label=12 cycles")
    back = read_table(tmp_path / "c" / "a-reconstruction.csv").values[:, 0]
    assert modes.nearest_modes(back[None], known, tolerance=1 / 64).tolist() == [2]
    assert generate.main([f"run={run}", f"input={tmp_path / 'a.csv'}"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "say which, label= one of 4 cycles, 8 cycles, 12 cycles, 16 cycles" in said
