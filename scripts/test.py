"""Runs every check there is: `python scripts/test.py`, or `--fast` without the slow tests.

The same command serves a person and the continuous integration. It makes `.venv` if there is none.
"""

from __future__ import annotations  # so that an older Python gets as far as being refused

import argparse
import os
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from environment import prepare, program, run


def counts(report: Path) -> tuple[int, int, int]:
    """How many tests passed, failed and were skipped, from pytest's JUnit file."""
    if not report.is_file():  # pytest itself could not start
        return 0, 0, 0
    suites = ElementTree.parse(report).getroot().iter("testsuite")
    totals = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for suite in suites:
        for name in totals:
            totals[name] += int(suite.get(name, 0))
    failed = totals["failures"] + totals["errors"]
    return totals["tests"] - failed - totals["skipped"], failed, totals["skipped"]


def main(arguments: list[str]) -> int:
    """Runs the checks one after the other, all of them even if one fails."""
    parser = argparse.ArgumentParser(description="Runs every check of convt1d.")
    parser.add_argument("--fast", action="store_true", help="leave out the tests marked slow")
    fast = parser.parse_args(arguments).fast
    python = prepare()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "pytest.xml"
        workers = min(4, os.cpu_count() or 1)  # each holds a gigabyte or two of compiled programs
        pytest = [python, "-m", "pytest", f"--junitxml={report}", f"-n{workers}", "--dist=loadfile"]
        checks = {
            "ruff check": [program("ruff"), "check"],
            "ruff format": [program("ruff"), "format", "--check"],
            "basedpyright": [program("basedpyright")],
            "pytest": [*pytest, "-m", "not slow"] if fast else pytest,
        }
        rows = []
        for name, command in checks.items():
            print(f"\n== {name} " + "=" * (72 - len(name)), flush=True)
            start = time.monotonic()
            rows.append((name, run(command), time.monotonic() - start))
        passed, failed, skipped = counts(report)
    print()
    for name, code, seconds in rows:
        print(f"{name:<14}{'passed' if code == 0 else f'FAILED ({code})':<14}{seconds:7.1f} s")
    wrong = [name for name, code, _ in rows if code != 0]
    # The tools count as one each; a pytest that stops before its first test fails as one.
    passed += sum(code == 0 for name, code, _ in rows if name != "pytest")
    failed += sum(name != "pytest" or failed == 0 for name in wrong)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
