"""The example of a search: trials are runs, the same command goes on, Optuna's absence is told."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import search

ROOT = Path(search.__file__).resolve().parent.parent
TINY = [
    *("train.steps=20", "train.evaluate_every=10", "train.log_every=10", "train.sample_every=0"),
    *("train.batch_size=4", "train.samples=1", "data.count=16", "train.evaluate_records=4"),
]


def go(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "scripts/search.py", str(folder), *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_without_optuna_a_search_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(SystemExit, match="needs Optuna: pip install 'optuna>=5'"):
        search.main([str(tmp_path / "search")])
    assert list(tmp_path.iterdir()) == []


def test_a_half_written_line_is_left_for_later(tmp_path: Path):
    rows = [{"step": 10, "test/x": 2.0}, {"step": 15}, {"step": 20, "test/x": None}]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "metrics.jsonl").write_text(text + '{"step": 25, "te')
    assert search.values(tmp_path, "test/x") == [(10, 2.0)]
    assert search.values(tmp_path / "none", "test/x") == []


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason="Optuna is not installed")
def test_a_search_goes_on_and_ends_with_the_best_run(tmp_path: Path):
    folder = tmp_path / "search"
    assert go(folder, "--trials", "1", *TINY).returncode == 0
    done = go(folder, "--trials", "2", *TINY)
    assert done.returncode == 0, done.stderr
    assert f"in {folder}" in done.stdout
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["0", "1"]
    assert all(search.values(folder / name, "test/mean_absolute_error") for name in "01")
