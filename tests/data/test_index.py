"""What was found in sound files outlasts the program, and never stands for a changed file."""

import json
import logging
import os

import numpy as np
import pytest
import soundfile

from apps.data import AudioFolder, index
from apps.data.checks import UnopenedError

LONG_AGO = 1_500_000_000


def write(path, frames, *, channels=1, seed=0, date: int | None = LONG_AGO):
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, (frames, channels))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, 8000, subtype="FLOAT")
    os.utime(path, None if date is None else (date, date))


@pytest.fixture
def folder(tmp_path):
    """Eight good files and two bad ones, all of them old; the test split is `b`."""
    root = tmp_path / "sounds"
    for i in range(4):
        write(root / "a" / f"{i}.wav", 100 + i, channels=2, seed=i)
        write(root / "b" / f"{i}.wav", 200 + i, seed=i)
    (root / "a" / "text.wav").write_text("this is not a sound at all, whatever its name says")
    whole = (root / "b" / "3.wav").read_bytes()
    (root / "b" / "cut.wav").write_bytes(whole[:-100])
    for name in ("a/text.wav", "b/cut.wav"):
        os.utime(root / name, (LONG_AGO, LONG_AGO))
    return root


@pytest.fixture
def opened(monkeypatch):
    """The names of the files that are looked through."""
    names, examine = [], index.examine

    def counted(path):
        names.append(os.path.basename(os.path.dirname(path)) + "/" + os.path.basename(path))
        return examine(path)

    monkeypatch.setattr(index, "examine", counted)
    return names


def start(root, **options):
    """Both splits, as a program makes them when it starts."""
    options = {"length": 64, "rate": 8000, "test_pattern": "^b/"} | options
    return tuple(AudioFolder(root=root, split=split, **options) for split in ("train", "test"))


def content(sources):
    """All that can be told of two splits."""
    return [
        (each.name(i), each.example(i, None).tobytes(), each.bad)
        for each in sources
        for i in range(len(each))
    ]


def kept(cache_folder):
    (path,) = (cache_folder / "recordings").glob("*")
    return path


def rows(cache_folder):
    return json.loads(kept(cache_folder).read_text().splitlines()[1])


@pytest.mark.parametrize("rate", [8000, None])
def test_a_second_start_opens_no_file_and_finds_the_same(folder, opened, rate):
    first = content(start(folder, rate=rate))
    assert sorted(opened) == sorted({*opened})
    assert len(opened) == 10
    opened.clear()
    assert content(start(folder, rate=rate)) == first
    assert not opened
    assert {name for _, _, bad in first for name, _ in bad} == {"a/text.wav", "b/cut.wav"}


def test_what_is_remembered_serves_other_rates_channels_and_splits(folder, opened):
    start(folder)
    opened.clear()
    options = {"rate": 4000, "channels": 2, "test_pattern": "[01].wav"}
    remembered = content(start(folder, **options))
    assert not opened
    kept_away = index.user_cache("recordings")
    for path in kept_away.iterdir():
        path.unlink()
    assert content(start(folder, **options)) == remembered
    assert len(opened) == 10


def test_only_a_changed_or_new_file_is_looked_through_again(folder, opened):
    start(folder)
    opened.clear()
    write(folder / "a" / "0.wav", 100, channels=2, seed=7, date=LONG_AGO + 1)  # another date
    write(folder / "b" / "0.wav", 250, date=LONG_AGO)  # another size
    write(folder / "b" / "new.wav", 10)
    write(folder / "a" / "text.wav", 30)  # mended
    train, test = start(folder)
    assert sorted(opened) == ["a/0.wav", "a/text.wav", "b/0.wav", "b/new.wav"]
    assert train.name(4) == "a/text.wav"
    assert (train.bad, len(test)) == ((), 5)


def test_a_file_that_is_gone_is_forgotten(folder, opened, cache_folder):
    start(folder)
    (folder / "a" / "1.wav").unlink()
    start(folder)
    assert sorted(rows(cache_folder)) == sorted({*opened} - {"a/1.wav"})


def test_a_file_written_this_moment_is_not_yet_remembered(folder, opened):
    write(folder / "a" / "young.wav", 50, date=None)
    write(folder / "a" / "of tomorrow.wav", 50, date=4_000_000_000)
    start(folder)
    opened.clear()
    start(folder)
    assert opened == ["a/young.wav"]


def test_a_file_that_could_not_be_opened_is_tried_again(folder, opened, monkeypatch):
    def locked(path):
        raise UnopenedError(path, "cannot be opened: Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(index, "examine", locked)
        with pytest.raises(ValueError, match="Permission denied"):
            start(folder)
    assert len(start(folder)[0]) == 4
    assert len(opened) == 10


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data + b"{}",
        lambda data: b"\xff" + data,
        lambda data: b"not ours\n[]",
        lambda data: data.replace(b'"format": 1', b'"format": 0'),
        lambda data: data.replace(b'"libsndfile": "', b'"libsndfile": "9'),
        lambda data: data.replace(b"sounds", b"others"),
    ],
    ids=["empty", "half", "more", "bytes", "foreign", "format", "library", "folder"],
)
def test_a_damaged_or_foreign_index_is_made_again(folder, opened, cache_folder, damage):
    first = content(start(folder))
    good = kept(cache_folder).read_bytes()
    spoiled = damage(good)
    assert spoiled != good
    kept(cache_folder).write_bytes(spoiled)
    opened.clear()
    assert content(start(folder)) == first
    assert len(opened) == 10
    assert kept(cache_folder).read_bytes() == good


def test_no_flipped_bit_of_the_index_is_believed(folder, opened, cache_folder):
    start(folder)
    good = kept(cache_folder).read_bytes()
    for bit in np.random.default_rng(0).integers(8 * len(good), size=40):
        spoiled = bytearray(good)
        spoiled[bit // 8] ^= 1 << bit % 8
        kept(cache_folder).write_bytes(spoiled)
        opened.clear()
        AudioFolder(root=folder, split="test", length=64, rate=8000, test_pattern="b/0")
        assert opened, f"bit {bit}"


@pytest.mark.parametrize("place", ["a file", "a folder", "no home", "full"])
def test_a_cache_that_cannot_be_written_costs_one_warning(
    folder, opened, cache_folder, place, monkeypatch, caplog
):
    first = content(start(folder))
    path = kept(cache_folder)
    path.unlink()
    if place == "a file":
        path.parent.rmdir()
        path.parent.touch()
    elif place == "a folder":
        path.mkdir()
    elif place == "no home":

        def homeless(name):
            raise OSError(2, f"no home for {cache_folder.name}/{name}")

        monkeypatch.setattr(index, "user_cache", homeless)
    else:

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "replace", full)
    caplog.clear()
    opened.clear()
    assert content(start(folder)) == first
    assert len(opened) == 10
    about = [record.getMessage() for record in caplog.records if "not kept" in record.getMessage()]
    assert len(about) == 1
    assert "what is found in sound files is not kept: " in about[0]
    if place == "full":
        assert list(path.parent.iterdir()) == []


def test_what_was_found_before_an_interruption_is_kept(folder, opened, monkeypatch):
    examine = index.examine

    def interrupted(path):
        if path.endswith("3.wav"):
            raise KeyboardInterrupt
        return examine(path)

    with monkeypatch.context() as patch:
        patch.setattr(index, "examine", interrupted)
        with pytest.raises(KeyboardInterrupt):
            start(folder)
    opened.clear()
    start(folder)
    assert "a/3.wav" in opened
    assert not {*opened} & {"a/0.wav", "a/1.wav", "a/2.wav"}


def test_what_was_found_is_kept_now_and_then(folder, monkeypatch, cache_folder):
    monkeypatch.setattr(index, "_SAVE_EVERY", 0.0)
    sizes = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda *names: sizes.append(1) or replace(*names))
    start(folder)
    assert len(sizes) == 10
    assert len(rows(cache_folder)) == 10


def test_a_long_look_tells_how_far_it_is(folder, monkeypatch, caplog):
    monkeypatch.setattr(index, "_TELL_EVERY", -1.0)
    with caplog.at_level(logging.WARNING, "apps.data"):
        start(folder)
    lines = [each.getMessage() for each in caplog.records if "examined" in each.getMessage()]
    assert lines[1] == f"{folder}: examined 2 of 5 files; the next start remembers them"


def test_nothing_is_written_beside_the_recordings(folder):
    before = sorted(folder.rglob("*"))
    start(folder)
    assert sorted(folder.rglob("*")) == before
