"""Series with gaps, filled by what an autoencoder knows of such series; what is known stays."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float64
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from apps import pictures
from apps.build import Trained
from apps.data import FileError, Table, write_signal
from apps.modes import inputs, known, made
from apps.modes.wanted import Generate
from apps.objectives import imputing
from apps.objectives.batches import Conditions
from apps.schema import ConfigError

AT_ONCE = 256  # windows whose latents are sought together
_LEAST_NOISE = 1e-3  # in the model's units: exact numbers would leave the prior no say
_MOST_HIDDEN = 0.15  # of the known values of a variable
_FEW = 8  # hidden values of a variable that count as much as those of all together
_PICTURED = 600  # rows of a picture, of which single ones are seen

Rows = Float64[np.ndarray, "time channels"]


class Filled(NamedTuple):
    """A completed series, in the units of the data.

    Attributes:
        values: What was given, exactly, and the best guess elsewhere.
        draws: Other guesses that are as good as any, (draws, time, channels).
        known: What was given.
        over_linear: The error at known values that were hidden, as a multiple of that of straight
            lines; the geometric mean over variables. None if there were none to hide.
    """

    values: Rows
    draws: Float64[np.ndarray, "draws time channels"]
    known: Bool[np.ndarray, "time channels"]
    over_linear: float | None


def write(wanted: Generate, run: Trained, folder: Path, console: Console) -> list[Path]:
    """Complete a file of a series, or every one of a folder.

    Raises:
        ConfigError: If the run was trained on sound, or nothing is missing.
    """
    assert wanted.input is not None
    if run.signal.kind == "audio":
        raise ConfigError("mode=impute fills gaps of series, and this run was trained on sound")
    paths = inputs.signal_files(wanted.input, run)
    if len(paths) > wanted.count:
        console.print(f"the first {wanted.count} of {len(paths)} files (count= takes more)")
    paths = paths[: wanted.count]
    root = wanted.input if wanted.input.is_dir() else wanted.input.parent
    names = [path.relative_to(root).as_posix() for path in paths]
    files: list[Path] = []
    for stem, path in zip(made.stems(names), paths, strict=True):
        table = inputs.rows(path, run, keep_missing=True)
        if table.missing() is None:
            raise ConfigError(f"{path}: nothing is missing; mode=reconstruct takes it as it is")
        found = impute(
            run, table.values, known.of_given(wanted, run, len(table.values)),
            draws=wanted.draws, seed=wanted.seed, console=console, name=path.name,
        )  # fmt: skip
        files += _written(found, table, run, folder, stem)
        console.print(f"{path.name}: {_told(found)}")
    return [*files, made.note(folder, run=run, wanted=wanted, names=names)]


def impute(
    run: Trained,
    values: Rows,
    given: Conditions = (),
    *,
    draws: int = 0,
    seed: int = 0,
    console: Console | None = None,
    name: str = "",
) -> Filled:
    """Fill in what is NaN.

    The series is taken in windows of the run's length, half over one another. Of each the latent is
    sought whose signal goes through what is known (`apps.objectives.imputing`); where windows
    overlap, their signals fade into one another. What these are off at the known values is
    interpolated and taken away, so that a gap begins and ends where it should.

    How far that is better than straight lines is tried on known values that are hidden, in gaps
    like those that are there. Of each variable the guess goes as far from the straight line as was
    best there, and the draws are as far from it as it was off: where a model knows nothing,
    interpolation is left.

    Args:
        run: The run.
        values: [time, channels], in the units of the data.
        given: The conditions, for a batch of one, of a run that takes some.
        draws: How many other guesses to make.
        seed: Of these.
        console: Where to show the progress; None shows none.
        name: What it is called there.

    Raises:
        ConfigError: If there is no value at all.
    """
    there = ~np.isnan(values)
    if not there.any():
        raise ConfigError("there is no value to begin with")
    scaling = run.signal.scaling
    scaled = values if scaling is None else scaling.scale(values)
    hidden = _hidden(there, seed)
    fits = [_Fit(run, scaled, there & ~hidden, given), _Fit(run, scaled, there, given)]
    bar = Progress(
        console=console, transient=True, disable=console is None or not console.is_terminal
    )
    with bar:
        task = bar.add_task(f"filling in {name}", total=(2 + draws) * len(fits[0].starts))

        def advance(done: int) -> None:
            bar.advance(task, done)

        trial = _Trial.of(fits[0], fits[0].guess(0, seed=seed, advance=advance), scaled, hidden)
        guesses = [fits[1].guess(i, seed=seed, advance=advance) for i in range(1 + draws)]
    best = trial.shortened(fits[1].line, guesses[0])
    others = trial.widened(best, np.array(guesses[1:]).reshape(draws, *values.shape), ~there)

    def whole(guess: NDArray[Any]) -> NDArray[Any]:
        made = guess if scaling is None else scaling.unscale(guess)
        # Nine digits, as of all that is made: a float64's others would be noise.
        return np.where(there, values, np.char.mod("%.9g", made).astype(np.float64))

    return Filled(whole(best), whole(others), there, trial.over_linear)


class _Trial(NamedTuple):
    """What known values that were hidden say of the guesses at them.

    Attributes:
        share: Of each variable, of the way from the straight line to the guess.
        error: Of each variable, root mean square in the model's units; NaN where none was hidden.
        over_linear: The error as a multiple of that of straight lines; None if none was hidden.
    """

    share: NDArray[np.float64]
    error: NDArray[np.float64]
    over_linear: float | None

    @classmethod
    def of(cls, fit: "_Fit", guess: Rows, scaled: Rows, hidden: NDArray[np.bool_]) -> "_Trial":
        """Compare a guess with the values that it was made without."""
        off = np.where(hidden, scaled - fit.line, 0.0)
        step = np.where(hidden, guess - fit.line, 0.0)
        size = np.square(step).sum(0)
        # The least squares, between nothing and all.
        both, count = (off * step).sum(0), hidden.sum(0)
        own = both / np.where(size > 0, size, 1.0)
        joint = both.sum() / size.sum() if size.any() else 1.0
        # A variable with few values to tell by goes with the others.
        share = np.clip((count * own + _FEW * joint) / (count + _FEW), 0.0, 1.0)
        squares = [np.square(each).sum(0) for each in (off - share * step, off)]
        with np.errstate(invalid="ignore", divide="ignore"):
            error, linear = (np.sqrt(each / count) for each in squares)
        counted = (linear > 0) & (error > 0)
        if not counted.any():
            return cls(share, error, None)
        return cls(share, error, float(np.exp(np.log(error[counted] / linear[counted]).mean())))

    def shortened(self, line: Rows, guess: Rows) -> Rows:
        """The guess, as far from the straight line as is best."""
        return line + self.share * (guess - line)

    def widened(
        self, best: Rows, draws: NDArray[np.float64], gaps: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """The draws around the best guess, in the gaps as far from it as it was off."""
        if not len(draws):
            return draws
        away = draws - draws.mean(0)
        count = np.maximum(len(draws) * gaps.sum(0), 1)
        spread = np.sqrt(np.square(away).sum((0, 1), where=gaps[None]) / count)
        known = np.isfinite(self.error) & (spread > 0)
        return best + np.where(known, self.error / np.where(known, spread, 1.0), 1.0) * away


def _hidden(there: NDArray[np.bool_], seed: int) -> NDArray[np.bool_]:
    """Known values in gaps like those that are there, a part of all that are known."""
    rng = np.random.default_rng([seed, 0])
    moved = there & np.roll(~there, int(rng.integers(1, max(len(there), 2))), axis=0)
    most = _MOST_HIDDEN * there.sum(0)
    hidden = np.zeros_like(there)
    for variable in range(there.shape[1]):
        edges = np.flatnonzero(np.diff(np.pad(moved[:, variable].astype(int), 1)))
        gaps = list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
        for place in rng.permutation(len(gaps)).tolist():
            begin, end = gaps[place]
            if hidden[:, variable].sum() + end - begin <= most[variable]:
                hidden[begin:end, variable] = True
    return hidden


class _Fit:
    """A series in windows, and what is sought of each."""

    def __init__(
        self, run: Trained, scaled: Rows, there: NDArray[np.bool_], given: Conditions
    ) -> None:
        self.values, self.known = np.where(there, scaled, np.nan), there
        self.line = interpolated(self.values)
        length, self.model = len(scaled), run.model
        fixed = inputs.window(run)
        self.size = fixed or min(run.signal.length, length)
        pad = max(self.size - length, 0)
        last = length + pad - self.size
        self.starts = [*range(0, last, max(self.size // 2, 1)), last]
        self.length = length
        self.plain = self._windows(np.pad(self.line, ((0, pad), (0, 0)), mode="edge"))
        self.there = self._windows(np.pad(there, ((0, pad), (0, 0))))
        self.given = jax.tree.map(lambda each: self._conditions(each[0], pad), given)
        self.latent, off = self._residual()
        count = np.maximum(self.there.sum((0, 1)), 1)
        deviation = np.sqrt(np.square(off, dtype=np.float64).sum((0, 1)) / count)
        self.noise = np.maximum(deviation, _LEAST_NOISE)

    def guess(self, number: int, *, seed: int, advance: Any) -> Rows:
        """The signal of the best latents (number 0), or of a draw, through what is known."""
        pieces = []
        for some in self._portions():
            wanted, centre = self.plain[some], np.zeros_like(self.latent[some])
            if number:
                # Of one seed each draw and window has noise of its own.
                rng = np.random.default_rng([seed, number, some.start])
                wanted = wanted + self.noise * rng.standard_normal(wanted.shape)
                centre = rng.standard_normal(centre.shape)
            values, there = self._full(wanted, self.there[some])
            found = imputing.decoded_through(
                self.model, values, there, noise=self.noise,
                start=self._full(self.latent[some])[0], centre=self._full(centre)[0],
                given=self._given(some),
            )  # fmt: skip
            pieces.append(found[: len(wanted)])
            advance(len(wanted))
        signal = self._joined(np.concatenate(pieces))
        return signal + interpolated(np.where(self.known, self.values - signal, np.nan))

    def _residual(self) -> tuple[NDArray[Any], NDArray[Any]]:
        found = []
        for some in self._portions():
            values, there = self._full(self.plain[some], self.there[some])
            both = imputing.residual(self.model, values, there, self._given(some))
            found.append([each[: some.stop - some.start] for each in both])
        latent, off = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return latent, off

    def _windows(self, rows: NDArray[Any]) -> NDArray[Any]:
        return np.stack([rows[start : start + self.size] for start in self.starts])

    def _conditions(self, each: NDArray[Any], pad: int) -> NDArray[Any]:
        """A label for every window, or the covariates of each."""
        if np.ndim(each) == 0:
            return np.repeat(each, len(self.starts))
        return self._windows(np.pad(each, ((0, pad), (0, 0)), mode="edge"))

    def _portions(self) -> Iterator[slice]:
        for start in range(0, len(self.starts), AT_ONCE):
            yield slice(start, min(start + AT_ONCE, len(self.starts)))

    def _given(self, some: slice) -> Conditions:
        return jax.tree.map(lambda each: self._full(each[some])[0], self.given)

    def _full(self, *arrays: NDArray[Any]) -> list[NDArray[Any]]:
        """With as many rows as every portion has: one program serves all."""
        missing = min(len(self.starts), AT_ONCE) - len(arrays[0])
        return [np.pad(each, ((0, missing), *((0, 0),) * (each.ndim - 1))) for each in arrays]

    def _joined(self, windows: NDArray[Any]) -> Rows:
        """One series, in which windows fade into one another."""
        weight = np.minimum(np.arange(1, self.size + 1), np.arange(self.size, 0, -1))[:, None]
        total = np.zeros((self.starts[-1] + self.size, windows.shape[2]))
        weights = np.zeros((len(total), 1))
        for start, window in zip(self.starts, windows, strict=True):
            total[start : start + self.size] += weight * window
            weights[start : start + self.size] += weight
        return (total / weights)[: self.length]


def interpolated(rows: Rows) -> Rows:
    """Straight lines through what is no NaN; zero for a variable without any value."""
    filled = np.zeros_like(rows)
    at = np.arange(len(rows))
    for variable in range(rows.shape[1]):
        (there,) = (~np.isnan(rows[:, variable])).nonzero()
        if len(there):
            filled[:, variable] = np.interp(at, there, rows[there, variable])
    return filled


def _written(found: Filled, table: Table, run: Trained, folder: Path, stem: str) -> list[Path]:
    """The completed csv, all guesses, and the picture of the first part with gaps."""
    columns = run.signal.columns or table.columns
    complete, guesses = folder / f"{stem}.csv", folder / f"{stem}.npz"
    write_signal(complete, found.values, columns=columns, dates=table.dates, exact=True)
    try:
        np.savez(guesses, data=found.values, draws=found.draws, known=found.known)
    except OSError as error:
        raise FileError(guesses, f"cannot be written: {error.strerror}") from error
    first = int(np.argmax(~found.known.all(axis=1)))
    begin = max(0, min(first - _PICTURED // 10, len(found.values) - _PICTURED))
    shown = slice(begin, begin + _PICTURED)
    figure = pictures.imputation(
        found.values[shown],
        found.known[shown],
        spread=found.draws[:, shown].std(axis=0) if len(found.draws) else None,
        names=columns,
        dates=() if table.dates is None else tuple(table.dates.texts[shown]),
        title=f"{stem}, from row {begin}" if begin else stem,
    )
    return [pictures.save(figure, folder / f"{stem}.png"), complete, guesses]


def _told(found: Filled) -> str:
    count, size = int((~found.known).sum()), found.known.size
    longest = max(_longest(known) for known in found.known.T)
    tried = ""
    if found.over_linear is not None:
        tried = (
            f"; at known values that were hidden to try it, the error was {found.over_linear:.2f} "
            "times that of straight lines"
        )
    return f"{count:,} of {size:,} values filled in, at most {longest:,} in a row{tried}"


def _longest(known: Bool[np.ndarray, " time"]) -> int:
    """Of the gaps of one variable."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], known, [True]]).astype(int)))
    return int(np.max(edges[1::2] - edges[::2], initial=0))
