"""The door that trains: from words to a run folder, resumed to the bit, refused in words."""

import json
import os
import platform
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import jax.numpy as jnp
import pytest

from apps import build, config
from apps.command_line import CONF
from apps.engine import compilation
from apps.train import main

NETWORK = ["model.strides=[4]", "model.channels=[4]", "model.latent=2", "model.dilations=[]"]
TINY = [
    *(*NETWORK, "model.weight_norm=false", "objective.n_ffts=[32]", "objective.bands=[8]"),
    *("data.count=8", "data.length=64", "train.batch_size=4", "optimiser.schedule=constant"),
    *("train.samples=1", "train.evaluate_records=4", "train.log_every=1", "train.save_every=2"),
    "train.sample_every=0",
]
PLUCKS = ["experiment=plucks_vae", *TINY]


@pytest.fixture(autouse=True)
def _no_shared_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "keep_compilations", lambda: None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six steps, made at once."""
    folder = tmp_path_factory.mktemp("runs") / "whole run (1), 音"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compilation, "keep_compilations", lambda: None)
        assert main([*PLUCKS, "train.steps=6", "train.sample_every=6", f"run={folder}"]) == 0
    return folder


def record(folder: Path) -> list[dict[str, float]]:
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_a_run_folder_holds_the_whole_run(whole: Path):
    there = {path.name for path in whole.iterdir()}
    assert there == {
        *("config.yaml", "signal.json", "checkpoints", "tensorboard", "samples", "metrics.jsonl"),
        *("messages.jsonl", "timing.json", "report.html"),
    }
    assert [line["step"] for line in record(whole)] == [1, 2, 3, 4, 5, 6]
    assert {path.suffix for path in (whole / "samples").iterdir()} == {".png", ".wav"}


def test_a_resumed_run_repeats_every_loss_bit_for_bit(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main([*PLUCKS, "train.steps=3", f"run={tmp_path / 'a'}"]) == 0
    assert "training in" in capsys.readouterr().out
    assert main([f"run={tmp_path / 'a'}", "train.steps=6"]) == 0
    told = capsys.readouterr().out
    assert f"resuming {tmp_path / 'a'} at step 3 of 6" in told
    assert "train.steps: 3 → 6" in told
    losses = [[line["vae/loss"] for line in record(run)] for run in (whole, tmp_path / "a")]
    assert losses[0] == losses[1]
    assert record(whole)[-1] == record(tmp_path / "a")[-1]


def test_a_run_at_its_end_says_how_to_go_on(whole: Path, capsys: pytest.CaptureFixture[str]):
    before = record(whole)
    assert main([f"run={whole}"]) == 0
    assert "is at step 6 of 6; train.steps=12 would go on" in capsys.readouterr().out
    assert record(whole) == before


def test_a_run_tells_on_what_it_stands(whole: Path, capsys: pytest.CaptureFixture[str]):
    assert main([f"run={whole}"]) == 0
    told = capsys.readouterr().out
    for package in ("jax", "equinox", "optax", "orbax-checkpoint"):
        assert f"{package} {version(package)}" in told
    assert f"Python {platform.python_version()}" in told
    assert "devices  1 × cpu" in told
    assert f"config   {config.digest(config.load(whole))}, seed 0" in told


def test_a_trained_model_is_read_without_its_data(whole: Path):
    trained = build.trained(whole)
    assert (trained.step, trained.signal.rate, trained.config.model.latent) == (6, 8000, 2)
    mean, _ = trained.model.encode(jnp.zeros((1, 64, 1)))
    assert mean.shape == (1, 16, 2)


def test_changed_settings_are_refused_with_both_values(
    whole: Path, capsys: pytest.CaptureFixture[str]
):
    stored = (whole / config.FILE).read_bytes()
    words = ["model.latent=3", "optimiser.learning_rate=1", "train.log_every=5"]
    assert main([f"run={whole}", *words]) == 2
    told = capsys.readouterr().err
    assert "\n  model.latent: 2 → 3\n  optimiser.learning_rate: 0.003 → 1.0\nTake these" in told
    assert "train.log_every: " not in told
    assert main(["experiment=sines_vae", f"run={whole}"]) == 2
    assert 'data.kind: "plucks" → "sines"' in capsys.readouterr().err
    assert (whole / config.FILE).read_bytes() == stored


def test_data_of_another_kind_are_refused(
    whole: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    path = whole / build.SIGNAL
    text = path.read_text()
    path.write_text(text.replace("8000", "16000"))
    assert main([f"run={whole}", "train.steps=7"]) == 2
    assert "rate: 16000 → 8000" in capsys.readouterr().err
    path.write_text(text)


def test_a_folder_with_other_files_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "song.wav").touch()
    assert main([*PLUCKS, f"run={tmp_path}"]) == 2
    assert "holds song.wav and no run; choose a new folder" in capsys.readouterr().err
    assert main([*PLUCKS, f"run={tmp_path / 'song.wav'}"]) == 2
    assert "song.wav is a file; choose a folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["song.wav"]


UNFIT = {
    "data": (["data=audio_folder", "data.root=gone"], "gone"),
    "devices": (["train.devices=99"], "`devices` is 99, but this process has 8"),
    "batch": (["train.devices=3", "train.batch_size=4"], "`batch_size` 4 is not divisible by 3"),
    "notes": (["data.highest=127"], "highest=127 is"),
}


@pytest.mark.parametrize(("words", "message"), UNFIT.values(), ids=UNFIT.keys())
def test_what_does_not_fit_is_refused_before_a_folder_is_made(
    words: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_sines_train_into_a_folder_named_after_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    words = [*NETWORK, "data.count=8", "train.batch_size=4", "train.samples=1", "train.steps=6"]
    assert main(["experiment=sines_vae", *words]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("sines_vae-")
    assert record(folder)[-1]["step"] == 6
    assert record(folder)[-1]["test/mean_absolute_error"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_saves_and_leaves_with_0(name: str, tmp_path: Path):
    words = [*PLUCKS, "train.steps=100000", "train.save_every=100000", "run=r"]
    environment = {**os.environ, "PYTHONPATH": str(CONF.parent), "JAX_NUM_CPU_DEVICES": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "apps.train", *words], cwd=tmp_path, env=environment
    )
    metrics = tmp_path / "r" / "metrics.jsonl"
    deadline = time.monotonic() + 100
    while not (metrics.exists() and metrics.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(getattr(signal, name))
    assert process.wait(timeout=60) == 0
    steps = [int(path.name) for path in (tmp_path / "r" / "checkpoints").glob("[0-9]*")]
    assert steps == [record(tmp_path / "r")[-1]["step"]]
    assert f"Step {steps[0]:,} of 100,000" in (tmp_path / "r" / "report.html").read_text()
    stretches = json.loads((tmp_path / "r" / "timing.json").read_text())["stretches"]
    assert [each["to"] for each in stretches] == steps
