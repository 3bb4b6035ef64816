"""Files in the page itself, as `data:` addresses."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.pages.markup import Markup, element

LARGEST = 1_500_000  # bytes of a picture that is taken in
_KINDS = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}


def data(content: bytes, kind: str) -> str:
    """The address of a file that is in the page."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def picture(path: Path, *, alt: str, title: str = "") -> Markup:
    """A picture from a file, or a word on why it is not there."""
    kind = _KINDS.get(path.suffix.lower())
    try:
        size = path.stat().st_size
        if kind is None or path.is_symlink() or size > LARGEST:
            return element("p", f"{path.name} is not shown: it is no picture of at most "
                           f"{LARGEST / 1e6:g} MB", class_="soft")  # fmt: skip
        content = path.read_bytes()
    except OSError as error:
        said = f"{path.name} cannot be read: {error.strerror or error}"
        return element("p", said, class_="soft")
    image = element("img", src=data(content, kind), alt=alt, class_="paper")
    return element("figure", element("figcaption", title) if title else None, image)


def sound(signal: NDArray[np.floating[Any]], rate: int) -> str:
    """The address of a sound: wav of 16 bits.

    FLAC would be half as large, but Chromium 156 plays none that is shorter than about a second
    ("demuxer seek failed"), and Safari has played Ogg for a short time only.
    """
    import soundfile

    file = io.BytesIO()
    heard = signal[:, :1] if signal.shape[1] > 2 else signal
    soundfile.write(file, np.clip(heard, -1.0, 1.0), rate, format="WAV", subtype="PCM_16")
    return data(file.getvalue(), "audio/wav")
