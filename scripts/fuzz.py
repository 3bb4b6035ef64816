"""Throws random input at the laws of `tests/fuzz` for as long as asked: `python scripts/fuzz.py`.

    python scripts/fuzz.py --minutes 60                  all targets, in turns
    python scripts/fuzz.py --minutes 5 recordings cuts   some of them

Every failure that is new is printed with the input that caused it; the run goes on. In the end
stands how many examples each target had, what became of them, and how many failures were found.
"""

import argparse
import importlib
import itertools
import os
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "fuzz"
TARGETS = {  # name: module, strategy, law
    "transposed": ("fuzz_layers", "transposed", "check_transposed"),
    "convolution": ("fuzz_layers", "plain", "check_plain"),
    "recordings": ("fuzz_recordings", "damaged", "check_damaged"),
    "cuts": ("fuzz_recordings", "cut", "check_cut"),
    "stored": ("fuzz_stored", "altered", "check_altered"),
    "configs": ("fuzz_configs", "configs", "check_config"),
    "steps": ("fuzz_configs", "configs", "check_step"),
}
TURN = 60.0  # seconds for one target, until the next has its turn


@dataclass
class Tally:
    """What became of the examples of one target."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def row(self, name: str) -> str:
        """One line for a person."""
        listed = ", ".join(f"{count} {what}" for what, count in sorted(self.outcomes.items()))
        total = sum(self.outcomes.values())
        return (
            f"{name:<12}{total:>8} examples {self.seconds:7.0f} s "
            f"{len(self.failures):>3} failures   {listed}"
        )


def turn(target: tuple[str, str, str], tally: Tally, *, seed: int) -> None:
    """Gives one target its examples; the first failure ends the turn."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded

    module, strategy, law = target
    laws = importlib.import_module(module)
    check: Callable[[Any], str] = getattr(laws, law)
    last: list[Any] = []
    broken: list[bool] = []
    began = time.monotonic()

    @seeded(seed)
    @settings(
        max_examples=5000,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=tuple(HealthCheck),  # pyright: ignore[reportArgumentType]
    )
    @given(getattr(laws, strategy)())
    def fuzz(example: Any) -> None:
        if time.monotonic() > began + TURN and not broken:
            return  # hypothesis has no other way to end early, and makes a failure twice
        last[:] = [example]
        try:
            tally.outcomes[check(example)] += 1
        except Exception:
            broken.append(True)
            raise

    try:
        fuzz()
    except Exception as error:
        tally.outcomes["failed"] += 1
        where = traceback.extract_tb(error.__traceback__)[-1]
        known = f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}"
        if known not in tally.failures:
            text = "".join(traceback.format_exception(error, limit=-6))
            tally.failures[known] = f"{known}, seed {seed}\n{text}input: {last!r:.4000}\n"
            print(f"\nFAILURE {tally.failures[known]}", flush=True)
    tally.seconds += time.monotonic() - began


def main(arguments: list[str]) -> int:
    """Fuzzes until the time is over; 1 if anything failed."""
    parser = argparse.ArgumentParser(description="Fuzzes the laws of tests/fuzz.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=None, help="of the first turn; random if none")
    wanted = parser.parse_intermixed_args(arguments)
    if unknown := [name for name in wanted.targets if name not in TARGETS]:
        parser.error(f"{unknown[0]} is no target; there are {', '.join(TARGETS)}")
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ.setdefault("JAX_NUM_CPU_DEVICES", "2")
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")  # as in the tests
    sys.path[:0] = [str(FOLDER), str(FOLDER.parent.parent)]
    first = random.SystemRandom().randrange(2**32) if wanted.seed is None else wanted.seed
    tallies = {name: Tally() for name in wanted.targets or TARGETS}
    end = time.monotonic() + 60 * wanted.minutes
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        for count in itertools.count():
            name = min(tallies, key=lambda each: tallies[each].seconds)  # to each as much time
            turn(TARGETS[name], tallies[name], seed=first + count)
            left = (end - time.monotonic()) / 60
            print(f"{left:6.1f} min  {tallies[name].row(name)}", flush=True)
            if left <= 0:
                break
            _forget_programs()
    print("\n" + "\n".join(tally.row(name) for name, tally in tallies.items()))
    return 1 if any(tally.failures for tally in tallies.values()) else 0


def _forget_programs() -> None:
    """Compiled programs would fill the memory."""
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
