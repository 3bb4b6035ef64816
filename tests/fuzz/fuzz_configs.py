"""Any config: it builds and its step is well formed, or it is refused by the name of a setting."""

import dataclasses
import functools
import json
import math
import re
import tempfile
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import equinox as eqx
import jax
import numpy as np
from fuzz_laws import one_line_naming
from hypothesis import strategies as st

from apps import build, config
from apps.config import Config
from apps.data import Conditioned, Signal, fixed_batch, write_signal
from apps.engine.step import TrainStep
from apps.engine.step import _divide as divide
from apps.schema import ConfigError, from_dict, schemas_of, settings

Values = dict[str, Any]
RATE = 8000
KEYS = [setting.key for setting in settings(Config)]
WEIGHTS = st.sampled_from([0.0, 0.5, 1.0, 10.0])
FEW = st.lists(st.integers(1, 3), max_size=2)
WINDOWS = st.sampled_from([4, 5, 16, 32, 100, 128])


def of_type(hint: Any, *, sane: bool) -> st.SearchStrategy[Any]:
    """What a plain setting of this type takes; beyond all measure where it need not be sane."""
    alternatives = typing.get_args(hint) if _is_union(hint) else (hint,)
    return st.one_of([_of_one(each, sane=sane) for each in alternatives])


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (types.UnionType, typing.Union)


def _of_one(hint: Any, *, sane: bool) -> st.SearchStrategy[Any]:
    if typing.get_origin(hint) is Literal:
        return st.sampled_from(typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return st.lists(_of_one(typing.get_args(hint)[0], sane=sane), max_size=3)
    plain: dict[Any, st.SearchStrategy[Any]] = {
        bool: st.booleans(),
        int: st.integers(0, 4) if sane else st.integers(-(2**40), 2**40),
        float: WEIGHTS if sane else st.floats(allow_nan=True),
        str: st.sampled_from(["", "x", "folder"]) if sane else st.text(max_size=8),
        Path: st.sampled_from(["sounds", "array.npy"]),
        types.NoneType: st.none(),
    }
    return plain[hint]


# What decides over the size of a run is narrow, so that one step takes moments; and what one
# setting demands of another is met as a rule, so that most configs are accepted.
NARROW: dict[str, st.SearchStrategy[Any]] = {
    "length": st.sampled_from([32, 64, 96, 128, 256]),
    "count": st.integers(2, 9),
    "batch_size": st.sampled_from([2, 4]),
    "accumulate": st.sampled_from([1, 1, 2]),
    "devices": st.sampled_from(["one", "one", 2]),
    "fsdp": st.just(1),
    "rate": st.just(RATE),
    "lowest": st.integers(45, 57),
    "highest": st.integers(57, 69),
    "seed": st.integers(0, 3),
    "latent": st.integers(1, 4),
    "kernel_size": st.integers(1, 5),
    "residual_kernels": st.lists(st.integers(1, 4), min_size=1, max_size=2),
    "dilations": FEW,
    "units": st.just([]),
    "compress": st.sampled_from([1, 1, 2]),
    "lstm": st.sampled_from([0, 0, 1]),
    "learning_rate": st.sampled_from([1e-4, 1e-2]),
    "beta1": st.sampled_from([0.0, 0.5, 0.9]),
    "beta2": st.sampled_from([0.5, 0.99]),
    "clip": st.sampled_from([None, 1.0]),
    "final": st.sampled_from([0.01, 0.5]),
    "ema_decay": st.sampled_from([0.0, 0.9]),
    "hiss": st.just(0.01),
    "peak": st.sampled_from([None, 0.9]),
    "test_fraction": st.sampled_from([0.1, 0.5]),
    "test_pattern": st.sampled_from([None, "3"]),
    "n_fft": WINDOWS,
    "mel_bands": st.integers(1, 8),
    "low": st.sampled_from([0.0, 100.0]),
    "high": st.sampled_from([None, 3000.0]),
    "scales": st.integers(0, 2),
    "phase_shuffle": st.just(0),
    "key": st.none(),
    "critic_turns": st.integers(1, 2),
    "adversarial_from": st.integers(0, 1),
    "steps": st.just(2),
    "name": st.just("fuzz"),
    "workers": st.integers(0, 1),
}


@st.composite
def configs(draw: st.DrawFn) -> Values:
    """The values of a config: mostly ones that go together, sometimes with one set to anything."""
    values = _consistent(draw)
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 2]))):
        setting = draw(st.sampled_from(list(settings(Config))))
        if setting.key != "run":
            _put(values, setting.key, draw(of_type(setting.hint, sane=draw(st.booleans()))))
    return values


def _consistent(draw: st.DrawFn) -> Values:
    strides = draw(st.lists(st.sampled_from([1, 2, 3, 4]), min_size=1, max_size=2))
    channels = st.integers(1, 4)
    more = len(strides) + draw(st.integers(0, 1))
    windows = draw(st.lists(WINDOWS, min_size=1, max_size=2))
    values: Values = {
        name: _group(draw, hint)
        for name, hint in typing.get_type_hints(Config).items()
        if name not in ("run", "name", "distributed")
    }
    model, objective, data = values["model"], values["objective"], values["data"]
    values["critic"] = None if objective["kind"] == "vae" else _critic(draw, values["critic"])
    model["strides"] = strides
    model["channels"] = draw(st.lists(channels, min_size=more, max_size=more))
    model["stride_kernels"] = [2 * stride for stride in strides] if draw(st.booleans()) else []
    model["bands"] = draw(st.sampled_from([1, 1, 1, 2]))
    for name, each in (("n_ffts", windows), ("bands", [draw(st.integers(1, 6)) for _ in windows])):
        if name in objective:
            objective[name] = each
    if data["kind"] in ("sines", "arrays") and objective["kind"] == "vocoder":
        objective = values["objective"] = dict[str, Any](kind="upsampler")
    if data["kind"] in ("sines", "arrays") and objective.get("reconstruction") == "log_mel":
        objective["reconstruction"] = "l2"
    if objective["kind"] == "upsampler":
        objective["factor"] = math.prod(strides)
    if objective["kind"] not in ("vae", "vae_gan"):
        model["bands"] = 1
    if data["kind"] == "arrays":
        data |= {"labels": None, "covariates": draw(st.sampled_from([[], ["2"], [1]]))}
    if objective["kind"] in ("vocoder", "upsampler"):
        for name in ("labels", "covariates"):
            data.pop(name, None)
    if objective["kind"] != "gan":
        objective.pop("free_bits", None)
    else:
        objective["adversarial_from"] = 0
    if data["kind"] in ("audio_folder", "arrays"):
        data["root" if data["kind"] == "audio_folder" else "path"] = str(_files()[data["kind"]])
    if data["kind"] == "tones":
        data |= {"modes": 3, "lowest": 2.0, "spacing": 2.0}
    if data["kind"] == "arrays":
        data |= {"length": draw(st.sampled_from([None, 24, 48])), "stride": 5, "scaling": "min-max"}
    if objective["kind"] in ("upsampler", "vocoder"):
        model["entry"] = "conv"
    hop = math.prod(strides) * model["bands"]
    if data.get("length"):
        data["length"] = max(1, data["length"] // hop) * hop
    values["train"] |= {"samples": 1, "log_every": 1, "save_every": 2, "evaluate_records": 2}
    return values


def _group(draw: st.DrawFn, hint: Any) -> Values:
    chosen = draw(st.sampled_from(schemas_of(hint)))
    hints = typing.get_type_hints(chosen)
    group: Values = {}
    for field in dataclasses.fields(chosen):
        if field.name in ("rematerialise", "root", "path"):
            continue
        if schemas_of(hints[field.name]):
            group[field.name] = _group(draw, hints[field.name])
        elif field.name in NARROW:
            group[field.name] = draw(NARROW[field.name])
        elif field.name == "kind" or draw(st.booleans()):
            group[field.name] = draw(of_type(hints[field.name], sane=True))
    return group


_JUDGES: list[Values] = [{"wave": True}, {"scales": 1}, {"periods": [2]}, {"n_ffts": [16]}]


def _critic(draw: st.DrawFn, critic: Values) -> Values:
    judge = draw(
        st.sampled_from([{"wave": True}, {"scales": 1}, {"periods": [2]}, {"n_ffts": [16]}])
    )
    return {
        "optimiser": critic["optimiser"], "stack": draw(st.sampled_from(["hifigan", "rave"])),
        "spectrum": draw(st.sampled_from(["complex", "magnitude"])), "channels": 2, **judge
    }  # fmt: skip


def _put(values: Values, key: str, value: Any) -> None:
    *path, last = key.split(".")
    for name in path:
        if not isinstance(values.get(name), dict):
            values[name] = {}
        values = values[name]
    values[last] = value


def check_config(values: Values) -> str:
    """The law without running anything; returns what became of the config."""
    try:
        wanted = from_dict(Config, values)
    except ConfigError as error:
        _names_a_setting(error)
        return "refused by its values"
    if _takes_long(wanted):
        return "too large to try"
    try:
        ready = prepared(wanted)
    except (ConfigError, ValueError, OSError) as error:
        _names_a_setting(error)
        return "refused by its data or device"
    state, batch, aim, step = ready
    for phase, each in zip(aim.phases, step.steps, strict=True):
        # What is traced is what is run: a step that cannot be formed is no step.
        before, after, metrics = eqx.filter_eval_shape(_traced, each, state, batch)
        assert _form(after) == _form(before), phase.name
        assert all(value.shape == () for value in metrics.values()), phase.name
    return "builds"


def check_step(values: Values) -> str:
    """The law in full: two steps of the whole program end well and leave finite numbers."""
    from apps.train import train

    outcome = check_config(values)
    if outcome != "builds":
        return outcome
    wanted = from_dict(Config, values)
    with tempfile.TemporaryDirectory() as folder:
        every = {"sample_every": 2, "evaluate_every": 2, "steps": 2}
        run = Path(folder, "run")
        wanted = dataclasses.replace(
            wanted, run=run, train=dataclasses.replace(wanted.train, **every)
        )
        assert train(wanted) == 0
        lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        numbers = [json.loads(line) for line in lines]
        losses = [v for row in numbers for name, v in row.items() if name.endswith("/loss")]
        assert losses
        assert all(value is not None and math.isfinite(value) for value in losses), numbers
    return "ran"


def prepared(wanted: Config) -> tuple[Any, Any, Any, Any]:
    """All that is made before anything is compiled, as `apps.train.prepare` makes it."""
    training, test = build.source(wanted, "train"), build.source(wanted, "test")
    aim, mesh = build.objective(wanted, training.signal), build.mesh(wanted)
    build.loader(wanted, training, parts=aim.parts)
    step = build.step(wanted, aim, mesh)
    state = build.template(wanted, training.signal, mesh)
    fixed_batch(test, wanted.train.evaluate_records)
    size = wanted.train.batch_size * aim.parts
    return state, _batch(training.signal, size), aim, step


def _batch(signal: Signal, size: int) -> Any:
    records = jax.ShapeDtypeStruct((size, signal.length, signal.channels), np.float32)
    if not signal.labels and not signal.covariates:
        return records
    given = jax.ShapeDtypeStruct((size, signal.length, len(signal.covariates)), np.float32)
    label = jax.ShapeDtypeStruct((size,), np.int32) if signal.labels else None
    return Conditioned(records, label, given if signal.covariates else None)  # pyright: ignore


def _traced(step: TrainStep, state: Any, batch: Any) -> tuple[Any, Any, Any]:
    """The arrays of the state before and after a step, and the metrics, with nothing compiled."""
    arrays, structure, others = divide(state)
    after, metrics = step._run(arrays, batch, structure, others)
    return arrays, after, metrics


def _form(tree: Any) -> list[Any]:
    return [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree) if hasattr(leaf, "dtype")]


def _takes_long(wanted: Config) -> bool:
    """Whether a number that is right as such asks for more than a test can give."""
    flat = [each for _, each in _numbers(config.stored(wanted))]
    sizes = [v for k, v in _numbers(config.stored(wanted)) if not k.endswith(_SIZELESS)]
    return max(sizes) > 512 or any(not math.isfinite(each) for each in flat)


_SIZELESS = (
    *(
        "rate",
        "seed",
        "high",
        "low",
        "_every",
        "steps",
        "warmup_steps",
        "weight",
        "free_bits",
        "r1",
    ),
    *(
        "gradient_penalty",
        "clip",
        "adversarial_from",
        "max_skipped",
        "evaluate_records",
        "keep_best",
    ),
    *("keep_latest", "n_fft", "learning_rate", "weight_decay", "slope", "count"),
)


def _numbers(values: Any, key: str = "") -> list[tuple[str, float]]:
    if isinstance(values, Mapping):
        return [found for name, each in values.items() for found in _numbers(each, str(name))]
    if isinstance(values, list):
        return [found for each in values for found in _numbers(each, key)]
    number = isinstance(values, int | float) and not isinstance(values, bool)
    return [(key, values)] if number else []


def _names_a_setting(error: Exception) -> None:
    """The last part at least of some key; one line, and one for each file that is refused."""
    parts = {key.rpartition(".")[2] for key in KEYS} | {"critic", "objective", "data"}
    words = set(re.findall(r"\w+", str(error)))
    assert words & parts, error
    one_line_naming(ValueError(str(error).partition(":\n")[0]), [""])


@functools.cache
def _files() -> dict[str, Path]:
    """A folder of four short sounds, and an array."""
    folder = Path(tempfile.mkdtemp(prefix="convt1d-fuzz-"))
    random = np.random.default_rng(3)
    for number in range(4):
        write_signal(folder / "sounds" / f"{number}.wav", random.uniform(-1, 1, (400, 1)), RATE)
    np.save(folder / "array.npy", random.normal(size=(400, 2)))
    return {"audio_folder": folder / "sounds", "arrays": folder / "array.npy"}
