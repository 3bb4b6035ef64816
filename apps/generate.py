"""Make signals with a trained run: `python -m apps.generate run=runs/NAME mode=sample`."""

import sys
from typing import Any

from apps import command_line, config
from apps.manual import Door
from apps.modes.wanted import Generate, settled
from apps.schema import ConfigError, nearest, settings, to_dict

DOOR = Door(
    command="python -m apps.generate",
    purpose=(
        "Make signals with a trained run: new ones, your own recordings through the model and "
        "back, a way from one to another, a series' gaps filled, a higher rate, or sound from mel "
        "spectra. Sound is written as wav, series as csv and npz, both with a picture. Only the "
        "run folder is needed."
    ),
    examples=(
        ("run=runs/NAME", "eight new signals, drawn from the prior"),
        ("run=runs/NAME count=3 length=16000 seed=5", "three long ones; a seed repeats itself"),
        ("run=runs/NAME label=7 count=20", "twenty of one kind, by a run that knows labels"),
        ("run=runs/NAME covariates=week.csv", "new ones under what is known at each sample"),
        ("run=runs/NAME mode=reconstruct", "test records beside their reconstructions"),
        ("run=runs/NAME mode=reconstruct input=song.flac", "your file; a folder does all in it"),
        ("run=runs/NAME mode=interpolate input=a.wav to=b.wav", "from a to b in count steps"),
        ("run=runs/NAME mode=impute input=gaps.csv", "a series whose empty cells are filled in"),
        ("run=runs/NAME mode=upsample input=song.wav", "an upsampler's, of any length"),
        ("run=runs/NAME mode=vocode input=mel.npy", "a vocoder's, from mel spectra or sound"),
    ),
)


def main(words: list[str] | None = None) -> int:
    """Answer the command; see `command_line.enter` for the exit codes."""
    return command_line.enter(DOOR, Generate, generate, sys.argv[1:] if words is None else words)


def generate(wanted: Generate) -> int:
    """Make the signals and write them.

    Raises:
        ConfigError: If the run or an input cannot be used.
    """
    for path in (wanted.input, wanted.to, wanted.covariates):
        if path is not None and not path.exists():
            beside = [each.name for each in path.parent.glob("*")]
            raise ConfigError(f"{path} is not there{nearest(path.name, beside)}")
    # A folder that holds no run, or another kind of run, is refused before jax is imported.
    wanted = settled(wanted, config.load(wanted.run))
    from rich.console import Console

    from apps import build, pages
    from apps.engine import compilation, memory
    from apps.modes import impute, interpolate, reconstruct, sample, upsample, vocode

    modes = {
        "sample": sample, "reconstruct": reconstruct, "interpolate": interpolate,
        "impute": impute,
        "upsample": upsample, "vocode": vocode,
    }  # fmt: skip
    console = Console(highlight=False, markup=False, soft_wrap=True)
    compilation.keep_compilations()
    memory.keep_memory()
    run = build.trained(wanted.run, checkpoint=wanted.checkpoint, averaged=wanted.weights == "ema")
    folder = wanted.output or wanted.run / "generated" / f"{wanted.mode}-{command_line.stamp()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"output={folder} cannot be written: {error}") from error
    try:
        files = modes[str(wanted.mode)].write(wanted, run, folder, console)
    except (ValueError, OSError) as error:  # a signal that is not finite is no file either
        raise ConfigError(str(error)) from error
    console.print(f"made with {wanted.run}, step {run.step}, {wanted.weights} weights:")
    asked = to_dict(wanted)
    report = pages.attempt(
        lambda: pages.write_generated(
            folder, files, run=wanted.run, step=run.step, settings=asked, defaults=defaults()
        )
    )
    for path in [*([report] if report else []), *files]:
        console.print(f"  {path}")
    return 0


def defaults() -> dict[str, Any]:
    """What each setting is where nothing is asked for."""
    return {each.key: each.default for each in settings(Generate)}


if __name__ == "__main__":
    sys.exit(main())
