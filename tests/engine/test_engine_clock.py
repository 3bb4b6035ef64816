"""Where the time goes: every moment counted once, kept with the run, added up over its starts."""

import io
import json
import logging
import time

import numpy as np
import pytest
from engine_toys import Run, wave
from rich.console import Console

from apps.engine import clock as clocks
from apps.engine import messages as kept
from apps.engine import times
from apps.engine.clock import ACTIVITIES, Clock
from apps.engine.log import Log
from apps.engine.loop import Cadence
from apps.engine.messages import Messages, Overheard
from apps.engine.times import Times


@pytest.fixture
def now(monkeypatch):
    """A clock that goes as it is told."""
    at = [100.0]
    monkeypatch.setattr(clocks.time, "perf_counter", lambda: at[0])
    return at


def record(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def texts(folder):
    return [(row["step"], row["kind"], row["text"]) for row in record(folder / "messages.jsonl")]


def begun(folder, done=0, *, steps=99, earlier=()):
    log = Log(folder, console=Console(file=io.StringIO()), earlier=earlier)
    log.begin(done, steps=steps, devices=1)
    return log


def test_every_moment_belongs_to_one_activity(now):
    clock = Clock()
    now[0] += 1
    clock.turn("step")
    now[0] += 2
    with clock.during("evaluate"):
        now[0] += 4
        with clock.during("data"):
            now[0] += 8
        now[0] += 16
    now[0] += 32
    expected = dict.fromkeys(ACTIVITIES, 0.0) | {"start": 1, "step": 34, "evaluate": 20, "data": 8}
    assert clock.seconds() == expected
    assert sum(clock.seconds().values()) == now[0] - 100


def test_what_raises_ends_its_activity(now):
    clock = Clock()

    def read():
        now[0] += 1
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"), clock.during("data"):
        read()
    now[0] += 2
    assert (clock.seconds()["data"], clock.seconds()["start"]) == (1, 2)


def test_a_clock_that_goes_back_takes_nothing_away(now):
    clock = Clock()
    now[0] -= 50
    assert clock.seconds()["start"] == 0


def test_a_turn_there_and_back_takes_microseconds():
    clock, took = Clock(), []
    for _ in range(20):
        begun = time.perf_counter()
        for _ in range(100):
            with clock.during("data"):
                pass
        took.append((time.perf_counter() - begun) / 100)
    assert min(took) < 2e-5  # measured: a fifteenth of that


def test_times_add_up_over_the_starts_of_a_run(tmp_path, now):
    for done in (0, 10):
        kept, clock = Times(tmp_path, {"devices": "1 × cpu"}), Clock()
        now[0] += 3
        kept.begin(done)
        kept.write(done + 10, clock)
    stretches = json.loads((tmp_path / "timing.json").read_text())["stretches"]
    assert [(each["from"], each["to"], each["seconds"]["start"]) for each in stretches] == [
        (0, 10, 3),
        (10, 20, 3),
    ]
    assert stretches[0]["about"] == {"devices": "1 × cpu"}


def test_a_run_that_is_started_without_end_keeps_a_short_file(tmp_path, now, monkeypatch):
    monkeypatch.setattr(times, "MOST", 4)
    for done in range(9):
        kept, clock = Times(tmp_path, {}), Clock()
        now[0] += 1
        kept.begin(done)
        kept.write(done + 1, clock)
    stretches = json.loads((tmp_path / "timing.json").read_text())["stretches"]
    assert len(stretches) == 4
    assert sum(each["seconds"]["start"] for each in stretches) == 9
    assert (stretches[0]["from"], stretches[-1]["to"]) == (0, 9)


@pytest.mark.parametrize("content", ["", "[]", '{"stretches": 3}', '{"stretches": [{"from": 0}]}'])
def test_damaged_times_begin_anew_with_a_word(tmp_path, content):
    (tmp_path / "timing.json").write_text(content)
    log = begun(tmp_path)
    log.close()
    assert len(json.loads((tmp_path / "timing.json").read_text())["stretches"]) == 1
    assert "timing.json is damaged" in texts(tmp_path)[0][2]


def test_a_run_and_its_resume_tell_where_their_time_went(tmp_path):
    run = Run(tmp_path)
    every = Cadence(log=1, evaluate=3, sample=3, save=2)
    for steps in (5, 9):
        run.train(steps, cadence=every, evaluate=lambda _: {"a": 1.0}, sample=lambda _: [wave()])
    first, second = json.loads((run.folder / "timing.json").read_text())["stretches"]
    assert (first["from"], first["to"], second["from"], second["to"]) == (0, 5, 5, 9)
    assert all(each > 0 for each in first["seconds"].values())
    assert set(first["seconds"]) == set(ACTIVITIES)


def test_the_time_of_a_run_that_breaks_off_is_kept(tmp_path):
    def fail(state):
        raise RuntimeError("broken")

    run = Run(tmp_path)
    with pytest.raises(RuntimeError, match="broken"):
        run.train(9, cadence=Cadence(log=1, evaluate=4, sample=0, save=0), evaluate=fail)
    (only,) = json.loads((run.folder / "timing.json").read_text())["stretches"]
    assert only["to"] == 4


def test_messages_and_warnings_are_kept_with_their_steps(tmp_path):
    log = begun(tmp_path, earlier=["two files are left out"])
    log.message("each device holds little")
    log.step(7, {})
    log.warn("the critic has won")
    logging.getLogger("apps.data").warning("a file is damaged")
    log.close()
    assert texts(tmp_path) == [
        (0, "warning", "two files are left out"),
        (0, "message", "each device holds little"),
        (7, "warning", "the critic has won"),
        (7, "warning", "a file is damaged"),
    ]


def test_a_resume_drops_what_was_said_of_later_steps(tmp_path):
    log = begun(tmp_path)
    for step in (1, 2, 3):
        log.step(step, {})
        log.message(f"at {step}")
    log.close()
    log = begun(tmp_path, 2)
    log.message("again")
    log.close()
    assert texts(tmp_path) == [
        (1, "message", "at 1"), (2, "message", "at 2"), (2, "message", "again")
    ]  # fmt: skip


def test_a_run_that_complains_at_every_step_keeps_the_first_and_the_last(tmp_path):
    messages = Messages(tmp_path)
    count = 3 * (kept.FIRST + kept.LAST)
    for step in range(count):
        messages.write(step, "warning", "x" * 10_000)
    rows = record(tmp_path / "messages.jsonl")
    assert len(rows) <= 2 * (kept.FIRST + kept.LAST) + 1
    steps = [row["step"] for row in rows]
    assert steps[: kept.FIRST] == list(range(kept.FIRST))
    assert steps[-kept.LAST :] == list(range(count - kept.LAST, count))
    assert "left out" in rows[kept.FIRST]["text"]
    assert max(len(row["text"]) for row in rows) == kept.LONGEST


def test_warnings_before_a_log_are_heard_and_still_said(capsys, monkeypatch):
    monkeypatch.setattr(logging.root, "handlers", [])
    with Overheard(aloud=True) as heard:
        logging.getLogger("apps.data.audio").warning("three files are left out")
        logging.getLogger("apps.data.audio").info("nothing")
    logging.getLogger("apps.data.audio").warning("later")
    assert heard.texts == ["three files are left out"]
    assert capsys.readouterr().err == "three files are left out\nlater\n"


def test_records_of_the_data_are_kept_once(tmp_path):
    from apps.engine.sample import Sample

    log = begun(tmp_path)
    log.records([Sample("a/b", np.ones((8, 1), np.float32), 8000)])
    log.records([Sample("c", np.ones((8, 2), np.float32))])
    log.close()
    assert {path.name for path in (tmp_path / "samples").iterdir()} == {
        "record-a-b.wav",
        "records.npz",
    }
