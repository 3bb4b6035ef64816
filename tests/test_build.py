"""From settings to objects: every config builds, on shapes alone, and says what does not fit."""

from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from apps import build
from apps import config as settings
from apps.command_line import CONF, read, sort
from apps.config import Config
from apps.data import Conditioned, Signal, write_signal
from apps.engine.state import abstract_state
from apps.schema import ConfigError, from_dict

EXPERIMENTS = sorted(path.stem for path in CONF.glob("experiment/*.yaml"))
WORDS = {name: ["data.root=sounds"] for name in EXPERIMENTS if name.startswith("fsdd_")}
WORDS |= {name: ["data.path=series.csv"] for name in ("stocks_flow", "energy_flow")}
WORDS["series_upsampler"] = ["data.path=series.csv", "data.length=96"]
TINY = {"strides": [4], "channels": [4], "latent": 2, "dilations": []}
SMALL = {
    "plucks": {"kind": "plucks", "length": 64, "count": 3},
    "sines": {"kind": "sines", "count": 3},
}


def made(**values: Any) -> Config:
    return from_dict(Config, values)


def optimised(**values: Any) -> Config:
    return made(optimiser=values, train={"steps": 100})


def signal_of(config: Config) -> Signal:
    """What an example is; of recordings that are not here, what their settings say."""
    data = config.data
    if isinstance(data, settings.Arrays):
        return Signal(kind="series", length=data.length or 24, channels=4)
    if not isinstance(data, settings.AudioFolder):
        return build.source(config, "test").signal
    labels = tuple("0123456789") if data.labels else ()
    return Signal(
        kind="audio", length=data.length, channels=data.channels, rate=data.rate, labels=labels
    )


def batch_of(signal: Signal, size: int) -> Any:
    records = jax.ShapeDtypeStruct((size, signal.length, signal.channels), jnp.float32)
    if not signal.labels and not signal.covariates:
        return records
    label = jax.ShapeDtypeStruct((size,), jnp.int32) if signal.labels else None
    given = jax.ShapeDtypeStruct((size, signal.length, len(signal.covariates)), jnp.float32)
    return Conditioned(records, label, given if signal.covariates else None)  # pyright: ignore


def _is_shape(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_builds(name: str):
    config = read(Config, sort([f"experiment={name}", *WORDS.get(name, [])]))
    signal = signal_of(config)
    mesh = build.mesh(config)
    state = abstract_state(lambda: build.state(config, signal))
    # A weak type turns strong in the first step, and the second would be compiled anew.
    assert not any(leaf.weak_type for leaf in jax.tree.leaves(eqx.filter(state, _is_shape)))
    aim = build.objective(config, signal)
    assert aim.product in state.players
    assert [name for name, player in state.players.items() if player.ema] == [aim.product]
    models = {name: player.model for name, player in state.players.items()}
    for phase in aim.phases:
        for turn in phase.turns:
            others = {name: model for name, model in models.items() if name != turn.player}
            value, metrics = eqx.filter_eval_shape(
                turn.loss, models[turn.player], others, batch_of(signal, 2),
                keys=jax.random.split(jax.random.key(0), 2), step=jnp.int32(0),
            )  # fmt: skip
            assert value.shape == ()
            assert all(each.shape == () for each in metrics.values())
    build.step(config, aim, mesh)


@pytest.mark.parametrize("name", sorted(path.stem for path in CONF.glob("model/*.yaml")))
def test_every_model_gives_back_the_length_it_was_given(name: str):
    config = read(Config, sort([f"model={name}"]))
    signal = build.source(config, "test").signal

    def there_and_back(key: Any, batch: Any) -> Any:
        network: Any = build.model(config, signal, key=key)
        mean, log_std = network.encode(batch)
        assert (
            mean.shape == log_std.shape == (2, network.latent_length(signal.length), network.latent)
        )
        return network.decode(mean)

    batch = jax.ShapeDtypeStruct((2, signal.length, signal.channels), jnp.float32)
    shape = eqx.filter_eval_shape(there_and_back, jax.random.key(0), batch).shape
    assert shape == batch.shape


def test_every_kind_of_data_builds_both_splits(tmp_path: Path):
    rng = np.random.default_rng(0)
    for number in range(4):
        write_signal(tmp_path / f"{number}.wav", rng.uniform(-1, 1, (80, 1)), 8000)
    np.save(tmp_path / "a.npy", rng.normal(size=(10, 24, 2)))
    kinds: list[dict[str, Any]] = [
        *SMALL.values(),
        {"kind": "audio_folder", "root": str(tmp_path), "length": 64},
        {"kind": "arrays", "path": str(tmp_path / "a.npy")},
    ]
    for data in kinds:
        config = made(data=data, objective={"reconstruction": "l2"}, model=TINY)
        for split in ("train", "test"):
            source = build.source(config, split)
            example = source.example(0, None)
            assert example.shape == (source.signal.length, source.signal.channels)


WINDOWED = {
    "vae": {"n_ffts": [32, 200], "bands": [4, 4]},
    "vocoder": {"kind": "vocoder", "n_ffts": [200], "bands": [4]},
    "upsampler": {"kind": "upsampler", "factor": 4, "n_ffts": [200]},
}


@pytest.mark.parametrize("objective", WINDOWED.values(), ids=WINDOWED.keys())
def test_windows_longer_than_the_records_are_refused(objective: dict[str, Any]):
    config = made(model=TINY, data=SMALL["plucks"], objective=objective)
    signal = Signal(kind="audio", length=64, channels=1, rate=8000)
    with pytest.raises(
        ConfigError, match=r"n_ffts=\[.*\] has windows of 200 .* at most 127 samples"
    ):
        build.objective(config, signal)
    build.objective(config, Signal(kind="audio", length=101, channels=1, rate=8000))


def test_spectra_without_a_window_are_refused():
    for objective in ({"bands": []}, {"kind": "upsampler", "factor": 4}):
        config = made(model=TINY, data=SMALL["plucks"], objective={**objective, "n_ffts": []})
        with pytest.raises(ConfigError, match=r"n_ffts=\[\] leaves objective=.* without the spect"):
            build.objective(config, Signal(kind="audio", length=64, channels=1, rate=8000))


def test_the_weights_follow_from_the_seed():
    signal = Signal(kind="audio", length=512, channels=1, rate=8000)
    configs = [made(model=TINY, train={"seed": seed}) for seed in (0, 0, 1)]
    states = [build.begun(each, signal, build.mesh(each)) for each in configs]
    first, again, other = (each.players["vae"].model for each in states)
    assert eqx.tree_equal(first, again)
    assert not eqx.tree_equal(first, other)


COURSES = {
    "constant": ({"schedule": "constant"}, {0: 1e-2, 50: 1e-2, 100: 1e-2}),
    "cosine": ({"schedule": "cosine", "final": 0.1}, {0: 1e-2, 50: 5.5e-3, 100: 1e-3, 200: 1e-3}),
    "exponential": ({"schedule": "exponential", "final": 0.01}, {0: 1e-2, 50: 1e-3, 100: 1e-4}),
    "warm": (
        {"schedule": "cosine", "final": 0.0, "warmup_steps": 20},
        {0: 5e-4, 10: 5.25e-3, 20: 1e-2, 60: 5e-3, 100: 0.0},
    ),
}


@pytest.mark.parametrize(("values", "course"), COURSES.values(), ids=COURSES.keys())
def test_the_learning_rate_takes_its_course(values: dict[str, Any], course: dict[int, float]):
    rate = build.learning_rate(settings.AdamW(learning_rate=1e-2, **values), steps=100)
    with jax.numpy_dtype_promotion("standard"):
        found = {step: np.asarray(rate(jnp.int32(step))).item() for step in course}
    assert found == pytest.approx(course, rel=1e-5, abs=1e-9)


def update(config: Config, weights: Any, gradients: list[Any]) -> Any:
    """The last of the updates that follow from the gradients."""
    optimiser = build.optimiser(config.optimiser, steps=config.train.steps)
    updates, state = None, optimiser.init(weights)
    with jax.numpy_dtype_promotion("standard"):  # as in the training step
        for each in gradients:
            updates, state = optimiser.update(each, state, weights)
    return updates


def test_weight_decay_takes_kernels_and_leaves_biases():
    weights = {"kernel": jnp.ones((3, 2, 2)), "bias": jnp.ones(2)}
    config = optimised(learning_rate=0.1, weight_decay=0.5, schedule="constant")
    moved = update(config, weights, [jax.tree.map(jnp.zeros_like, weights)])
    np.testing.assert_allclose(moved["kernel"], -0.05, rtol=1e-6)
    np.testing.assert_array_equal(moved["bias"], 0)


def test_a_gradient_beyond_the_clip_counts_as_one_on_it():
    weights = {"kernel": jnp.zeros(2)}
    # A second step tells the sizes of two gradients apart, which Adam's first does not.
    for clip, same in ((1.0, True), (None, False)):
        config = optimised(clip=clip, weight_decay=0.0)
        gradients = [[{"kernel": jnp.asarray([g, 0.0])} for g in (size, 0.5)] for size in (1, 1e3)]
        one, huge = (update(config, weights, each)["kernel"] for each in gradients)
        assert np.allclose(one, huge, rtol=1e-6) == same


def test_how_often_is_taken_from_train():
    train = {"log_every": 1, "sample_every": 2, "evaluate_every": 3, "save_every": 4}
    cadence = build.cadence(made(train=train))
    assert (cadence.log, cadence.sample, cadence.evaluate, cadence.save) == (1, 2, 3, 4)


def test_a_batch_that_the_devices_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="`batch_size` 6 is not divisible by 4 devices"):
        build.mesh(made(train={"devices": 4, "batch_size": 6}))


def test_a_run_without_its_signal_is_refused(tmp_path: Path):
    for text in (None, "", "[]", '{"kind": "audio"}'):
        if text is not None:
            (tmp_path / build.SIGNAL).write_text(text)
        with pytest.raises(ConfigError, match=r"signal\.json is missing or damaged"):
            build.stored_signal(tmp_path)
