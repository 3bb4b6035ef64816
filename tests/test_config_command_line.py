"""From words to a config: what a person types, and what a person is answered."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from apps import command_line, config, words
from apps.command_line import CONF, Words, quoted, read, sort
from apps.config import Config
from apps.manual import Door, purpose
from apps.schema import ConfigError, from_dict, settings, to_dict
from apps.train import DOOR

ROOT = CONF.parent
EXPERIMENTS = sorted(path.stem for path in CONF.glob("experiment/*.yaml"))
FILES = sorted(path for path in CONF.glob("*/*.yaml") if path.parent.name != "experiment")
NEEDED = {"audio_folder": "data.root=sounds", "arrays": "data.path=x.npy"}
BESIDE = {
    "objective=gan": ["critic=wavegan"],
    "objective=vae_gan": ["critic=hifigan"],
    "objective=upsampler": ["model=upsampler"],
    "objective=vae_flow": ["train.steps=5000"],
    "objective=upsampler_series": ["model=upsampler_series", "data=sines"],
}
"""What some choices ask of other groups."""


def compose(*words: str, start: Path | None = None) -> Config:
    return read(Config, sort(words), start=start)


def enter(*words: str, job: Callable[[Config], int] = lambda _: 0) -> int:
    return command_line.enter(DOOR, Config, job, list(words))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_composes(name: str):
    own = {"fsdd": "audio_folder", **dict.fromkeys(("series", "stocks", "energy"), "arrays")}
    data = own.get(name.partition("_")[0], "")
    made = compose(f"experiment={name}", *filter(None, [NEEDED.get(data)]))
    assert made.name == name
    assert from_dict(Config, to_dict(made)) == made


@pytest.mark.parametrize("path", FILES, ids=[f"{p.parent.name}={p.stem}" for p in FILES])
def test_every_choice_of_a_group_composes(path: Path):
    words = [f"{path.parent.name}={path.stem}", *filter(None, [NEEDED.get(path.stem)])]
    if path.stem in ("sines", "arrays"):
        words += ["objective=vae_series", "model.strides=[2,2]", "model.channels=[8,8]"]
    if path.parent.name == "critic":
        words += ["objective=vae_gan"]
    compose(*words, *BESIDE.get(words[0], []))


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_file_of_conf_says_what_it_is_and_holds_values_only(path: Path):
    text = path.read_text(encoding="utf-8")
    assert len(purpose(path)) > 10
    assert "_target_" not in text
    if path.parent.name == "experiment":
        assert f"# command:  python -m apps.train experiment={path.stem}" in text
        assert "# expected:" in text


def test_what_is_on_the_command_line_wins():
    made = compose("experiment=plucks_vae", "train.steps=1e2", "model.latent=4", "name=mine")
    assert (made.train.steps, made.model.latent, made.name) == (100, 4, "mine")


ODD = [
    "plain",
    "with space",
    "a=b",
    "a(b)",
    "a,b",
    "[a]",
    "{a: b}",
    "音 ünï",
    "it's",
    'say "hi"',
    "back\\slash\\",
    "${HOME}",
    "a#b",
    "~",
    "1e4",
    "true",
    "x: y",
    "new\tline",
]


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("key", ["run", "data.root"])
def test_a_path_may_hold_any_letter(name: str, key: str, tmp_path: Path):
    made = compose("data=audio_folder", "data.root=sounds", f"{key}={tmp_path}/{name}")
    assert isinstance(made.data, config.AudioFolder)
    assert (made.run if key == "run" else made.data.root) == tmp_path / name


@given(st.text(st.characters(exclude_categories=["C"]), min_size=1))
@example("\\${home}")
def test_a_quoted_text_is_read_by_hydra_as_it_stands(text: str):
    from omegaconf import OmegaConf

    (override,) = words.parsed([f"++name={quoted(text)}"])
    read_back = OmegaConf.to_container(OmegaConf.create({"name": override.value()}), resolve=True)
    assert read_back == {"name": text}


def test_relative_paths_start_from_the_present_folder(tmp_path: Path):
    made = compose("data=audio_folder", "data.root=sounds", "run=../r", start=tmp_path / "here")
    assert isinstance(made.data, config.AudioFolder)
    assert (made.data.root, made.run) == (tmp_path / "here" / "sounds", tmp_path / "r")


WRONG = {
    "key": (["train.stepz=3"], "train.stepz is not a setting; did you mean 'train.steps'?"),
    "group": (["modle=dac"], "modle is not a setting; did you mean 'model'?"),
    "choice": (["model=dca"], "model=dca is not there; choose from dac, encodec, hifigan,"),
    "experiment": (["experiment=pluck_vae"], "did you mean 'plucks_vae'?"),
    "no_value": (["train.steps"], "'train.steps' sets nothing; write key=value"),
    "whole_group": (["train=3"], "train holds settings of its own; set train.… one by one"),
    "comma": (["model.strides=2,4"], "a list is model.strides=[2,4], and one run for each"),
    "bracket": (["model.strides=[2,4"], "cannot read 'model.strides=[2,4': write numbers as"),
    "option": (["--helpp"], "--helpp is not an option; there are --help,"),
    "environment": (["model.latent=${oc.env:HOME}"], "is to be looked up; write the value itself"),
    "disguised": (["name='\\\\${oc.env:HOME}'"], "is to be looked up; write the value itself"),
    "other_setting": (["model.latent=${model.hop}"], "is to be looked up; write the value itself"),
    "target": (["_target_=os.system"], "_target_ is not a setting"),
    "nested_target": (["model._target_=os.system"], "model._target_ is not a setting"),
    "folder": (["--config-dir", "nowhere"], "--config-dir: there is no folder 'nowhere'"),
    "missing": (["data=audio_folder"], "data.root must be set: the folder"),
    "topic": (["--help", "modle"], "no help on 'modle'; there is some on"),
    "sweep_key": (["-m", "train.stepz=3,4"], "train.stepz is not a setting"),
    "sweep_choice": (["-m", "model=dac,dca"], "model=dca is not there"),
    "sweep_value": (["-m", "model.latent=8,x"], "model.latent must be a whole number, got 'x'"),
}


@pytest.mark.parametrize(("words", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_word_ends_with_2_and_one_message(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
):
    assert enter(*words, job=lambda _: pytest.fail("the job was begun")) == 2
    told = capsys.readouterr().err
    assert message in told
    assert "+" not in told  # Hydra's advice to append an unknown key
    assert "python -m apps.train --help" in told


def test_an_experiment_file_of_one_s_own_is_found_and_held_to_the_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "my conf (1)" / "experiment"
    folder.mkdir(parents=True)
    text = "# @package _global_\n# Mine\ndefaults:\n  - override /model: wavegan\nname: mine\n"
    (folder / "mine.yaml").write_text(f"{text}train: {{steps: 7}}\n")
    (folder / "wrong.yaml").write_text(f"{text}train: {{stepz: 7}}\n")
    (folder / "broken.yaml").write_text("a: [1\n")
    (folder / "lost.yaml").write_text("# @package _global_\ndefaults:\n - override /model: wag\n")
    (folder / "env.yaml").write_text("# @package _global_\nname: ${oc.env:HOME}\n")
    words = ["--config-dir", str(folder.parent)]
    made = compose(*words, "experiment=mine")
    assert (made.name, made.train.steps, made.model.entry) == ("mine", 7, "dense")
    assert enter(*words, "--help") == 0
    assert "experiment=mine           Mine" in capsys.readouterr().out
    for name, message in {
        "wrong": "train.stepz is not a setting; did you mean 'train.steps'?",
        "broken": "the config cannot be composed: while parsing",
        "lost": "Could not find 'model/wag'",
        "env": "'${oc.env:HOME}' is to be looked up",
    }.items():
        assert enter(*words, f"experiment={name}") == 2
        assert message in capsys.readouterr().err


def test_a_run_folder_alone_brings_its_own_settings(tmp_path: Path):
    config.save(from_dict(Config, {"model": {"latent": 3}, "name": "old"}), tmp_path)
    made = compose(f"run={tmp_path}", "train.steps=7")
    assert (made.model.latent, made.name, made.train.steps) == (3, "old", 7)
    assert made.run == tmp_path


def test_choosing_a_group_composes_anew_beside_a_run(tmp_path: Path):
    config.save(from_dict(Config, {"model": {"latent": 3}, "name": "old"}), tmp_path)
    assert compose(f"run={tmp_path}", "experiment=plucks_vae").name == "plucks_vae"


def test_cfg_prints_the_whole_config_and_stops(capsys: pytest.CaptureFixture[str]):
    words = ["experiment=sines_vae", "train.seed=5"]
    assert enter("--cfg", *words, job=lambda _: 1) == 0
    assert from_dict(Config, yaml.safe_load(capsys.readouterr().out)) == compose(*words)


def test_help_is_a_page_for_a_person(capsys: pytest.CaptureFixture[str]):
    assert enter("--help") == 0
    page = capsys.readouterr().out
    assert page.startswith(DOOR.purpose[:40])
    for name in EXPERIMENTS:
        line = next(line for line in page.splitlines() if f"experiment={name} " in line)
        assert len(line.split(maxsplit=1)[1]) > 10
    for path in FILES:
        assert f"{path.parent.name}={path.stem}" in page
    for typed, _ in DOOR.examples:
        assert f"python -m apps.train {typed}" in page
    assert max(map(len, page.splitlines())) <= 100


def test_help_on_a_group_lists_all_its_settings_with_defaults(capsys: pytest.CaptureFixture[str]):
    for group in ("data", "model", "objective", "optimiser", "train"):
        assert enter("--help", group) == 0
        page = capsys.readouterr().out
        for setting in settings(Config):
            assert (f"  {setting.key}=" in page) == (setting.key.split(".")[0] == group)
    assert "train.steps=1200" in page


def test_the_examples_of_the_help_compose():
    for typed, _ in DOOR.examples:
        asked = sort(typed.replace("FOLDER", "x").split())
        if not asked.multirun:
            read(Config, asked)


def test_the_training_commands_of_the_readme_are_answered():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^python -m apps\.train (.*?)(?: *#.*)?$", text, flags=re.MULTILINE)
    assert len(commands) > 3
    for typed in commands:
        assert enter(*typed.split()) == 0, typed


@pytest.mark.parametrize(
    "words", [["--help"], ["train.stepz=3"], ["model=dca"], ["--help", "data"], ["model.latent=x"]]
)
def test_help_and_typos_are_answered_before_jax_is_imported(words: list[str]):
    program = (
        "import sys, time; from apps.train import main; code = main(sys.argv[1:]);"
        "assert not {'jax', 'numpy', 'matplotlib', 'grain'} & set(sys.modules);"
        "assert time.process_time() < 1; sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program, *words], cwd=ROOT, capture_output=True)
    assert done.returncode == (0 if "--help" in words else 2), done.stderr


def test_ctrl_c_before_training_leaves_with_130(capsys: pytest.CaptureFixture[str]):
    def job(_: Config) -> int:
        raise KeyboardInterrupt

    assert enter(job=job) == 130
    assert capsys.readouterr().err == "stopped\n"


SWEEP = """
import sys
from pathlib import Path
from apps import command_line
from apps.config import Config
from apps.train import DOOR

def job(wanted):
    wanted.run.mkdir(parents=True, exist_ok=True)
    Path(wanted.run, "made").write_text(f"{wanted.model.latent} {wanted.optimiser.schedule}")
    return 0

sys.exit(command_line.enter(DOOR, Config, job, sys.argv[1:]))
"""


def test_a_sweep_gives_every_run_a_folder_of_its_own_and_leaves_no_other(tmp_path: Path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    mine = tmp_path / "conf" / "experiment"
    mine.mkdir(parents=True)
    (mine / "mine.yaml").write_text("# @package _global_\nname: mine\n")
    words = ["-m", "model.latent=4,8", "optimiser.schedule=cosine,constant"]
    for folder in ([], ["run=odd (1), 音", "--config-dir", "conf", "experiment=mine"]):
        subprocess.run(
            [sys.executable, "-c", SWEEP, *words, *folder],
            cwd=tmp_path,
            env=environment,
            check=True,
            capture_output=True,
        )
    (sweep,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"sweep-\d{8}-\d{6}-[0-9a-f]{4}", sweep.name)
    for each in (sweep, tmp_path / "odd (1), 音"):
        made = [(each / str(number) / "made").read_text() for number in range(4)]
        assert made == ["4 cosine", "4 constant", "8 cosine", "8 constant"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["conf", "odd (1), 音", "runs"]


def test_a_door_without_groups_reads_its_own_settings(capsys: pytest.CaptureFixture[str]):
    from dataclasses import dataclass

    @dataclass(frozen=True, kw_only=True)
    class Wanted:
        """What is wanted.

        Attributes:
            run: the run's folder
            count: how many
        """

        run: Path
        count: int = 4

    door = Door("python -m apps.example", "Do something.", (("run=x", "do it"),))
    seen: list[Wanted] = []
    job = lambda wanted: seen.append(wanted) or 0  # noqa: E731
    assert command_line.enter(door, Wanted, job, ["run=a (1)", "count=2"]) == 0
    assert seen == [Wanted(run=Path.cwd() / "a (1)", count=2)]
    assert command_line.enter(door, Wanted, job, ["count=2"]) == 2
    assert "run must be set: the run's folder" in capsys.readouterr().err
    assert command_line.enter(door, Wanted, job, ["--help"]) == 0
    assert "count=4" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="is not a setting"):
        read(Wanted, Words(("model=dac",)))
