import json

import numpy as np
import pytest
from trained_runs import plucks, sines

from apps import build, evaluate
from apps.engine import compilation
from apps.objectives import autoencoding


@pytest.fixture(autouse=True)
def _no_shared_cache(monkeypatch):
    monkeypatch.setattr(compilation, "keep_compilations", lambda: None)


def measured(tmp_path, *words):
    path = tmp_path / "report.json"
    assert evaluate.main([*(str(word) for word in words), f"output={path}"]) == 0
    return json.loads(path.read_text())


def test_the_report_has_mean_and_spread_over_the_records_of_the_test_split(tmp_path, capsys):
    report = measured(tmp_path, f"run={plucks()}")
    run = build.trained(plucks())
    records = build.source(run.config, "test")
    batch = np.stack([records.example(index, None) for index in range(len(records))])
    scores = autoencoding.scores(run.model, [batch], rate=8000)
    assert report["records"] == len(records)
    assert report["step"] == 4
    assert set(report["metrics"]) == {"mel_distance", "stft_distance", "si_sdr", "kl"}
    for name, value in report["metrics"].items():
        assert value["mean"] == pytest.approx(scores[name].mean(), rel=1e-4, abs=1e-4)
        assert value["std"] == pytest.approx(scores[name].std(), rel=1e-4, abs=1e-4)
    shown = capsys.readouterr().out
    assert f"{report['metrics']['si_sdr']['mean']:.3f}" in shown
    assert "dB" in shown


def test_the_batch_size_does_not_change_the_result(tmp_path):
    first = measured(tmp_path, f"run={plucks()}", "batch_size=3")["metrics"]
    second = measured(tmp_path, f"run={plucks()}", "batch_size=50")["metrics"]
    for name, value in first.items():
        assert value["mean"] == pytest.approx(second[name]["mean"], rel=1e-4, abs=1e-4)


def test_series_are_measured_in_their_own_way(tmp_path):
    report = measured(tmp_path, f"run={sines()}", "weights=model", "checkpoint=2")
    assert (report["weights"], report["step"]) == ("model", 2)
    names = {"mean_absolute_error", "root_mean_square_error", "kl", "correlation_difference"}
    assert set(report["metrics"]) == names
    assert report["metrics"]["correlation_difference"]["std"] is None
    again = measured(tmp_path, f"run={sines()}", "weights=model", "checkpoint=2")
    assert again == report


def test_the_table_knows_every_metric():
    batch = np.zeros((1, 600, 1))
    audio = set(autoencoding._measure(batch, batch, rate=8000))
    series = set(autoencoding._measure(batch, batch, rate=None))
    assert audio | series | {"kl", "correlation_difference"} == set(evaluate.MEANINGS)


def test_a_score_that_is_no_number_is_null_in_the_file(tmp_path):
    metrics = {"si_sdr": {"mean": float("nan"), "std": None}}
    evaluate._save(tmp_path / "report.json", {"records": 1, "metrics": metrics})
    assert json.loads((tmp_path / "report.json").read_text())["metrics"]["si_sdr"]["mean"] is None


def test_the_default_file_is_in_the_run_and_names_split_and_step():
    assert evaluate.main([f"run={sines()}", "split=train"]) == 0
    report = json.loads((sines() / "evaluation-train-0000004.json").read_text())
    assert report["split"] == "train"
    assert report["records"] == 16


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run=r", "split=tset"], "did you mean 'test'"),
        (["run=r", "batch_size=0"], "batch_size must be at least 1"),
        (["run=r", "seed=-1"], "seed must be at least 0"),
        (["run=r"], "is not a run"),
    ],
)
def test_wrong_settings_are_named_with_their_remedy(capsys, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    assert evaluate.main(words) == 2
    assert said in capsys.readouterr().err


def test_moved_data_of_a_run_that_makes_its_own_is_refused(capsys, tmp_path):
    assert evaluate.main([f"run={plucks()}", f"data={tmp_path}"]) == 2
    assert "this run makes its data (plucks)" in capsys.readouterr().err
