import errno
import io
import json
import logging
from pathlib import Path

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import soundfile
from engine_toys import wave
from rich.console import Console

from apps.engine.board import Board
from apps.engine.log import Log
from apps.engine.sample import Sample


def console(*, terminal=False):
    return Console(file=io.StringIO(), force_terminal=terminal, width=120)


def said(screen):
    return screen.file.getvalue()


@pytest.fixture
def log(tmp_path):
    with Log(tmp_path, console=console()) as log:
        log.begin(0, steps=100, devices=8)
        yield log


def scalars_on_board(folder):
    from tensorboardX.proto import event_pb2

    found = []
    for path in (folder / "tensorboard").iterdir():
        content = path.read_bytes()
        while content:
            length = int.from_bytes(content[:8], "little")
            event = event_pb2.Event.FromString(  # pyright: ignore[reportAttributeAccessIssue]
                content[12 : 12 + length]
            )
            found += [(event.step, value.tag, value) for value in event.summary.value]
            content = content[16 + length :]
    return found


def test_numbers_go_to_the_record_the_board_and_the_screen(log, tmp_path):
    log.step(10, {"vae/loss": 0.1})
    log.scalars(10, {"vae/loss": jnp.float32(0.1), "vae/kl": 2.0})
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {
        "step": 10,
        "vae/loss": float(np.float32(0.1)),
        "vae/kl": 2.0,
    }
    assert said(log.progress.console) == "step 10 of 100 · vae/loss 0.1 · 8 devices\n"
    log.close()
    board = {(step, tag): value.simple_value for step, tag, value in scalars_on_board(tmp_path)}
    assert board[10, "vae/loss"] == np.float32(0.1)


def test_numbers_that_are_not_finite_are_null_in_the_record(log, tmp_path):
    log.scalars(1, {"a": np.nan, "b": -np.inf, "c": jnp.asarray(1, jnp.bfloat16)})
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {
        "step": 1,
        "a": None,
        "b": None,
        "c": 1.0,
    }


def test_a_resumed_record_drops_later_and_torn_lines(tmp_path):
    lines = [json.dumps({"step": step, "loss": step / 3}) for step in range(1, 8)]
    (tmp_path / "metrics.jsonl").write_text("\n".join([*lines, '{"step": 8, "lo']))
    with Log(tmp_path, console=console()) as log:
        log.begin(5, steps=10, devices=1)
    assert (tmp_path / "metrics.jsonl").read_text().splitlines() == lines[:5]


def test_the_pace_is_shown_from_the_second_step_on(log):
    for step in (1, 2, 3):
        log.step(step, {"decoder/loss": 2.0, "critic/loss": 1.0, "decoder/norm": 3.0})
    log.scalars(3, {"decoder/loss": 2.0, "critic/loss": 1.0, "decoder/norm": 3.0})
    line = said(log.progress.console)
    assert line.startswith("step 3 of 100 · decoder/loss 2 · critic/loss 1 · ")
    assert " steps/s · " in line
    assert " left · 8 devices" in line
    assert "norm" not in line


def test_on_a_terminal_there_is_a_bar_and_no_lines(tmp_path):
    screen = console(terminal=True)
    with Log(tmp_path, console=screen) as log:
        log.begin(20, steps=100, devices=1)
        log.step(21, {"vae/loss": 0.25})
        log.step(22, {"vae/loss": 0.125})
        log.scalars(22, {"vae/loss": 0.125})
        log.message("a word")
    shown = said(screen)
    assert "22/100" in shown
    assert "vae/loss 0.125" in shown
    assert "a word" in shown
    assert "step 22 of 100" not in shown


def test_what_other_parts_warn_of_is_printed_plainly(log):
    logging.getLogger("apps.engine.checkpoint").warning("a [warning] of %d words", 4)
    assert said(log.progress.console) == "a [warning] of 4 words\n"
    log.close()
    logging.getLogger("apps").debug("nobody listens")
    assert said(log.progress.console).count("\n") == 1


def test_a_sample_is_heard_and_seen(log, tmp_path):
    for step in (5, 10):
        log.samples(step, [wave("Ton 1/2"), wave("zwei", channels=2)])
    log.close()  # waits for what is drawn
    found = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert found == [
        "reference-Ton-1-2.wav",
        "reference-zwei.wav",
        "step-0000005-Ton-1-2.wav",
        "step-0000005-zwei.wav",
        "step-0000005.png",
        "step-0000010-Ton-1-2.wav",
        "step-0000010-zwei.wav",
        "step-0000010.png",
    ]
    sound, rate = soundfile.read(tmp_path / "samples" / "step-0000005-Ton-1-2.wav")
    assert rate == 8000
    np.testing.assert_allclose(sound, wave().signal[:, 0], atol=1 / 32768)
    tags = {tag for _, tag, _ in scalars_on_board(tmp_path)}
    assert {"samples", "Ton 1/2", "Ton 1/2 (reference)", "zwei"} <= tags


@pytest.mark.parametrize(
    "signal",
    [
        np.full((200, 1), np.nan, np.float32),
        np.full((200, 1), np.inf, np.float32),
        np.full((200, 1), 3.0, np.float32),
        np.zeros((200, 1), ml_dtypes.bfloat16),
        np.zeros((200, 5), np.float32),
        np.zeros((1, 1), np.float32),
    ],
    ids=["NaN", "infinite", "too loud", "bfloat16", "five channels", "one value"],
)
def test_no_sample_stops_a_run(log, tmp_path, signal):
    log.samples(1, [Sample("odd", signal, rate=8000)])
    log.close()
    assert said(log.progress.console) == ""
    sound, _ = soundfile.read(tmp_path / "samples" / "step-0000001-odd.wav", always_2d=True)
    assert sound.shape == signal.shape
    assert np.max(np.abs(sound)) <= 1


def test_a_series_is_seen_and_its_numbers_are_kept(log, tmp_path):
    given = wave("prices", channels=3, rate=None)
    log.samples(1, [given])
    log.samples(2, [])
    log.close()
    names = {path.name for path in (tmp_path / "samples").iterdir()}
    assert names == {"step-0000001.png", "step-0000001.npz"}
    kept = np.load(tmp_path / "samples" / "step-0000001.npz")
    assert kept["names"].tolist() == ["prices"]
    assert np.array_equal(kept["signal-0"], given.signal)


def test_a_histogram_without_a_finite_value_does_not_stop_a_run(log, tmp_path):
    log.histograms(1, {"good": jnp.arange(9.0), "mixed": np.array([1.0, np.nan])})
    log.histograms(2, {"bad": np.full(4, np.nan)})
    outlier = np.append(np.linspace(-1, 1, 999), 3e38).astype(np.float32)
    log.histograms(3, {"outlier": outlier, "whole range": outlier[-1] * np.array([-1, 1, 0])})
    log.close()
    shown = {tag for _, tag, _ in scalars_on_board(tmp_path)}
    assert shown == {"good", "mixed", "outlier", "whole_range"}


class HalfFull:
    """A file on a disk that takes five more letters."""

    def __init__(self, path):
        self._path = path

    def __enter__(self):
        return self

    def __exit__(self, *arguments):
        pass

    def write(self, line):
        with open(self._path, "a") as file:
            file.write(line[:5])
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_costs_a_word_and_not_the_run(log, tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    log.scalars(1, {"loss": 1.0})
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda path, *arguments, **options: HalfFull(path))
        patch.setattr(Board, "scalar", refuse)
        for step in (2, 3):
            log.scalars(step, {"loss": 2.0})
    log.scalars(4, {"loss": 4.0})
    record = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert record == ['{"step": 1, "loss": 1.0}', '{"step": 4, "loss": 4.0}']
    lines = [line for line in said(log.progress.console).splitlines() if "Going on" in line]
    assert lines == [
        "metrics.jsonl cannot be written: No space left on device. Going on",
        "messages.jsonl cannot be written: No space left on device. Going on",
        "tensorboard cannot be written: No space left on device. Going on",
    ]


def test_a_picture_that_fails_costs_a_word_and_not_the_run(log):
    log.samples(7, [Sample("none", np.zeros((0, 1), np.float32), rate=8000)])
    log.close()
    assert said(log.progress.console).startswith("the samples of step 7 cannot be shown: ")


def test_two_starts_in_one_second_write_two_event_files(tmp_path):
    for done in (0, 5):
        with Log(tmp_path, console=console()) as log:
            log.begin(done, steps=9, devices=1)
            log.scalars(done + 1, {"loss": float(done)})
    found = {(step, tag) for step, tag, _ in scalars_on_board(tmp_path)}
    assert found == {(1, "loss"), (6, "loss")}


def test_a_log_must_begin_before_it_is_written(tmp_path):
    said = "the log has not begun: call `begin` first"
    with Log(tmp_path, console=console()) as log, pytest.raises(ValueError, match=said):
        log.scalars(1, {"loss": 1.0})


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"the run folder .*file cannot be written: "):
        Log(tmp_path / "file")
