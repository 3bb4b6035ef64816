"""Make signals with a trained run: `python -m apps.generate run=runs/NAME mode=sample`."""

import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from apps import command_line, config
from apps.manual import Door
from apps.schema import ConfigError, nearest

if TYPE_CHECKING:  # what brings jax is imported once the settings are right
    import numpy as np
    from numpy.typing import NDArray

    from apps.build import Trained

    Array = NDArray[np.floating[Any]]

DOOR = Door(
    command="python -m apps.generate",
    purpose=(
        "Make signals with a trained run: new ones, your own recordings through the model and "
        "back, or a way from one to another. Sound is written as wav, series as csv and npz, both "
        "with a picture. Only the run folder is needed."
    ),
    examples=(
        ("run=runs/NAME", "eight new signals, drawn from the prior"),
        ("run=runs/NAME count=3 length=16000 seed=5", "three long ones; a seed repeats itself"),
        ("run=runs/NAME mode=reconstruct", "test records beside their reconstructions"),
        ("run=runs/NAME mode=reconstruct input=song.flac", "your file; a folder does all in it"),
        ("run=runs/NAME mode=interpolate input=a.wav to=b.wav", "from a to b in count steps"),
    ),
)
CHUNK = 16  # signals decoded at once: memory stays flat for any count


@dataclass(frozen=True, kw_only=True)
class Generate:
    """What to make.

    Attributes:
        run: the folder of a trained run
        mode: new signals, signals through the model and back, or signals between two
        count: how many; of an input folder or the test records, at most
        seed: chooses the draws from the prior; the same seed makes the same signals
        length: samples of each new signal; null makes them as long as those trained on
        input: a file, or a folder of files, of any length and rate; null takes test records to
            reconstruct, and draws from the prior to interpolate
        to: the file where an interpolation from input ends
        output: the folder to write to; null makes a new one in the run folder
        weights: the moving average of the weights (ema), or the last step's (model)
        checkpoint: latest, best (on the test split), or the number of a step
    """

    run: Path
    mode: Literal["sample", "reconstruct", "interpolate"] = "sample"
    count: int = 8
    seed: int = 0
    length: int | None = None
    input: Path | None = None
    to: Path | None = None
    output: Path | None = None
    weights: Literal["ema", "model"] = "ema"
    checkpoint: Literal["latest", "best"] | int = "latest"

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ConfigError(f"count must be at least 1, got {self.count}")
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"seed must be at least 0 and below 2³², got {self.seed}")
        if self.length is not None and self.length < 1:
            raise ConfigError(f"length must be at least 1, got {self.length}")
        if self.input is not None and self.mode == "sample":
            raise ConfigError(f"input={self.input} has no use in mode=sample; say mode=reconstruct")
        if self.to is not None and self.mode != "interpolate":
            raise ConfigError(f"to={self.to} has no use in mode={self.mode}; say mode=interpolate")
        if self.mode == "interpolate" and (self.input is None) != (self.to is None):
            raise ConfigError("mode=interpolate goes from input=FILE to=FILE; give both, or none")
        if self.length is not None and (self.mode == "reconstruct" or self.input is not None):
            raise ConfigError(
                f"length={self.length} is for new signals; those made from others are as long"
            )


class Made(NamedTuple):
    """A signal that was made, in the units of the data."""

    name: str
    signal: "Array"
    reference: "Array | None" = None


def main(words: list[str] | None = None) -> int:
    """Answer the command; see `command_line.enter` for the exit codes."""
    return command_line.enter(DOOR, Generate, generate, sys.argv[1:] if words is None else words)


def generate(wanted: Generate) -> int:
    """Make the signals and write them.

    Raises:
        ConfigError: If the run or an input cannot be used.
    """
    for path in (wanted.input, wanted.to):
        if path is not None and not path.exists():
            beside = [each.name for each in path.parent.glob("*")]
            raise ConfigError(f"{path} is not there{nearest(path.name, beside)}")
    config.load(wanted.run)  # a folder that holds no run is refused before jax is imported
    from rich.console import Console

    from apps import build
    from apps.data import FileError
    from apps.engine import compilation, memory

    console = Console(highlight=False, markup=False, soft_wrap=True)
    compilation.keep_compilations()
    memory.keep_memory()
    run = build.trained(wanted.run, checkpoint=wanted.checkpoint, averaged=wanted.weights == "ema")
    try:
        made = _MODES[wanted.mode](wanted, run, console)
    except (FileError, OSError) as error:
        raise ConfigError(str(error)) from error
    folder = wanted.output or wanted.run / "generated" / f"{wanted.mode}-{command_line.stamp()}"
    try:
        files = write(folder, made, run=run, wanted=wanted)
    except (ValueError, OSError) as error:  # a signal that is not finite is no file either
        raise ConfigError(f"output={folder} cannot be written: {error}") from error
    console.print(
        f"{_told(made, run)} from {wanted.run}, step {run.step}, {wanted.weights} weights"
    )
    for path in files:
        console.print(f"  {path}")
    return 0


def new_signals(wanted: Generate, run: "Trained", console: Any) -> list[Made]:
    """Decode draws from the prior."""
    from apps.objectives import vae

    length = _new_length(wanted, run)
    latents = vae.prior(run.model, wanted.count, length=length, seed=wanted.seed)
    signals = _decoded(run, latents, length=length, console=console)
    return [Made(f"sample-{index + 1:02d}", signal) for index, signal in enumerate(signals)]


def reconstructions(wanted: Generate, run: "Trained", console: Any) -> list[Made]:
    """Take files, or test records, through the model and back."""
    from rich.progress import track

    from apps import build
    from apps.data import fixed_batch

    signal = run.signal
    if wanted.input is None:
        try:
            records = build.source(run.config, "test")
        except (ValueError, OSError) as error:
            raise ConfigError(
                f"the run's own data cannot be read ({error}); give input=FILE"
            ) from error
        batch = fixed_batch(records, wanted.count)
        count = len(batch)
        given = {
            records.name(index * len(records) // count): signal.unscale(each)
            for index, each in enumerate(batch)
        }
    else:
        paths = _files(wanted.input, audio=signal.kind == "audio")
        if len(paths) > wanted.count:
            console.print(f"the first {wanted.count} of {len(paths)} files (count= takes more)")
        root = wanted.input if wanted.input.is_dir() else wanted.input.parent
        given = {
            path.relative_to(root).as_posix(): _read(path, run) for path in paths[: wanted.count]
        }
    quiet = len(given) == 1 or not console.is_terminal
    steps = track(given.items(), "reconstructing", console=console, transient=True, disable=quiet)
    return [Made(name, reconstruct(run, each), each) for name, each in steps]


def interpolations(wanted: Generate, run: "Trained", console: Any) -> list[Made]:
    """Decode latents on the way from one to another.

    Between two files the way is straight. Between two draws from the prior it is an arc, cos θ and
    sin θ of them, on which every latent is as likely as its ends are.
    """
    import numpy as np

    from apps.objectives import vae

    share = np.linspace(0.0, 1.0, wanted.count, dtype=np.float32)[:, None, None]
    level = np.ones_like(share)
    if wanted.input is None or wanted.to is None:
        length = _new_length(wanted, run)
        first, last = vae.prior(run.model, 2, length=length, seed=wanted.seed)
        angle = share * np.float32(np.pi / 2)
        latents = np.cos(angle) * first + np.sin(angle) * last
    else:
        ends = [_read(path, run) for path in (wanted.input, wanted.to)]
        window, length = _window(run), max(map(len, ends))
        if window is not None and length > window:
            raise ConfigError(
                f"this run interpolates signals of at most {window} samples, got {length}"
            )
        padded = window or length + -length % run.model.hop
        pairs = [_to_model(end, run) for end in ends]
        batch = [np.pad(values, ((0, padded - len(values)), (0, 0))) for values, _ in pairs]
        first, last = vae.posterior(run.model, np.stack(batch))
        latents = (1 - share) * first + share * last
        level = (1 - share) * pairs[0][1] + share * pairs[1][1]
    signals = _decoded(run, latents, length=length, console=console, level=level)
    return [Made(f"interpolation-{index + 1:02d}", each) for index, each in enumerate(signals)]


_MODES = {
    "sample": new_signals,
    "reconstruct": reconstructions,
    "interpolate": interpolations,
}


def reconstruct(run: "Trained", signal: "Array") -> "Array":
    """Take a signal of any length through the model and back.

    It is padded with zeros to a multiple of the hop and cropped back; sound is brought to the
    level the model was trained at, and back. A model of records of one length takes it piece by
    piece.

    Args:
        run: The run.
        signal: Shape (length, channels), in the units of the data.

    Returns:
        The same shape and units.
    """
    import numpy as np

    from apps.objectives import vae

    length, channels = signal.shape
    piece = _window(run) or length + -length % run.model.hop
    values, level = _to_model(signal, run)
    batch = np.pad(values, ((0, -length % piece), (0, 0))).reshape(-1, piece, channels)
    made = vae.reconstruct(run.model, batch).reshape(-1, channels)[:length]
    return run.signal.unscale(made * level)


def write(folder: Path, made: Sequence[Made], *, run: "Trained", wanted: Generate) -> list[Path]:
    """Write the signals, a picture of them, and what they were made with.

    Args:
        folder: Where; made if it is not there.
        made: The signals.
        run: What made them.
        wanted: The settings.

    Returns:
        The files, the picture first.
    """
    import numpy as np

    from apps import pictures
    from apps.data import write_signal

    signal = run.signal
    suffix = "wav" if signal.kind == "audio" else "csv"
    rows = [pictures.Comparison(*each) for each in made]
    files = [pictures.save(pictures.grid(rows, rate=signal.rate), folder / "overview.png")]
    for stem, each in zip(_stems(made), made, strict=True):
        parts = {stem: each.signal}
        if each.reference is not None:
            parts = {f"{stem}-reconstruction": each.signal, f"{stem}-reference": each.reference}
        for name, values in parts.items():
            files.append(folder / f"{name}.{suffix}")
            write_signal(files[-1], values, signal.rate, columns=signal.columns)
    if signal.kind == "series" and len({each.signal.shape for each in made}) == 1:
        files.append(folder / "signals.npz")
        write_signal(files[-1], np.stack([each.signal for each in made]))
    about = {
        "run": str(wanted.run),
        "step": run.step,
        "weights": wanted.weights,
        "mode": wanted.mode,
        "seed": wanted.seed,
        "rate": signal.rate,
        "signals": [each.name for each in made],
    }
    files.append(folder / "generated.json")
    files[-1].write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return files


def _new_length(wanted: Generate, run: "Trained") -> int:
    window = _window(run)
    if window is not None and wanted.length not in (None, window):
        raise ConfigError(
            f"length={wanted.length} cannot be: this run makes signals of {window} samples; "
            f"leave length out"
        )
    return wanted.length or run.signal.length


def _window(run: "Trained") -> int | None:
    """The one length a model of whole records takes; None if it takes any."""
    return run.signal.length if run.config.model.entry == "dense" else None


def _decoded(
    run: "Trained", latents: "Array", *, length: int, console: Any, level: "Array | None" = None
) -> "Array":
    """Decode latents chunk by chunk, to the units of the data."""
    import numpy as np
    from rich.progress import track

    from apps.objectives import vae

    starts = range(0, len(latents), CHUNK)
    quiet = len(starts) == 1 or not console.is_terminal
    chunks = [
        vae.decode(run.model, latents[at : at + CHUNK], length=length)
        for at in track(starts, "decoding", console=console, transient=True, disable=quiet)
    ]
    signals = np.concatenate(chunks)
    return run.signal.unscale(signals if level is None else signals * level)


def _to_model(signal: "Array", run: "Trained") -> "tuple[Array, float]":
    """Bring a signal to what the model was trained on; sound also says how far its level moved."""
    import numpy as np

    peak = getattr(run.config.data, "peak", None)
    if run.signal.scaling is not None:
        signal = run.signal.scaling.scale(signal)
    level = float(np.abs(signal).max()) / peak if peak else 1.0
    return np.asarray(signal / (level or 1.0), np.float32), level


def _files(path: Path, *, audio: bool) -> list[Path]:
    """The file, or the files of the right kind in the folder and below, in order."""
    from apps.data.array_files import ARRAY_SUFFIXES
    from apps.data.audio import AUDIO_SUFFIXES

    if not path.is_dir():
        return [path]
    suffixes = AUDIO_SUFFIXES if audio else ARRAY_SUFFIXES
    found = sorted(each for each in path.rglob("*") if each.suffix.lower() in suffixes)
    if not found:
        kind = "sound" if audio else "csv, npy or npz"
        raise ConfigError(f"input={path} holds no {kind} file")
    return found


def _read(path: Path, run: "Trained") -> "Array":
    from apps.data import read_signal

    return read_signal(path, rate=run.signal.rate, channels=run.signal.channels)


def _stems(made: Sequence[Made]) -> list[str]:
    """File names without an ending: readable, of plain characters, no two alike."""
    plain = [re.sub(r"[^\w-]+", "-", Path(each.name).with_suffix("").as_posix()) for each in made]
    often = Counter(plain)
    return [
        name if often[name] == 1 else f"{name}-{index + 1:02d}" for index, name in enumerate(plain)
    ]


def _told(made: Sequence[Made], run: "Trained") -> str:
    """What was made, in words."""
    lengths = sorted({len(each.signal) for each in made})
    span = " to ".join(str(each) for each in dict.fromkeys((lengths[0], lengths[-1])))
    rate = "" if run.signal.rate is None else f" at {run.signal.rate} Hz"
    return f"{len(made)} signal{'s' * (len(made) > 1)} of {span} samples{rate}"


if __name__ == "__main__":
    sys.exit(main())
