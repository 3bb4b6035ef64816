"""Sounds to be heard and seen: what was given beside what was made of it."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from apps.pages import embedded
from apps.pages.markup import Markup, duration, element, join, number

MOST = 16  # sounds of a page
BUDGET = 5_000_000  # bytes of all sounds of a page, as 16 bits; in base64 a third more
LONGEST = 30.0  # seconds of each
_FULL = 1.0 - 1.5 / 32768  # as loud as 16 bits can be

Array = NDArray[np.floating[Any]]


class Pair(NamedTuple):
    """A sound that was made, and what it should resemble, as files."""

    name: str
    made: Path
    reference: Path | None = None


class _Heard(NamedTuple):
    label: str
    signal: Array
    rate: int
    length: int  # of the whole file


def shown(
    pairs: Sequence[Pair], *, labels: tuple[str, str] = ("given", "made"), least: int = 1
) -> Markup | None:
    """Players and spectrograms, the sounds of a pair side by side.

    A page is not to grow with the recordings: of many sounds the first ones are taken in, and of
    long ones the beginnings. What is left out is said.

    Args:
        pairs: The sounds.
        labels: What the reference and the sound that was made are called.
        least: Into how many pages' worth of sounds the budget is divided.
    """
    kept, count = [], 0
    for pair in pairs:
        count += 1 if pair.reference is None else 2
        if kept and count * least > MOST:
            break
        kept.append(pair)
    if not kept:
        return None
    share = BUDGET / least / max(1, sum(1 if p.reference is None else 2 for p in kept))
    paired, alone, notes = [], [], []
    for pair in kept:
        heard = []
        for label, path in zip(labels, (pair.reference, pair.made), strict=True):
            if path is None:
                continue
            one = _read(path, label, share)
            if isinstance(one, str):
                notes.append(one)
            else:
                heard.append(one)
        if heard:
            (alone if len(heard) == 1 else paired).append(_block(pair.name, heard))
            notes += _notes(pair.name, heard)
    if len(kept) < len(pairs):
        notes.insert(0, f"The first {len(kept)} of {len(pairs)} are here.")
    said = element("p", " ".join(dict.fromkeys(notes)), class_="soft") if notes else None
    return join([*paired, element("div", *alone, class_="grid") if alone else None, said])


def of_a_run(folder: Path) -> tuple[list[Pair], list[Pair]]:
    """The sounds of the last step that has some: with what they should resemble, and records."""
    place = folder / "samples"
    files = sorted((path for path in place.glob("step-*.wav") if not path.is_symlink()), key=_order)
    if not files:
        return [], []
    step = files[-1].name.split("-")[1]
    pairs = []
    for path in files:
        if path.name.split("-")[1] != step:
            continue
        slug = path.stem.removeprefix(f"step-{step}-")
        reference = place / f"reference-{slug}.wav"
        there = reference.is_file() and not reference.is_symlink()
        pairs.append(Pair(slug.replace("-", " "), path, reference if there else None))
    records = [
        Pair(path.stem.removeprefix("record-").replace("-", " "), path)
        for path in sorted(place.glob("record-*.wav"), key=_order)
        if not path.is_symlink()
    ]
    return pairs, records


def _order(path: Path) -> list[tuple[int, str]]:
    """Names in the order of a person, 512 before 1024."""
    parts = re.split(r"(\d+)", path.stem)
    return [(int(each), "") if each.isdecimal() else (-1, each) for each in parts]


def _read(path: Path, label: str, share: float) -> "_Heard | str":
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            frame = 2 * min(file.channels, 2)
            most = int(min(LONGEST * file.samplerate, share / frame))
            signal = np.asarray(file.read(most, always_2d=True), np.float64)
            if len(signal) == 0:
                return f"{path.name} holds no sound."
            return _Heard(label, signal, file.samplerate, file.frames)
    except (soundfile.SoundFileError, OSError) as error:
        return f"{path.name} cannot be read: {error}."


def _notes(name: str, heard: Sequence[_Heard]) -> list[str]:
    notes = []
    for each in heard:
        if len(each.signal) < each.length:
            cut, whole = (duration(n / each.rate) for n in (len(each.signal), each.length))
            notes.append(f"Of sounds of {whole} the first {cut} are here.")
        if each.signal.shape[1] > 2:
            notes.append(f"Of {each.signal.shape[1]} channels the first is heard.")
        full = int(np.sum(np.abs(each.signal) >= _FULL))
        if full > 1:
            notes.append(f"{full:,} samples of {name} ({each.label}) are clipped.")
    return notes


def _block(name: str, heard: Sequence[_Heard]) -> Markup:
    from apps import pictures

    images = pictures.spectra([each.signal for each in heard])
    figures = []
    for each, image in zip(heard, images, strict=True):
        title = name if len(heard) == 1 else f"{name}: {each.label}"
        seconds = len(each.signal) / each.rate
        figures.append(
            element(
                "figure",
                element("figcaption", title),
                _spectrum(image, f"Spectrogram of {title}", seconds=seconds, rate=each.rate),
                element("audio", controls=True, preload="metadata", aria_label=f"Sound: {title}",
                        src=embedded.sound(each.signal, each.rate)),
            )
        )  # fmt: skip
    return figures[0] if len(figures) == 1 else element("div", *figures, class_="grid pairs")


def _spectrum(image: NDArray[np.uint8], alt: str, *, seconds: float, rate: int) -> Markup:
    """A spectrogram in its axes; the words are the page's own."""
    from apps import pictures

    return element(
        "div",
        element("span", f"{number(rate / 2000)} kHz", class_="high"),
        element("img", src=embedded.data(pictures.to_png(image), "image/png"), alt=alt),
        element("span", "0", class_="low"),
        element("span", element("span", "0"), element("span", duration(seconds)), class_="time"),
        class_="spectrum",
    )
