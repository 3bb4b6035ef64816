import functools
import json

import numpy as np
import pytest
import rich.console
import soundfile
from trained_runs import plucks, sines, sounds, tones

from apps import build, evaluate, measuring
from apps.engine import compilation
from apps.judges import generation, listening
from apps.objectives import autoencoding, upsampler


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
    assert set(scores) == {"mel_distance", "stft_distance", "si_sdr", "kl"}
    made = autoencoding.reconstruct(run.model, batch)
    expected = {**scores, **listening.likeness(made, batch, rate=8000)}
    assert {name for name, each in expected.items() if not np.isnan(each).all()} == set(
        report["metrics"]
    )
    for name, value in report["metrics"].items():
        assert value["mean"] == pytest.approx(np.nanmean(expected[name]), rel=1e-4, abs=1e-4)
        assert value["std"] == pytest.approx(np.nanstd(expected[name]), rel=1e-4, abs=1e-4)
    shown = capsys.readouterr().out
    assert f"{report['metrics']['si_sdr']['mean']:.3f}" in shown
    assert "dB" in shown


def test_the_batch_size_does_not_change_the_result(tmp_path):
    first = measured(tmp_path, f"run={plucks()}", "batch_size=3")["metrics"]
    second = measured(tmp_path, f"run={plucks()}", "batch_size=50")["metrics"]
    for name, value in first.items():
        assert value["mean"] == pytest.approx(second[name]["mean"], rel=1e-4, abs=1e-4)


def test_series_are_measured_in_their_own_way(tmp_path):
    report = measured(tmp_path, f"run={sines()}", "weights=model", "checkpoint=2", "seeds=0")
    assert (report["weights"], report["step"]) == ("model", 2)
    names = {"mean_absolute_error", "root_mean_square_error", "kl", "correlation_difference"}
    assert set(report["metrics"]) == names
    assert report["metrics"]["correlation_difference"]["std"] is None
    again = measured(tmp_path, f"run={sines()}", "weights=model", "checkpoint=2", "seeds=0")
    assert again == report


def test_the_table_knows_every_metric():
    batch = np.zeros((1, 600, 1))
    audio = set(listening.likeness(batch, batch, rate=8000))
    upsampled = set(upsampler._measure(batch, batch, batch, factor=2))
    plain = {
        f"{error}_{method}"
        for error in ("mae", "rmse", "rmse_over")
        for method in ("linear", "cubic", "fourier")
    }
    series = set(autoencoding._measure(batch, batch, rate=None))
    alone = {"kl", "correlation_difference", "mel_l1", "pesq", "stoi"}
    judged = {"discriminative", "predictive", "context_fid", "correlational"}
    of_sets = {"frechet_distance", "recognised", "inception_score", "recogniser_distance"}
    assert audio | upsampled | series | plain | alone | judged | of_sets == set(evaluate.MEANINGS)


def test_what_cannot_be_measured_is_told_once_and_left_out(capsys):
    console = rich.console.Console(width=200)
    scores = {"a": np.array([1.0, np.nan, 3.0]), "b": np.full(3, np.nan), "c": np.arange(3.0)}
    found = measuring.summaries(scores, 3, console)
    assert found["a"] == {"mean": 2.0, "std": 1.0, "records": 2}
    assert set(found) == {"a", "c"}
    assert "records" not in found["c"]
    assert "on fewer than 3 records" in (said := capsys.readouterr().out)
    assert "a 2, b 0" in said


def test_where_labels_are_known_a_classifier_judges_beside_its_control(tmp_path, capsys):
    report = measured(tmp_path, f"run={tones()}")
    metrics = report["metrics"]
    assert set(metrics) == {
        "frechet_distance", "recognised", "inception_score", "recogniser_distance"
    }  # fmt: skip
    for name in ("recognised", "inception_score", "recogniser_distance"):
        assert metrics[name]["std"] is None
        assert set(metrics[name]["control"]) == {"mean", "std"}
    control = metrics["recognised"]["control"]["mean"]
    assert metrics["recognised"]["mean"] < control
    said = capsys.readouterr().out
    assert f"knows the labels of {100 * control:.1f} % of the test split" in said
    assert f"{metrics['inception_score']['control']['mean']:.3f}" in said
    assert list(tones().glob("recogniser-*.eqx"))
    again = measured(tmp_path, f"run={tones()}", "batch_size=5")["metrics"]
    for name, value in metrics.items():
        assert value["mean"] == pytest.approx(again[name]["mean"], rel=1e-3)


@pytest.mark.slow
def test_the_recordings_of_a_run_without_labels_can_be_given_some(tmp_path, capsys):
    folder = tmp_path / "recordings"
    folder.mkdir()
    for name, frequency in (("low", 300), ("high", 1500)):
        for index in range(6):
            wave = 0.5 * np.sin(2 * np.pi * frequency * np.arange(512) / 8000 + index)
            soundfile.write(folder / f"{name}-{index}.wav", wave, 8000)
    words = [f"data.root={folder}", "data=audio_folder", "data.length=512", "data.rate=8000"]
    run = sounds(tmp_path / "run", *words, "data.test_pattern=[01].wav")
    assert "recognised" not in measured(tmp_path, f"run={run}")["metrics"]
    assert not list(run.glob("recogniser*"))
    metrics = measured(tmp_path, f"run={run}", "labels=(low|high)")["metrics"]
    assert metrics["recognised"]["control"]["mean"] == 1
    assert 0 <= metrics["recognised"]["mean"] <= 1  # what is made of a record should be as it is
    assert evaluate.main([f"run={run}", "labels=(loud)-"]) == 2
    assert "files have no label" in capsys.readouterr().err


def test_a_score_that_is_no_number_is_null_in_the_file(tmp_path):
    metrics = {"si_sdr": {"mean": float("nan"), "std": None}}
    evaluate._save(tmp_path / "report.json", {"records": 1, "metrics": metrics})
    assert json.loads((tmp_path / "report.json").read_text())["metrics"]["si_sdr"]["mean"] is None


def test_new_series_are_judged_beside_real_ones_and_drawn(tmp_path, monkeypatch, capsys):
    quick = functools.partial(generation.generation_scores, updates=4)
    monkeypatch.setattr(generation, "generation_scores", quick)
    report = measured(tmp_path, f"run={sines()}", "split=train", "seeds=2")
    for name in ("discriminative", "predictive", "context_fid", "correlational"):
        score = report["metrics"][name]
        assert score["seeds"] == len(score["values"]) == 2
        assert score["mean"] == pytest.approx(np.mean(score["values"]))
        assert set(score["control"]) == {"mean", "std"}
    (picture,) = report["pictures"].values()
    assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")
    assert "real" in capsys.readouterr().out
    monkeypatch.setattr(generation, "LEAST", 17)  # one more than there are
    report = measured(tmp_path, f"run={sines()}", "split=train", "seeds=2")
    assert "discriminative" not in report["metrics"]
    assert "are too few" in capsys.readouterr().out


def test_the_default_file_is_in_the_run_and_names_split_and_step():
    assert evaluate.main([f"run={sines()}", "split=train", "seeds=0"]) == 0
    report = json.loads((sines() / "evaluation-train-0000004.json").read_text())
    assert report["split"] == "train"
    assert report["records"] == 16


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run=r", "split=tset"], "did you mean 'test'"),
        (["run=r", "batch_size=0"], "batch_size must be at least 1"),
        (["run=r", "seed=-1"], "seed must be at least 0"),
        (["run=r", "seeds=-1"], "seeds must be at least 0"),
        (["run=r"], "is not a run"),
    ],
)
def test_wrong_settings_are_named_with_their_remedy(capsys, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    assert evaluate.main(words) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("run", "said"), [(plucks, "is of plucks, without any"), (tones, "has labels already")]
)
def test_labels_that_say_nothing_are_refused(capsys, run, said):
    assert evaluate.main([f"run={run()}", "labels=folder"]) == 2
    assert said in capsys.readouterr().err


def test_moved_data_of_a_run_that_makes_its_own_is_refused(capsys, tmp_path):
    assert evaluate.main([f"run={plucks()}", f"data={tmp_path}"]) == 2
    assert "this run makes its data (plucks)" in capsys.readouterr().err
