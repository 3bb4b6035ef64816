"""Who may import whom: the house of the plan, written once, held against the sources."""

import ast
import subprocess
import sys
from dataclasses import dataclass
from graphlib import TopologicalSorter

import pytest
from sources import ROOT, SOURCES, imports


@dataclass(frozen=True)
class Room:
    """What one part of the house may import, besides itself and the standard library."""

    below: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


NUMBERS = ("numpy", "jaxtyping")
JAX = (*NUMBERS, "jax", "equinox")
GROUND = (
    *("convt1d", "apps.engine", "apps.data", "apps.metrics", "apps.pictures"),
    *("apps.command_line", "apps.manual", "apps.config", "apps.schema", "apps.supervised"),
)
BUILT = (*GROUND, "apps.objectives", "apps.build")
UNDER_THE_DOORS = (
    *(*BUILT, "apps.judges", "apps.modes", "apps.modes.wanted"),
    *("apps.run_folder", "apps.opening", "apps.pages", "apps.measuring")
)  # fmt: skip
DOOR = Room(UNDER_THE_DOORS, (*JAX, "hydra", "omegaconf", "rich"))

# A module belongs to the longest name here that it starts with.
ROOMS = {
    "convt1d": Room(("convt1d._geometry",), (*JAX, "safetensors")),
    "convt1d._geometry": Room(),
    "apps": Room(),
    "apps.user_cache": Room(),
    "apps.supervised": Room(),
    "apps.pictures": Room(packages=(*NUMBERS, "matplotlib", "scipy")),
    "apps.data": Room(
        ("apps.user_cache",), (*NUMBERS, "scipy", "grain", "soundfile", "soxr", "pyarrow")
    ),
    "apps.metrics": Room(packages=(*NUMBERS, "scipy", "sklearn", "threadpoolctl")),
    "apps.metrics.speech": Room(("apps.metrics",), (*NUMBERS, "soxr", "pesq", "pystoi")),
    "apps.schema": Room(),
    "apps.config": Room(("apps.schema",), ("hydra", "omegaconf", "yaml")),
    "apps.manual": Room(("apps.config", "apps.schema"), ("hydra", "omegaconf", "yaml")),
    "apps.words": Room(("apps.config", "apps.schema"), ("hydra", "omegaconf", "yaml")),
    "apps.sweep": Room(("apps.words", "apps.config", "apps.schema"), ("hydra", "omegaconf")),
    "apps.command_line": Room(
        ("apps.manual", "apps.sweep", "apps.words", "apps.config", "apps.schema"), ("yaml",)
    ),
    "apps.engine": Room(
        ("apps.pictures", "apps.user_cache"),
        (*JAX, "optax", "orbax", "tensorboardX", "rich", "matplotlib", "soundfile"),
    ),
    "apps.objectives": Room(GROUND, (*JAX, "optax")),
    "apps.build": Room((*GROUND, "apps.objectives"), (*JAX, "optax")),
    # What measures a run may learn by what, and is asked by doors alone.
    "apps.judges": Room(
        ("convt1d", "apps.data", "apps.metrics", "apps.metrics.speech"), (*JAX, "optax")
    ),
    "apps.modes": Room((*BUILT, "apps.modes.wanted"), (*JAX, "rich", "soundfile", "soxr")),
    "apps.modes.wanted": Room(("apps.config", "apps.schema")),
    "apps.run_folder": Room((*BUILT, "apps.words")),
    "apps.opening": Room(GROUND, (*JAX, "rich")),
    "apps.measuring": Room((*BUILT, "apps.judges", "apps.metrics.speech"), (*NUMBERS, "rich")),
    "apps.pages": Room((*BUILT,), (*NUMBERS, "jax", "equinox", "soundfile")),
    "apps.train": DOOR,
    "apps.generate": DOOR,
    "apps.evaluate": DOOR,
    "apps.export": DOOR,
    "apps.report": DOOR,
}


def room(module: str) -> str:
    """The room of a module: the longest room name that begins it."""
    return max((name for name in ROOMS if f"{module}.".startswith(f"{name}.")), key=len)


def is_allowed(imported: str, importer: str) -> bool:
    mine = ROOMS[room(importer)]
    top = imported.partition(".")[0]
    if top in ("convt1d", "apps"):
        return room(imported) in (room(importer), *mine.below)
    return top in sys.stdlib_module_names or top in mine.packages


@pytest.mark.parametrize("module", SOURCES)
def test_imports_run_downward_and_stay_in_the_room_s_packages(module: str):
    wrong = sorted(name for name in imports(module) if not is_allowed(name, module))
    assert not wrong, f"{module} (room {room(module)!r}) may not import {', '.join(wrong)}"


def test_every_floor_stands_on_lower_ones():
    graph = {name: set(it.below) - {name} for name, it in ROOMS.items()}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError on a circle
    assert set(order) <= set(ROOMS)


def test_no_modules_import_one_another_in_a_circle():
    graph = {name: (imports(name) & set(SOURCES)) - {name} for name in SOURCES}
    list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize(
    "door", [name for name, file in SOURCES.items() if file.match("convt1d/**/__init__.py")]
)
def test_a_door_of_the_library_marks_each_public_name(door: str):
    for node in ast.parse(SOURCES[door].read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                assert alias.asname == alias.name, f"{door}: write `{alias.name} as {alias.name}`"


def loaded_by(statement: str) -> set[str]:
    """The top-level packages that a fresh Python holds after `statement`."""
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.split()
    )


def test_the_library_brings_nothing_of_the_application():
    brought = loaded_by("import convt1d, convt1d.models")
    application = {"apps"} | {
        package
        for name, it in ROOMS.items()
        if name.startswith("apps")
        for package in it.packages
        if package not in ROOMS["convt1d"].packages
    }
    assert not brought & (application - {"scipy"})  # jax imports scipy itself


@pytest.mark.parametrize(
    "module", [name for name in SOURCES if ROOMS[room(name)] == DOOR or room(name) == "apps.config"]
)
def test_a_door_loads_nothing_heavy_before_its_config_is_right(module: str):
    assert not loaded_by(f"import {module}") & {"jax", "grain", "matplotlib", "scipy"}
