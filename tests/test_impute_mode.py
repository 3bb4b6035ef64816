"""Gaps of series, filled: what is known stays, what is made is as sure as it says."""

import io
import json
import types
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array
from rich.console import Console

from apps import build, train
from apps.build import Trained
from apps.data import Signal, read_table
from apps.data.scaling import Scaling
from apps.modes import impute
from apps.modes.wanted import Generate
from apps.schema import ConfigError

WINDOW = 16
SCALING = Scaling("standard", (100.0, -2.0), (20.0, 0.5))


class Waves(eqx.Module):
    """Knows sines of one period, whose second variable is minus the first: a linear decoder."""

    basis: Array
    latent: int = eqx.field(static=True, default=2)

    def encode(self, signal: Array) -> tuple[Array, Array]:
        mean = signal.reshape(len(signal), 1, -1) @ jnp.linalg.pinv(self.basis)
        return mean, jnp.zeros_like(mean)

    def decode(self, latent: Array) -> Array:
        return (latent[:, 0] @ self.basis).reshape(-1, WINDOW, 2)


ANGLE = 2 * np.pi * np.arange(WINDOW) / 8
BASIS = np.stack([[np.cos(ANGLE), -np.cos(ANGLE)], [np.sin(ANGLE), -np.sin(ANGLE)]]).swapaxes(1, 2)
MODEL = Waves(jnp.asarray(BASIS.reshape(2, -1), jnp.float32))


def run_of(kind: str = "series", columns: tuple[str, ...] = ("heat", "wind")) -> Trained:
    config = types.SimpleNamespace(
        data=types.SimpleNamespace(), model=types.SimpleNamespace(entry="dense")
    )
    audio = kind == "audio"
    signal = Signal(
        kind=kind, length=WINDOW, channels=2, rate=8000 if audio else None,
        scaling=None if audio else SCALING, columns=() if audio else columns,
    )  # fmt: skip
    return Trained(config, signal, 7, MODEL)  # pyright: ignore[reportArgumentType]


def waves(length: int) -> np.ndarray:
    angle = 2 * np.pi * np.arange(length) / 8 + 0.7
    return SCALING.unscale(np.stack([np.sin(angle), -np.sin(angle)], axis=1))


def with_gaps(values: np.ndarray, share: float = 0.3) -> np.ndarray:
    gaps = np.random.default_rng(1).random(values.shape) < share
    return np.where(gaps, np.nan, values)


def off(made: np.ndarray, wanted: np.ndarray, given: np.ndarray) -> float:
    """Root mean square error in the gaps, in the model's units."""
    gaps = np.isnan(given)
    return float(np.sqrt(np.mean(np.square((made - wanted) / [20.0, 0.5])[gaps])))


@pytest.mark.parametrize("length", [10, 16, 17, 50])
def test_what_is_known_stays_to_the_last_digit_and_gaps_are_filled_as_the_model_knows(length):
    whole = waves(length)
    given = with_gaps(whole)
    found = impute.impute(run_of(), given)
    np.testing.assert_array_equal(found.values[found.known], given[found.known])
    line = impute.interpolated(given)
    assert off(found.values, whole, given) < 0.35 * off(line, whole, given)
    assert found.draws.shape == (0, length, 2)


def test_a_model_that_knows_nothing_leaves_interpolation():
    rng = np.random.default_rng(3)
    walk = SCALING.unscale(np.cumsum(rng.normal(size=(200, 2)), axis=0) / 3)
    given = with_gaps(walk, 0.2)
    found = impute.impute(run_of(), given)
    assert off(found.values, walk, given) < 1.1 * off(impute.interpolated(given), walk, given)


def test_draws_spread_as_the_guess_is_off():
    rng = np.random.default_rng(3)
    whole = waves(400) + [20.0, 0.5] * rng.normal(scale=0.2, size=(400, 2))
    given = with_gaps(whole)
    found = impute.impute(run_of(), given, draws=8, seed=2)
    assert found.draws.shape == (8, 400, 2)
    gaps = ~found.known
    assert (np.ptp(found.draws, axis=0)[~gaps] == 0).all()
    spread = np.sqrt(np.mean(np.square(found.draws.std(0) / [20.0, 0.5])[gaps]))
    assert 0.6 < spread / off(found.values, whole, given) < 1.6
    assert found.over_linear is not None
    assert found.over_linear < 0.7
    again = impute.impute(run_of(), given, draws=8, seed=2)
    np.testing.assert_array_equal(again.draws, found.draws)


def test_a_variable_without_any_value_is_filled_from_the_others():
    whole = waves(32)
    given = whole.copy()
    given[:, 1] = np.nan
    found = impute.impute(run_of(), given)
    assert off(found.values, whole, given) < 0.3  # of a sine, whose deviation is 0.7
    with pytest.raises(ConfigError, match="there is no value to begin with"):
        impute.impute(run_of(), np.full((32, 2), np.nan))


def go(path: Path, run: Trained, folder: Path, **settings: object) -> tuple[list[Path], str]:
    console = Console(file=io.StringIO(), width=200)
    folder.mkdir(exist_ok=True)
    wanted = Generate(run=folder, mode="impute", input=path, **settings)  # pyright: ignore[reportArgumentType]
    files = impute.write(wanted, run, folder, console)
    return files, console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]


def test_a_table_comes_back_complete_with_its_names_and_dates(tmp_path):
    given = with_gaps(waves(40)).round(4)
    days = (np.datetime64("2024-01-01") + np.arange(40)).astype(str)
    rows = [f"{day},{a},{b}".replace("nan", "") for day, (a, b) in zip(days, given, strict=True)]
    (tmp_path / "a.csv").write_text("\n".join(["day,heat,wind", *rows]))
    # The names are the file's, also where the run was trained on an array without names.
    files, said = go(tmp_path / "a.csv", run_of(columns=()), tmp_path / "out", draws=2)
    assert [path.name for path in files] == ["a.png", "a.csv", "a.npz", "generated.json"]
    found = read_table(files[1])
    assert found.columns == ("heat", "wind")
    assert found.dates is not None
    assert list(found.dates.texts) == days.tolist()
    known = ~np.isnan(given)
    np.testing.assert_array_equal(found.values[known], given[known])
    with np.load(files[2]) as archive:
        np.testing.assert_array_equal(archive["data"], found.values)
        np.testing.assert_array_equal(archive["known"], known)
        assert archive["draws"].shape == (2, 40, 2)
    assert json.loads(files[3].read_text())["mode"] == "impute"
    assert f"a.csv: {(~known).sum()} of 80 values filled in, at most " in said
    assert "at known values that were hidden to try it, the error was " in said


def test_what_cannot_be_filled_in_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", waves(40))
    with pytest.raises(ConfigError, match=r"a\.npy: nothing is missing; mode=reconstruct takes it"):
        go(tmp_path / "a.npy", run_of(), tmp_path / "out")
    with pytest.raises(ConfigError, match="gaps of series, and this run was trained on sound"):
        go(tmp_path / "a.npy", run_of("audio"), tmp_path / "out")
    with pytest.raises(ConfigError, match="mode=impute needs input=FILE"):
        Generate(run=tmp_path, mode="impute")
    with pytest.raises(ConfigError, match="draws must be at least 0, got -1"):
        Generate(run=tmp_path, draws=-1)


@pytest.mark.slow
@pytest.mark.parametrize("entry", ["conv", "dense"])
def test_a_trained_run_fills_held_out_sines_better_than_straight_lines(tmp_path, entry):
    words = [
        *("experiment=sines_vae", "data.count=2000", "train.steps=400", "train.evaluate_every=0"),
        *("train.sample_every=0", f"model.entry={entry}", f"run={tmp_path / 'run'}"),
    ]
    assert train.main(words) == 0
    run = build.trained(tmp_path / "run")
    records = build.source(run.config, "test")
    model, line = [], []
    for index in range(4):
        whole = records.example(index, None).astype(np.float64)
        starts = np.random.default_rng(index).integers(0, 16, whole.shape[1])
        rows = np.arange(len(whole))[:, None]
        gaps = (rows >= starts) & (rows < starts + 8)
        given = np.where(gaps, np.nan, whole)
        made = impute.impute(run, given).values
        model.append(np.square(made - whole)[gaps].mean())
        line.append(np.square(impute.interpolated(given) - whole)[gaps].mean())
    assert np.mean(model) < np.mean(line)
