"""The benchmarks: every side computes the same thing, and what was measured is what is written."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import bench_activations
import bench_layers
import bench_streaming
import environment
import jax
import layer_sides
import numpy as np
import pytest
import report
import timing
from layer_cases import CASES, GPU_GROUPS, by_default

SCRIPTS = environment.ROOT / "scripts"
TINY = [name for name in CASES if name.startswith("tiny ")]
OTHERS = [side for side in layer_sides.SIDES if not side.startswith(("ours", "floor"))]


def skip_without(modules: Sequence[str]) -> None:
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")


@pytest.fixture(autouse=True)
def _as_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch):
    """Other libraries rely on JAX's defaults."""
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.fixture(scope="module")
def ours():
    return {name: layer_sides.results("ours", CASES[name]) for name in TINY}


@pytest.mark.filterwarnings("ignore")  # of other libraries
@pytest.mark.parametrize("side", OTHERS)
def test_every_side_computes_the_same_layer_and_gradients(side: str, ours):
    skip_without(layer_sides.SIDES[side])
    compared = 0
    for name in TINY:
        try:
            found = layer_sides.results(side, CASES[name])
        except NotImplementedError:
            continue
        for theirs, mine in zip(found, ours[name], strict=True):
            # float32: no sum has more than 8 x 2 x 13 products of size one, in any order
            np.testing.assert_allclose(theirs, mine, atol=2e-4, err_msg=name)
        compared += 1
    assert compared >= 2


@pytest.mark.parametrize("side", ["exact", "jnp", "torch"])
@pytest.mark.parametrize("kind", ["snake", "snakebeta"])
def test_every_side_computes_the_same_activation_and_gradients(side: str, kind: str):
    skip_without(bench_activations.BENCH.sides[side])
    case = bench_activations.CASES[f"tiny {kind}"]
    mine, found = (bench_activations.results(each, case) for each in ("ours", side))
    for theirs, own in zip(found, mine, strict=True):
        np.testing.assert_allclose(theirs, own, rtol=1e-5, atol=1e-5)


def test_both_sides_of_a_stream_give_a_chunk_of_one_length():
    for name, case in bench_streaming.CASES.items():
        if not name.startswith("tiny"):
            continue
        run, (stream, chunk) = bench_streaming.in_jax(case)
        out = case.length * np.prod([layer.stride for layer in case.layers])
        assert run().shape == run().shape == (1, out, case.layers[-1].outputs)
        assert stream.ratio * case.length == out
        assert chunk.shape[1] == case.length
        if importlib.util.find_spec("torch"):
            assert bench_streaming.in_torch(case, "cpu")().shape == run().swapaxes(1, 2).shape


@pytest.mark.parametrize("name", TINY)
def test_the_floor_runs_for_every_kind_of_case(name: str):
    passes = layer_sides.prepare("floor", CASES[name], "cpu")
    assert list(passes) == list(bench_layers.BENCH.passes)
    for run in passes.values():
        run()


@pytest.mark.parametrize(("side", "dtype"), [("ours", "tf32"), ("lax", "bfloat16")])
def test_what_a_gpu_is_asked_for_runs(side: str, dtype: str):
    case = CASES[TINY[0]]._replace(dtype=dtype)
    try:
        layer_sides.prepare(side, case, "gpu")["forward + backward"]()
        asked = getattr(jax.config, "jax_default_matmul_precision")  # noqa: B009
        assert asked == ("tensorfloat32" if dtype == "tf32" else "highest")
    finally:
        jax.config.update("jax_default_matmul_precision", None)


def test_a_gpu_measures_more_number_types_and_only_the_tests_measure_the_tiny_cases():
    left_out = {timing.group(name) for name in CASES if not by_default(name, "cpu")}
    assert left_out == GPU_GROUPS | {"tiny"}
    assert {timing.group(name) for name in CASES if not by_default(name, "gpu")} == {"tiny"}


# ------------------------------------------------------------------------------- the machinery

FAKE = """
import pathlib, sys, time
sys.path.insert(0, {scripts!r})
from timing import Bench, main

def prepare(side, case, backend):
    if side == "cannot":
        raise NotImplementedError("has no such thing")
    if side == "fails":
        raise ValueError("a mistake")
    if side == "dies":
        sys.exit("out of memory")
    print("noise that is no answer")
    return {{"run": lambda: time.sleep({{"ours": 0.001, "slow": 0.02, "late": 9.0}}[side])}}

sides = {{"ours": ["json"], "slow": ["json"], "cannot": ["json"], "fails": ["json"]}}
sides |= {{"dies": ["json"], "late": ["json"], "absent": ["no_such_module"]}}
bench = Bench("fake", pathlib.Path(__file__), "A fake", sides, {{"a 1": 1, "b 2": 2}}, prepare,
              ("run",), lambda case: {{"gflop": case}})
sys.exit(main(bench))
"""


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory):
    """What a benchmark with every kind of trouble prints, and the folder it writes to."""
    folder = tmp_path_factory.mktemp("fake")
    script = folder / "fake.py"
    script.write_text(FAKE.format(scripts=str(SCRIPTS)))
    options = ["--rounds=2", "--seconds=0.01", "--wait=0", "--limit=2", "--only=a"]
    command = [sys.executable, str(script), *options, f"--output={folder}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done, folder


def test_a_side_that_cannot_fails_or_dies_is_left_out_with_its_reason(fake):
    done, folder = fake
    (row,) = json.loads((folder / "fake_cpu.json").read_text())["rows"]
    assert row["left out"] == {
        "cannot": "has no such thing",
        "fails": "ValueError: a mistake",
        "dies": "the process ended: out of memory",
        "late": "took more than 2 s",
    }
    assert "left out: absent, for want of no_such_module (see --python)" in done.stdout
    assert "a 1: cannot failed" not in done.stderr
    assert "a 1: fails failed: ValueError: a mistake" in done.stderr


def test_a_slow_side_is_measured_once_and_the_others_in_every_round(fake):
    _, folder = fake
    (row,) = json.loads((folder / "fake_cpu.json").read_text())["rows"]
    assert {side: len(times) for side, times in row["ms"]["run"].items()} == {"ours": 2, "slow": 1}
    assert row["gflop"] == 1


def test_what_was_measured_of_other_cases_is_kept_on_the_same_machine_alone(fake, tmp_path: Path):
    found = json.loads((fake[1] / "fake_cpu.json").read_text())
    report.merge(found, tmp_path, order=["a 1", "b 2"])
    other = {**found, "rows": [{**found["rows"][0], "case": "b 2"}]}
    report.merge(other, tmp_path, order=["a 1", "b 2"])
    kept = json.loads((tmp_path / "fake_cpu.json").read_text())
    assert [row["case"] for row in kept["rows"]] == ["a 1", "b 2"]
    report.merge({**other, "machine": {**found["machine"], "cores": 99}}, tmp_path, order=["b 2"])
    replaced = json.loads((tmp_path / "fake_cpu.json").read_text())
    assert [row["case"] for row in replaced["rows"]] == ["b 2"]


def test_the_tables_give_medians_ratios_and_the_share_of_the_floor():
    ms = {"run": {"ours": [2.0, 4.0, 3.0], "floor": [1.5], "other": [6.0, 6.0, 6.0]}}
    row = {"case": "a 1", "date": "2026-01-01", "busy": 0.9, "ms": ms, "left out": {}, "gflop": 1.0}
    machine = {"cpu": "C", "instructions": [], "cores": 2, "system": "Linux", "device": "cpu"}
    found = {
        **{"bench": "b", "about": "About", "backend": "cpu", "machine": machine, "convt1d": "1"},
        **{"versions": {"ours": {"jax": "1"}, "other": {"jax": "2"}}, "floor": "floor"},
        **{"sides": ["ours", "floor", "other"], "passes": ["run"], "rows": [row]},
    }
    text = report.markdown(found)
    assert "| a 1 | 1 | 3 (2–4) | 1.5 (50 %) | 6 (2.00×) |" in text
    assert "| a | 50 % | 2.00× (2.00×) |" in text
    assert "jax 1 (ours), jax 2 (other)." in text
    assert "Measured while others used the machine: a 1 (0.9 cores)." in text


def test_the_environment_of_a_child_holds_nothing_that_tunes_a_library(
    monkeypatch: pytest.MonkeyPatch,
):
    for name in ("XLA_FLAGS", "OMP_NUM_THREADS", "JAX_ENABLE_X64", "JAX_NUM_CPU_DEVICES"):
        monkeypatch.setenv(name, "1")
    given = timing.environment("cpu")
    ours = {"JAX_PLATFORMS", "KERAS_BACKEND", "XLA_PYTHON_CLIENT_PREALLOCATE"}
    assert set(given) <= {*timing.INHERITED, *ours}
    assert given["JAX_PLATFORMS"] == "cpu"
    assert "JAX_PLATFORMS" not in timing.environment("auto")


def test_cases_are_chosen_by_their_group_or_by_a_pattern():
    names = ["dense 1", "dense-tf32 1", "scan 2"]
    assert timing.chosen(names, []) == names
    assert timing.chosen(names, ["dense"]) == ["dense 1"]
    assert timing.chosen(names, ["dense*", "* 2"]) == names


def test_every_table_that_is_kept_says_what_its_numbers_say():
    for path in (SCRIPTS / "tables").glob("*.json"):
        found = json.loads(path.read_text(encoding="utf-8"))
        assert path.with_suffix(".md").read_text(encoding="utf-8") == report.markdown(found)


def test_the_readme_says_what_the_tables_say():
    readme = (environment.ROOT / "README.md").read_text(encoding="utf-8")
    assert readme == report.with_summary(readme, report.TABLES), "run python scripts/report.py"


def test_the_summary_has_the_machine_the_means_and_a_link(fake, tmp_path: Path):
    found = json.loads((fake[1] / "fake_cpu.json").read_text())
    report.merge(found, tmp_path, order=["a 1"])
    text = report.with_summary(f"before\n{report.BEGIN}old\n{report.END}after\n", tmp_path)
    assert text.startswith(f"before\n{report.BEGIN}\n**A fake** (run; [every case]")
    assert text.endswith(f"{report.END}after\n")
    assert "Measured on" in text
    assert "| a | " in text
    assert "old" not in text


@pytest.mark.slow
def test_a_benchmark_measures_layers_in_processes_of_their_own():
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / "bench_layers.py"), "--quick", "--only=tiny 2,4,6,4,2,5",
         "--sides", "ours", "floor", "lax"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "failed" not in done.stderr
    assert "| tiny 2,4,6,4,2,5 |" in done.stdout
