"""Any description beside weights: a clear error of ours, and no file opened outside the folder."""

import contextlib
import functools
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import yaml
from fuzz_laws import one_line_naming, silence
from hypothesis import strategies as st

import convt1d
from apps import build, config
from apps.config import Config
from apps.data import Signal
from apps.engine import integrity
from apps.engine.checkpoint import CheckpointError, Checkpoints, restore_ema
from apps.engine.stored import read_meta
from apps.schema import ConfigError, from_dict

Json = Any
TINY = {"strides": [4], "channels": [4], "latent": 2, "dilations": [], "weight_norm": False}
SIGNAL = Signal(kind="audio", length=64, channels=1, rate=8000)
FORMATS = ("config.yaml", "signal.json", "integrity.json", "meta", "model.json")

PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 5),
    st.sampled_from([10**30, -1, 1e308, float("nan"), float("inf"), 0.5]),
    st.sampled_from(
        ["", "x", "../../../etc/passwd", "/etc/passwd", "a\x00b", "\ud800", "${oc.env:X}"]
    ),
    st.sampled_from(["!!python/object/apply:os.system", "os.system", "ema", "train", "float32"]),
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "kind", "class", "arguments", "_target_"]), inner)
    ),
    max_leaves=6,
)


@st.composite
def altered(draw: st.DrawFn, names: Sequence[str] = FORMATS) -> tuple[str, bytes]:
    """A stored description, and the bytes of one with places changed, removed, added or cut."""
    name = draw(st.sampled_from(names))
    text = originals()[name]
    tree = yaml.safe_load(text) if name == "config.yaml" else json.loads(text)
    if draw(st.integers(0, 4)) == 0:
        data = bytearray(text.encode())
        for _ in range(draw(st.integers(1, 3))):
            at = draw(st.integers(0, len(data)))
            match draw(st.sampled_from(["change", "cut", "insert", "nest"])):
                case "change":
                    data[at : at + 1] = draw(st.binary(min_size=1, max_size=2))
                case "cut":
                    del data[at:]
                case "insert":
                    data[at:at] = draw(st.sampled_from(_PIECES))
                case "nest":
                    data[at:at] = b"[" * draw(st.sampled_from([10, 100_000]))
        return name, bytes(data)
    for _ in range(draw(st.integers(1, 3))):
        tree = _changed(draw, tree)
    dumped = yaml.safe_dump(tree) if name == "config.yaml" else json.dumps(tree)
    return name, dumped.encode("utf-8", "surrogatepass")


_TAG = b"!!python/object/apply:os.getcwd []"
_PIECES = [b"\x00", b"\xff", b"&a [*a]", _TAG, b"<<: {}", b"1: 2\n"]
_NEW = ["extra", "../x", "_target_", "/tmp/x"]


def _changed(draw: st.DrawFn, tree: Json) -> Json:
    """The tree with one place changed, chosen on the way down."""
    inside = isinstance(tree, dict | list) and tree and draw(st.integers(0, 9)) > 0
    if not inside:
        return draw(VALUES)
    keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
    key = draw(st.sampled_from(keys))
    result = dict(tree) if isinstance(tree, dict) else list(tree)
    match draw(st.sampled_from(["into", "into", "into", "remove", "add", "rename"])):
        case "into":
            result[key] = _changed(draw, tree[key])
        case "remove":
            del result[key]
        case "add":
            if isinstance(result, dict):
                result[draw(st.sampled_from(_NEW))] = draw(VALUES)
            else:
                result.append(draw(VALUES))
        case "rename":
            if isinstance(result, dict):
                result[draw(st.sampled_from(["extra", "../x", *map(str, keys)]))] = result.pop(key)
    return result


def check_altered(given: tuple[str, bytes]) -> str:
    """The law of such a description; returns what became of it."""
    name, data = given
    with tempfile.TemporaryDirectory() as folder, silence("apps.engine.checkpoint"):
        run = Path(folder, "run")
        shutil.copytree(_run(), run, symlinks=True)
        place = _places(run)[name]
        if name == "meta":
            _reseal(place.parent.parent, data)
        place.write_bytes(data)
        outcomes = set()
        for call in _READERS[name]:
            outcomes.add(_answered(call, run))
    return "refused" if outcomes == {"refused"} else "read"


def _answered(call: Callable[[Path], Any], run: Path) -> str:
    try:
        with opening_only_in(run):
            call(run)
    except (ConfigError, CheckpointError, ValueError) as error:
        _is_ours(error)
        return "refused"
    return "read"


def _is_ours(error: Exception) -> None:
    """A refusal, not a slip of the tongue: JSON's, a codec's, numpy's."""
    assert type(error) in (ConfigError, CheckpointError, ValueError), repr(error)
    assert len(str(error)) < 3000, len(str(error))
    one_line_naming(Exception(str(error).partition("\n")[0]), [""])


def _load_config(run: Path) -> Config:
    found = config.load(run)
    assert from_dict(Config, config.stored(found)) == from_dict(Config, config.stored(found))
    config.digest(found)
    return found


def _load_signal(run: Path) -> None:
    signal = build.stored_signal(run)
    assert all(isinstance(word, str) for word in (*signal.columns, *signal.labels))
    if signal.channels < 100:
        assert np.isfinite(signal.unscale(np.zeros((2, signal.channels)))).all()


def _checkpoint(run: Path) -> int | None:
    """The doors to a checkpoint: what would be resumed, in shapes alone."""
    with Checkpoints(run / "checkpoints") as checkpoints:
        found = checkpoints.restore(_template())
    return None if found is None else found[0]


def _players(run: Path, **which: Any) -> Any:
    return restore_ema(run / "checkpoints", {"vae": _template().players["vae"].model}, **which)


_READERS: dict[str, tuple[Callable[[Path], Any], ...]] = {
    "config.yaml": (_load_config, build.trained),
    "signal.json": (_load_signal, build.trained),
    "integrity.json": (
        lambda run: integrity.damage(run / "checkpoints" / "2"),
        lambda run: read_meta(run / "checkpoints"),
        _players,
        _checkpoint,
    ),
    "meta": (
        lambda run: read_meta(run / "checkpoints"),
        _players,
        lambda run: _players(run, step="best"),
        lambda run: _players(run, averaged=False),
        _checkpoint,
    ),
    "model.json": (lambda run: convt1d.load(run / "model"),),
}


def _places(run: Path) -> dict[str, Path]:
    step = run / "checkpoints" / "2"
    return {
        "config.yaml": run / config.FILE,
        "signal.json": run / build.SIGNAL,
        "integrity.json": step / integrity.SEAL,
        "meta": step / "meta" / "metadata",
        "model.json": run / "model" / "model.json",
    }


@functools.cache
def originals() -> dict[str, str]:
    """The descriptions as they are written."""
    return {name: path.read_text(encoding="utf-8") for name, path in _places(_run()).items()}


@functools.cache
def _settings() -> Config:
    return from_dict(
        Config,
        {
            "model": TINY,
            "data": {"length": 64},
            "objective": {"n_ffts": [32], "bands": [4]},
        },
    )


@functools.cache
def _state() -> Any:
    return build.begun(_settings(), SIGNAL, build.mesh(_settings()))


@functools.cache
def _template() -> Any:
    return build.template(_settings(), SIGNAL, build.mesh(_settings()))


@functools.cache
def _run() -> Path:
    """A run folder with two checkpoints and a model, as small as they come."""
    folder = Path(tempfile.mkdtemp(prefix="convt1d-fuzz-"))
    config.save(_settings(), folder)
    (folder / build.SIGNAL).write_text(json.dumps(SIGNAL.to_dict()), encoding="utf-8")
    with Checkpoints(
        folder / "checkpoints", best_metric="test/loss", config=config.stored(_settings())
    ) as checkpoints:
        for step in (1, 2):
            checkpoints.save(step, _state(), {"test/loss": 1.0 / step}, force=True)
    convt1d.save(folder / "model", _state().players["vae"].model, extra={"rate": 8000})
    return folder


def _reseal(step: Path, data: bytes) -> None:
    """Make the seal agree, as whoever wrote such a description would."""
    import hashlib

    path = step / integrity.SEAL
    seal = json.loads(path.read_bytes())
    seal["sha256"]["meta/metadata"] = hashlib.sha256(data).hexdigest()
    path.write_text(json.dumps(seal), encoding="utf-8")


_allowed: list[Path] = []
_watching = False


@contextlib.contextmanager
def opening_only_in(folder: Path) -> Iterator[None]:
    """Within, no file may be opened by Python outside of the folder and of Python itself."""
    global _watching
    if not _watching:
        sys.addaudithook(_watch)  # stays for ever, and does nothing outside of this
        _watching = True
    _allowed.append(folder.resolve())
    try:
        yield
    finally:
        _allowed.pop()


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open" or not _allowed or not isinstance(arguments[0], str | bytes | os.PathLike):
        return
    path = Path(os.path.abspath(os.fsdecode(arguments[0])))
    own = [*_allowed, Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parents[2], "/proc"]
    # A test before may have begun to keep what is compiled.
    compiled = getattr(jax.config, "jax_compilation_cache_dir", None)
    own += [compiled] if compiled else []
    if not any(path.is_relative_to(each) for each in own) and path != Path(os.devnull):
        raise AssertionError(f"{path} was opened")
