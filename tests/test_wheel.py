"""The wheel holds the library and nothing else, and its own requirements are enough to use it."""

import email
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import environment
import pytest
from packaging.requirements import Requirement

ALONE = """
import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp

import convt1d

layer = convt1d.ConvTranspose1d(in_size=(7, 3), out_channels=5, kernel_size=8, stride=4)
x = jax.random.normal(jax.random.key(1), (2, 7, 3))
y = layer(x)
assert y.shape == (2, 28, 5), y.shape
gradient = jax.grad(lambda x: jnp.sum(layer(x) ** 2))(x)
assert gradient.shape == x.shape

convt1d.save(Path("saved"), layer)
assert jnp.array_equal(convt1d.load(Path("saved"))(x), y)

assert importlib.util.find_spec("apps") is None
print(convt1d.__file__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=environment.ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_library_alone(wheel: Path):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {re.sub(r"-.*\.", ".", top) for top in tops} == {"convt1d", "convt1d.dist-info"}
    assert "convt1d/py.typed" in names
    sources = {
        path.relative_to(environment.ROOT).as_posix()
        for path in (environment.ROOT / "convt1d").rglob("*.py")
    }
    assert sources <= set(names)
    assert [name for name in names if name.endswith("licenses/LICENSE")]


def test_the_wheel_asks_for_the_library_s_four_packages(wheel: Path):
    archive = zipfile.ZipFile(wheel)
    (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
    needs = email.message_from_bytes(archive.read(metadata)).get_all("Requires-Dist", [])
    required = [Requirement(need) for need in needs]
    assert {r.name for r in required if r.marker is None} == {
        *("equinox", "jax", "jaxtyping", "safetensors")
    }
    extras = {str(r.marker) for r in required if r.marker is not None}
    assert extras == {f'extra == "{name}"' for name in ("apps", "parquet", "search", "speech")}


@pytest.mark.slow
def test_the_installed_wheel_needs_nothing_else(wheel: Path, tmp_path: Path):
    uv = shutil.which("uv")
    folder = tmp_path / "venv"
    venv.create(folder, with_pip=uv is None, symlinks=os.name != "nt")
    python = environment.program("python", folder)
    pins = tmp_path / "pins.txt"
    # Constraints with hashes would demand a hash of the wheel itself.
    lock = environment.LOCK.read_text(encoding="utf-8")
    pins.write_text("\n".join(re.findall(r"^([\w.-]+==.*?) \\$", lock, flags=re.MULTILINE)))
    install = [uv, "pip", "install", "-p", python] if uv else [python, "-m", "pip", "install"]
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    for command in (
        [*install, "--quiet", "--constraint", pins, wheel],
        [python, "-W", "error", "-c", ALONE],
    ):
        done = subprocess.run(command, cwd=tmp_path, env=clean, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert str(folder) in done.stdout
