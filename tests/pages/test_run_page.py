"""The report of a run, of every kind and in every state."""

import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from reported_runs import AUDIO, audio_run, begin, evaluated, gan_run, seen, series_run

from apps import pages, words
from apps.config import Config
from apps.pages import generated, series, sounds
from apps.schema import ConfigError

RELEASES = Path(__file__).parent.parent / "releases"


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def titles(page: str) -> list[str]:
    return re.findall("<h2[^>]*>([^<]*)</h2>", page)


def test_a_run_of_sounds_can_be_heard_and_seen(tmp_path):
    page = text_of(pages.write_run(audio_run(tmp_path / "run")))
    assert titles(page) == [
        *("What it makes", "How it learnt", "Warnings", "Where the time went", "The network"),
        *("Settings", "What to do with it"),
    ]
    found = seen(page)
    heard = [attributes for tag, attributes in found.tags if tag == "audio"]
    assert len(heard) == 5
    assert all(str(each["src"]).startswith("data:audio/wav;base64,") for each in heard)
    pictures = [attributes for tag, attributes in found.tags if tag == "img"]
    assert len(pictures) == 5
    assert all(each["alt"] for each in pictures)
    assert "Step 20 of 40: on the test split si_sdr is 2 dB" in found.text
    assert "1 updates of vae were skipped" in found.text


def test_a_run_of_series_shows_what_was_made_over_what_is_real(tmp_path):
    page = text_of(pages.write_run(series_run(tmp_path / "run")))
    assert page.count('class="real"') > 6  # three variables of two pairs
    assert "New series over real ones" in page
    assert "All 20 steps are made" in page


def test_many_series_of_many_variables_are_drawn_in_part_and_it_says_so():
    many = [series.Drawn(str(at), np.ones((5, 9)), np.zeros((5, 9))) for at in range(8)]
    drawn = series.pairs(many)
    assert drawn is not None
    assert "The first 6 of 8 series are drawn. The first 6 of 9 variables are drawn." in drawn
    assert drawn.count("<svg viewBox") == 36 + 2  # and the two lines of the legend


@pytest.mark.parametrize("name", ["fsdd_upsampler", "fsdd_vae_gan", "fsdd_vocoder"])
def test_every_kind_of_run_has_a_page_with_its_players(tmp_path, name):
    settings = words.read(Config, words.sort([f"experiment={name}", "data.root=/nowhere"]))
    run = tmp_path / name
    begin(run, settings, AUDIO | {"length": settings.data.length})
    found = seen(text_of(pages.write_run(run))).text
    assert "receptive field" in found
    assert ("critic: " in found) == (settings.critic is not None)


def test_tables_with_dates_names_and_gaps_are_drawn_and_large_ones_are_not(tmp_path, monkeypatch):
    text = "date,price\n2024-01-01,1\n2024-01-02,\n2024-01-03,3\n"
    made = [tmp_path / f"{name}.csv" for name in ("a-reconstruction", "a-reference", "broken")]
    for path in made[:2]:
        path.write_text(text)
    made[2].write_text("1,2\n3\n")
    drawn = generated.made(made)
    assert drawn is not None
    assert "<figcaption>price</figcaption>" in drawn
    assert drawn.count('class="real"') == 2  # a line, and that of the legend
    monkeypatch.setattr(generated, "_LARGEST", 9)
    assert generated.made(made) is None


def test_both_players_of_a_game_stand_side_by_side(tmp_path):
    page = text_of(pages.write_run(gan_run(tmp_path / "run")))
    names = re.findall(r"<figcaption>(\w+: \w+)", page)
    assert names == [
        "critic: loss", "decoder: loss", "critic: gradient_norm", "decoder: gradient_norm"
    ]  # fmt: skip


def test_a_page_asks_for_nothing_and_runs_nothing(tmp_path):
    page = text_of(pages.write_run(audio_run(tmp_path / "run")))
    policies = [each.get("content") for tag, each in seen(page).tags if tag == "meta"]
    assert any(str(each).startswith("default-src 'none'; style-src 'un") for each in policies)
    addresses = re.findall(r'(?:src|href)="([^"]{0,30})', page)
    assert addresses
    assert all(each.startswith("data:") for each in addresses)
    assert "<script" not in page
    assert "http://" not in page
    assert "https://" not in page


def test_hostile_names_and_words_are_harmless(tmp_path):
    bad = "<script>alert('x')</script>"
    run = audio_run(tmp_path / "<script>alert(1)<|script>")
    (run / "messages.jsonl").write_text(json.dumps({"step": 1, "kind": "warning", "text": bad}))
    (run / "metrics.jsonl").write_text(json.dumps({"step": 1, bad: 2.0, f"test/{bad}": 1}) + "\n")
    evaluated(run, {bad: {"mean": 1.0, "std": None}}, split=bad.replace("/", "|"))
    held = {"stretches": [{"from": 0, "to": 1, "seconds": {bad: 1.0}, "about": {"devices": bad}}]}
    (run / "timing.json").write_text(json.dumps(held))
    page = text_of(pages.write_run(run))
    found = seen(page)
    assert "script" not in {tag for tag, _ in found.tags}
    assert found.text.count(bad) >= 4
    assert not {
        name for _, attributes in found.tags for name in attributes if name.startswith("on")
    }


def test_scores_have_spread_control_unit_and_direction(tmp_path):
    run = series_run(tmp_path / "run")
    control = {"mean": 0.01, "std": 0.002}
    evaluated(run, {
        "discriminative": {"mean": 0.05, "std": 0.01, "seeds": 6, "control": control},
        "mean_absolute_error": {"mean": 0.25, "std": None},
        "broken": {"mean": None, "std": None},
    })  # fmt: skip
    found = seen(text_of(pages.write_run(run)))
    assert "0.05 ± 0.01 (6 seeds)" in found.text
    assert "0.01 ± 0.002" in found.text
    assert "real against real" in found.text
    labels = [attributes.get("aria-label") for tag, attributes in found.tags if tag == "svg"]
    assert "0.05 ± 0.01; real against real 0.01" in labels
    assert "0.25" in labels


def test_pictures_of_an_evaluation_are_taken_in_and_no_file_from_elsewhere(tmp_path):
    run = audio_run(tmp_path / "run")
    (tmp_path / "secret.png").write_bytes(b"secret")
    (run / "pca.png").write_bytes(b"\x89PNG")
    (run / "link.png").symlink_to(run / "pca.png")
    pictures = {
        "PCA": "pca.png",
        "out": "../secret.png",
        "elsewhere": str(tmp_path / "secret.png"),
        "link": "link.png",
        "no picture": "config.yaml",
        "gone": "gone.png",
    }
    held = {"step": 1, "metrics": {}, "pictures": pictures}
    (run / "evaluation-test-0000001.json").write_text(json.dumps(held))
    found = seen(text_of(pages.write_run(run)))
    papers = [attributes for tag, attributes in found.tags if attributes.get("class") == "paper"]
    assert [(each["alt"], each["src"]) for each in papers] == [
        ("PCA", "data:image/png;base64,iVBORw==")
    ]


def test_older_evaluations_are_folded_and_their_pictures_left_out(tmp_path):
    run = audio_run(tmp_path / "run")
    for step in range(1, 6):
        (run / f"{step}.png").write_bytes(b"\x89PNG")
        held = {"step": step, "metrics": {}, "pictures": {f"of {step}": f"{step}.png"}}
        (run / f"evaluation-test-{step:07d}.json").write_text(json.dumps(held))
    page = text_of(pages.write_run(run))
    assert re.findall('alt="of (\\d)"', page) == ["5", "4", "3"]
    assert "2 older ones" in page


def test_a_clipped_gradient_is_told_and_is_no_warning(tmp_path):
    run = audio_run(tmp_path / "run")
    rows = [{"step": at, "vae/gradient_norm": at / 2} for at in range(1, 5)]
    (run / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    page = seen(text_of(pages.write_run(run))).text
    assert "Nothing to warn of." in page
    assert "the gradient of vae was clipped in 2 of 4 logged steps" in page


def test_what_is_missing_or_damaged_is_told_and_the_rest_shown(tmp_path):
    run = audio_run(tmp_path / "run")
    (run / "metrics.jsonl").write_text('nonsense\n{"step": 3, "vae/loss": null}\n{"st')
    (run / "timing.json").write_text("{")
    (run / "messages.jsonl").write_bytes(b"\xff\xfe\n")
    (run / "signal.json").unlink()
    (run / "evaluation-test-0000001.json").write_text("[1]")
    for path in (run / "samples").glob("step-*"):
        path.write_bytes(b"RIFF")
    (run / "samples/step-0000020.npz").write_bytes(b"PK")
    page = seen(text_of(pages.write_run(run))).text
    assert "metrics.jsonl has 1 lines that cannot be read" in page
    assert "messages.jsonl has 1 lines that cannot be read" in page
    assert "timing.json is damaged" in page
    assert "evaluation-test-0000001.json is damaged" in page
    assert "The layers cannot be told" in page
    assert "vae/loss was not finite in 1 of 1 logged steps" in page


def test_a_run_that_has_just_begun_has_a_page(tmp_path):
    run = audio_run(tmp_path / "run")
    for path in (*(run / "samples").iterdir(), run / "metrics.jsonl"):
        path.unlink()
    page = seen(text_of(pages.write_run(run))).text
    assert "Step 0 of 40; nothing was measured." in page


def test_a_folder_that_holds_no_run_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="is not a run"):
        pages.write_run(tmp_path)


def test_many_long_sounds_stay_a_page_of_some_megabytes_and_it_says_what_is_left_out(tmp_path):
    run = audio_run(tmp_path / "run", seconds=20.0, rate=48_000, sounds=10)
    path = pages.write_run(run)
    assert path.stat().st_size < 10_000_000
    page = seen(text_of(path)).text
    assert "The first 8 of 11 are here." in page
    assert "Of sounds of 20 s the first 3.26 s are here." in page
    assert page.count("made") >= sounds.MOST // 2


def test_the_records_of_older_releases_have_a_page(tmp_path):
    archives = sorted(RELEASES.rglob("*.zip"))
    assert archives
    for archive in archives:
        folder = tmp_path / archive.parent.name / archive.stem
        with zipfile.ZipFile(archive) as held:
            held.extractall(folder)
        for found in folder.rglob("config.yaml"):
            page = seen(text_of(pages.write_run(found.parent))).text
            assert "The run kept no times" in page
            assert "The layers cannot be told" not in page
