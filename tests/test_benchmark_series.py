"""The script that fills the published tables: what it asks for, and what it writes."""

import json
from pathlib import Path

import benchmark_series
import pytest

from apps.command_line import read, sort
from apps.config import Config

SCORE = {"mean": 0.0054, "std": 0.0027, "seeds": 2, "control": {"mean": 0.01, "std": 0.002}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("stock_data.csv", "energy.npz", "air.npz"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize("data", list(benchmark_series.PUBLISHED))
@pytest.mark.parametrize("model", ["flow", "timevae", "wgan_gp", "vae_gan"])
def test_every_set_and_model_is_a_config_that_holds_nothing_out(data, model, folder):
    made = read(Config, sort(benchmark_series.experiment(model, data, folder)))
    if data != "sines":
        assert made.data.split_by == "none"  # pyright: ignore[reportAttributeAccessIssue]
    assert (made.data.kind == "sines") == (data == "sines")
    flow = getattr(made.objective, "prior_from", None)
    assert (flow is not None) == (model == "flow")


def test_a_set_whose_file_is_not_there_is_named(tmp_path):
    with pytest.raises(SystemExit, match=r"energy needs --data FOLDER, where energy.npz is"):
        benchmark_series.experiment("flow", "energy", tmp_path)


def test_what_was_done_is_not_done_again_and_every_row_is_kept_at_once(tmp_path, monkeypatch):
    asked = []

    def timed(command):
        asked.append(command)
        run = Path(next(word for word in command if word.startswith("run=")).removeprefix("run="))
        run.mkdir(parents=True, exist_ok=True)
        if command[0] == "apps.evaluate":
            path = command[-1].removeprefix("output=")
            metrics = dict.fromkeys(benchmark_series.SCORES, SCORE)
            Path(path).write_text(json.dumps({"records": 1234, "metrics": metrics}))
        return 12.0, 20.0

    monkeypatch.setattr(benchmark_series, "timed", timed)
    words = ["--sets=sines", "--models=flow,timevae", "--seeds=2", f"--runs={tmp_path / 'runs'}"]
    words += [f"--output={tmp_path}"]
    assert benchmark_series.main(words) == 0
    assert [command[0] for command in asked] == ["apps.train", "apps.evaluate"] * 2
    assert benchmark_series.main(words) == 0
    assert len(asked) == 4
    assert benchmark_series.main([*words, "train.steps=9"]) == 0
    assert [command[0] for command in asked[4:]] == ["apps.train", "apps.evaluate"] * 2
    rows = json.loads((tmp_path / "series.json").read_text())
    assert [row["model"] for row in rows] == ["flow", "timevae"]
    text = (tmp_path / "series.md").read_text()
    assert "| **flow** (ours, 2 seeds) | .005 ± .003 |" in text
    assert "| real against real, here | .010 ± .002 |" in text
    assert "| Diffusion-TS | .006 ± .007 | .093 ± .000 | .006 |  | |" in text
    assert "12 s (20 s of processors)" in text
