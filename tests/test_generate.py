import json
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from trained_runs import plucks, sines

from apps import generate
from apps.data import read_table
from apps.engine import compilation
from apps.modes import decoded
from apps.objectives import autoencoding


@pytest.fixture(autouse=True)
def _no_shared_cache(monkeypatch):
    monkeypatch.setattr(compilation, "keep_compilations", lambda: None)


def make(run, output, **settings):
    words = [f"{key}={value}" for key, value in settings.items()]
    assert generate.main([f"run={run}", f"output={output}", *words]) == 0


def refused(capsys, *words):
    assert generate.main([str(word) for word in words]) == 2
    return capsys.readouterr().err


def sound(length, *, rate=8000, channels=1, seed=0):
    time = np.arange(length) / rate
    noise = 0.01 * np.random.default_rng(seed).standard_normal((length, channels))
    return 0.3 * np.sin(2 * np.pi * 440 * time)[:, None] + noise


# what is made


def test_a_seed_makes_the_same_bits_and_another_seed_others(tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        make(plucks(), tmp_path / name, count=2, seed=seed)
    files = ["sample-01.wav", "sample-02.wav"]
    bits = {n: [(tmp_path / n / each).read_bytes() for each in files] for n in "abc"}
    assert bits["a"] == bits["b"]
    assert bits["a"][0] != bits["a"][1]
    assert not set(bits["a"]) & set(bits["c"])


@pytest.mark.parametrize("length", [1, 500, 2000])
def test_new_sounds_have_the_length_asked_for_and_the_rate_of_the_data(tmp_path, length):
    make(plucks(), tmp_path, length=length, count=1)
    made, rate = soundfile.read(tmp_path / "sample-01.wav", always_2d=True)
    assert made.shape == (length, 1)
    assert rate == 8000
    assert (tmp_path / "overview.png").stat().st_size > 1000


@pytest.mark.slow
def test_more_signals_than_a_chunk_are_all_made(tmp_path):
    count = decoded.CHUNK + 1
    make(plucks(), tmp_path, count=count, length=64)
    assert len(list(tmp_path.glob("sample-*.wav"))) == count
    about = json.loads((tmp_path / "generated.json").read_text())
    assert len(about["signals"]) == count
    assert about["step"] == 4


def test_series_are_written_in_csv_and_npz_in_their_own_units(tmp_path):
    make(sines(), tmp_path, count=3)
    with np.load(tmp_path / "signals.npz") as archive:
        together = archive["data"]
    assert together.shape == (3, 24, 3)
    for index in range(3):
        table = read_table(tmp_path / f"sample-{index + 1:02d}.csv")
        np.testing.assert_allclose(table.values, together[index], rtol=1e-6)
    assert (tmp_path / "overview.png").is_file()


@pytest.mark.parametrize("length", [1, 15, 16, 17, 1000])
def test_a_file_of_any_length_comes_back_as_long_as_it_was(tmp_path, length):
    soundfile.write(tmp_path / "in.wav", sound(length), 8000)
    make(plucks(), tmp_path, mode="reconstruct", input=tmp_path / "in.wav")
    made = soundfile.read(tmp_path / "in-reconstruction.wav", always_2d=True)[0]
    kept = soundfile.read(tmp_path / "in-reference.wav", always_2d=True)[0]
    assert made.shape == kept.shape == (length, 1)
    np.testing.assert_allclose(kept, soundfile.read(tmp_path / "in.wav", always_2d=True)[0])


@pytest.mark.slow
def test_another_rate_and_stereo_become_those_of_the_run(tmp_path):
    soundfile.write(tmp_path / "in.flac", sound(44_100, rate=44_100, channels=2), 44_100)
    make(plucks(), tmp_path, mode="reconstruct", input=tmp_path / "in.flac")
    made, rate = soundfile.read(tmp_path / "in-reconstruction.wav", always_2d=True)
    assert (made.shape, rate) == ((8000, 1), 8000)


@pytest.mark.slow
def test_a_folder_is_taken_whole_and_like_names_are_kept_apart(tmp_path):
    for name in ("one/a.wav", "two/a.wav", "two/a.flac"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "in" / name, sound(100), 8000)
    (tmp_path / "in" / "notes.txt").write_text("not sound")
    make(plucks(), tmp_path / "o", mode="reconstruct", input=tmp_path / "in")
    made = sorted(path.name for path in (tmp_path / "o").glob("*-reconstruction.wav"))
    assert len(made) == 3
    assert "one-a-reconstruction.wav" in made


def test_without_an_input_test_records_are_reconstructed(tmp_path):
    make(plucks(), tmp_path, mode="reconstruct", count=2)
    assert len(list(tmp_path.glob("*-reconstruction.wav"))) == 2
    assert len(list(tmp_path.glob("*-reference.wav"))) == 2


@pytest.mark.slow
def test_a_long_series_passes_through_a_model_of_records_piece_by_piece(tmp_path):
    long = np.random.default_rng(0).random((60, 3))
    np.savetxt(tmp_path / "in.csv", long, delimiter=",", header="a,b,c", comments="")
    make(sines(), tmp_path, mode="reconstruct", input=tmp_path / "in.csv")
    made = read_table(tmp_path / "in-reconstruction.csv").values
    assert made.shape == (60, 3)
    np.savetxt(tmp_path / "first.csv", long[:24], delimiter=",")
    make(sines(), tmp_path, mode="reconstruct", input=tmp_path / "first.csv")
    first = read_table(tmp_path / "first-reconstruction.csv").values
    np.testing.assert_allclose(made[:24], first, atol=1e-5)


@pytest.mark.slow
def test_an_interpolation_begins_and_ends_at_its_files(tmp_path):
    for name, length in (("a", 320), ("b", 256)):
        soundfile.write(tmp_path / f"{name}.wav", sound(length, seed=length), 8000)
    make(
        plucks(),
        tmp_path,
        mode="interpolate",
        count=3,
        input=tmp_path / "a.wav",
        to=tmp_path / "b.wav",
    )
    made = [soundfile.read(path)[0] for path in sorted(tmp_path.glob("interpolation-*.wav"))]
    assert [len(each) for each in made] == [320, 320, 320]
    make(plucks(), tmp_path, mode="reconstruct", input=tmp_path / "a.wav")
    np.testing.assert_allclose(
        made[0], soundfile.read(tmp_path / "a-reconstruction.wav")[0], atol=1e-4
    )


@pytest.mark.slow
def test_an_interpolation_of_draws_begins_at_the_first_of_them(tmp_path):
    make(plucks(), tmp_path, mode="interpolate", count=4, seed=2)
    make(plucks(), tmp_path, mode="sample", count=2, seed=2)
    for index, end in ((1, 1), (4, 2)):
        np.testing.assert_allclose(
            soundfile.read(tmp_path / f"interpolation-{index:02d}.wav")[0],
            soundfile.read(tmp_path / f"sample-{end:02d}.wav")[0],
            atol=1e-4,
        )


def test_weights_and_checkpoints_are_those_asked_for(tmp_path):
    for name, settings in {
        "average": {},
        "last": {"weights": "model"},
        "earlier": {"checkpoint": 2},
        "best": {"checkpoint": "best"},
    }.items():
        make(plucks(), tmp_path / name, count=1, **settings)
    bits = {path.parent.name: path.read_bytes() for path in tmp_path.glob("*/sample-01.wav")}
    assert len({bits["average"], bits["last"], bits["earlier"]}) == 3
    assert json.loads((tmp_path / "earlier" / "generated.json").read_text())["step"] == 2
    assert bits["best"] in (bits["average"], bits["earlier"])


def test_the_default_output_is_a_new_folder_in_the_run(tmp_path):
    before = set(plucks().glob("generated/*"))
    assert generate.main([f"run={plucks()}", "count=1"]) == 0
    (new,) = set(plucks().glob("generated/*")) - before
    assert (new / "sample-01.wav").is_file()


# what is refused


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run=r", "mode=sampel"], "did you mean 'sample'"),
        (["run=r", "sed=1"], "did you mean 'seed'"),
        (["mode=sample"], "run must be set"),
        (["run=r", "count=0"], "count must be at least 1, got 0"),
        (["run=r", "seed=-1"], "seed must be at least 0 and below 2³², got -1"),
        (["run=r", "length=0"], "length must be at least 1, got 0"),
        (
            ["run=r", "mode=sample", "input=a.wav"],
            "a.wav has no use in mode=sample; say mode=reconstruct",
        ),
        (["run=r", "mode=reconstruct", "to=b.wav"], "no use in mode=reconstruct; say mode=interp"),
        (["run=r", "mode=interpolate", "input=a.wav"], "give both, or none"),
        (["run=r", "mode=reconstruct", "length=9"], "length=9 is for new signals"),
        (["run=r", "mode=reconstruct", "input=nowhere.wav"], "nowhere.wav is not there"),
        (["run=r", "mode=upsample"], "mode=upsample needs input=FILE, or a folder of files"),
        (["run=r", "mode=vocode", "label=7"], "mode=vocode needs input=FILE"),
        (
            ["run=r", "mode=reconstruct", "label=7"],
            "label=7 is for signals of your own",
        ),
        (["run=r"], "is not a run (config.yaml is missing)"),
    ],
)
def test_wrong_settings_are_named_with_their_remedy(capsys, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    assert said in refused(capsys, *words)


def test_a_misspelt_file_finds_its_neighbour(capsys, tmp_path):
    soundfile.write(tmp_path / "guitar.wav", sound(100), 8000)
    said = refused(capsys, "run=r", "mode=reconstruct", f"input={tmp_path / 'gitar.wav'}")
    assert "did you mean 'guitar.wav'" in said


def test_files_that_cannot_be_read_are_named(capsys, tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"RIFF and nothing more")
    words = (f"run={plucks()}", "mode=reconstruct")
    assert "bad.wav: cannot be read as sound" in refused(
        capsys, *words, f"input={tmp_path / 'bad.wav'}"
    )
    (tmp_path / "empty").mkdir()
    assert "holds no sound file" in refused(capsys, *words, f"input={tmp_path / 'empty'}")


def test_what_a_run_cannot_do_is_said(capsys, tmp_path):
    assert "makes signals of 24 samples" in refused(capsys, f"run={sines()}", "length=48")
    assert "checkpoint 3" in refused(capsys, f"run={plucks()}", "checkpoint=3")
    (tmp_path / "a.wav").write_bytes(b"")
    other = refused(capsys, f"run={plucks()}", "mode=upsample", f"input={tmp_path / 'a.wav'}")
    assert "mode=upsample is of runs with objective=upsampler" in other
    assert "whose modes are sample, reconstruct, interpolate" in other
    assert "was trained without labels" in refused(capsys, f"run={plucks()}", "label=7")
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refused(
        capsys, f"run={plucks()}", "count=1", f"output={tmp_path / 'file'}"
    )


def test_a_model_that_makes_no_numbers_is_told_of_in_one_line(capsys, tmp_path, monkeypatch):
    silent = np.full((1, 512, 1), np.nan, np.float32)
    monkeypatch.setattr(autoencoding, "decode", lambda model, latent, *, length, given: silent)
    said = refused(capsys, f"run={plucks()}", "count=1", f"output={tmp_path}")
    assert "has NaN or infinite values" in said


@pytest.mark.parametrize("door", ["generate", "evaluate", "export"])
def test_help_answers_within_a_second_without_jax(door):
    code = f"""
import sys
from apps import {door}
{door}.main(["--help"])
assert "jax" not in sys.modules
"""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"python -m apps.{door}" in done.stdout
    assert time.perf_counter() - start < 2.0  # a second, and as much again for a busy machine


def test_a_reconstructed_table_has_its_names_and_dates(tmp_path):
    path = tmp_path / "a.csv"
    rows = [f"2024-01-{day:02d},0.{day:02d},0.5,0.2" for day in range(30, 0, -1)]  # newest first
    path.write_text("\n".join(["day,a,b,c", *rows]))
    make(sines(), tmp_path / "out", input=path)
    for what in ("reconstruction", "reference"):
        found = read_table(tmp_path / "out" / f"a-{what}.csv")
        assert found.columns == ("a", "b", "c")
        assert found.dates is not None
        assert (found.dates.name, found.dates.texts[0]) == ("day", "2024-01-01")
    np.testing.assert_allclose(found.values[:2, 0], [0.01, 0.02], rtol=1e-6)
