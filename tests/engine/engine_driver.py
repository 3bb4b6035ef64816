"""Trains a toy until it is done or killed. Arguments: folder, steps, objective, devices."""

import sys
import time
from pathlib import Path

from engine_toys import Run, batches

from apps.engine.signals import StopSignal


def slow_batches(start):
    for batch in batches(start):
        time.sleep(0.01)  # so that a kill can fall anywhere
        yield batch


def main() -> None:
    folder, steps, objective, devices = sys.argv[1:]
    with StopSignal() as stop:
        state = Run(Path(folder), objective=objective, devices=devices).train(
            int(steps), stop=stop, batches=slow_batches
        )
    print(f"left at step {int(state.step)}", flush=True)


if __name__ == "__main__":
    main()
