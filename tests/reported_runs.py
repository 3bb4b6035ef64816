"""Run folders that hold all that a report shows, made without any training; and pages, read."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from apps import config
from apps.config import Config, Gan, Plucks, Sines, Train
from apps.config.model import Model
from apps.config.objective import Critic, Vae

AUDIO = {"kind": "audio", "length": 512, "channels": 1, "rate": 8000}
SMALL = Model(strides=(2, 2), channels=(4, 4))
SERIES = {"kind": "series", "length": 24, "channels": 3, "rate": None}


def audio_run(folder: Path, *, seconds: float = 0.25, rate: int = 8000, sounds: int = 2) -> Path:
    """A VAE of sounds, half way."""
    settings = Config(data=Plucks(length=512), model=Model(strides=(4, 4), channels=(4, 4)),
                      train=Train(steps=40))  # fmt: skip
    begin(folder, settings, AUDIO | {"rate": rate})
    rows = [
        {"step": at, "vae/loss": 2 / at, "vae/gradient_norm": 3.0, "vae/skipped_total": at // 20,
         "test/si_sdr": at / 10}
        for at in range(1, 21)
    ]  # fmt: skip
    lines(folder / "metrics.jsonl", rows)
    time = np.arange(int(seconds * rate)) / rate
    for index in range(sounds):
        tone = 0.5 * np.sin(2 * np.pi * (440 + 110 * index) * time)
        soundfile.write(folder / f"samples/step-0000020-reconstruction-{index}.wav", tone / 2, rate)
        soundfile.write(folder / f"samples/reference-reconstruction-{index}.wav", tone, rate)
    soundfile.write(folder / "samples/step-0000020-sample-1.wav", 0.1 * np.sin(time), rate)
    return folder


def series_run(folder: Path) -> Path:
    """A VAE of series."""
    objective = Vae(reconstruction="l2")
    settings = Config(
        data=Sines(channels=3), model=SMALL, objective=objective, train=Train(steps=20)
    )
    begin(folder, settings, SERIES)
    lines(folder / "metrics.jsonl", [{"step": 20, "vae/loss": 0.5, "test/kl": 3.0}])
    rng = np.random.default_rng(0)
    arrays = {
        f"{what}-{at}": rng.random((24, 3)) for what in ("signal", "reference") for at in (0, 1)
    }
    arrays["signal-2"] = rng.random((24, 3))
    names = np.array(["reconstruction 0", "reconstruction 1", "sample 1"])
    np.savez(folder / "samples/step-0000020.npz", names=names, **arrays)  # pyright: ignore[reportArgumentType]
    return folder


def gan_run(folder: Path) -> Path:
    """Two players."""
    settings = Config(
        data=Sines(channels=3),
        objective=Gan(),
        critic=Critic(wave=True),
        model=SMALL,
        train=Train(steps=9),
    )
    begin(folder, settings, SERIES)
    rows = [{"step": 9, "critic/loss": 1.0, "decoder/loss": 2.0, "critic/gradient_norm": 0.5,
             "decoder/gradient_norm": 0.25}]  # fmt: skip
    lines(folder / "metrics.jsonl", rows)
    return folder


def begin(folder: Path, settings: Config, signal: dict[str, Any]) -> None:
    (folder / "samples").mkdir(parents=True)
    config.save(settings, folder)
    (folder / "signal.json").write_text(
        json.dumps({"scaling": None, "columns": [], "labels": [], **signal})
    )


def lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def evaluated(
    folder: Path,
    metrics: dict[str, Any],
    *,
    split: str = "test",
    pictures: dict[str, str] | None = None,
) -> None:
    """What an evaluation leaves in a run folder."""
    held = {"step": 20, "split": split, "weights": "ema", "records": 4, "metrics": metrics}
    text = json.dumps({**held, "pictures": pictures or {}})
    (folder / f"evaluation-{split}-0000020.json").write_text(text)


class Seen(HTMLParser):
    """The elements and the text that a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def seen(markup: str) -> Seen:
    parser = Seen()
    parser.feed(markup)
    parser.close()
    return parser
