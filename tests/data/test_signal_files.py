"""Whole signals in and out of files."""

import numpy as np
import pytest
import soundfile

from apps.data import FileError, read_signal, write_signal

STEREO = np.random.default_rng(0).uniform(-0.5, 0.5, (4800, 2)).astype(np.float32)
TONE = 0.5 * np.sin(2 * np.pi * 1000 / 48000 * np.arange(9600)).astype(np.float32)[:, None]
LOSSLESS = ["wav", "flac", "aiff", "aif", "au", "caf", "w64", "rf64"]


@pytest.mark.parametrize("ending", LOSSLESS)
def test_sound_in_16_bits_comes_back_within_half_a_step(tmp_path, ending):
    path = tmp_path / f"new folder/a.{ending}"
    write_signal(path, STEREO, 48000)
    assert soundfile.info(path).subtype == "PCM_16"
    back = read_signal(path, rate=None, channels=None)
    assert back.dtype == np.float32
    # Full scale is 32767 on the way out and 32768 on the way in.
    np.testing.assert_allclose(back, STEREO, atol=1.01 / 32768)


@pytest.mark.parametrize("ending", ["wav", "aiff", "caf", "w64"])
def test_sound_in_floats_comes_back_bit_for_bit(tmp_path, ending):
    write_signal(tmp_path / f"a.{ending}", 3 * STEREO, 8000, subtype="float")
    back = read_signal(tmp_path / f"a.{ending}", rate=8000, channels=2)
    np.testing.assert_array_equal(back, 3 * STEREO)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "PCM_32", "DOUBLE", "ULAW"])
def test_sound_of_any_depth_is_read(tmp_path, subtype):
    write_signal(tmp_path / "a.wav", STEREO, 8000, subtype=subtype)
    back = read_signal(tmp_path / "a.wav", rate=8000, channels=2)
    np.testing.assert_allclose(back, STEREO, atol=0.02)  # μ-law near ½ has steps of 1/64


@pytest.mark.parametrize("ending", ["ogg", "opus", "mp3"])
def test_packed_sound_keeps_its_tone(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    write_signal(path, TONE, 48000)
    back = read_signal(path, rate=16000, channels=1)[800:2400, 0]  # a tenth of a second
    spectrum = np.abs(np.fft.rfft(back)) / 800
    assert spectrum.argmax() == 100
    assert spectrum[100] == pytest.approx(0.5, rel=0.05)


def test_sound_is_mixed_resampled_and_levelled_as_asked(tmp_path):
    write_signal(tmp_path / "a.wav", np.concatenate([TONE, 0 * TONE], 1), 48000, subtype="FLOAT")
    sound = read_signal(tmp_path / "a.wav", rate=8000, channels=1, peak=0.9)
    assert sound.shape == (1600, 1)
    assert np.abs(sound[200:-200]).max() == pytest.approx(0.9, rel=1e-3)
    one = read_signal(tmp_path / "a.wav", rate=8000, channels=1)
    assert np.abs(one[200:-200]).max() == pytest.approx(0.25, rel=1e-3)


@pytest.mark.parametrize("ending", ["csv", "npy", "npz"])
def test_a_series_comes_back_bit_for_bit(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    write_signal(path, STEREO)
    np.testing.assert_array_equal(read_signal(path, rate=None, channels=2), STEREO)
    write_signal(path, STEREO[:, 0])
    np.testing.assert_array_equal(read_signal(path, rate=None, channels=None), STEREO[:, :1])


def test_a_csv_has_its_columns_names_and_an_npz_holds_a_batch(tmp_path):
    write_signal(tmp_path / "a.csv", STEREO[:2], columns=("left", "right"))
    assert (tmp_path / "a.csv").read_text().splitlines()[0] == "left,right"
    write_signal(tmp_path / "a.npz", np.zeros((3, 4, 5)))
    with np.load(tmp_path / "a.npz") as archive:
        assert archive["data"].shape == (3, 4, 5)
    with pytest.raises(FileError, match=r"has the shape \(3, 4, 5\), where one series"):
        read_signal(tmp_path / "a.npz", rate=None, channels=None)


def test_a_peak_above_one_is_clipped_with_a_warning(tmp_path, caplog):
    write_signal(tmp_path / "a.wav", np.array([0.0, 2.0, -3.0]), 8000)
    (record,) = caplog.records
    assert "the peak 3 is above 1 and was clipped" in record.getMessage()
    sound = read_signal(tmp_path / "a.wav", rate=None, channels=None)
    np.testing.assert_allclose(sound[:, 0], [0, 1, -1], atol=1e-4)


@pytest.mark.parametrize(
    ("name", "array", "options", "error", "message"),
    [
        ("a.xyz", STEREO, {"rate": 8000}, FileError, r"\.xyz cannot be written; choose one of"),
        ("a", STEREO, {"rate": 8000}, FileError, "no ending cannot be written"),
        ("a.wav", STEREO, {}, ValueError, r"a\.wav is sound and needs a rate"),
        ("a.wav", STEREO, {"rate": 0}, ValueError, "rate=0 must be"),
        ("a.wav", STEREO[None], {"rate": 8000}, ValueError, r"got the shape \(1, 4800, 2\)"),
        ("a.csv", STEREO[None], {}, ValueError, r"a \.csv takes \[samples, channels\] or"),
        ("a.csv", STEREO, {"columns": ("x",)}, ValueError, "1 columns are named and the signal"),
        ("a.npy", np.array([np.nan]), {}, ValueError, r"a\.npy has NaN or infinite values"),
        ("a.flac", STEREO, {"rate": 8000, "subtype": "FLOAT"}, FileError, "subtype='FLOAT' is n"),
        ("a.opus", STEREO, {"rate": 44100}, FileError, "cannot be written with .* at 44100 Hz"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, name, array, options, error, message):
    with pytest.raises(error, match=message):
        write_signal(tmp_path / name, array, **options)


def test_what_cannot_be_read_is_refused(tmp_path):
    for name, message in (("a.wav", "cannot be opened: No such file"), ("a.m4a", "not supported")):
        with pytest.raises(FileError, match=message):
            read_signal(tmp_path / name, rate=8000, channels=1)
    with pytest.raises(FileError, match="is a folder or a device, not a file"):
        read_signal(tmp_path, rate=8000, channels=1)
    np.save(tmp_path / "a.npy", STEREO)
    with pytest.raises(FileError, match="has 2 channels where channels=1"):
        read_signal(tmp_path / "a.npy", rate=None, channels=1)
    write_signal(tmp_path / "a.wav", STEREO, 8000)
    with pytest.raises(FileError, match="has 2 channels where channels=3"):
        read_signal(tmp_path / "a.wav", rate=None, channels=3)
    with pytest.raises(ValueError, match="rate=0 must be"):
        read_signal(tmp_path / "a.wav", rate=0, channels=None)
    with pytest.raises(ValueError, match="channels=0 must be"):
        read_signal(tmp_path / "a.wav", rate=None, channels=0)
    with pytest.raises(ValueError, match=r"peak=-1\.0 must be"):
        read_signal(tmp_path / "a.wav", rate=None, channels=None, peak=-1.0)
