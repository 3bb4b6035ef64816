"""`python -m apps.report`: one run, several, and what it refuses."""

import re

import pytest
from reported_runs import audio_run, evaluated, gan_run, seen, series_run
from trained_runs import plucks, sines

from apps import evaluate, generate, report
from apps.engine import compilation


@pytest.fixture(autouse=True)
def _no_shared_cache(monkeypatch):
    monkeypatch.setattr(compilation, "keep_compilations", lambda: None)


def test_a_run_gets_its_page_anew(tmp_path, capsys):
    run = audio_run(tmp_path / "it's a run, 音")
    assert report.main([f"run={run}"]) == 0
    assert capsys.readouterr().out == f"saved to {run / 'report.html'}\n"
    assert "<title>it&#x27;s a run, 音 · A run: a VAE of plucks</title>" in (
        run / "report.html"
    ).read_text(encoding="utf-8")


@pytest.mark.parametrize("way", ["repeated", "list"])
def test_runs_are_laid_side_by_side(tmp_path, monkeypatch, way):
    first, second = audio_run(tmp_path / "a"), audio_run(tmp_path / "b")
    (second / "config.yaml").write_text(
        (second / "config.yaml").read_text().replace("learning_rate: 0.001", "learning_rate: 0.5")
    )
    for folder, score in ((first, 1.5), (second, 2.5)):
        evaluated(folder, {"mel_distance": {"mean": score, "std": 0.1}})
    monkeypatch.chdir(tmp_path)
    words = [f"run=[{first},{second}]"] if way == "list" else ["run=a", "run=b"]
    assert report.main(words) == 0
    page = (tmp_path / "comparison.html").read_text(encoding="utf-8")
    found = seen(page)
    assert page.count('<th scope="row">optimiser.learning_rate</th>') == 1
    assert "train.steps" not in page  # it is the same in both
    assert re.findall('class="winner">([^<]*)', page) == ["1.5 ± 0.1"]
    assert (
        len([tag for tag, _ in found.tags if tag == "audio"]) == 8
    )  # 2 × (given, a, b), 1 × (a, b)
    assert page.count("<figcaption>test: si_sdr") == 1


def test_runs_of_one_name_are_told_apart_and_those_of_other_kinds_compared(tmp_path):
    folders = [
        audio_run(tmp_path / "a/run"),
        series_run(tmp_path / "b/run"),
        gan_run(tmp_path / "c/run"),
    ]
    page = tmp_path / "all.html"
    assert report.main([*(f"run={each}" for each in folders), f"output={page}"]) == 0
    heads = set(re.findall('<th scope="row">([abc]/run)</th>', page.read_text(encoding="utf-8")))
    assert heads == {"a/run", "b/run", "c/run"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "run must be set"),
        (["run=[]"], "names no run"),
        (["run=nowhere"], "nowhere is not a run (config.yaml is missing)"),
        (["run=here", "run=nowhere"], "nowhere is not a run"),
        (["run=here", "output=."], "is a folder; name a file"),
        (["run=here", "output=here/config.yaml/x.html"], "cannot be written"),
        (["run=here", "outptu=x"], "did you mean 'output'?"),
    ],
)
def test_a_word_that_cannot_be_is_refused(tmp_path, monkeypatch, capsys, words, said):
    audio_run(tmp_path / "here")
    monkeypatch.chdir(tmp_path)
    assert report.main(words) == 2
    assert said in capsys.readouterr().err


def test_the_other_doors_write_a_report_and_say_where(tmp_path, capsys):
    for run in (plucks(), sines()):
        assert (run / "report.html").is_file()
        assert evaluate.main([f"run={run}", "seeds=0"]) == 0
        assert f"shown in {run / 'report.html'}" in capsys.readouterr().out
        assert "Scores" in (run / "report.html").read_text(encoding="utf-8")
        folder = tmp_path / run.parent.name
        assert generate.main([f"run={run}", "count=2", "seed=7", f"output={folder}"]) == 0
        assert f"  {folder / 'report.html'}\n" in capsys.readouterr().out
        page = seen((folder / "report.html").read_text(encoding="utf-8"))
        assert f"run={run} mode=sample count=2 seed=7" in page.text
        assert [tag for tag, _ in page.tags].count("audio") == (2 if run == plucks() else 0)


def test_what_was_reconstructed_stands_beside_what_was_given(tmp_path):
    for run, sound in ((plucks(), True), (sines(), False)):
        folder = tmp_path / ("sound" if sound else "series")
        words = [f"run={run}", "mode=reconstruct", "count=2", f"output={folder}"]
        assert generate.main(words) == 0
        page = (folder / "report.html").read_text(encoding="utf-8")
        # Two pairs of sounds; two series of three variables, and the line in the legend.
        assert (page.count("<audio"), page.count('class="real"')) == ((4, 0) if sound else (0, 7))


def test_a_page_that_cannot_be_written_costs_one_line(tmp_path, capsys, monkeypatch, caplog):
    from apps import pages

    monkeypatch.setattr(pages, "write_run", lambda run: (_ for _ in ()).throw(OSError(28, "full")))
    assert evaluate.main([f"run={sines()}", "seeds=0"]) == 0
    assert "shown in" not in capsys.readouterr().out
    assert caplog.messages == ["the report cannot be written: [Errno 28] full. Going on"]
