"""Nothing that is handed in is run as code, and no path leads out of a run folder."""

import ast
import hashlib
import io
import json
import os
import pickle  # the payloads themselves; nothing of ours reads them
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import yaml
from sources import SOURCES

import convt1d
from apps import build, command_line, config, sweep
from apps.command_line import read, sort
from apps.config import Config
from apps.data import Arrays, Signal
from apps.engine import integrity
from apps.engine.checkpoint import CheckpointError, Checkpoints, restore_ema
from apps.schema import ConfigError, from_dict
from apps.train import DOOR

TINY = {
    "model": {"strides": [4], "channels": [4], "latent": 2, "dilations": []},
    "data": {"length": 64},
    "objective": {"n_ffts": [32], "bands": [4]},
}
SIGNAL = Signal(kind="audio", length=64, channels=1, rate=8000)
SECTION = "security"


@pytest.fixture
def trap(tmp_path: Path) -> Iterator[Path]:
    """A file that a payload makes if it runs."""
    path = tmp_path / "it-ran"
    yield path
    assert not path.exists()


class Payload:
    """What a pickle may hold: a call, made when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_the_payload_would_run(tmp_path: Path):
    pickle.loads(pickle.dumps(Payload(tmp_path / "it-ran")))
    assert (tmp_path / "it-ran").exists()
    np.save(tmp_path / "a.npy", np.array([Payload(tmp_path / "again")], object), allow_pickle=True)
    np.load(tmp_path / "a.npy", allow_pickle=True)
    assert (tmp_path / "again").exists()


def enter(*words: str) -> int:
    def job(wanted: Config) -> int:
        pytest.fail(f"begun: {wanted}")

    return command_line.enter(DOOR, Config, job, list(words))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with two checkpoints, and a saved model."""
    folder = tmp_path_factory.mktemp("run")
    settings = from_dict(Config, TINY)
    config.save(settings, folder)
    (folder / build.SIGNAL).write_text(json.dumps(SIGNAL.to_dict()))
    state = build.begun(settings, SIGNAL, build.mesh(settings))
    with Checkpoints(folder / "checkpoints", config=config.stored(settings)) as checkpoints:
        for step in (1, 2):
            checkpoints.save(step, state, force=True)
    convt1d.save(folder / "model", state.players["vae"].model)
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may spoil."""
    return shutil.copytree(trained, tmp_path / "run", symlinks=True)


# ------------------------------------------------------------------------------ nothing is called


FORBIDDEN_MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
FORBIDDEN_CALLS = {"instantiate", "import_module"}
FORBIDDEN_BUILTINS = {"eval", "exec", "compile", "__import__"}


def test_no_file_of_ours_imports_a_pickle_or_calls_what_it_is_handed(told):
    wrong = []
    for name, path in SOURCES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            wrong += [f"{name}: {what} in {ast.unparse(node)}" for what in _dangers(node)]
    assert not wrong, wrong
    told(
        SECTION,
        "any file of the library and the application is read for pickle, eval, exec, instantiate, "
        "yaml.load and np.load(allow_pickle=True)",
        "none has any",
    )


def _dangers(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        modules = [alias.name for alias in node.names]
        modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        yield from (each for each in modules if each.partition(".")[0] in FORBIDDEN_MODULES)
    if not isinstance(node, ast.Call):
        return
    called = node.func
    word = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    owner = ast.unparse(called.value) if isinstance(called, ast.Attribute) else ""
    if word in FORBIDDEN_CALLS or (word in FORBIDDEN_BUILTINS and not owner):
        yield word
    if owner == "yaml" and word in ("load", "unsafe_load", "full_load", "load_all"):
        yield f"yaml.{word}"
    for keyword in node.keywords:
        if keyword.arg == "allow_pickle" and ast.unparse(keyword.value) != "False":
            yield "allow_pickle"


def test_no_yaml_of_ours_names_something_to_call():
    for path in command_line.CONF.rglob("*.yaml"):
        assert not re.search(r"_target_|!!|\$\{oc\.", path.read_text(encoding="utf-8")), path


TARGETS = {
    "a word": (["_target_=os.mkdir"], "_target_ is not a setting"),
    "a word within a group": (["model._target_=os.mkdir"], "model._target_ is not a setting"),
    "a word for a sweep's launcher": (
        ["-m", "model.latent=1,2", "hydra.launcher._target_=os.mkdir"],
        "hydra.launcher._target_='os.mkdir' would be called",
    ),
    "a word for a sweep's callback": (
        ["-m", "model.latent=1,2", "+hydra.callbacks.x._target_=os.mkdir"],
        "hydra.callbacks.x._target_='os.mkdir' would be called",
    ),
}


@pytest.mark.parametrize("how", TARGETS)
def test_a_target_from_the_command_line_is_refused(
    how: str, told, trap: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    words, message = TARGETS[how]
    assert enter(*words, f"run={tmp_path / 'new'}") == 2
    assert message in capsys.readouterr().err
    told(SECTION, f"_target_ (code to call) in {how} of the command", "refused by name; exit 2")


def test_a_target_in_an_experiment_file_is_refused(
    told, trap: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    head = "# @package _global_\n# Mine\n"
    call = f"{{_target_: os.mkdir, path: {trap}}}"
    (folder / "one.yaml").write_text(f"{head}model: {call}\n")
    (folder / "many.yaml").write_text(f"{head}hydra:\n  callbacks:\n    mine: {call}\n")
    (folder / "tag.yaml").write_text(f"{head}name: !!python/object/apply:os.mkdir [{trap}]\n")
    words = ["--config-dir", str(folder.parent), f"run={tmp_path / 'new'}"]
    assert enter(*words, "experiment=one") == 2
    assert "model._target_ is not a setting" in capsys.readouterr().err
    assert enter(*words, "experiment=many", "-m", "model.latent=1,2") == 2
    assert "hydra.callbacks.mine._target_='os.mkdir' would be called" in capsys.readouterr().err
    assert enter(*words, "experiment=tag") == 2
    assert "cannot be composed" in capsys.readouterr().err
    told(SECTION, "_target_ or a Python tag in an experiment file of somebody's", "refused; exit 2")


STORED = {
    "_target_": ("model: {{_target_: os.mkdir, path: {trap}}}", "model._target_ is not a setting"),
    "a Python tag": ("name: !!python/object/apply:os.mkdir [{trap}]", "is damaged: could not"),
    "a Python name": ("name: !!python/name:os.mkdir", "is damaged: could not"),
}


@pytest.mark.parametrize("kind", STORED)
def test_a_stored_config_calls_nothing(kind: str, run: Path, trap: Path, told):
    text, message = STORED[kind]
    (run / config.FILE).write_text(text.format(trap=trap))
    with pytest.raises(ConfigError, match=re.escape(message)):
        build.trained(run)
    told(SECTION, f"{kind} in the config.yaml of a run folder", "refused in one line; nothing ran")


def test_the_environment_is_not_read_into_a_config(
    told, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SECRET", "hunter2")
    for resolver in ("oc.env:SECRET", "oc.decode:'1'", "name", "hydra:runtime.cwd"):
        with pytest.raises(ConfigError, match="is to be looked up; write the value itself"):
            read(Config, sort([f"model.latent=${{{resolver}}}"]))
    data = {"kind": "audio_folder", "root": "${oc.env:SECRET}", "length": 64}
    (run / config.FILE).write_text(yaml.safe_dump({**TINY, "data": data}))
    found = config.load(run).data
    assert isinstance(found, config.AudioFolder)
    assert found.root == Path("${oc.env:SECRET}")  # a name, and not looked up
    told(
        SECTION,
        "${oc.env:…} on the command line, in an experiment file or in a stored config",
        "refused, or left as the words they are; the environment is never read into a config",
    )


def test_the_words_of_a_stored_sweep_call_nothing(tmp_path: Path, trap: Path, told, capsys):
    (tmp_path / "all").mkdir()
    words = ["hydra.launcher._target_=os.mkdir", f"+hydra.launcher.path={trap}"]
    (tmp_path / "all" / sweep.WORDS).write_text(json.dumps({"words": words}))
    assert enter(f"run={tmp_path / 'all'}") == 2
    assert "would be called" in capsys.readouterr().err
    told(SECTION, "a stored sweep whose words name code to call", "refused by name; exit 2")


# ------------------------------------------------------------------------------------ no pickle


def test_arrays_of_objects_are_refused(tmp_path: Path, trap: Path, told):
    objects = np.array([Payload(trap)] * 8, object)
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "a.npz", data=objects)
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Payload(trap)))
    for name in ("a.npy", "a.npz", "b.npy"):
        with pytest.raises(ValueError, match=rf"{name}: (?!.*\n)") as caught:
            Arrays(path=tmp_path / name, split="train", length=4)
        assert "Traceback" not in str(caught.value)
    told(SECTION, "npy, npz with Python objects, and a pickle called npy", "refused; not unpickled")


def test_a_pickle_in_the_place_of_weights_is_refused(run: Path, trap: Path, told):
    payload = pickle.dumps(Payload(trap))
    (run / "model" / "model.safetensors").write_bytes(payload)
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
        convt1d.load(run / "model")
    (run / "model" / "model.json").write_bytes(payload)
    with pytest.raises(ValueError, match=r"model\.json is not JSON"):
        convt1d.load(run / "model")
    (run / config.FILE).write_bytes(payload)
    with pytest.raises(ConfigError, match="is damaged"):
        build.trained(run)
    told(SECTION, "a pickle in the place of weights, a description or a config", "refused; not run")


def test_a_class_of_somebody_else_s_is_not_made(run: Path, trap: Path, told):
    text = {"format": 2, "model": {"class": "os.mkdir", "arguments": {"path": str(trap)}}}
    (run / "model" / "model.json").write_text(json.dumps(text))
    with pytest.raises(ValueError, match=r"names the class 'os\.mkdir', which is none"):
        convt1d.load(run / "model")
    told(SECTION, "a saved model whose description names another class", "refused by its name")


def pickles(folder: Path) -> list[Path]:
    """Files that hold a pickle: its protocol mark at the beginning, and its stop at the end."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size]
    return [
        path for path in files if re.fullmatch(rb"\x80[\x02-\x05].*\.", path.read_bytes(), re.S)
    ]


def test_what_we_write_holds_no_pickle(trained: Path, tmp_path: Path):
    assert pickles(trained) == []
    (tmp_path / "x").write_bytes(pickle.dumps({"a": np.ones(3)}))
    assert pickles(tmp_path) == [tmp_path / "x"]


# ------------------------------------------------------------------------- no path leads outside


def restored(run: Path) -> int | None:
    settings = config.load(run)
    template = build.template(settings, SIGNAL, build.mesh(settings))
    with Checkpoints(run / "checkpoints") as checkpoints:
        found = checkpoints.restore(template)
    return None if found is None else found[0]


@pytest.mark.parametrize("name", ["../../../outside", "/etc/hostname", "meta/../../../../outside"])
def test_a_seal_that_names_a_file_outside_is_a_damaged_one(
    name: str, run: Path, told, tmp_path: Path
):
    (tmp_path / "outside").write_text("mine")
    step = run / "checkpoints" / "2"
    seal = json.loads((step / integrity.SEAL).read_text())
    seal["sha256"][name] = hashlib.sha256(b"mine").hexdigest()
    (step / integrity.SEAL).write_text(json.dumps(seal))
    assert integrity.damage(step) == f"{integrity.SEAL} is not as it was written"
    assert restored(run) == 1
    assert (run / "checkpoints" / "2.bad").is_dir()
    told(SECTION, "a seal that names a file outside (../, absolute)", "not opened; previous used")


LINKS = {
    "a file of weights": "ema/array_metadatas",
    "the weights": "ema",
    "the description": "meta/metadata",
    "the whole checkpoint": "",
}


@pytest.mark.parametrize("what", LINKS)
def test_a_link_in_a_checkpoint_is_not_followed(what: str, run: Path, tmp_path: Path, told):
    step = run / "checkpoints" / "2"
    place = step / LINKS[what]
    moved = tmp_path / "elsewhere"
    place.rename(moved)
    place.symlink_to(moved)
    settings = config.load(run)
    shapes = build.template(settings, SIGNAL, build.mesh(settings)).players["vae"].model
    assert restore_ema(run / "checkpoints", {"vae": shapes})[0] == 1
    with pytest.raises(CheckpointError, match="is a link"):
        restore_ema(run / "checkpoints", {"vae": shapes}, step=2)
    assert restored(run) == 1
    told(SECTION, f"{what} of a checkpoint is a link to outside", "not followed; previous used")


@pytest.mark.parametrize("name", ["metrics.jsonl", "checkpoints", build.SIGNAL, "tensorboard"])
def test_a_run_folder_with_a_link_to_outside_is_refused(name: str, run: Path, tmp_path: Path, told):
    outside = tmp_path / "outside"
    if (run / name).exists():
        (run / name).rename(outside)
    else:
        outside.write_text("mine")
    (run / name).symlink_to(outside)
    with pytest.raises(ConfigError, match=rf"{name} is a link out of the run folder; copy"):
        config.load(run)
    told(SECTION, f"{name} of a run folder is a link to outside", "refused before it is opened")


def test_a_link_within_the_run_folder_is_the_owner_s_affair(run: Path):
    (run / "latest").symlink_to(run / "checkpoints")
    assert config.load(run).run == run


def test_safetensors_hold_numbers_alone(run: Path):
    blob = (run / "model" / "model.safetensors").read_bytes()
    size = int.from_bytes(blob[:8], "little")
    header = json.load(io.BytesIO(blob[8 : 8 + size]))
    kinds = {entry["dtype"] for name, entry in header.items() if name != "__metadata__"}
    assert kinds == {"F32"}
    assert jax.tree.leaves(convt1d.load(run / "model"))
