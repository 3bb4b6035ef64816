"""Write the page of a run, or of runs side by side: `python -m apps.report run=runs/NAME`."""

import sys
from dataclasses import dataclass
from pathlib import Path

from apps import command_line, config
from apps.manual import Door
from apps.schema import ConfigError

DOOR = Door(
    command="python -m apps.report",
    purpose=(
        "Write report.html, one file that needs nothing else, neither network nor server: what a "
        "run is, how it learnt, its sounds or series, scores, times and warnings. run= may be "
        "given several times, and the runs are then laid side by side: where their settings "
        "differ, their curves over one another, the same test records as each makes them."
    ),
    examples=(
        ("run=runs/NAME", "write the report of a run anew, into its folder"),
        ("run=runs/A run=runs/B", "two runs, or more, side by side, into comparison.html here"),
        ("run=[runs/A,runs/B] output=both.html", "the same in one word, into another file"),
    ),
)

COMPARISON = "comparison.html"


@dataclass(frozen=True, kw_only=True)
class Report:
    """What to report on.

    Attributes:
        run: the folder of a run; given several times, or as [A,B], the runs are laid side by side
        output: the file to write; null is report.html in the run folder, or of several runs
            comparison.html in the present folder
    """

    run: tuple[Path, ...]
    output: Path | None = None

    def __post_init__(self) -> None:
        if not self.run:
            raise ConfigError("run=[] names no run; give run=FOLDER")
        if self.output is not None and self.output.is_dir():
            raise ConfigError(f"output={self.output} is a folder; name a file, as in report.html")


def main(words: list[str] | None = None) -> int:
    """Answer the command; see `command_line.enter` for the exit codes."""
    words = sys.argv[1:] if words is None else words
    return command_line.enter(DOOR, Report, report, gathered(words))


def report(wanted: Report) -> int:
    """Write the page.

    Raises:
        ConfigError: If a folder holds no run, or the file cannot be written.
    """
    for folder in wanted.run:  # a folder that holds no run is refused before jax is imported
        config.load(folder)
    from apps import pages

    try:
        if len(wanted.run) == 1:
            path = pages.write_run(wanted.run[0], wanted.output)
        else:
            path = pages.write_comparison(wanted.run, wanted.output or Path.cwd() / COMPARISON)
    except OSError as error:
        raise ConfigError(f"output={error.filename} cannot be written: {error.strerror}") from error
    print(f"saved to {path}")
    return 0


def gathered(words: list[str]) -> list[str]:
    """All `run=FOLDER` as one word, a list; `run=[A,B]` stays as it is."""
    given = [word for word in words if word.startswith("run=")]
    folders = [word.removeprefix("run=") for word in given]
    if not given or (len(given) == 1 and folders[0].startswith("[")):
        return words
    listed = ",".join(command_line.quoted(folder) for folder in folders)
    rest = [word for word in words if word not in given]
    return [f"run=[{listed}]", *rest]


if __name__ == "__main__":
    sys.exit(main())
