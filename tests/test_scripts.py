"""The scripts that prepare the environment: what they skip, what they refuse, how they report."""

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import environment
import pytest

ROOT = environment.ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository as far as the stamp is concerned, with an environment beside it."""
    (tmp_path / "requirements.lock").write_text("jax==1\n")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    python = environment.program("python", tmp_path / ".venv")
    python.parent.mkdir(parents=True)
    python.touch()
    return tmp_path


def test_an_environment_counts_as_installed_only_after_its_stamp(checkout: Path):
    folder = checkout / ".venv"
    assert not environment.is_installed(folder, checkout)
    environment.stamp(folder).write_text(environment.digest(checkout))
    assert environment.is_installed(folder, checkout)


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml"])
def test_a_changed_lock_or_project_is_installed_again(checkout: Path, name: str):
    folder = checkout / ".venv"
    environment.stamp(folder).write_text(environment.digest(checkout))
    (checkout / name).write_text("changed\n")
    assert not environment.is_installed(folder, checkout)


def test_a_stamp_without_its_python_does_not_count(checkout: Path):
    folder = checkout / ".venv"
    environment.stamp(folder).write_text(environment.digest(checkout))
    environment.program("python", folder).unlink()
    assert not environment.is_installed(folder, checkout)


def test_line_ends_do_not_change_the_digest(checkout: Path):
    before = environment.digest(checkout)
    (checkout / "requirements.lock").write_bytes(b"jax==1\r\n")
    assert environment.digest(checkout) == before


@pytest.mark.parametrize("uv", [None, "uv"])
def test_an_environment_is_filled_once(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, uv: str | None
):
    commands = []
    monkeypatch.setattr(environment, "run", lambda command: commands.append(command) or 0)
    monkeypatch.setattr(environment.shutil, "which", lambda _: uv)
    folder = checkout / ".venv"
    assert environment.prepare(folder) == environment.program("python", folder)
    assert environment.LOCK in commands[-2]
    assert "--require-hashes" in commands[-2]
    assert "--no-deps" in commands[-1]
    commands.clear()
    environment.prepare(folder)
    assert not commands


def test_a_failed_installation_leaves_no_stamp(checkout: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(environment, "run", lambda command: 7)
    monkeypatch.setattr(environment.shutil, "which", lambda _: "uv")
    with pytest.raises(SystemExit, match="installation failed with exit code 7"):
        environment.prepare(checkout / ".venv")
    assert not environment.stamp(checkout / ".venv").exists()


def test_an_old_python_is_refused_in_one_line():
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or newer and this is 3\.8"):
        environment.refuse_old_python((3, 8))
    environment.refuse_old_python((3, 11))
    environment.refuse_old_python((4, 0))


def test_an_environment_of_an_old_python_is_refused_by_its_path(checkout: Path):
    folder = checkout / ".venv"
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.10.4\n")
    with pytest.raises(SystemExit, match=r"\.venv was made by Python 3\.10, which is too old"):
        environment.prepare(folder)


@pytest.mark.parametrize("script", ["demo.py", "test.py"])
def test_a_script_gets_as_far_as_the_refusal_on_an_old_python(script: str):
    source = (ROOT / "scripts" / script).read_text(encoding="utf-8")
    first = next(line for line in source.splitlines() if line.startswith(("import", "from")))
    assert first.startswith("from __future__ import annotations")


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C reaches children in another way on Windows")
def test_ctrl_c_lets_the_child_finish_its_work(tmp_path: Path):
    child = (
        "import pathlib, signal, sys, time\n"
        "def save(*_): time.sleep(0.6); pathlib.Path(sys.argv[1]).touch(); sys.exit(3)\n"
        "signal.signal(signal.SIGINT, save); print('ready', flush=True); time.sleep(30)\n"
    )
    parent = (
        "import sys, environment\n"
        "sys.exit(environment.run([sys.executable, '-c', *sys.argv[1:]]))\n"
    )
    saved = tmp_path / "saved"
    with subprocess.Popen(
        [sys.executable, "-c", parent, child, str(saved)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")},
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=20) == 3
    assert saved.exists()


def load(name: str):
    """A script as a module, without its folder's `test.py` shadowing the standard library's."""
    spec = importlib.util.spec_from_file_location(f"script_{name}", ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_summary_counts_what_pytest_reports(tmp_path: Path):
    report = tmp_path / "pytest.xml"
    counts = load("test").counts
    assert counts(report) == (0, 0, 0)
    report.write_text(
        '<testsuites><testsuite tests="10" failures="1" errors="2" skipped="3"/></testsuites>'
    )
    assert counts(report) == (4, 3, 3)


def test_one_failing_check_fails_the_whole_and_the_others_still_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    script = load("test")
    monkeypatch.setattr(script, "prepare", lambda: Path(sys.executable))
    monkeypatch.setattr(script, "run", lambda command: int("format" in command))
    assert script.main(["--fast"]) == 1
    out = capsys.readouterr().out
    assert "ruff format   FAILED (1)" in out
    assert out.endswith("\n2 passed, 1 failed, 0 skipped\n")


def test_the_lock_script_says_that_it_needs_uv(monkeypatch: pytest.MonkeyPatch):
    script = load("lock")
    monkeypatch.setattr(script.shutil, "which", lambda _: None)
    with pytest.raises(SystemExit, match=r"needs uv on the PATH: `pip install uv`"):
        script.main([])


@pytest.mark.skipif(os.name == "nt", reason="the continuous integration's entry is for bash")
def test_the_continuous_integration_takes_the_first_python_that_is_new_enough(tmp_path: Path):
    for name, new_enough in {"python3": False, "python3.13": False, "python3.12": True}.items():
        stub = tmp_path / name
        answer = f'[ "$1" = -c ] && exit {int(not new_enough)}'
        stub.write_text(f'#!/bin/sh\n{answer}\necho {name} "$@"\n')
        stub.chmod(0o755)
    done = subprocess.run(
        ["bash", str(ROOT / ".ci" / "run"), "--fast"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "python3.12 scripts/test.py --fast\n"


@pytest.mark.slow
def test_the_demo_trains_plays_and_measures_and_does_not_train_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    script = load("demo")
    monkeypatch.setattr(script, "prepare", lambda: Path(sys.executable))
    small = ["train.steps=4", "data.count=64", "data.length=1024", "model.channels=[8,8,8]"]
    words = ["--run", str(tmp_path / "run"), *small]
    assert script.main(words) == 0
    first = capfd.readouterr().out
    made = tmp_path / "run" / "generated"
    for folder in ("sample", "interpolate", "reconstruct"):
        assert str(made / folder) in first
        assert (made / folder / "overview.png").is_file()
        assert list((made / folder).glob("*.wav"))
    assert "step 4 of 4" in first
    assert "si_sdr" in first

    def train_alone(command: list[str | Path]) -> int:
        return environment.run(command) if "apps.train" in command else 0

    monkeypatch.setattr(script, "run", train_alone)
    assert script.main(words) == 0
    second = capfd.readouterr().out
    assert "is at step 4 of 4" in second
    assert "step 4 of 4 ·" not in second


def test_the_demo_stops_where_a_part_of_it_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    script = load("demo")
    monkeypatch.setattr(script, "prepare", lambda: Path(sys.executable))
    monkeypatch.setattr(script, "run", lambda command: 130 if "apps.train" in command else 0)
    assert script.main([]) == 130
    end = capsys.readouterr().out.splitlines()[-1]
    assert end == (
        "The demo stopped at apps.train, with exit code 130; the same command goes on from there."
    )
