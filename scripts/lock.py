"""Writes `requirements.lock` anew from `pyproject.toml`: `python scripts/lock.py [--upgrade]`.

Pins and hashes for every platform and every Python from the oldest on, without an address in it.
Without `--upgrade` the pins that still fit stay as they are. Needs uv.
"""

import shutil
import sys

from environment import LOCK, OLDEST_PYTHON, run


def main(arguments: list[str]) -> int:
    """Runs the one command that makes the lock."""
    uv = shutil.which("uv")
    if uv is None:
        sys.exit("scripts/lock.py needs uv on the PATH: `pip install uv`")
    return run(
        [
            *(uv, "pip", "compile", "pyproject.toml", "--extra", "apps", "--group", "dev"),
            *("--universal", "--python-version", ".".join(map(str, OLDEST_PYTHON))),
            *("--generate-hashes", "--quiet", "--output-file", LOCK.name),
            *("--custom-compile-command", "python scripts/lock.py", *arguments),
        ]
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
