"""The scripts that judge a run: each on the smallest run of its kind."""

import re
from pathlib import Path

import compare_phases
import count_modes
import numpy as np
import pytest
import recognise_digits
import soundfile
from trained_runs import COMMON

from apps import train

RATE = 8000


def settled(*words: str) -> list[str]:
    """All words, of which a later one replaces an earlier one of the same name."""
    return list({word.partition("=")[0]: word for word in (*COMMON, *words)}.values())


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files named as spoken digits are, each digit a tone of its own."""
    folder = tmp_path_factory.mktemp("recordings")
    for digit in range(10):
        for index in range(4, 12):
            time = np.arange(900 + 10 * index)
            wave = 0.5 * np.sin(2 * np.pi * (200 + 300 * digit) * time / RATE + index)
            soundfile.write(folder / f"{digit}_ann_{index}.wav", wave, RATE)
    return folder


@pytest.mark.slow
def test_every_checkpoint_of_a_run_is_judged_by_the_recogniser(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run = tmp_path / "run"
    words = settled(
        *("data=audio_folder", f"data.root={recordings}", "data.length=1024", "data.rate=8000"),
        *(r"data.labels=^(\d)_", r"data.test_pattern=_[0-4]\.wav$", "objective=gan"),
        *("critic=wavegan", "critic.channels=2", "model.strides=[4,4]", "model.entry=dense"),
    )
    words.remove("data.count=16")
    assert train.main([*words, f"run={run}"]) == 0
    capsys.readouterr()
    assert recognise_digits.main([str(run), "--root", str(recordings), "--each", "2"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"real test split, 10 recordings: +[\d.]+ %   inception score [\d.]+", said)
    assert [int(step) for step in re.findall(r"step +(\d+): ", said)] == [2, 4]


@pytest.mark.slow
def test_the_modes_of_every_checkpoint_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run = tmp_path / "run"
    words = settled(
        *("data=tones", "data.modes=3", "data.length=64", "objective=gan", "critic=wavegan"),
        *("critic.channels=2", "model.strides=[4,4]", "model.entry=dense", f"run={run}"),
    )
    assert train.main(words) == 0
    capsys.readouterr()
    assert count_modes.main([str(run), "--count", "20"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"step +4: coverage \d+ % of 3 frequencies, precision [\d.]+ %", said)


@pytest.mark.slow
def test_both_sides_of_the_switch_of_phases_are_compared(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run = tmp_path / "run"
    words = settled(
        *("data=plucks", "data.length=1024", "data.rate=8000", "objective=vae_gan"),
        *("objective.adversarial_from=2", "critic.periods=[2]", "critic.channels=2"),
        *("model.strides=[4,4]", f"run={run}"),
    )
    assert train.main(words) == 0
    capsys.readouterr()
    assert compare_phases.main([str(run), "--steps", "2", "--records", "8"]) == 0
    said = capsys.readouterr().out
    assert "8 test records; steps 2 and 4" in said
    for name in ("mel distance", "SI-SDR", "spectrum critic, trained here", "the same, untrained"):
        assert re.search(rf"{name}.* [\d.-]+ +[\d.-]+ +[+-][\d.]+ %", said), said


def test_a_distance_of_features_is_relative_and_a_mean_over_layers():
    real = [np.full((2, 3), 2.0), np.full((2, 5), 4.0)]
    made = [np.full((2, 3), 3.0), np.full((2, 5), 3.0)]
    assert compare_phases.distance(made, real) == pytest.approx((0.5 + 0.25) / 2)
    assert compare_phases.distance(real, real) == 0.0
