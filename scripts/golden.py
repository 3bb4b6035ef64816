"""The first losses of every experiment, small, kept so that no change of them goes unseen.

    python scripts/golden.py                 compares, and tells by how much losses moved
    python scripts/golden.py --write         keeps what they are now, in tests/golden/
    python scripts/golden.py --digest NAME   names the bits of a run: equal wherever it runs alike

The recordings that some experiments ask for are made here, of sines and noise. What differs between
machines, compilers and numbers of devices is the order of additions, a relative 1e-7 or so that
training makes larger step by step: by how much is measured, and what is allowed follows from it.
"""

import argparse
import hashlib
import json
import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "tests" / "golden"
STEPS = 50
DIGITS = 9  # significant, of what is kept: float32 has no more

_SMALL = (
    *("train.batch_size=4", f"train.steps={STEPS}", "optimiser.warmup_steps=5"),
    "train.ema_decay=0.9",
)
_SOUND = (*_SMALL, "data.length=256", "model.channels=[8,8,4,4]", "objective.n_ffts=[64]")
_MEL = (*_SOUND, "objective.bands=[10]")
_FLOW = (
    *(*_SMALL, "model.channels=[8,8,8,4]", "model.latent=4", "objective.prior_from=25"),
    *("model.prior.channels=8", "model.prior.blocks=1"),
)
FILES = {
    **dict.fromkeys(("series_upsampler", "stocks_flow"), "series.csv"),
    "energy_flow": "windows.npz",
}
"""What experiments on series are given, by their names in the folder of `recordings`."""
EXPERIMENTS = {
    "plucks_vae": (*_MEL, "data.count=64", "model.latent=4", "model.dilations=[1]"),
    "fsdd_vae": (*_MEL, "model.latent=4", "model.dilations=[1]"),
    "fsdd_vae_gan": (
        *(*_MEL, "model.latent=4", "model.dilations=[1]", "objective.adversarial_from=25"),
        *("critic.periods=[3]", "critic.scales=1"),
    ),
    "fsdd_vocoder": (
        *(*_SMALL, "data.length=256", "model.channels=[8,8,4,4]", "objective.n_fft=128"),
        *("model.residual_kernels=[3,7]", "model.dilations=[1]", "model.units=[1,1,1]"),
    ),
    "fsdd_upsampler": (
        *(*_SOUND, "model.dilations=[1,3]", "model.units=[2,1,0]"),
        "optimiser.learning_rate=1e-4",  # logarithms near silence make more of a rounding
    ),
    "fsdd_wavegan": (
        *(*_SMALL, "data.length=256", "model.latent=4", "model.strides=[4,4]"),
        *("model.channels=[8,4]", "model.stride_kernels=[9,9]", "critic.channels=2"),
    ),
    "sines_vae": (*_SMALL, "model.channels=[8,8,4]", "model.latent=4", "model.dilations=[1]"),
    "tones_vae": (*_SMALL, "model.channels=[8,8,4]", "model.latent=4", "model.dilations=[1]"),
    "sines_gan": (*_SMALL, "model.channels=[8,8,4]", "model.latent=4", "critic.channels=2"),
    "sines_flow": _FLOW,
    "stocks_flow": _FLOW,
    "energy_flow": _FLOW,
    "sines_timevae": (*_SMALL, "model.channels=[8,8,4]", "model.latent=4", "model.trend=1"),
    "sines_wgan_gp": (
        *_SMALL, "model.channels=[8,8,4]", "model.latent=4", "critic.channels=2",
        "objective.critic_turns=2",
    ),
    "sines_vae_gan": (
        *_SMALL, "model.channels=[8,8,4]", "model.latent=4", "critic.channels=2",
        "objective.adversarial_from=25",
    ),
    "series_upsampler": (*_SMALL, "data.length=24"),
    "sines_upsampler": _SMALL,
}  # fmt: skip


def recordings(folder: Path, *, count: int = 3, rate: int = 8000) -> None:
    """Writes recordings named as the digits are, a falling tone each, and series that walk."""
    import numpy as np
    import soundfile

    time = np.arange(rate // 8) / rate
    for digit in range(10):
        rng = np.random.default_rng(digit)
        for index in range(4, 4 + count):  # 0 to 4 are the test split
            pitch = 150 + 60 * digit + 10 * index
            tone = np.sin(2 * np.pi * pitch * time) * np.exp(-8 * time)
            made = 0.5 * tone + 0.01 * rng.standard_normal(len(time))
            soundfile.write(folder / f"{digit}_synthetic_{index}.wav", made, rate, "PCM_16")
    rng = np.random.default_rng(10)
    series = rng.standard_normal((400, 4)).cumsum(axis=0)
    np.savetxt(folder / "series.csv", series, delimiter=",", header="a,b,c,d", comments="")
    np.savez(folder / "windows.npz", data=rng.standard_normal((40, 24, 4)).cumsum(axis=1))


def run(name: str, folder: Path, *words: str, steps: int = STEPS) -> tuple[Any, dict[str, Any]]:
    """Trains an experiment at its reduced size, where `folder` holds `recordings`.

    Returns:
        The state after the last step, and the losses of every step by their names; NaN where a
        loss is not there yet.
    """
    import jax

    from apps import build
    from apps.command_line import read, sort
    from apps.config import Config
    from apps.engine.mesh import place_batch

    root = (f"data.root={folder}",) if name.startswith("fsdd") else ()
    if name in FILES:
        root = (f"data.path={folder / FILES[name]}",)
    config = read(Config, sort([f"experiment={name}", *EXPERIMENTS[name], *root, *words]))
    records = build.source(config, "train")
    aim, mesh = build.objective(config, records.signal), build.mesh(config)
    loader, step = build.loader(config, records, parts=aim.parts), build.step(config, aim, mesh)
    state, rows = build.begun(config, records.signal, mesh), []
    for at in range(steps):
        state, metrics = step.at(at)(state, place_batch(loader.batch(at), mesh))
        rows.append(metrics)
    rows = [{k: float(v) for k, v in row.items()} for row in jax.device_get(rows)]
    names = sorted({key for row in rows for key in row if key.endswith("/loss")})
    return state, {key: [row.get(key, math.nan) for row in rows] for key in names}


def digest(state: Any, losses: dict[str, Any]) -> str:
    """Names the bits of a run's losses and of all that it has learned."""
    import equinox as eqx
    import jax

    total = hashlib.sha256(json.dumps(losses).encode())
    for leaf in jax.tree.leaves(eqx.filter(state, eqx.is_array)):
        plain = (
            jax.random.key_data(leaf)
            if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)
            else leaf
        )
        total.update(jax.device_get(plain).tobytes())
    return total.hexdigest()


def kept(name: str) -> dict[str, Any]:
    """Returns what is kept of an experiment; None where a loss was not there yet."""
    return json.loads((KEPT / f"{name}.json").read_text(encoding="utf-8"))


def moved(now: dict[str, Any], then: dict[str, Any]) -> Iterator[tuple[str, int, float]]:
    """Iterates over losses, steps from 1 on, and by how much each moved, relative to its size."""
    for key in sorted(now.keys() | then.keys()):
        pairs = zip(now.get(key, ()), then.get(key, ()), strict=True)
        for step, (new, old) in enumerate(pairs, start=1):
            old = math.nan if old is None else old
            if math.isnan(new) and math.isnan(old):
                continue
            yield key, step, abs(new - old) / max(abs(old), 1e-3)


def _write(name: str, losses: dict[str, Any]) -> None:
    rounded = {
        key: [None if math.isnan(x) else float(f"{x:.{DIGITS}g}") for x in values]
        for key, values in losses.items()
    }
    text = "".join(f',\n "{k}": {json.dumps(v)}' for k, v in rounded.items())
    (KEPT / f"{name}.json").write_text("{" + text[1:] + "\n}\n", encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    """Compares or keeps the losses, or names the bits of one run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="experiments; all if none is named")
    parser.add_argument("--write", action="store_true", help="keep what the losses are now")
    parser.add_argument("--digest", action="store_true", help="name the bits of a few steps")
    parser.add_argument("--devices", type=int, default=1, help="to train on")
    parser.add_argument("--steps", type=int, default=STEPS, help="of a digest")
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.names if name not in EXPERIMENTS]:
        parser.error(f"{unknown[0]} is none of {', '.join(EXPERIMENTS)}")
    with tempfile.TemporaryDirectory() as folder:
        recordings(Path(folder))
        for name in given.names or EXPERIMENTS:
            words = (f"train.devices={given.devices}",) if given.devices > 1 else ()
            if given.digest:
                state, losses = run(name, Path(folder), *words, steps=given.steps)
                print(digest(state, losses), name)
                continue
            losses = run(name, Path(folder), *words)[1]
            if given.write:
                _write(name, losses)
            worst = {1: 0.0, 5: 0.0, 20: 0.0, STEPS: 0.0}
            for _, step, by in moved(losses, kept(name)):
                worst = {end: max(most, by) if step <= end else most for end, most in worst.items()}
            shown = "  ".join(f"to step {end}: {most:.1e}" for end, most in worst.items())
            print(f"{name:<16}{shown}", flush=True)
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main(sys.argv[1:]))
