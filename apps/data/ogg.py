"""Whether an Ogg file is whole (RFC 3533): libsndfile plays what pages it finds good."""

import os
import zlib
from typing import IO, NamedTuple

from apps.data.checks import FileError

_MAGIC = b"OggS"
_HEADER = 27  # bytes, before the lengths of the page's pieces
_LAST = 4  # the flag of a stream's last page
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class _Page(NamedTuple):
    stream: bytes
    number: int
    is_last: bool
    is_good: bool


def check_pages(path: str | os.PathLike[str]) -> None:
    """Read all pages, and hold them against their checksums and their numbers.

    What follows after the last page, such as a tag, is left alone.

    Raises:
        FileError: If a page is damaged or absent, or the last one is not marked as that.
    """
    open_streams: dict[bytes, int] = {}  # by name, the number of the page read last
    with open(path, "rb") as file:
        while True:
            begin = file.tell()
            page = _read(file)
            if page is None:
                if open_streams:
                    raise FileError(path, f"is cut off or damaged at byte {begin}")
                return
            if not page.is_good:
                raise FileError(path, f"is damaged between byte {begin} and byte {file.tell()}")
            if page.number != open_streams.get(page.stream, page.number - 1) + 1:
                raise FileError(path, f"is damaged: something is missing before byte {begin}")
            open_streams[page.stream] = page.number
            if page.is_last:
                del open_streams[page.stream]


def _read(file: IO[bytes]) -> _Page | None:
    """The next page; None if there is no whole one."""
    header = file.read(_HEADER)
    if len(header) < _HEADER or not header.startswith(_MAGIC):
        return None
    lengths = file.read(header[26])
    body = file.read(sum(lengths))
    if len(lengths) < header[26] or len(body) < sum(lengths):
        return None
    without = header[:22] + bytes(4) + header[26:] + lengths + body
    return _Page(
        stream=header[14:18],
        number=int.from_bytes(header[18:22], "little"),
        is_last=bool(header[5] & _LAST),
        is_good=_checksum(without) == int.from_bytes(header[22:26], "little"),
    )


def _checksum(data: bytes) -> int:
    """The polynomial is that of zlib, which goes through the bits of a byte the other way round."""
    mirrored = zlib.crc32(data.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)
