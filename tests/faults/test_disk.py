"""Disks that are full, or take nothing at all."""

import errno
import io
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from engine_toys import Run, batches, same_bits
from processes import ROOT, TIMEOUT, record, saved
from rich.console import Console

from apps import config, train
from apps.engine import loop
from apps.engine.checkpoint import CheckpointError
from apps.engine.log import Log
from apps.engine.terminal import terminal

SAID = "No space left on device"


@pytest.fixture
def disk(tmp_path):
    """Mounts a small file system of one's own."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options):
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True
        )
        if done.returncode:
            pytest.skip("this root cannot mount a small disk")
        return place

    yield mount
    subprocess.run(["umount", "-l", str(place)], capture_output=True)


def fill(folder):
    with (folder / "filler").open("wb", buffering=0) as file:
        for size in (65536, 4096):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue


def wait_for(run, step):
    """Waits until the checkpoint of a step is whole."""
    deadline = time.monotonic() + TIMEOUT
    while step not in saved(run.folder) and time.monotonic() < deadline:
        time.sleep(0.01)


def fill_after(run, step):
    """Fills the disk of a run as soon as its checkpoint of a step is whole."""
    wait_for(run, step)
    fill(run.folder.parent)


def between_steps(actions):
    """Batches, and something done before some of them."""

    def stream(start):
        for step, batch in enumerate(batches(start), start):
            actions.get(step, lambda: None)()
            yield batch

    return stream


@pytest.fixture
def screen(monkeypatch):
    """What a run prints."""
    text = io.StringIO()

    def log(folder, *, console):
        return Log(folder, console=Console(file=text, width=200))

    monkeypatch.setattr("engine_toys.Log", log)
    return lambda: [
        line
        for line in text.getvalue().splitlines()
        if " not saved: " in line or "Going on" in line
    ]


def test_a_disk_full_for_a_while_costs_the_checkpoints_of_that_while(disk, screen, tmp_path, told):
    told(
        "disk and folders",
        "the disk full in mid run, and free again later",
        "one line for each checkpoint lost; earlier ones stay whole, training goes on, and saves "
        "again as soon as there is room",
    )
    place = disk("size=8m")
    run = Run(place / "run")
    keep = {"keep_latest": 9}
    free = {11: lambda: fill_after(run, 10), 23: lambda: (place / "filler").unlink()}
    state = run.train(30, batches=between_steps(free), keep=keep)
    assert saved(run.folder) == [5, 10, 25, 30]
    lost = [line for line in screen() if line.startswith("checkpoint ")]
    assert [line.split(":")[0] for line in lost] == [
        f"checkpoint {step} was not saved" for step in (15, 20)
    ]
    assert all(SAID in line or "MB are free" in line for line in lost)
    whole = Run(tmp_path / "whole")
    assert same_bits(state, whole.train(30))
    expected = record(whole.folder)
    assert record(run.folder) == {step: expected[step] for step in record(run.folder)}
    assert same_bits(run.train(30, keep=keep), state)


def test_a_disk_full_at_the_end_is_an_error(disk, told):
    told(
        "disk and folders",
        "the disk full at the end",
        "exit code 1 and one line, earlier checkpoints stay; once there is room the run goes on",
    )
    place = disk("size=8m")
    run = Run(place / "run")
    with pytest.raises(CheckpointError, match="checkpoint 13 was not saved: "):
        run.train(13, batches=between_steps({11: lambda: fill_after(run, 10)}))
    assert saved(run.folder) == [5, 10]
    with pytest.raises(CheckpointError, match=f"{SAID}|MB are free"):
        run.train(13)
    (place / "filler").unlink()
    assert int(run.train(13).step) == 13
    assert list(record(run.folder)) == list(range(1, 14))


def test_a_disk_that_has_no_room_for_folders_holds_nothing_up(disk, screen, told):
    told(
        "disk and folders",
        "no inodes left",
        "one line for each checkpoint; the run does not wait for folders that cannot be made",
    )
    place = disk("size=8m,nr_inodes=40")
    run = Run(place / "run")
    with pytest.raises(CheckpointError, match=f"checkpoint 9 was not saved: {SAID}"):
        run.train(9)
    assert any(line.startswith("checkpoint 5 was not saved") for line in screen())


def test_output_that_is_read_only_is_refused(disk, tmp_path, told, capsys):
    told("disk and folders", "a read-only output", "refused in one line before training, exit 2")
    place = disk("size=1m")
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    assert train.main([*SMALL, f"run={place / 'run'}"]) == 2
    assert "checkpoints cannot be written to" in (text := capsys.readouterr().err)
    assert "Read-only file system" in text
    assert len(text.splitlines()) == 2  # and where help is


def test_a_disk_that_turns_read_only_in_mid_run_holds_nothing_up(disk, tmp_path, screen, told):
    told(
        "disk and folders",
        "the disk turns read-only in mid run, as after an error of its own",
        "one line for each checkpoint that is lost, exit code 1 at the end; earlier ones stay",
    )
    run = Run(disk("size=8m") / "run")

    def protect():
        wait_for(run, 10)
        subprocess.run(["mount", "--bind", run.folder, run.folder], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", run.folder], check=True)

    begun = time.monotonic()
    try:
        with pytest.raises(CheckpointError, match="13 was not saved: Read-only file system"):
            run.train(13, batches=between_steps({11: protect}))
    finally:
        subprocess.run(["umount", "-l", run.folder])
    assert time.monotonic() - begun < 100
    assert "metrics.jsonl cannot be written: Read-only file system. Going on" in screen()
    assert saved(run.folder) == [5, 10]
    assert same_bits(run.train(13), Run(tmp_path / "whole").train(13))


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_terminal_without_our_letters_gets_others(tmp_path, told, encoding):
    told("disk and folders", "a terminal or file without →, · and 音", "they are printed as ?")
    code = (
        "import sys; from apps import train; "
        "sys.exit(train.main(['run=音→b', '--cfg']) + train.main(['--help', 'train']))"
    )
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"/??b\n" in done.stdout


SMALL = (
    *("experiment=sines_vae", "model.strides=[4]", "model.channels=[4]", "model.latent=2"),
    *("data.count=8", "train.batch_size=4"),
)


@pytest.mark.parametrize("name", ["config.yaml", "signal.json"])
def test_a_disk_full_at_the_start_leaves_no_half_run(tmp_path, told, monkeypatch, capsys, name):
    told(
        "disk and folders",
        "the disk full while config.yaml or signal.json is written",
        "exit code 2, one line with the file's name, nothing half written; the next start is "
        "like the first",
    )
    write = Path.write_text

    def refuse(path, text, **options):
        if path.name.startswith(name):
            write(path, text[:9])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, text, **options)

    monkeypatch.setattr(Path, "write_text", refuse)
    run = tmp_path / "run"
    assert train.main([*SMALL, f"run={run}"]) == 2
    assert f"{SAID}: '{run / name}'" in capsys.readouterr().err
    left = {path.name for path in run.iterdir()}
    assert left <= {"checkpoints", "signal.json"} - {name}
    wanted = config.Config(run=run)
    assert train.find_folder(wanted) == run


@pytest.mark.parametrize("kind", ["a full disk", "a pipe that nobody reads"])
def test_a_terminal_that_takes_nothing_ends_no_run(tmp_path, told, kind):
    told(
        "disk and folders",
        "standard output to a full disk, or to a pipe whose reader has gone (`| head`)",
        "the run goes on, and is saved; `metrics.jsonl` has all that was to be printed",
    )
    if kind == "a full disk" and not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    if kind == "a full disk":
        writer = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, writer = os.pipe()
        os.close(reader)
    file = os.fdopen(writer, "w")
    screen = terminal(file=file)
    screen.print("[bold]a line")
    screen.print("another")
    with suppress(OSError):  # of the full disk, as Python closes it
        file.close()


def test_a_record_that_cannot_be_written_costs_lines_and_no_bit(
    screen, tmp_path, told, monkeypatch
):
    told(
        "disk and folders",
        "metrics.jsonl made read-only in mid run",
        "one line says so; the model is the same, bit for bit",
    )
    opened = Path.open

    def refuse(path, *arguments, **options):
        if path.name == "metrics.jsonl" and arguments[:1] == ("a",):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path, *arguments, **options)

    run = Run(tmp_path / "run")
    stop = {6: lambda: monkeypatch.setattr(Path, "open", refuse)}
    state = run.train(12, batches=between_steps(stop))
    assert screen() == ["metrics.jsonl cannot be written: Permission denied. Going on"]
    monkeypatch.undo()
    assert same_bits(state, Run(tmp_path / "whole").train(12))
    assert len(record(run.folder)) == 5
    assert loop.fetch(state.step) == 12
