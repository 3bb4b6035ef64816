"""Take a trained model out of its run: `python -m apps.export run=runs/NAME`."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from apps import command_line, config
from apps.manual import Door
from apps.schema import ConfigError

DOOR = Door(
    command="python -m apps.export",
    purpose=(
        "Write the model of a trained run as model.safetensors and model.json, which the library "
        "alone loads: convt1d.load(FOLDER). Nothing of the training is needed any more."
    ),
    examples=(
        ("run=runs/NAME", "into the folder export of the run"),
        ("run=runs/NAME output=models/voice checkpoint=best", "elsewhere, the best checkpoint"),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Export:
    """What to take out.

    Attributes:
        run: the folder of a trained run
        output: the folder to write to; null is the folder export of the run
        weights: the moving average of the weights (ema), or the last step's (model)
        checkpoint: latest, best (on the test split), or the number of a step
    """

    run: Path
    output: Path | None = None
    weights: Literal["ema", "model"] = "ema"
    checkpoint: Literal["latest", "best"] | int = "latest"


def main(words: list[str] | None = None) -> int:
    """Answer the command; see `command_line.enter` for the exit codes."""
    return command_line.enter(DOOR, Export, export, sys.argv[1:] if words is None else words)


def export(wanted: Export) -> int:
    """Write the model, and read it back to see that it is whole.

    Raises:
        ConfigError: If the run cannot be used or the folder cannot be written.
    """
    config.load(wanted.run)  # a folder that holds no run is refused before jax is imported
    import equinox as eqx

    import convt1d
    from apps import build

    run = build.trained(wanted.run, checkpoint=wanted.checkpoint, averaged=wanted.weights == "ema")
    folder = wanted.output or wanted.run / "export"
    about = {
        "step": run.step,
        "weights": wanted.weights,
        "signal": run.signal.to_dict(),
        "config": config.stored(run.config),
    }
    try:
        convt1d.save(folder, run.model, extra=about)
        whole = eqx.tree_equal(convt1d.load(folder), run.model)
    except OSError as error:
        raise ConfigError(f"output={folder} cannot be written: {error}") from error
    if not whole:
        raise RuntimeError(f"{folder} does not read back as it was written")
    print(f"step {run.step} of {wanted.run}, {wanted.weights} weights, is in {folder}")
    print(f"  model = convt1d.load({str(folder)!r})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
