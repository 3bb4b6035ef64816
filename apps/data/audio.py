"""Sound files: what they hold, whether they can be trusted, and their samples."""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil, gcd
from pathlib import Path

import numpy as np
import soundfile
import soxr
from jaxtyping import Float32

from apps.data.checks import FileError, UnopenedError
from apps.data.ogg import check_pages

Samples = Float32[np.ndarray, "samples channels"]

# What libsndfile reads, by the usual endings. Left out: `raw` (no header says what it is) and
# Matlab's `mat` (rarely sound). The ending only chooses which files are tried; the content decides.
_READ = (
    "wav wave bwf rf64 w64 flac ogg oga opus mp1 mp2 mp3 aif aiff aifc au snd caf voc nist sph sf"
    " ircam paf iff svx 8svx avr pvf sds htk wve xi"
)
# Sound that libsndfile does not read: named and refused, where other endings are passed over.
_NOT_READ = "m4a m4b aac wma ape wv amr mka ac3 dsf dff tta"
AUDIO_SUFFIXES = frozenset(f".{ending}" for ending in _READ.split())
UNSUPPORTED_SUFFIXES = frozenset(f".{ending}" for ending in _NOT_READ.split())

_BLOCK = 1 << 18  # samples of one read while a file is checked: memory stays flat for any length
_SYSTEM_ERROR = 2  # libsndfile's code for what the disk or the network did
_SSND, _EDIT = 8, 4  # bytes of aiff's and of caf's chunk of samples before the first
_STREAMED = 0x7FFFF000  # sizes from here on mean "not known": a writer that could not seek back
# libsndfile corrects a length that the file does not hold, and says so only in its log.
_SHORTER = re.compile(r"^\s*(?:data|SSND|Data Size|riff)\s*:\s*(\d+) \(should be (\d+)\)", re.M)
_PACKED = re.compile(r"Bytes / packet\s*: (\d+)\b.*^data : (\d+)", re.M | re.S)  # of a caf
_FEWER = re.compile(r"Calculated frame count (\d+) does not match value from 'ds64' chunk of (\d+)")
# soxr's HQ filter reaches about 100 samples of the lower rate to each side (measured: from 128 on
# a piece equals the same place in the whole to 1e-6); twice that is taken.
_REACH = 256


@dataclass(frozen=True)
class AudioInfo:
    """What was found in a file that was read from its first frame to its last.

    Attributes:
        frames: Samples of each channel.
        rate: Samples a second.
        channels: As in the file.
        peak: Largest magnitude of any channel, before resampling.
        mixed_peak: Largest magnitude of the mean of all channels, before resampling.
    """

    frames: int
    rate: int
    channels: int
    peak: float
    mixed_peak: float

    def peak_of(self, channels: int | None) -> float:
        """The peak after `mix` to so many channels."""
        return self.mixed_peak if channels == 1 else self.peak


@contextmanager
def open_sound(path: str | os.PathLike[str]) -> Iterator[soundfile.SoundFile]:
    """A sound file, open for reading.

    Raises:
        FileError: If it cannot be opened or is no sound file, or while it is read.
    """
    suffix = Path(path).suffix.lower()
    if suffix in UNSUPPORTED_SUFFIXES:
        raise FileError(path, f"{suffix} is not supported: convert it to wav or flac")
    try:
        status = os.stat(path)
    except OSError as error:
        raise UnopenedError(path, f"cannot be opened: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
        raise FileError(path, "is a folder or a device, not a file")
    if status.st_size == 0:
        raise FileError(path, "is empty (0 bytes)")
    try:
        with soundfile.SoundFile(os.fspath(path)) as sound:
            yield sound
    except soundfile.LibsndfileError as error:
        raise _fault(path, error) from error


def _fault(path: str | os.PathLike[str], error: soundfile.LibsndfileError) -> FileError:
    """What libsndfile found wrong; of a file that it may not open it says only "System error"."""
    try:
        open(path, "rb").close()
    except OSError as reason:
        return UnopenedError(path, f"cannot be opened: {reason.strerror}")
    kind = UnopenedError if error.code == _SYSTEM_ERROR else FileError
    said = error.error_string.removeprefix("Error : ")
    return kind(path, f"cannot be read as sound: {said}")


def examine(path: str | os.PathLike[str]) -> AudioInfo:
    """Read a whole file once, block by block, and refuse it if any of it is not as promised.

    Raises:
        FileError: If it is no sound file, holds no frames or less than its header says, or has
            NaN or infinite samples.
    """
    with open_sound(path) as sound:
        _check_header(path, sound)
        frames, channels = sound.frames, sound.channels
        read, peak, mixed = 0, 0.0, 0.0
        while read < frames:
            count = min(max(1, _BLOCK // channels), frames - read)
            block = _read(path, sound, count, read)
            peak = max(peak, float(np.abs(block).max()))
            if channels > 1:
                mixed = max(mixed, float(np.abs(mix(block, 1, path=path)).max()))
            read += count
        return AudioInfo(frames, sound.samplerate, channels, peak, mixed if channels > 1 else peak)


def read_frames(
    path: str | os.PathLike[str], *, start: int, count: int, channels: int | None
) -> Samples:
    """Frames `start` to `start + count` at the file's own rate, mixed to `channels`.

    Raises:
        FileError: If the file cannot be read, holds less, or has NaN or infinite samples there.
    """
    with open_sound(path) as sound:
        if start:
            sound.seek(start)
        return mix(_read(path, sound, count, start), channels, path=path)


def mix(samples: Samples, channels: int | None, *, path: str | os.PathLike[str]) -> Samples:
    """The mean of all channels if one is asked for; otherwise they must be as many as asked for.

    Raises:
        FileError: If they are not.
    """
    check_channels(path, samples.shape[1], channels)
    mixed = channels == 1 and samples.shape[1] > 1
    return samples.mean(1, keepdims=True) if mixed else samples


def check_channels(path: str | os.PathLike[str], held: int, channels: int | None) -> None:
    """Refuse a file of `held` channels that `mix` cannot bring to so many.

    Raises:
        FileError: If it cannot.
    """
    if channels not in (None, 1, held):
        raise FileError(
            path, f"has {held} channels where channels={channels}: only a mix to 1 is made"
        )


def resample(samples: Samples, old: int, new: int) -> Samples:
    """The same sound at another rate (soxr, quality HQ)."""
    return samples if old == new else soxr.resample(samples, old, new, quality="HQ")


def resampled_length(frames: int, old: int, new: int) -> int:
    """Samples that `resample` makes of `frames`: frames·new/old, rounded."""
    return (2 * frames * new + old) // (2 * old)


def read_crop(
    path: str | os.PathLike[str],
    info: AudioInfo,
    *,
    start: int,
    length: int,
    rate: int,
    channels: int | None,
) -> Samples:
    """Samples `start` to `start + length` of the file at `rate`, of which no more is read.

    Equal to the same place of the whole file resampled, to about 1e-6: the piece begins where a
    frame of the file meets a sample of the result, and is wider by the resampler's reach.

    Args:
        path: The file.
        info: What `examine` found in it.
        start: In samples at `rate`.
        length: In samples at `rate`.
        rate: Samples a second of the result.
        channels: As in `mix`.

    Raises:
        FileError: As `read_frames`.
    """
    shared = gcd(info.rate, rate)
    step_in, step_out = info.rate // shared, rate // shared  # they meet every so many
    reach = 0 if info.rate == rate else ceil(_REACH * max(1.0, rate / info.rate))
    first = max(0, (start - reach) // step_out)
    last = -(-(start + length + reach) // step_out)
    begin = first * step_in
    count = min(info.frames, last * step_in) - begin
    piece = read_frames(path, start=begin, count=count, channels=channels)
    skip = start - first * step_out
    return resample(piece, info.rate, rate)[skip : skip + length]


def _check_header(path: str | os.PathLike[str], sound: soundfile.SoundFile) -> None:
    """Refuse files cut off in their samples, which libsndfile would read as shorter ones."""
    for promised, held, unit in _promises(sound):
        if held < promised < _STREAMED:
            raise FileError(
                path, f"is cut off: {promised} {unit} are promised and {held} are there"
            )
    if sound.format == "OGG":
        check_pages(path)
    if sound.frames <= 0:
        raise FileError(path, "holds no samples (0 frames)")


def _promises(sound: soundfile.SoundFile) -> Iterator[tuple[int, int, str]]:
    """What the header says is there, what is, and in which unit, where libsndfile noted both."""
    for promised, held in _SHORTER.findall(sound.extra_info):
        samples = int(held) - _SSND if sound.format == "AIFF" else 0
        padded = samples > 0 and sound.frames > 0 and samples % sound.frames == 0
        yield int(promised) - padded, int(held), "bytes"
    for held, promised in _FEWER.findall(sound.extra_info):
        yield int(promised), int(held), "frames"
    packed = _PACKED.search(sound.extra_info)
    if sound.format == "CAF" and packed and int(packed[1]):  # some bytes missing are not noted
        yield (int(packed[2]) - _EDIT) // int(packed[1]), sound.frames, "frames"


def _read(
    path: str | os.PathLike[str], sound: soundfile.SoundFile, count: int, start: int
) -> Samples:
    samples = sound.read(count, dtype="float32", always_2d=True)
    if len(samples) < count:
        raise FileError(
            path,
            f"is damaged or was changed: {sound.frames} frames are promised and the samples end "
            f"after {start + len(samples)}",
        )
    finite = np.isfinite(samples)
    if not finite.all():  # before resampling, which would spread one NaN over all that follows
        frame, channel = np.argwhere(~finite)[0]
        raise FileError(
            path, f"sample {start + frame} of channel {channel} is {samples[frame, channel]}"
        )
    return samples
