"""New signals, drawn at random."""

from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from apps import pictures
from apps.build import Trained
from apps.data.stream_files import open_writer
from apps.modes import inputs, known, made, streamed
from apps.modes.blocks import Beginning, limited
from apps.modes.decoded import decode, new_length
from apps.modes.made import Made
from apps.modes.wanted import Generate
from apps.objectives import autoencoding, gan
from apps.objectives.batches import Conditions, chosen
from apps.objectives.draws import normal


def write(wanted: Generate, run: Trained, folder: Path, console: Console) -> list[Path]:
    """Decode draws from the prior."""
    count = wanted.count
    about = known.of_new(wanted, run, count)
    length = new_length(wanted, run, about.length)
    names = [f"sample-{index + 1:02d}{word}" for index, word in enumerate(about.words)]
    if inputs.window(run) is None and streamed.is_long(length, run):
        given = {name: chosen(about.given, [at]) for at, name in enumerate(names)}
        return _long(given, wanted, run, folder, console, length=length)
    if run.config.objective.kind == "gan":
        steps = gan.latent_length(run.model, length)
        latents = normal(count, steps=steps, latent=run.model.latent, seed=wanted.seed)
    else:
        latents = autoencoding.prior(run.model, count, length=length, seed=wanted.seed)
    signals = decode(run, latents, length=length, console=console, given=about.given)
    rows = [Made(name, signal) for name, signal in zip(names, signals, strict=True)]
    return made.write(folder, rows, run=run, wanted=wanted)


def _long(
    given: dict[str, Conditions],
    wanted: Generate,
    run: Trained,
    folder: Path,
    console: Console,
    *,
    length: int,
) -> list[Path]:
    """Write signals too long to be held, each with its conditions, block by block.

    Their latents are drawn block by block too, and are others than those of short signals.
    """
    signal = run.signal
    suffix = "wav" if signal.kind == "audio" else "csv"
    rows, files = [], []
    bar = Progress(console=console, transient=True, disable=not console.is_terminal)
    with bar:
        stems = made.stems(list(given))
        for index, (stem, (name, each)) in enumerate(zip(stems, given.items(), strict=True)):
            files.append(folder / f"{stem}.{suffix}")
            blocks = streamed.sampled(run, index, length=length, seed=wanted.seed, given=each)
            beginning, task = Beginning(), bar.add_task(name, total=length)
            writer = open_writer(
                files[-1], channels=signal.channels, rate=signal.rate, columns=signal.columns,
                samples=length,
            )  # fmt: skip
            with writer as file:
                for block in limited(blocks, length):
                    file.write(beginning.passed(signal.unscale(block)))
                    bar.advance(task, len(block))
            rows.append(pictures.Comparison(name, beginning.samples))
    overview = pictures.save(pictures.grid(rows, rate=signal.rate), folder / "overview.png")
    return [overview, *files, made.note(folder, run=run, wanted=wanted, names=list(given))]
