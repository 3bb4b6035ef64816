"""Bad recordings: each one named in one line, before training; good ones whole and as loud."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from apps import train
from apps.data import AudioFolder, FileError, read_signal
from apps.data.audio import examine

RATE = 8000
LENGTH = 64  # of a crop


@pytest.fixture(autouse=True)
def _a_cache_of_its_own(tmp_path_factory, monkeypatch):
    monkeypatch.setattr("apps.data.index.user_cache", tmp_path_factory.mktemp("cache").joinpath)


def tone(frames=24000, rate=48000):
    return 0.5 * np.sin(2 * np.pi * 440 / rate * np.arange(frames))[:, None]


def noise(frames, channels=1):
    return np.random.default_rng(0).uniform(-0.5, 0.5, (frames, channels))


def write(path, samples, rate=RATE, subtype="PCM_16", kind=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype=subtype, format=kind)


# ------------------------------------------------------------------- files that cannot be used


def packed(path):
    """A file of noise, encoded as its ending says; the bytes."""
    encoding = {".mp3": "MPEG_LAYER_III", ".ogg": "VORBIS", ".opus": "OPUS"}.get(path.suffix)
    kind = "OGG" if path.suffix == ".opus" else None
    write(path, tone() + 0.1 * noise(24000), 48000, encoding or "PCM_16", kind)
    return path.read_bytes()


def cut(path, *, off):
    path.write_bytes(packed(path)[:-off])


def spoilt(path):
    """Bytes in the middle are others."""
    data = packed(path)
    middle = len(data) // 2
    path.write_bytes(data[:middle] + np.random.default_rng(1).bytes(2000) + data[middle + 2000 :])


def wav(path, *, first=0, last=None):
    """Some of the bytes of a wav of 100 samples."""
    write(path, noise(100))
    path.write_bytes(path.read_bytes()[first:last])


def with_value(path, value):
    samples = noise(100, 2)
    samples[17, 1] = value
    write(path, samples, subtype="FLOAT")


def link(path, target):
    try:
        path.symlink_to(target)
    except OSError:
        pytest.skip("this system lets us make no links")


def pipe(path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    os.mkfifo(path)


def locked(path):
    write(path, noise(100))
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything; see the test with a system that refuses")


def cuts(ending, off, outcome):
    return (f"{ending} cut off", f"a.{ending}", lambda path: cut(path, off=off), outcome)


# What is wrong, the file's name, how it is made, and what is said of it.
BAD = [
    cuts("wav", 100, r"is cut off: 48000 bytes are promised and 47900 are there"),
    cuts("aiff", 100, r"is cut off: \d+ bytes are promised and \d+ are there"),
    cuts("au", 100, r"is cut off: 48000 bytes are promised and 47900 are there"),
    cuts("w64", 100, r"is cut off: \d+ bytes are promised and \d+ are there"),
    cuts("rf64", 100, r"is cut off: 24000 frames are promised and 23950 are there"),
    cuts("caf", 100, r"is cut off: \d+ bytes are promised and \d+ are there"),
    cuts("flac", 9000, r"cannot be read as sound: .*"),
    cuts("mp3", 2000, r"is damaged or was changed: 24000 frames are promised and the samples .*"),
    cuts("ogg", 2000, r"is cut off or damaged at byte \d+"),
    cuts("opus", 2000, r"cannot be read as sound: .*|is cut off or damaged at byte \d+"),
    ("flac damaged", "a.flac", spoilt, r"cannot be read as sound: .*"),
    ("mp3 damaged", "a.mp3", spoilt, r"cannot be read as sound: .*|is damaged or was changed: .*"),
    ("ogg damaged", "a.ogg", spoilt, r"is (cut off or )?damaged .*"),
    ("opus damaged", "a.opus", spoilt, r"cannot be read as sound: .*|is (cut off or )?damaged .*"),
    ("a header alone", "a.wav", lambda path: wav(path, last=44),
     r"is cut off: 200 bytes are promised and 0 are there"),
    ("half a header", "a.wav", lambda path: wav(path, last=30), r"cannot be read as sound: .*"),
    ("no header", "a.wav", lambda path: wav(path, first=44), r"cannot be read as sound: .*"),
    ("an empty file", "a.wav", lambda path: path.touch(), r"is empty \(0 bytes\)"),
    ("no samples", "a.wav", lambda path: write(path, noise(0)), r"holds no samples \(0 frames\)"),
    ("a value that is NaN", "a.wav", lambda path: with_value(path, np.nan),
     r"sample 17 of channel 1 is nan"),
    ("an infinite value", "a.wav", lambda path: with_value(path, -np.inf),
     r"sample 17 of channel 1 is -inf"),
    ("text called wav", "a.wav", lambda path: path.write_text("no sound, whatever its name says"),
     r"cannot be read as sound: .*"),
    ("a picture called mp3", "a.mp3", lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" * 99),
     r"cannot be read as sound: .*"),
    ("m4a", "a.m4a", lambda path: path.write_bytes(b"\0\0\0 ftypM4A "),
     r"\.m4a is not supported: convert it to wav or flac"),
    ("wma", "a.WMA", lambda path: path.touch(),
     r"\.wma is not supported: convert it to wav or flac"),
    ("too short for one sample", "a.wav", lambda path: write(path, noise(2), 44100),
     r"its 2 frames make not one sample at 8000 Hz"),
    ("a folder called wav", "a.wav", lambda path: path.mkdir(), r"is a folder, not a file"),
    ("a pipe called wav", "a.wav", pipe, r"is a folder or a device, not a file"),
    ("a link to nothing", "a.wav", lambda path: link(path, "nowhere"),
     r"cannot be opened: No such file or directory"),
    ("a link to itself", "a.wav", lambda path: link(path, path), r"cannot be opened: .+"),
    ("a file that may not be read", "a.wav", locked, r"cannot be opened: Permission denied"),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "name", "make", "said"), BAD, ids=[fault for fault, *_ in BAD])
def test_a_bad_recording_is_left_out_or_refused_in_one_line(
    tmp_path, caplog, told, fault, name, make, said
):
    told("bad recordings", fault, "named in one line before training; left out, or refused")
    for good in ("b.wav", "c.wav"):
        write(tmp_path / good, noise(100))
    make(tmp_path / name)
    options = {"length": LENGTH, "rate": RATE, "test_pattern": "^c"}
    source = AudioFolder(root=tmp_path, split="train", on_bad="skip", **options)
    assert [source.name(i) for i in range(len(source))] == ["b.wav"]
    ((bad, reason),) = source.bad
    assert bad == name
    assert re.fullmatch(said, reason), reason
    (warning,) = (record.getMessage() for record in caplog.records)
    with pytest.raises(ValueError, match="1 file cannot be used") as refused:
        AudioFolder(root=tmp_path, split="train", on_bad="refuse", **options)
    for message in (warning, str(refused.value)):
        assert [line for line in message.splitlines() if name in line] == [f"  {name}: {reason}"]


def test_a_file_that_the_system_refuses_is_named(tmp_path, monkeypatch):
    """As `locked`, for a user who may read everything: libsndfile and `open` are told no."""
    write(tmp_path / "a.wav", noise(100))

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    def fail(*_, **__):
        raise soundfile.LibsndfileError(2)

    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setattr(soundfile, "SoundFile", fail)
    with pytest.raises(FileError, match=r"a\.wav: cannot be opened: Permission denied"):
        examine(tmp_path / "a.wav")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize("name", [b"new\nline.wav", b"esc\x1b[2J.wav", b"latin \xe9.wav"])
def test_a_name_that_cannot_be_shown_is_escaped(tmp_path, told, name):
    told("bad recordings", "a name with line breaks or bytes that are no text",
         "named in one line, escaped; left out, or refused")  # fmt: skip
    for good in ("b.wav", "c.wav"):
        write(tmp_path / good, noise(100))
    try:
        os.rename(os.fsencode(tmp_path / "b.wav"), os.fsencode(tmp_path) + b"/" + name)
    except OSError:
        pytest.skip("this file system takes only text as names")
    write(tmp_path / "b.wav", noise(100))
    source = AudioFolder(root=tmp_path, split="train", length=LENGTH, test_pattern="^c")
    ((bad, reason),) = source.bad
    assert bad.isprintable()
    assert bad == name.decode("latin-1").replace("\n", r"\x0a").replace("\x1b", r"\x1b").replace(
        "é", r"\xe9"
    )
    assert reason == "has line breaks or bytes that are no text in its name"


def test_five_channels_are_mixed_to_one_and_refused_where_two_are_asked_for(tmp_path, told):
    told("bad recordings", "five channels", "mixed to one; refused where two are asked for")
    for name in ("a.wav", "b.wav"):
        write(tmp_path / name, noise(100, 5), subtype="FLOAT")
    options = {"root": tmp_path, "split": "train", "length": LENGTH, "test_pattern": "b"}
    mixed = AudioFolder(**options, channels=1, peak=None).example(0, None)
    expected = noise(100, 5).astype(np.float32).mean(1)[:LENGTH]
    np.testing.assert_allclose(mixed[:, 0], expected, rtol=1e-6, atol=1e-7)
    assert AudioFolder(**options, channels=5).example(0, None).shape == (LENGTH, 5)
    with pytest.raises(ValueError, match=r"a\.wav: has 5 channels where channels=2: only a mix"):
        AudioFolder(**options, channels=2)


def test_rates_that_differ_are_refused_until_one_is_chosen(tmp_path, told):
    told("bad recordings", "files of different rates", "refused until data.rate chooses one")
    for name, rate in (("a.wav", 8000), ("b.wav", 8000), ("c.wav", 44100)):
        write(tmp_path / name, noise(1000), rate)
    with pytest.raises(ValueError, match=r"8000 Hz \(a\.wav\), 44100 Hz \(c\.wav\): choose one"):
        AudioFolder(root=tmp_path, split="train", length=LENGTH)
    assert len(AudioFolder(root=tmp_path, split="train", length=LENGTH, rate=8000)) == 2


@pytest.mark.parametrize("content", ["nothing", "other files", "hidden files", "bad files"])
def test_a_folder_without_a_usable_recording_is_refused(tmp_path, told, content):
    told("bad recordings", f"a folder that holds {content}", "refused, and says what it looked for")
    if content == "other files":
        (tmp_path / "notes.txt").write_text("no sound")
    if content == "hidden files":
        write(tmp_path / ".hidden" / "a.wav", noise(100))
        write(tmp_path / ".a.wav", noise(100))
    if content == "bad files":
        (tmp_path / "a.wav").mkdir()
    said = r"holds no sound files \(looked for \*\.wav, \*\.flac, \*\.mp3, \*\.ogg and others"
    with pytest.raises(ValueError, match=said) as refused:
        AudioFolder(root=tmp_path, split="train", length=LENGTH)
    assert str(refused.value).endswith("a.wav: is a folder, not a file") == (content == "bad files")


@pytest.mark.parametrize("when", ["shortened", "removed", "replaced by text"])
def test_a_recording_changed_while_training_is_an_error_and_no_short_crop(tmp_path, told, when):
    told("bad recordings", f"a file {when} while training", "an error that names it")
    for name in ("a.wav", "b.wav"):
        write(tmp_path / name, noise(1000))
    source = AudioFolder(root=tmp_path, split="train", length=900, test_pattern="b")
    (tmp_path / "a.wav").unlink()
    if when == "shortened":
        write(tmp_path / "a.wav", noise(500))
    if when == "replaced by text":
        (tmp_path / "a.wav").write_text("no sound")
    with pytest.raises(FileError, match=r"a\.wav: (is damaged|cannot be (opened|read))"):
        source.example(0, None)


def test_nothing_is_left_behind_where_the_data_are_refused(tmp_path, capfd, told):
    told("bad recordings", "any of these, with data.on_bad=refuse",
         "exit code 2, before training; no run folder is left behind")  # fmt: skip
    sounds, run = tmp_path / "sounds", tmp_path / "run"
    for name in ("b.wav", "c.wav"):
        write(sounds / name, noise(100))
    cut(sounds / "a.wav", off=100)
    words = [
        *("data=audio_folder", f"data.root={sounds}", "data.length=64", "data.rate=8000"),
        *("data.on_bad=refuse", "data.test_pattern=^c", f"run={run}"),
        *("model.channels=[4,4]", "model.strides=[2,2]"),
    ]
    assert train.main(words) == 2
    lines = [line for line in capfd.readouterr().err.splitlines() if "a.wav" in line]
    assert lines == ["  a.wav: is cut off: 48000 bytes are promised and 47900 are there"]
    assert not run.exists()


# ---------------------------------------------------------------------- files that can be used

# The file's ending, libsndfile's format and encoding, and how far a sample may be off.
GOOD = [
    ("8 bits", "a.wav", "WAV", "PCM_U8", 1.01 / 128),
    ("16 bits", "a.wav", "WAV", "PCM_16", 1.01 / 2**15),
    ("24 bits", "a.wav", "WAV", "PCM_24", 1.01 / 2**23),
    ("32 bits", "a.wav", "WAV", "PCM_32", 1e-7),
    ("float", "a.wav", "WAV", "FLOAT", 1e-7),
    ("double", "a.wav", "WAV", "DOUBLE", 1e-7),
    ("μ-law", "a.wav", "WAV", "ULAW", 0.02),
    ("flac", "a.flac", "FLAC", "PCM_24", 1.01 / 2**23),
    ("aiff", "a.aiff", "AIFF", "PCM_16", 1.01 / 2**15),
    ("ogg", "a.ogg", "OGG", "VORBIS", 0.03),
    ("opus", "a.opus", "OGG", "OPUS", 0.03),
    ("mp3", "a.mp3", "MP3", "MPEG_LAYER_III", 0.03),
    ("flac called wav", "a.wav", "FLAC", "PCM_16", 1.01 / 2**15),
    ("mp3 called wav", "a.wav", "MP3", "MPEG_LAYER_III", 0.03),
    ("capital letters", "A.WAV", "WAV", "PCM_16", 1.01 / 2**15),
]


@pytest.mark.parametrize(
    ("what", "name", "kind", "subtype", "step"), GOOD, ids=[what for what, *_ in GOOD]
)
def test_a_good_recording_has_its_length_and_its_level(
    tmp_path, told, what, name, kind, subtype, step
):
    told("bad recordings", f"no fault: {what}", "read whole, and as loud as it is")
    samples = tone()
    write(tmp_path / name, samples, 48000, subtype, kind)
    assert examine(tmp_path / name).frames == len(samples)
    read = read_signal(tmp_path / name, rate=None, channels=1)
    assert read.shape == samples.shape
    # Codecs ring where the tone begins and ends.
    inside = slice(2000, -2000) if step == 0.03 else slice(None)
    np.testing.assert_allclose(read[inside], samples[inside], atol=step)


NAMES = [
    "two words",
    "naïve Привет 音",
    "a=b",
    "a(b",
    "a,b",
    "{x}",
    "[0]",
    "$HOME",
    "'",
    "%s",
    "-n",
]


@pytest.mark.skipif(os.name == "nt", reason="Windows allows fewer names")
def test_any_name_that_can_be_shown_will_do(tmp_path, capfd, told):
    told("bad recordings", "spaces, Unicode, = ( , and other signs in names", "read like any other")
    root = tmp_path / "sounds of Müller, (a=b)"
    for name in NAMES:
        write(root / name / f"{name}.wav", noise(100))
    source = AudioFolder(
        root=root, split="train", length=LENGTH, test_pattern="two", on_bad="refuse"
    )
    assert {source.name(i) for i in range(len(source))} == {f"{n}/{n}.wav" for n in NAMES[1:]}
    for i in range(len(source)):
        assert source.example(i, None).shape == (LENGTH, 1)


def test_short_recordings_are_followed_by_zeros(tmp_path, told):
    told("bad recordings", "a recording shorter than a crop", "followed by zeros")
    for name in ("a.wav", "b.wav"):
        write(tmp_path / name, noise(10), subtype="FLOAT")
    source = AudioFolder(root=tmp_path, split="train", length=LENGTH, peak=None, test_pattern="b")
    example = source.example(0, np.random.default_rng(0))[:, 0]
    np.testing.assert_array_equal(example[:10], noise(10)[:, 0].astype(np.float32))
    np.testing.assert_array_equal(example[10:], 0)


def test_links_in_a_circle_are_followed_once(tmp_path, told):
    told("bad recordings", "folders linked in a circle", "each folder is read once")
    for folder in ("one", "two"):
        write(tmp_path / folder / f"{folder}.wav", noise(100))
    link(tmp_path / "one" / "up", tmp_path)
    link(tmp_path / "two" / "across", tmp_path / "one")
    link(tmp_path / "two" / "itself", tmp_path / "two" / "itself")
    sources = [
        AudioFolder(root=tmp_path, split=split, length=LENGTH, test_pattern="two.wav")
        for split in ("train", "test")
    ]
    assert [source.name(0) for source in sources] == ["one/one.wav", "two/two.wav"]
    assert [len(source) for source in sources] == [1, 1]


@pytest.mark.parametrize("depth", [300])
def test_folders_may_lie_as_deep_as_the_system_lets_them(tmp_path, depth):
    deep = Path(tmp_path, *["d"] * depth)
    try:
        for name in ("a.wav", "b.wav"):
            write(deep / name, noise(100))
    except OSError:
        pytest.skip("this system lets paths be no longer")
    assert len(AudioFolder(root=tmp_path, split="train", length=LENGTH)) == 1
