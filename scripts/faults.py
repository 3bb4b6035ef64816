"""Runs every test of faults and prints what they promise: `python scripts/faults.py`.

`--fast` leaves out the slow ones, `--write` puts the table into the README. It makes `.venv` if
there is none.
"""

from __future__ import annotations  # so that an older Python gets as far as being refused

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from environment import prepare, run
from readme import README, between, table

BEGIN, END = "<!-- faults: python scripts/faults.py --write -->\n", "<!-- end of faults -->\n"
FOLDER = "tests/faults"
SECTIONS = (
    *("kills and signals", "many processes", "checkpoints", "disk and folders", "numbers"),
    *("bad recordings", "bad arrays", "security"),
)
OTHER = "besides"  # tests that promise nothing by name are told of when they do not pass
KEPT, BROKEN = "✓", "FAILED"


class Promise(NamedTuple):
    """A row of the table, and how one test of it ended: `✓`, `FAILED`, or `skipped: why`."""

    section: str
    fault: str
    outcome: str
    result: str


def promises(report: Path) -> Iterator[Promise]:
    """What each test in pytest's JUnit file promises, and whether it is kept."""
    if not report.is_file():  # pytest itself could not start
        return
    cases = ElementTree.parse(report).getroot().iter("testcase")
    for case in sorted(cases, key=lambda each: each.get("classname") or ""):  # whoever was first
        result = _result(case)
        said = [(each.get("name"), each.get("value") or "") for each in case.iter("property")]
        words = {key: [text for name, text in said if name == key] for key in Promise._fields[:3]}
        rows = list(zip(words["section"], words["fault"], words["outcome"], strict=True))
        if not rows and result != KEPT:
            name = (case.get("name") or "").removeprefix("test_").replace("_", " ")
            rows = [(OTHER, name, "")]
        for row in rows:
            yield Promise(*row, result)


def _result(case: ElementTree.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return BROKEN
    skipped = case.find("skipped")
    return KEPT if skipped is None else f"skipped: {skipped.get('message')}"


class Row(NamedTuple):
    """Promises of one section with the same outcome and result."""

    section: str
    faults: list[str]
    outcome: str
    result: str
    cases: int


def rows(found: Iterable[Promise]) -> list[Row]:
    """What is told together, in the order of the sections."""
    results: dict[tuple[str, str, str], Counter[str]] = {}
    for each in found:
        results.setdefault(each[:3], Counter())[each.result] += 1
    merged: dict[tuple[str, str, str], Row] = {}
    for (section, fault, outcome), counts in results.items():
        key = (section, outcome, _together(counts))
        row = merged.setdefault(key, Row(section, [], outcome, key[-1], 0))
        merged[key] = row._replace(faults=[*row.faults, fault], cases=row.cases + counts.total())
    places = {name: place for place, name in enumerate(SECTIONS)}
    return sorted(merged.values(), key=lambda each: places.get(each.section, len(places)))


def _together(counts: Counter[str]) -> str:
    """One result of several tests: one that is broken counts, then one that is kept."""
    return BROKEN if counts[BROKEN] else KEPT if counts[KEPT] else next(iter(counts))


def markdown(found: Sequence[Row], where: str) -> str:
    """The table, a sentence before it, and where it was made."""
    body, section = [], None
    for each in found:
        name = "" if each.section == section else each.section
        result = each.result if each.cases == 1 else f"{each.result} ({each.cases} cases)"
        cells = (name, "; ".join(each.faults), each.outcome, result)
        body.append([cell.replace("|", "\\|") for cell in cells])
        section = each.section
    count = Counter[str]()
    for each in found:
        count[each.result] += len(each.faults)
    kept, broken = count[KEPT], count[BROKEN]
    text = f"{count.total()} promises: {kept} kept, {broken} broken, "
    text += f"{count.total() - kept - broken} not tried. {where}"
    header = ("", "what is done", "what happens", "result")
    return f"{text}\n\n{table(header, body, numbers=False)}\n"


def where(python: Path) -> str:
    """On what it was run; no name of the machine, no path."""
    code = "import importlib.metadata as m; print(m.version('jax'))"
    jax = subprocess.run([python, "-c", code], capture_output=True, text=True).stdout.strip()
    return (
        f"Run on {platform.system()} {platform.machine()}, Python {platform.python_version()}, "
        f"jax {jax}."
    )


def main(arguments: list[str]) -> int:
    """Runs the tests and prints the table; 1 if a promise is broken."""
    parser = argparse.ArgumentParser(description="Runs the tests of faults and prints a table.")
    parser.add_argument("--fast", action="store_true", help="leave out the tests marked slow")
    parser.add_argument("--write", action="store_true", help="put the table into the README")
    chosen = parser.parse_args(arguments)
    if chosen.fast and chosen.write:
        parser.error("--write takes the whole suite: leave out --fast")
    python = prepare()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "faults.xml"
        workers = min(2, os.cpu_count() or 1)  # they start processes of their own
        command = [python, "-m", "pytest", f"--junitxml={report}", f"-n{workers}"]
        only = ["-m", "not slow"] if chosen.fast else []
        code = run([*command, "--dist=loadfile", *only, FOLDER])
        found = rows(promises(report))
    text = markdown(found, where(python))
    print(f"\n{text}")
    if chosen.write:
        readme = README.read_text(encoding="utf-8")
        README.write_text(between(readme, BEGIN, END, f"\n{text}\n"), encoding="utf-8")
    return 1 if code else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
