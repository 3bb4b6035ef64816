"""What the README shows is what there is: its Python runs, its commands and files exist."""

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import environment
import pytest

from convt1d._trilinear import LOWERINGS

ROOT = environment.ROOT
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [
    line.partition(" # ")[0].strip()
    for language, block in BLOCKS
    if language == "bash"
    for line in block.replace("\\\n", " ").splitlines()
    if line.strip() and not line.startswith("#")
]


def test_the_python_of_the_readme_runs_from_top_to_bottom(tmp_path: Path):
    code = "\n".join(block for language, block in BLOCKS if language == "python")
    assert code
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    promised = re.findall(r"# -> (.+)$", code, flags=re.MULTILINE)
    assert promised == done.stdout.splitlines()


def test_the_readme_explains_every_lowering():
    section = README.partition("### How it is computed")[2].partition("\n## ")[0]
    explained = re.findall(r"^\| `(\w+)` \| .+ \| .+ \|$", section, flags=re.MULTILINE)
    assert explained[0] == "lowering"  # the header
    assert {"auto", *explained[1:]} == set(LOWERINGS)


def test_the_readme_shows_commands():
    assert any("scripts/demo.py" in command for command in COMMANDS)
    assert any("scripts/test.py" in command for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_exists(command: str):
    words = shlex.split(command.removeprefix("srun "))
    if words[:2] == ["python", "-m"]:
        assert importlib.util.find_spec(words[2]) is not None
        words = words[3:]
    elif words[0] == "python":
        assert (ROOT / words[1]).is_file()
        words = words[2:]
    else:
        assert words[0] in ("git", "pip", "tensorboard", "source", "cd"), command
        return
    for word in words:
        key, _, value = word.partition("=")
        if key in ("experiment", "data", "model", "objective", "optimiser"):
            assert (ROOT / "conf" / key / f"{value}.yaml").is_file(), word


def test_the_files_that_the_readme_links_to_exist():
    targets = re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", README) + re.findall(
        r'src="(.+?)"', README
    )
    assert targets
    for target in targets:
        assert (ROOT / target).exists(), target
