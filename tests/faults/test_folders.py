"""Run folders that are shared, moved, deleted or left behind."""

import io
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from engine_toys import Run, batches, same_bits
from processes import (
    TIMEOUT,
    Trainer,
    command,
    errors,
    is_saving,
    kill,
    needs_signals,
    record,
    saved,
    share_compiled,
    wait_until,
)
from rich.console import Console

from apps import command_line, config, train
from apps.config import Config
from apps.engine.checkpoint import CheckpointError, Checkpoints
from apps.engine.lock import InUseError
from apps.engine.log import Log
from apps.schema import ConfigError


@pytest.fixture
def screen(monkeypatch):
    """What a run prints besides its steps."""
    text = io.StringIO()

    def log(folder, *, console):
        return Log(folder, console=Console(file=text, width=400))

    monkeypatch.setattr("engine_toys.Log", log)
    words = (" not saved: ", "Going on", "begins here", "are dropped")
    return lambda: [
        line for line in text.getvalue().splitlines() if any(word in line for word in words)
    ]


def before_step(step, action):
    def stream(start):
        for number, batch in enumerate(batches(start), start):
            if number == step:
                action()
            yield batch

    return stream


# two of them


@needs_signals
def test_a_second_run_in_a_folder_is_refused_until_the_first_is_gone(trainer, tmp_path, told):
    told(
        "disk and folders",
        "two runs in one folder",
        "the second is refused, the first one's process named; a lock that a killed run left is "
        "no hindrance",
    )
    run = tmp_path / "run"
    process = trainer.start(run, 100_000, pause=0.01)
    wait_until(lambda: len(record(run)) > 5, process)
    with pytest.raises(InUseError, match=rf"in use by process {process.pid}: stop that run or"):
        Checkpoints(run / "checkpoints")
    kill(process)
    assert (run / "checkpoints" / "lock").read_text() == f"process {process.pid}"
    Checkpoints(run / "checkpoints").close()


def test_runs_begun_in_one_second_have_folders_of_their_own(told, monkeypatch):
    told("disk and folders", "several starts in one second", "each has a run folder of its own")
    monkeypatch.setattr(time, "strftime", lambda form: "20260101-000000")
    with ThreadPoolExecutor(4) as several:
        names = list(several.map(lambda _: train.find_folder(Config()).name, range(8)))
    assert len(set(names)) == len(names)
    assert all(name.startswith("plucks-20260101-000000-") for name in names)


def test_runs_begun_in_one_second_write_events_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1.8e9)
    for done in (0, 3, 3):
        with Log(tmp_path, console=Console(quiet=True)) as log:
            log.begin(done, steps=9, devices=1)
            log.scalars(done + 1, {"loss": 1.0})
    names = sorted(path.name for path in (tmp_path / "tensorboard").iterdir())
    assert [name.split(".out")[0] for name in names] == [
        "events",
        "events.part-0001",
        "events.part-0002",
    ]


# moved, deleted, replaced


def settled(run, step):
    """Waits until a checkpoint is whole, so that what is done next is not done to its save."""
    while step not in saved(run.folder) or is_saving(run.folder):
        time.sleep(0.01)


def test_a_run_folder_deleted_in_mid_run_is_told(tmp_path, told, screen):
    told(
        "disk and folders",
        "the run folder deleted or moved away in mid run",
        "one line each; record and checkpoints begin anew, no bit is lost; without its "
        "config.yaml the rest is not taken for a run",
    )
    run = Run(tmp_path / "run")

    def move():
        settled(run, 10)
        run.folder.rename(tmp_path / "moved")

    state = run.train(22, batches=before_step(12, move))
    assert screen() == [
        f"{run.folder / name} is gone: a new one begins here"
        for name in ("metrics.jsonl", "checkpoints")
    ]
    assert saved(run.folder) == [15, 20, 22]
    assert same_bits(state, Run(tmp_path / "whole").train(22))
    whole = record(tmp_path / "whole")
    assert record(tmp_path / "moved") | record(run.folder) == whole
    with pytest.raises(ConfigError, match=r"holds .* and no run; choose a new folder"):
        train.find_folder(Config(run=run.folder))


def test_checkpoints_without_their_config_are_no_run(tmp_path, told):
    told(
        "disk and folders",
        "checkpoints whose config.yaml is missing",
        "refused: another stride has weights of the same shapes",
    )
    run = Run(tmp_path / "run")
    with Checkpoints(run.checkpoints) as checkpoints:
        checkpoints.save(3, run.fresh(), force=True)
    with pytest.raises(ConfigError, match=r"holds checkpoints and no config.yaml, without which"):
        train.find_folder(Config(run=run.folder))


def test_a_file_in_place_of_the_checkpoints_is_told(tmp_path, told, screen):
    told(
        "disk and folders",
        "the folder of the checkpoints replaced by a file in mid run",
        "one line for each checkpoint that is lost, exit code 1 at the end; nothing waits",
    )
    run = Run(tmp_path / "run")

    def replace():
        settled(run, 10)
        run.checkpoints.rename(tmp_path / "away")
        run.checkpoints.write_text("in the way")

    begun = time.monotonic()
    with pytest.raises(CheckpointError, match=r"checkpoint 22 was not saved: Not a directory"):
        run.train(22, batches=before_step(12, replace))
    assert time.monotonic() - begun < 100
    assert [line.split(". ")[0] for line in screen()] == [
        f"checkpoint {step} was not saved: Not a directory" for step in (15, 20)
    ]
    assert (tmp_path / "away" / "10").is_dir()


@pytest.mark.parametrize("what", ["deleted", "a folder"])
def test_a_record_that_is_gone_costs_a_line(tmp_path, told, screen, what):
    told(
        "disk and folders",
        "metrics.jsonl deleted, or a folder in its place",
        "one line; the run goes on, and so does a deleted record",
    )
    run = Run(tmp_path / "run")

    def remove():
        (run.folder / "metrics.jsonl").unlink()
        if what == "a folder":
            (run.folder / "metrics.jsonl").mkdir()

    state = run.train(9, batches=before_step(4, remove))
    (line,) = screen()
    assert "is gone: a new one begins here" in line or "Is a directory. Going on" in line
    assert same_bits(state, Run(tmp_path / "whole").train(9))
    if what == "deleted":
        whole = record(tmp_path / "whole")
        assert record(run.folder) == {step: whole[step] for step in range(4, 10)}


def test_lines_of_the_record_that_cannot_be_read_are_told(tmp_path, told, screen):
    told(
        "disk and folders",
        "metrics.jsonl damaged before a resume",
        "one line says how many of its lines are dropped; the others stay",
    )
    run = Run(tmp_path / "run")
    run.train(6)
    content = bytearray((run.folder / "metrics.jsonl").read_bytes())
    content[10] |= 0x80
    (run.folder / "metrics.jsonl").write_bytes(content)
    run.train(8)
    assert list(record(run.folder)) == list(range(2, 9))
    assert screen() == ["metrics.jsonl has 1 lines that cannot be read: they are dropped"]


def test_events_that_are_deleted_begin_again(tmp_path, told, screen, monkeypatch):
    told("disk and folders", "the TensorBoard folder deleted", "one line; another file is begun")
    monkeypatch.setattr("apps.engine.board._FLUSH", 0.0)
    run = Run(tmp_path / "run")
    board = run.folder / "tensorboard"
    run.train(9, batches=before_step(4, lambda: board.rename(tmp_path / "away")))
    assert screen() == ["tensorboard cannot be written: No such file or directory. Going on"]
    assert len(list(board.iterdir())) == 1


@pytest.mark.parametrize("name", ["run [1]", "run *", "run ?", "run \\ 2"])
def test_a_folder_whose_name_is_a_pattern_is_refused(tmp_path, told, name):
    told(
        "disk and folders",
        "`[`, `]`, `*`, `?` or `\\` in the path of a run",
        "refused in one line: what orbax saves there cannot be read",
    )
    with pytest.raises(ValueError, match=r"whose name has . (. )?in it: choose a folder without"):
        Checkpoints(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["a b", "{1}", "a'b", 'a"b', "$HOME", "a#b", "%20", "~", "a|b;c&d"]
)
def test_a_folder_of_another_odd_name_holds_checkpoints(tmp_path, name):
    run = Run(tmp_path / name)
    assert same_bits(run.train(2), run.train(2))


# left behind


@needs_signals
def test_what_killed_runs_leave_behind_is_no_hindrance(tmp_path, told):
    told(
        "disk and folders",
        "half-written files of a run that was killed",
        "they are removed, or written over",
    )
    run = Run(tmp_path / "run")
    expected = run.train(5)
    for name in ("9.orbax-checkpoint-tmp", "7.orbax-checkpoint-tmp-123", "retired"):
        (run.checkpoints / name / "train").mkdir(parents=True)
    (run.folder / "metrics.tmp").write_bytes(b"half a rec")
    (run.folder / "config.yaml.1234.tmp").write_bytes(b"half a con")
    assert same_bits(run.train(5), expected)
    assert same_bits(run.train(7), Run(tmp_path / "whole").train(7))
    assert {path.name for path in run.checkpoints.iterdir()} == {"5", "7", "lock"}
    begun = tmp_path / "begun"
    begun.mkdir()
    (begun / "config.yaml.1234.tmp").write_bytes(b"half a con")
    assert train.find_folder(Config(run=begun)) == begun


@needs_signals
def test_compiled_programs_that_are_damaged_are_compiled_again(tmp_path, told):
    told(
        "disk and folders",
        "the cache of compiled programs truncated",
        "one line; they are compiled again, once, and written anew; same bits",
    )
    compiled = tmp_path / "compiled"
    trainer = Trainer(compiled)
    trainer.finish(tmp_path / "first", 4)
    kept = [path for path in compiled.iterdir() if path.name.endswith("-cache")]
    assert kept
    for path in kept:
        os.truncate(path, path.stat().st_size // 2)
    process = trainer.start(tmp_path / "second", 4)
    process.join(TIMEOUT)
    assert process.exitcode == 0
    (line,) = errors(tmp_path / "second").splitlines()
    assert line.endswith(f"compiled programs in {compiled} are damaged: they are compiled again")
    trainer.finish(tmp_path / "third", 4)
    for name in ("second", "third"):
        assert record(tmp_path / name) == record(tmp_path / "first")


# another config


OTHERS = {
    "width": ("model.channels=[8]", "model.channels: [4] → [8]"),
    "stride, with weights of the same shapes": ("model.strides=[2]", "model.strides: [4] → [2]"),
    "learning rate": ("optimiser.learning_rate=1.0", "optimiser.learning_rate: 0.003 → 1.0"),
    "seed": ("train.seed=7", "train.seed: 0 → 7"),
    "data": ("data.length=128", "data.length: 64 → 128"),
}
"""A change at a resume, and how it is named."""


@pytest.fixture
def begun(tmp_path):
    words = ("model.strides=[4]", "model.channels=[4]", "model.kernel_size=8", "data.length=64")
    sorted_words = command_line.sort(["experiment=plucks_vae", *words, f"run={tmp_path / 'run'}"])
    wanted = command_line.read(Config, sorted_words)
    (tmp_path / "run").mkdir()
    config.save(wanted, tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize("what", OTHERS)
def test_another_config_is_refused_at_a_resume(begun, told, capsys, what):
    told(
        "disk and folders",
        f"resumed with another {what}",
        "refused in words with both values, exit code 2; what may change is listed",
    )
    word, said = OTHERS[what]
    before = (begun / "config.yaml").read_bytes()
    assert train.main([f"run={begun}", word]) == 2
    text = capsys.readouterr().err
    assert said in text
    assert "What may change in a run: " in text
    assert (begun / "config.yaml").read_bytes() == before


def test_a_config_that_is_damaged_is_named(begun, told, capsys):
    told("disk and folders", "config.yaml damaged", "refused in one line with its name")
    (begun / "config.yaml").write_bytes(b"model: [\xff\xfe")
    assert train.main([f"run={begun}"]) == 2
    assert f"{begun / 'config.yaml'} is damaged: " in capsys.readouterr().err


@pytest.mark.slow
def test_of_two_commands_at_once_one_trains(tmp_path, told, compiled):
    told(
        "disk and folders",
        "two commands started at once with the same run=",
        "one trains, the other is refused",
    )
    words = (
        *("experiment=sines_vae", "data.count=8", "train.batch_size=4", "model.channels=[4,4,4]"),
        *("run=r", "train.steps=150", "train.sample_every=0", "train.evaluate_every=0"),
    )
    both = [command(*words, folder=tmp_path, **share_compiled(compiled)) for _ in range(2)]
    told_by = [process.communicate() for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes == [0, 2], told_by
    assert "is in use by process" in "".join(errors for _, errors in told_by)
    assert saved(tmp_path / "r")[-1] == 150
