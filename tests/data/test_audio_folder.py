"""Folders of sound: the split, the crops, and every bad file named."""

import os
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from apps.data import AudioFolder, FileError, Loader
from apps.data.audio import resample

PROC = Path("/proc/self/io")
FSDD = Path(__file__).parents[3] / "shared" / "data" / "fsdd"


def noise(frames, channels=1, seed=0):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (frames, channels)).astype(np.float32)


def write(path, samples, rate=8000, subtype="FLOAT"):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype=subtype)


@pytest.fixture
def folder(tmp_path):
    """Twelve files of 100 to 1200 samples, one level of folders, names in no order."""
    for i in range(12):
        write(tmp_path / f"take {i % 3}" / f"{i}.wav", noise(100 * (i + 1), seed=i))
    return tmp_path


def make(root, **kw):
    return AudioFolder(**({"root": root, "split": "train", "length": 50} | kw))


def names(source):
    return [source.name(i) for i in range(len(source))]


def test_train_and_test_share_no_file_and_miss_none(folder):
    for options in ({}, {"test_pattern": r"/[0-3]\."}, {"seed": 3, "test_fraction": 0.5}):
        train, test = (names(make(folder, split=split, **options)) for split in ("train", "test"))
        assert train == sorted(train)
        assert len(test) >= 1
        assert sorted(train + test) == sorted(f"take {i % 3}/{i}.wav" for i in range(12))


def test_a_pattern_chooses_the_test_files_by_their_path(folder):
    test = make(folder, split="test", test_pattern=r"^take 1/[14]\.wav$")
    assert names(test) == ["take 1/1.wav", "take 1/4.wav"]


def test_new_files_do_not_move_old_ones_to_the_other_split(folder):
    before = names(make(folder, split="test", test_fraction=0.5))
    for i in range(20):
        write(folder / f"new {i}.wav", noise(100))
    after = names(make(folder, split="test", test_fraction=0.5))
    assert [name for name in after if not name.startswith("new")] == before
    assert len(after) > len(before)


@pytest.mark.parametrize("megabytes", [512, 0])
def test_a_crop_is_a_piece_of_the_file_and_every_place_is_reached(tmp_path, megabytes):
    write(tmp_path / "a.wav", noise(60))
    write(tmp_path / "b.wav", noise(60))
    source = make(tmp_path, peak=None, test_pattern="b", cache_megabytes=megabytes)
    whole, rng = noise(60), np.random.default_rng(0)
    seen = set()
    for _ in range(200):
        crop = source.example(0, rng)
        starts = [s for s in range(11) if np.array_equal(crop, whole[s : s + 50])]
        seen.update(starts)
        assert len(starts) == 1
    assert seen == set(range(11))


@pytest.mark.parametrize("megabytes", [512, 0])
def test_the_fixed_example_is_the_beginning_and_short_files_end_in_zeros(tmp_path, megabytes):
    write(tmp_path / "a.wav", noise(30))
    write(tmp_path / "b.wav", noise(60))
    write(tmp_path / "c.wav", noise(60))
    source = make(tmp_path, peak=None, test_pattern="c", cache_megabytes=megabytes)
    np.testing.assert_array_equal(source.example(1, None), noise(60)[:50])
    for rng in (None, np.random.default_rng(0)):
        padded = source.example(0, rng)
        np.testing.assert_array_equal(padded, np.concatenate([noise(30), np.zeros((20, 1))]))
        assert padded.dtype == np.float32


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 11025, 16000])
def test_reading_a_piece_gives_what_reading_the_whole_gives(tmp_path, rate, channels):
    write(tmp_path / "a.wav", noise(9000, 2), rate=11025)
    write(tmp_path / "b.wav", noise(10, 2), rate=11025)
    kept, read = (
        make(
            tmp_path, length=700, rate=rate, channels=channels, test_pattern="b",
            cache_megabytes=megabytes,
        )
        for megabytes in (512, 0)
    )  # fmt: skip
    for seed in range(20):
        one, other = (s.example(0, np.random.default_rng(seed)) for s in (kept, read))
        np.testing.assert_allclose(one, other, atol=2e-6)  # the resampler's own noise floor
    np.testing.assert_allclose(kept.example(0, None), read.example(0, None), atol=2e-6)


def test_what_is_kept_in_memory_is_planned_and_not_left_to_the_order_of_reading(folder):
    # 4,000 bytes hold the 100, 200, 300 and 400 samples of the shortest four files.
    source = make(folder, cache_megabytes=4000 / 2**20, test_pattern="/11")
    for i in reversed(range(len(source))):
        source.example(i, None)
    assert source._cache.used == 4000
    assert sorted(file.samples for file in source._files if file.kept) == [100, 200, 300, 400]


@pytest.mark.skipif(not PROC.exists(), reason="only Linux counts the bytes that a process reads")
@pytest.mark.parametrize(("rate", "expected"), [(8000, 3 * 8192), (5000, 4 * 8192)])
def test_of_a_recording_of_an_hour_only_the_crops_are_read(tmp_path, rate, expected):
    def bytes_read():
        return int(PROC.read_text().split()[1])

    hour = 3600 * 8000
    header = [b"RIFF", 2 * hour + 36, b"WAVEfmt ", 16, 1, 1, 8000, 16000, 2, 16, b"data", 2 * hour]
    with open(tmp_path / "a.wav", "wb") as file:
        file.write(struct.pack("<4sI8sIHHIIHH4sI", *header))
        file.truncate(44 + 2 * hour)  # silence, which takes no room on the disk
    write(tmp_path / "b.wav", noise(4096))
    for name in ("a.wav", "b.wav"):
        os.utime(tmp_path / name, (1_500_000_000, 1_500_000_000))
    options = {"length": 4096, "rate": rate, "test_pattern": "b"}
    begin = bytes_read()
    make(tmp_path, **options)  # looks through it, once
    assert bytes_read() - begin > 2 * hour
    begin = bytes_read()
    source = make(tmp_path, **options)
    assert bytes_read() - begin < 8192
    rng, begin = np.random.default_rng(0), bytes_read()
    for _ in range(100):
        source.example(0, rng)
    assert bytes_read() - begin < 100 * expected


@pytest.mark.parametrize("new", [8000, 16000, 22050])
def test_a_resampled_tone_keeps_its_frequency_and_level(tmp_path, new):
    time_ = np.arange(44100) / 44100
    write(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 1000 * time_), rate=44100)
    write(tmp_path / "b.wav", noise(10), rate=44100)
    source = make(tmp_path, length=new, rate=new, test_pattern="b")
    assert source.signal.rate == new
    middle = source.example(0, None)[new // 4 : new // 4 + new // 2, 0]  # half a second: 500 cycles
    spectrum = np.abs(np.fft.rfft(middle)) / (len(middle) / 2)
    assert spectrum.argmax() == 500
    assert spectrum[500] == pytest.approx(0.9, abs=1e-3)
    assert np.delete(spectrum, 500).max() < 1e-3


def test_the_peak_of_every_file_is_the_one_asked_for(tmp_path):
    write(tmp_path / "loud.wav", 3 * noise(50))
    write(tmp_path / "quiet.wav", 1e-3 * noise(50))
    write(tmp_path / "silent.wav", np.zeros(50))
    write(tmp_path / "test.wav", noise(50))
    source = make(tmp_path, peak=0.9, test_pattern="test")
    peaks = [np.abs(source.example(i, None)).max() for i in range(3)]
    np.testing.assert_allclose(peaks, [0.9, 0.9, 0.0], rtol=1e-6)
    source = make(tmp_path, peak=None, test_pattern="test")
    np.testing.assert_array_equal(source.example(0, None), 3 * noise(50))


def test_channels_are_mixed_to_their_mean_or_kept(tmp_path):
    write(tmp_path / "a.wav", noise(50, 3))
    write(tmp_path / "b.wav", noise(50, 3))
    mono = make(tmp_path, test_pattern="b", peak=None)
    np.testing.assert_allclose(
        mono.example(0, None)[:, 0], noise(50, 3).mean(1), rtol=1e-6, atol=1e-8
    )
    three = make(tmp_path, test_pattern="b", peak=None, channels=3)
    np.testing.assert_array_equal(three.example(0, None), noise(50, 3))
    with pytest.raises(ValueError, match=r"a\.wav: has 3 channels where channels=2: only a mix to"):
        make(tmp_path, test_pattern="b", channels=2, on_bad="refuse")


def test_without_a_rate_the_files_own_is_kept_and_a_mixture_refused(tmp_path):
    for name in ("a", "b", "c"):
        write(tmp_path / f"{name}.wav", noise(50), rate=11025)
    assert make(tmp_path).signal.rate == 11025
    write(tmp_path / "d.wav", noise(50), rate=8000)
    for split in ("train", "test"):
        with pytest.raises(ValueError, match=r"8000 Hz \(d.wav\), 11025 Hz \(a.wav\): choose one"):
            make(tmp_path, split=split, test_pattern="b")


def test_hidden_and_other_files_are_passed_over(folder):
    before = names(make(folder))
    write(folder / ".hidden.wav", noise(50))
    write(folder / ".cache" / "x.wav", noise(50))
    (folder / "notes.txt").write_text("not a sound")
    (folder / "wav").write_text("not a sound")
    source = make(folder, on_bad="refuse")
    assert names(source) == before
    assert source.bad == ()


def test_links_are_followed_and_loops_end(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write(elsewhere / "linked.wav", noise(50))
    try:
        os.symlink(elsewhere, folder / "more", target_is_directory=True)
        os.symlink(folder, folder / "loop", target_is_directory=True)
    except OSError:
        pytest.skip("this system lets us make no links")
    assert "more/linked.wav" in names(make(folder, test_pattern="take 0/0"))
    assert len(make(folder, test_pattern="take 0/0")) == 12


def test_a_folder_of_unusable_files_says_why(tmp_path):
    for i in range(4):
        (tmp_path / f"{i}.m4a").write_bytes(b"ftypM4A ")
    with pytest.raises(ValueError, match=r"be used; 0\.m4a: \.m4a is not supported: convert"):
        make(tmp_path)
    with pytest.raises(ValueError, match=r"train files can be used; \d\.m4a: \.m4a is not suppor"):
        make(tmp_path, rate=8000)


def test_a_long_list_of_bad_files_is_cut_short(tmp_path):
    for i in range(25):
        (tmp_path / f"{i}.wav").write_bytes(b"")
    with pytest.raises(ValueError, match=r"24 files cannot be used(?s:.*)and 4 more$"):
        make(tmp_path, rate=8000, on_bad="refuse", test_pattern="^3")


@pytest.mark.parametrize("megabytes", [512, 0])
def test_a_file_changed_after_it_was_checked_is_an_error_and_no_short_crop(tmp_path, megabytes):
    write(tmp_path / "a.wav", noise(500))
    write(tmp_path / "b.wav", noise(500))
    source = make(tmp_path, length=400, test_pattern="b", cache_megabytes=megabytes)
    write(tmp_path / "a.wav", noise(100))
    with pytest.raises(FileError, match=r"a\.wav: is damaged or was changed"):
        source.example(0, None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "valid"}, "split='valid' is not one of 'train', 'test'"),
        ({"on_bad": "skp"}, "on_bad='skp' is not one of .*did you mean 'skip'"),
        ({"length": -1}, "length=-1 must be"),
        ({"channels": 0}, "channels=0 must be"),
        ({"rate": 0}, "rate=0 must be"),
        ({"seed": -1}, "seed=-1 must be"),
        ({"peak": 0.0}, r"peak=0\.0 must be a finite number above 0"),
        ({"cache_megabytes": -2}, "cache_megabytes=-2 must be"),
        ({"test_fraction": 1.0}, r"test_fraction=1\.0 must lie between 0 and 1"),
        ({"test_pattern": "("}, r"test_pattern='\(' is not a regular expression: missing \)"),
        ({"test_pattern": "xyz"}, "test_pattern='xyz' matches none of the 12 files .*take 0/0.wav"),
        ({"test_pattern": "."}, "none of the 0 train files can be used: hold fewer out for"),
    ],
)
def test_a_wrong_folder_argument_is_named(folder, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(folder, **arguments)


def test_a_folder_without_sound_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"root='.*missing': no such folder"):
        make(tmp_path / "missing")
    with pytest.raises(ValueError, match=r"holds no sound files \(looked for \*\.wav"):
        make(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="is a file, not a folder"):
        make(tmp_path / "file")
    write(tmp_path / "only.wav", noise(50))
    with pytest.raises(ValueError, match=r"holds one sound file, 'only\.wav', and whole files"):
        make(tmp_path)
    (tmp_path / "only.wav").write_bytes(b"")
    (tmp_path / "other.wav").write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"none of the 2 sound files can be used; only\.wav: is empty"
    ):
        make(tmp_path)


def test_a_broken_record_is_named_by_the_loader(tmp_path):
    write(tmp_path / "a.wav", noise(500))
    write(tmp_path / "b.wav", noise(500))
    source = make(tmp_path, test_pattern="b")
    (tmp_path / "a.wav").unlink()
    batches = Loader(source, batch_size=2, seed=0).batches(7)
    with pytest.raises(RuntimeError, match=r"batch 7: 'a\.wav' could not be read: .*cannot be op"):
        next(batches)


@pytest.mark.skipif(not FSDD.is_dir(), reason="the spoken digits are not beside the repository")
def test_the_spoken_digits_split_as_published_and_load_fast():
    options = {"length": 2048, "test_pattern": r"_[0-4]\.wav$"}
    train, test = (make(FSDD, split=split, **options) for split in ("train", "test"))
    assert (len(train), len(test)) == (1800, 200)
    assert test.name(0) == "0_george_0.wav"
    assert train.signal.rate == 8000
    assert train.bad == test.bad == ()
    samples, rate = soundfile.read(FSDD / "7_jackson_3.wav", dtype="float32")
    clip = samples[:2048] * (0.9 / np.abs(samples).max())
    place = names(test).index("7_jackson_3.wav")
    np.testing.assert_allclose(test.example(place, None)[: len(clip), 0], clip, atol=1e-7)
    np.testing.assert_array_equal(resample(samples[:, None], rate, 8000), samples[:, None])
    loader = Loader(train, batch_size=16, seed=0)
    for step in range(113):  # the first epoch decodes
        loader.batch(step)
    begin = time.thread_time()
    for step in range(113, 163):
        loader.batch(step)
    assert (time.thread_time() - begin) / 50 < 0.085 / 20  # of a step's 85 ms; in truth 1/100
