"""Keeps what a release writes, for the tests that later versions can still read it.

    python scripts/make_release_fixture.py 0.2.0
    git worktree add ../earlier v0.1.0
    python scripts/make_release_fixture.py 0.1.0 --code ../earlier

It trains the smallest runs with the code of that release, and has the same code compute what its
weights make of fixed numbers. All of it lands in `tests/releases/<release>/`: for each run a zip of
its folder with one checkpoint, and the numbers beside it; and a model saved by the library.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEPT = ("config.yaml", "signal.json", "metrics.jsonl", "checkpoints")
COMMON = (
    *("train.steps=4", "train.batch_size=4", "train.log_every=2", "train.save_every=4"),
    *("train.sample_every=0", "train.evaluate_every=4", "train.evaluate_records=4"),
    *("train.samples=1", "train.ema_decay=0.9", "data.count=16", "train.keep_latest=1"),
    *("model.latent=4", "model.channels=[4,4]"),
)
SOUND = ("data=plucks", "data.length=256", "model.strides=[4,4]", "objective.n_ffts=[32]")
RUNS = {  # by name: since when it can be trained, and the words that train it
    "plucks": ("0.1.0", (*SOUND, "objective.bands=[5]", "model.dilations=[1,3]")),
    "sines": (
        "0.1.0",
        (
            *("data=sines", "data.channels=3", "model=wavegan", "model.strides=[2,2]"),
            *("model.stride_kernels=[5,5]", "objective.reconstruction=l2"),
        ),
    ),
    "plucks_gan": (
        "0.2.0",
        (
            *SOUND,
            *("objective=vae_gan", "objective.bands=[5]", "objective.adversarial_from=1"),
            *("critic.channels=1", "critic.wave=true", "model.dilations=[1]"),
            *("model.residual_kernels=[3,5]", "model.activation=leaky_relu"),
        ),
    ),
}
# Runs by the code of the release, whatever that is called there: what is used has kept its name.
REFERENCE = """
import sys
from pathlib import Path
import jax, numpy as np, convt1d
from apps import build, config
from apps.engine.checkpoint import Checkpoints
folder, model_folder = map(Path, sys.argv[1:])
wanted, signal = config.load(folder), build.stored_signal(folder)
averaged, raw = (build.trained(folder, averaged=each).model for each in (True, False))
rng = np.random.default_rng(0)
x = rng.uniform(-0.5, 0.5, (2, signal.length, signal.channels)).astype(np.float32)
frames = averaged.encoder(x).shape[1]
latent = rng.standard_normal((2, frames, wanted.model.latent)).astype(np.float32)
with Checkpoints(folder / "checkpoints") as checkpoints:
    step, state = checkpoints.restore(build.template(wanted, signal, build.mesh(wanted)))
norms = {
    f"norms of {name}": np.sort([float((np.asarray(x, np.float64) ** 2).sum())
                                 for x in jax.tree.leaves(player.opt_state)])
    for name, player in state.players.items()
}
np.savez_compressed(
    folder.with_suffix(".npz"), signal=x, latent=latent, step=step,
    features=averaged.encoder(x), decoded=averaged.decoder(latent), raw=raw.decoder(latent), **norms
)
convt1d.save(model_folder, averaged, extra={"release": True})
"""


def main(arguments: list[str]) -> int:
    """Makes the fixtures of one release."""
    parser = argparse.ArgumentParser(description="Keeps what a release writes, for the tests.")
    parser.add_argument("release", help="its number, 0.2.0 say")
    parser.add_argument(
        "--code", type=Path, default=ROOT, help="a checkout of it; this one if left"
    )
    given = parser.parse_args(arguments)
    target = ROOT / "tests" / "releases" / given.release
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as made:
        for name, (since, words) in RUNS.items():
            if _numbers(since) <= _numbers(given.release):
                run = Path(made, name)
                _python(given.code, "-m", "apps.train", *words, *COMMON, f"run={run}")
                _python(given.code, "-c", REFERENCE, str(run), str(target / f"{name}.model"))
                run.with_suffix(".npz").replace(target / f"{name}.npz")
                _pack(run, target / f"{name}.zip")
    for path in sorted(target.rglob("*.*")):
        print(f"{path.stat().st_size:>8} bytes  {path.relative_to(ROOT)}")
    return 0


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(map(int, release.split(".")))


def _python(code: Path, *words: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(code.resolve())}
    subprocess.run([sys.executable, *words], cwd=code, env=environment, check=True)


def _pack(run: Path, target: Path) -> None:
    """Writes a run into a zip, without its curves and its lock."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(run.rglob("*")):
            inside = path.relative_to(run)
            if path.is_file() and inside.parts[0] in KEPT and path.name != "lock":
                archive.write(path, inside)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
