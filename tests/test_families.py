"""What holds for every objective: as made from a config, on any devices, in parts, after a stop."""

import functools
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from trained_runs import COMMON

from apps import build
from apps.command_line import read, sort
from apps.config import Config
from apps.engine import mesh as meshes
from apps.engine.mesh import place_batch
from apps.engine.state import TrainState

LIKENESS = ("objective.n_ffts=[32]", "objective.bands=[5]")
CRITIC = ("critic.channels=2", "critic.periods=[3]")
SERIES = ("data=tones", "data.rate=null", "data.modes=3", "data.covariates=amplitude")
SHORT = ("train.batch_size=8", "data.length=64", "train.steps=4", "model.strides=[4,4]")
FAMILIES = {
    "gan": (
        *("data=tones", "data.labels=frequency", "data.modes=3", "objective=gan"),
        *("objective.adversarial=wasserstein", "objective.gradient_penalty=10"),
        *("objective.feature_weight=0", "objective.critic_turns=2"),
        *("critic.wave=true", "critic.channels=2", "critic.phase_shuffle=1", "model.entry=dense"),
    ),
    "gan of covariates": (
        *(*SERIES, "objective=gan", "objective.critic_turns=2"),
        *("objective.gradient_penalty=10", "critic.wave=true", "critic.channels=2"),
    ),
    "vae_gan": (*LIKENESS, *CRITIC, "objective=vae_gan", "objective.adversarial_from=2"),
    "vae_gan of both": (
        *(*SERIES, *CRITIC, "data.labels=frequency", "objective=vae_gan"),
        *("objective.reconstruction=l2", "objective.adversarial_from=2", "model.entry=dense"),
    ),
    "vae of labels": (*LIKENESS, "data=tones", "data.labels=frequency", "data.modes=3"),
    "vae of covariates": (*SERIES, "objective=vae_series", "model.bands=2", "model.strides=[4,2]"),
    "vocoder": (
        *LIKENESS, *CRITIC, "objective=vocoder", "objective.adversarial_from=2",
        *("objective.n_fft=32", "objective.mel_bands=4"),
    ),
    "upsampler": (
        *CRITIC, "objective=upsampler", "objective.factor=16", "objective.n_ffts=[32]",
        "objective.adversarial_from=2",
    ),
    "vae": LIKENESS,
}  # fmt: skip


def settled(name: str, *words: str) -> Config:
    given = {word.partition("=")[0]: word for word in (*COMMON, *SHORT, *FAMILIES[name], *words)}
    return read(Config, sort(list(given.values())))


@functools.cache  # compiled once for all that is asked of one config
def made(config: Config) -> Any:
    records = build.source(config, "train")
    aim, mesh = build.objective(config, records.signal), build.mesh(config)
    loader = build.loader(config, records, parts=aim.parts)
    return records, aim, mesh, loader, build.step(config, aim, mesh)


def trained(config: Config, *, steps: int, state: TrainState | None = None, done: int = 0) -> Any:
    """The state after some steps, and all that was measured on the way."""
    records, _, mesh, loader, step = made(config)
    state = build.begun(config, records.signal, mesh) if state is None else state
    rows = []
    for at in range(done, steps):
        state, metrics = step.at(at)(state, place_batch(loader.batch(at), mesh))
        rows.append({name: float(value) for name, value in jax.device_get(metrics).items()})
    return state, rows


def leaves(state: Any) -> list[np.ndarray]:
    arrays = [leaf for leaf in jax.tree.leaves(state) if eqx.is_array(leaf)]
    keys = [jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in arrays]
    plain = [leaf for leaf, is_key in zip(arrays, keys, strict=True) if not is_key]
    return [np.asarray(leaf) for leaf in jax.device_get(plain)]


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(name: str, tmp_path: Path):
    config = settled(name)
    whole, rows = trained(config, steps=4)
    for stop in (1, 2):  # before the switch of phases, and at it
        records, aim, mesh, _, _ = made(config)
        half, _ = trained(config, steps=stop)
        with build.checkpoints(config, tmp_path / str(stop), aim) as checkpoints:
            checkpoints.save(stop, half, {})
            found = checkpoints.restore(build.template(config, records.signal, mesh))
        assert found is not None
        again, later = trained(config, steps=4, state=found[1], done=found[0])
        assert later == rows[stop:]
        for one, other in zip(leaves(whole), leaves(again), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["train.devices=8"],
        ["train.accumulate=4"],
        ["train.devices=4", "train.fsdp=2", "train.accumulate=2"],
    ],
)
@pytest.mark.parametrize("name", FAMILIES)
def test_devices_and_parts_of_a_batch_change_nothing_but_rounding(
    name: str, words: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(meshes, "_SHARED_FROM", 16)  # no array here has 4,096 elements
    _, alone = trained(settled(name), steps=4)
    _, spread = trained(settled(name, *words), steps=4)
    for one, other in zip(alone, spread, strict=True):
        assert one.keys() == other.keys()
        for metric in one:
            if metric.endswith(("/loss", "/gradient_norm")):
                assert other[metric] == pytest.approx(one[metric], rel=1e-3, abs=1e-6), metric


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_devices_sum_gradients_and_send_nothing_else(name: str):
    config = settled(name, "train.devices=8")
    records, _, mesh, loader, step = made(config)
    state = build.begun(config, records.signal, mesh)
    for done in (0, 3):  # both phases, where there are two
        batch = place_batch(loader.batch(done), mesh)
        program = step.at(done).lower(state, batch).compile().as_text()
        for sent in ("all-gather", "all-to-all", "collective-permute"):
            assert sent not in program, (done, sent)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_half_precision_and_rematerialisation_train_alike(name: str):
    _, plain = trained(settled(name), steps=3)
    _, again = trained(settled(name, "model.rematerialise=true"), steps=3)
    for one, other in zip(plain, again, strict=True):
        assert other == pytest.approx(one, rel=1e-4, abs=1e-5)
    state, half = trained(settled(name, "train.precision=bfloat16"), steps=3)
    assert {leaf.dtype for leaf in leaves(state)} <= {np.dtype("f4"), np.dtype("i4"), np.dtype("?")}
    product = made(settled(name))[1].product
    for one, other in zip(plain, half, strict=True):
        assert other[f"{product}/loss"] == pytest.approx(one[f"{product}/loss"], rel=0.1)
