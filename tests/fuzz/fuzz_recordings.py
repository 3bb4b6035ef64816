"""Any bytes called sound: read whole as promised, or refused in one line; never a short crop."""

import functools
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from fuzz_laws import one_line_naming, silence
from hypothesis import strategies as st

from apps.data import AudioFolder, write_signal
from apps.data.audio import AudioInfo, examine, read_crop, read_frames, resampled_length
from apps.data.checks import FileError

RATE, FRAMES = 8000, 3000
KINDS = {
    ".wav": ("PCM_16", "PCM_24", "PCM_U8", "FLOAT", "ULAW", "IMA_ADPCM", "GSM610"),
    ".flac": ("PCM_16", "PCM_24"),
    ".ogg": ("VORBIS",),
    ".opus": ("OPUS",),
    ".mp3": ("MPEG_LAYER_III",),
    ".aiff": ("PCM_16", "FLOAT"),
    ".caf": ("PCM_16", "ALAC_16"),
    ".au": ("PCM_16", "DOUBLE"),
    ".w64": ("PCM_16",),
    ".rf64": ("PCM_16",),
}
EXACT = (".wav", ".flac", ".aiff", ".caf", ".au", ".w64", ".rf64")
SECONDS = 10.0  # more for a file this small is a hang


@functools.cache
def whole(suffix: str, subtype: str, channels: int) -> bytes:
    """A sound file with nothing wrong."""
    random = np.random.default_rng(5)
    sound = np.sin(np.arange(FRAMES)[:, None] / 9) / 2 + random.normal(0, 0.05, (FRAMES, channels))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"whole{suffix}")
        write_signal(path, sound, RATE, subtype=subtype)
        return path.read_bytes()


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """An ending, and the bytes of a sound file with a few of them changed, cut or doubled."""
    suffix = draw(st.sampled_from(sorted(KINDS)))
    subtype = draw(st.sampled_from(KINDS[suffix]))
    channels = 1 if subtype == "GSM610" else draw(st.integers(1, 2))
    data = bytearray(whole(suffix, subtype, channels))
    for _ in range(draw(st.integers(1, 4))):
        # Headers are where lengths and promises are.
        most = draw(st.sampled_from([64, 256, len(data)]))
        at = draw(st.integers(0, max(0, min(most, len(data)) - 1)))
        match draw(st.sampled_from(_DAMAGE)):
            case "byte":
                data[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case "number":
                data[at : at + 4] = draw(st.sampled_from(_NUMBERS))
            case "cut":
                del data[at:]
            case "remove":
                del data[at : at + draw(st.integers(1, 64))]
            case "double":
                data[at:at] = data[at : at + draw(st.integers(1, 64))]
            case "insert":
                data[at:at] = draw(st.binary(max_size=16))
    return draw(st.sampled_from([suffix] * 7 + [".wav"])), bytes(data)


_DAMAGE = ["byte"] * 4 + ["number"] * 4 + ["cut", "remove", "double", "insert"]
_NUMBERS = [
    value.to_bytes(4, order)
    for value in (0, 1, 2**31 - 1, 2**31, 2**32 - 1, 0x7F800000, 0x7FC00000)
    for order in ("little", "big")
]


def check_damaged(given: tuple[str, bytes]) -> str:
    """The law of such a file, alone and among good ones; returns what became of it."""
    suffix, data = given
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name, _cache_in(Path(name, "cache")):
        folder = Path(name, "sounds")
        folder.mkdir()
        path = folder / f"odd{suffix}"
        path.write_bytes(data)
        try:
            info = examine(path)
        except FileError as error:
            one_line_naming(error, [str(path)])
            info = None
        if info is not None:
            _reads_what_it_promises(path, info)
        for good in ("a.wav", "b.wav", "c.wav"):
            (folder / good).write_bytes(whole(".wav", "PCM_16", 1))
        _stands_in_a_folder(folder, path.name, usable=info is not None)
    seconds = time.monotonic() - began
    assert seconds < SECONDS, f"{seconds:.1f} s"
    return "refused" if info is None else "read"


def check_cut(given: tuple[str, str, float]) -> str:
    """The law of a file that ends too early: all the frames of the whole, or refused."""
    suffix, subtype, share = given
    data = whole(suffix, subtype, 1)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, f"cut{suffix}")
        path.write_bytes(data)
        frames = examine(path).frames
        path.write_bytes(data[: int(share * len(data))])
        try:
            info = examine(path)
        except FileError as error:
            one_line_naming(error, [str(path)])
            return "refused"
        assert info.frames == frames, f"{info.frames} of {frames} frames, and not a word"
    return "read"


def cut() -> st.SearchStrategy[tuple[str, str, float]]:
    """A kind of file, and the share of it that is there."""
    kinds = [(suffix, subtype) for suffix, each in KINDS.items() for subtype in each]
    share = st.floats(0, 1, exclude_max=True)
    return st.tuples(st.sampled_from(kinds), share).map(lambda both: (*both[0], both[1]))


def _reads_what_it_promises(path: Path, info: AudioInfo) -> None:
    sound = read_frames(path, start=0, count=info.frames, channels=1)
    assert sound.shape == (info.frames, 1)
    assert np.isfinite(sound).all()
    assert float(np.abs(sound).max()) == info.peak_of(1)
    start = info.frames // 3
    try:
        later = read_frames(path, start=start, count=info.frames - start, channels=1)
    except FileError as error:  # where a seek meets the damage that a straight reading hides
        one_line_naming(error, [str(path)])
        return
    assert later.shape == (info.frames - start, 1)
    if path.suffix in EXACT:
        np.testing.assert_array_equal(later, sound[start:])
    for rate in {info.rate, RATE, 11025}:
        length = resampled_length(info.frames, info.rate, rate)
        if 0 < length < 1e6:
            begin, count = length // 2, length - length // 2
            crop = read_crop(path, info, start=begin, length=count, rate=rate, channels=1)
            assert abs(len(crop) - count) <= 1  # `length` is rounded, and so is the resampler's
            assert np.isfinite(crop).all()


def _cache_in(folder: Path) -> Any:
    """What is found in sounds is otherwise kept for the user."""
    return mock.patch("apps.data.index.user_cache", folder.joinpath)


def _stands_in_a_folder(folder: Path, odd: str, *, usable: bool) -> None:
    for split in ("train", "test"):
        with silence("apps.data.audio_folder"):
            records = AudioFolder(
                root=folder, split=split, length=256, rate=RATE, test_pattern="c.wav|odd"
            )
        for index in range(len(records)):
            example = records.example(index, np.random.default_rng(index))
            assert example.shape == (256, 1)
            assert np.isfinite(example).all()
        if split == "test":
            assert [name for name, _ in records.bad] == ([] if usable else [odd])
