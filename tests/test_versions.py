"""One truth about versions: `pyproject.toml`, the lock, the README and the scripts agree."""

import importlib.metadata
import re
import subprocess
import sys
import tempfile
import tomllib
from collections import defaultdict
from pathlib import Path

import environment
import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from sources import SOURCES, imports

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
LIBRARY = [Requirement(line) for line in PROJECT["dependencies"]]
APPS = [Requirement(line) for line in PROJECT["optional-dependencies"]["apps"]]
EXTRAS = [  # imported where they are there, and done without where not
    Requirement(line)
    for extra in ("parquet", "speech")
    for line in PROJECT["optional-dependencies"][extra]
]
DEVELOPMENT = [Requirement(line) for line in PYPROJECT["dependency-groups"]["dev"]]
LOCK = environment.LOCK.read_text(encoding="utf-8")
PLATFORMS = ("linux", "darwin", "win32")
PYTHONS = ("3.11", "3.12", "3.13")


def locked() -> dict[str, list[tuple[Version, Marker | None]]]:
    """Every pin of the lock: name to the versions and the markers under which they are taken."""
    pins = defaultdict(list)
    for name, version, marker in re.findall(
        r"^([\w.-]+)==(\S+)(?: ; (.+?))? \\$", LOCK, flags=re.MULTILINE
    ):
        pins[canonicalize_name(name)].append((Version(version), Marker(marker) if marker else None))
    return pins


def test_the_lock_holds_hashes_for_every_pin_and_no_address():
    pins = re.split(r"^(?=[\w.-]+==)", LOCK, flags=re.MULTILINE)[1:]
    assert len(pins) > 50
    for pin in pins:
        assert "--hash=sha256:" in pin, pin
    assert not re.search(r"://|--index|--find-links|--extra", LOCK)


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_answers_every_requirement_once(python: str, platform: str):
    pins = locked()
    system = {
        "python_version": python,
        "python_full_version": f"{python}.1",
        "sys_platform": platform,
        "implementation_name": "cpython",
    }
    for requirement in (*LIBRARY, *APPS, *DEVELOPMENT):
        fitting = [
            version
            for version, marker in pins[canonicalize_name(requirement.name)]
            if marker is None or marker.evaluate(system)
        ]
        assert len(fitting) == 1, f"{requirement} on {python}, {platform}: {fitting}"
        assert fitting[0] in requirement.specifier, f"{requirement} is locked at {fitting[0]}"


def test_python_3_11_keeps_its_last_jax_and_newer_pythons_get_a_newer_one():
    versions = {marker.evaluate({"python_full_version": "3.11.9"}): version
                for version, marker in locked()["jax"] if marker}  # fmt: skip
    assert versions[True] == Version("0.10.2")
    assert versions[False] > versions[True]


def test_every_package_that_is_imported_is_declared():
    declared = {canonicalize_name(r.name) for r in (*LIBRARY, *APPS, *EXTRAS)}
    # numpy comes with jax, whose arrays are made of it: the library's list stays at four.
    declared_for_library = {canonicalize_name(r.name) for r in LIBRARY} | {"numpy"}
    owners = importlib.metadata.packages_distributions()
    for module in SOURCES:
        wanted = declared_for_library if module.startswith("convt1d") else declared
        for name in {name.partition(".")[0] for name in imports(module)}:
            if name in sys.stdlib_module_names or name in ("apps", "convt1d"):
                continue
            distributions = {canonicalize_name(owner) for owner in owners.get(name, [name])}
            assert distributions & wanted, f"{module} imports {name}, which is not declared"


def test_the_oldest_python_is_the_same_everywhere():
    oldest = ".".join(map(str, environment.OLDEST_PYTHON))
    assert PROJECT["requires-python"] == f">={oldest}"
    assert PYPROJECT["tool"]["basedpyright"]["pythonVersion"] == oldest
    assert PYPROJECT["tool"]["ruff"]["target-version"] == f"py{oldest.replace('.', '')}"


def test_the_readme_names_the_versions_of_pyproject():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    bounds = {r.name: str(r.specifier).removeprefix(">=") for r in LIBRARY}
    python = PROJECT["requires-python"].removeprefix(">=")
    assert set(re.findall(r"Python (\d[\d.]*\d)", readme)) >= {python}
    assert re.findall(r"Python (\d[\d.]*\d) or newer", readme) == [python]
    assert [Version(v) for v in re.findall(r"JAX (\d[\d.]*\d) or newer", readme)] == [
        Version(bounds["jax"])
    ]


def test_the_changelog_s_newest_version_is_the_project_s():
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert PROJECT["version"] in headings[:2]  # "Unreleased" may stand above it
    assert importlib.metadata.version("convt1d") == PROJECT["version"]


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_tracked_file_names_a_registry_or_a_place_on_this_machine():
    registries = r"pyp[i]\.org|pythonhoste[d]\.org|/simpl[e]/|registr[y]\.npm"  # not this line
    here = {ROOT, Path.home(), ROOT.parent} - {Path(tempfile.gettempdir()), Path("/")}
    places = "|".join(re.escape(f"{place}/") for place in here)
    forbidden = re.compile(f"{registries}|(?<![\\w.]){places}".encode())
    for file in tracked():
        found = forbidden.search(file.read_bytes())
        assert found is None, f"{file.relative_to(ROOT)} holds {found[0]!r}"
