"""The virtual environment in which both commands work: made once, filled from the lock, reused.

Standard library only, because it runs before anything is installed.
"""

from __future__ import annotations  # so that an older Python gets as far as being refused

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
VENV = ROOT / ".venv"
OLDEST_PYTHON = (3, 11)


def refuse_old_python(version: tuple[int, ...]) -> None:
    """Leaves with one line if `version` of Python cannot run convt1d."""
    if version[:2] < OLDEST_PYTHON:
        found, needed = (".".join(map(str, numbers[:2])) for numbers in (version, OLDEST_PYTHON))
        sys.exit(
            f"convt1d needs Python {needed} or newer and this is {found}: start it with a newer"
            f" one, as in `python{needed} {sys.argv[0]}`"
        )


def digest(root: Path = ROOT) -> str:
    """The fingerprint of all that decides what is installed: the lock and `pyproject.toml`."""
    parts = [(root / name).read_bytes() for name in (LOCK.name, "pyproject.toml")]
    # Git may hand out other line ends on Windows; they change nothing that is installed.
    return hashlib.sha256(b"\0".join(p.replace(b"\r\n", b"\n") for p in parts)).hexdigest()


def stamp(folder: Path = VENV) -> Path:
    """The file in which a finished installation leaves its digest."""
    return folder / "convt1d-installed"


def is_installed(folder: Path = VENV, root: Path = ROOT) -> bool:
    """Whether `folder` holds a finished installation of this lock and this `pyproject.toml`."""
    file = stamp(folder)
    return (
        file.is_file() and file.read_text() == digest(root) and program("python", folder).exists()
    )


def program(name: str, folder: Path = VENV) -> Path:
    """Where the environment keeps an executable."""
    if os.name == "nt":
        return folder / "Scripts" / f"{name}.exe"
    return folder / "bin" / name


def run(command: Sequence[str | Path], **environment: str) -> int:
    """Runs `command` in the repository, waits for it whatever happens, gives its exit code.

    Ctrl-C reaches the child as well, which may have something to save: `subprocess.run` would kill
    it after a quarter of a second.
    """
    process = subprocess.Popen(
        [str(word) for word in command], cwd=ROOT, env={**os.environ, **environment}
    )
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


def python_of(folder: Path) -> tuple[int, ...]:
    """The version of Python for which an environment was made."""
    for line in (folder / "pyvenv.cfg").read_text().splitlines():
        key, _, value = line.partition("=")
        if key.strip() in ("version", "version_info"):
            return tuple(int(part) for part in value.strip().split(".")[:2])
    return ()


def prepare(folder: Path = VENV) -> Path:
    """Makes the environment and installs what is missing. Returns its Python."""
    refuse_old_python(sys.version_info[:2])
    python = program("python", folder)
    if (folder / "pyvenv.cfg").exists() and python_of(folder) < OLDEST_PYTHON:
        found = ".".join(map(str, python_of(folder)))
        sys.exit(
            f"{folder} was made by Python {found}, which is too old: delete it and start again"
        )
    if is_installed(folder):
        return python
    uv = shutil.which("uv")
    if not python.exists():
        print(f"Making {folder} with Python {sys.version.split()[0]}.", flush=True)
        venv.create(folder, symlinks=os.name != "nt")
    tool = "uv" if uv else "pip"
    print(f"Installing {LOCK.name} with {tool}, once: it takes a minute or so.", flush=True)
    _install(python, uv)
    stamp(folder).write_text(digest())
    return python


def _install(python: Path, uv: str | None) -> None:
    if uv:
        install = [uv, "pip", "install", "--quiet", "--python", python]
    else:
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if run([python, "-c", "import importlib.util as i, sys; sys.exit(not i.find_spec('pip'))"]):
            ensured = subprocess.run([python, "-m", "ensurepip"], stdout=subprocess.DEVNULL)
            _check(
                ensured.returncode,
                "this Python comes without pip: install uv, or your system's python3-venv package",
            )
    _check(run([*install, "--require-hashes", "-r", LOCK]))
    # hatchling, which builds the project, is in the lock: nothing unpinned is fetched for it.
    _check(run([*install, "--no-deps", "--no-build-isolation", "-e", ROOT]))


def _check(code: int, remedy: str = "the lines above say why") -> None:
    if code != 0:
        sys.exit(f"The installation failed with exit code {code}: {remedy}.")
