"""Vocoding from file to file: what comes out equals what the model makes at once."""

import json
import tracemalloc
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soundfile
from cases import drawn
from rich.console import Console
from trained_runs import vocoder as trained_vocoder

from apps import config as settings
from apps import generate
from apps.build import Trained
from apps.data import Signal
from apps.engine import compilation
from apps.modes import vocode
from apps.modes.wanted import Generate
from apps.schema import ConfigError
from convt1d.models import Decoder, Layout, MelFrontEnd, Vocoder

RATE, HOP, BANDS = 8000, 8, 6
LAYOUT = Layout(
    strides=(4, 2), channels=(4, 4), residual_kernels=(3, 5), dilations=(1,), residual="twice",
    activation="leaky_relu", weight_norm=False,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _no_shared_cache(monkeypatch):
    monkeypatch.setattr(compilation, "keep_compilations", lambda: None)


@pytest.fixture
def _small_portions(monkeypatch):
    monkeypatch.setattr(vocode, "PORTIONS", (8, 3, 1))


def model(*, n_fft=32, centred=False):
    def make():
        decoder = Decoder(1, BANDS, LAYOUT, key=jax.random.key(0))
        return Vocoder(decoder, MelFrontEnd(RATE, n_fft, HOP, BANDS, centred=centred))

    return drawn(make)


def run_of(vocoder, *, peak=0.9):
    data = settings.AudioFolder(root=Path(), length=64, rate=RATE, peak=peak)
    config = settings.Config(
        data=data,
        model=settings.Model(strides=(4, 2), channels=(4, 4)),
        objective=settings.Vocoder(n_fft=32, mel_bands=BANDS),
    )
    return Trained(config, Signal("audio", 64, 1, rate=RATE), 5, vocoder)


def write(run, given, folder, **wanted):
    wanted = Generate(run=folder, mode="vocode", input=given, **wanted)
    return vocode.write(wanted, run, folder, Console(quiet=True))


def sound(length, channels=1, seed=0):
    noise = np.random.default_rng(seed).standard_normal((length, channels))
    return (0.1 * noise + 0.3 * np.sin(np.arange(length) * 0.2)[:, None]).astype("f4")


def at_once(vocoder, signal):
    """The definition: zeros up to whole hops and to the shortest that can be reflected."""
    least = max(len(signal), max(vocoder.mel.reach) + 1)
    padded = np.pad(signal, ((0, -(-least // HOP) * HOP - len(signal)), (0, 0)))
    return np.asarray(vocoder(vocoder.front_end(jnp.asarray(padded.T[..., None]))))[..., 0].T


@pytest.mark.usefixtures("_small_portions")
@pytest.mark.parametrize("length", [1, 203])
@pytest.mark.parametrize("block", [7, 256])
@pytest.mark.parametrize("centred", [False, True])
def test_sound_in_blocks_gives_what_the_whole_gives(length, block, centred):
    vocoder, given = model(centred=centred), sound(length, channels=2)
    blocks = [given[at : at + block] for at in range(0, length, block)]
    made = np.concatenate(list(vocode.vocode(vocoder, blocks, channels=2, spectra=False)))
    np.testing.assert_allclose(made, at_once(vocoder, given), atol=2e-5)


@pytest.mark.slow
@pytest.mark.usefixtures("_small_portions")
@pytest.mark.parametrize("frames", [1, 21])
def test_spectra_in_blocks_give_what_the_whole_gives(frames):
    vocoder = model()
    mels = np.random.default_rng(0).normal(-5, 2, (frames, BANDS)).astype("f4")
    blocks = [mels[at : at + 5] for at in range(0, frames, 5)]
    made = np.concatenate(list(vocode.vocode(vocoder, blocks, channels=1, spectra=True)))
    np.testing.assert_allclose(made, vocoder(jnp.asarray(mels[None]))[0], atol=2e-5)


def test_a_file_of_any_rate_and_length_becomes_one_as_long_at_the_runs(tmp_path):
    soundfile.write(tmp_path / "in.wav", sound(1111, channels=2), 12000, subtype="FLOAT")
    files = write(run_of(model()), tmp_path / "in.wav", tmp_path / "out")
    assert [path.name for path in files] == ["overview.png", "in.wav", "generated.json"]
    made, rate = soundfile.read(tmp_path / "out" / "in.wav", always_2d=True)
    assert (rate, made.shape) == (RATE, (741, 2))  # 1111 · 8 / 12, rounded up
    assert json.loads(files[-1].read_text())["mode"] == "vocode"


@pytest.mark.slow
def test_sound_is_brought_to_the_models_level_and_back(tmp_path):
    vocoder = model()
    for name, level in (("loud", 0.6), ("soft", 0.006)):
        given = sound(200)
        given *= level / np.abs(given).max()
        soundfile.write(tmp_path / f"{name}.wav", given, RATE, subtype="FLOAT")
    write(run_of(vocoder), tmp_path, tmp_path / "out")
    loud, soft = (soundfile.read(tmp_path / "out" / f"{n}.wav")[0] for n in ("loud", "soft"))
    np.testing.assert_allclose(soft * 100, loud, atol=101 / 2**15)  # a hundred steps of 16 bits
    assert np.abs(loud).max() > 0.01
    raw = at_once(vocoder, given * np.float32(0.9 / 0.006))[:200, 0] * 0.6 / 0.9
    np.testing.assert_allclose(loud, raw, atol=1e-4)


def test_spectra_in_a_file_are_vocoded_as_they_are(tmp_path):
    vocoder = model()
    mels = np.random.default_rng(0).normal(-4, 2, (40, BANDS)).astype("f4")
    np.save(tmp_path / "mel.npy", mels)
    write(run_of(vocoder), tmp_path / "mel.npy", tmp_path / "out")
    made, _ = soundfile.read(tmp_path / "out" / "mel.wav")
    np.testing.assert_allclose(made, vocoder(jnp.asarray(mels[None]))[0, :, 0], atol=1e-4)


def test_a_folder_is_vocoded_as_far_as_count(tmp_path, capsys):
    for name in ("a.wav", "b.wav", "deeper/b.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, sound(100), RATE)
    np.save(tmp_path / "c.npy", np.zeros((4, BANDS), "f4"))
    wanted = Generate(run=tmp_path, mode="vocode", input=tmp_path, count=3)
    files = vocode.write(wanted, run_of(model()), tmp_path / "out", Console())
    assert [path.name for path in files[1:-1]] == ["a.wav", "b.wav", "c.wav"]
    assert "the first 3 of 4 files (count= takes more)" in capsys.readouterr().out


def test_spectra_of_another_front_end_are_refused(tmp_path):
    np.save(tmp_path / "mel.npy", np.zeros((4, 80), "f4"))
    with pytest.raises(ConfigError, match=r"holds 80 values a frame, but .* \[frames, 6\]"):
        write(run_of(model()), tmp_path / "mel.npy", tmp_path / "out")


def test_memory_does_not_grow_with_the_file(monkeypatch):
    monkeypatch.setattr(vocode, "PORTIONS", (64, 8, 1))
    vocoder, peaks = model(), []
    for count in (4, 80):
        blocks = (sound(512, seed=number) for number in range(count))
        tracemalloc.start()
        for _ in vocode.vocode(vocoder, blocks, channels=1, spectra=False):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 200_000  # 80 blocks of sound alone are 160 kB, in float64 twice


@pytest.mark.slow
def test_a_trained_run_vocodes_by_default(tmp_path, capsys):
    soundfile.write(tmp_path / "in.wav", sound(700), 8000)
    run = trained_vocoder()
    words = [f"run={run}", f"input={tmp_path / 'in.wav'}", f"output={tmp_path / 'out'}"]
    assert generate.main(words) == 0
    made, _ = soundfile.read(tmp_path / "out" / "in.wav")
    assert made.shape == (700,)
    assert (tmp_path / "out" / "overview.png").stat().st_size > 1000
    assert "vocode" in (tmp_path / "out" / "generated.json").read_text()
    assert generate.main([f"run={run}", "mode=vocode"]) == 2
    assert "needs input=FILE" in capsys.readouterr().err
