"""Whether a critic has helped an autoencoder: `compare_phases.py RUN`, a run of a VAE-GAN.

The checkpoint at the switch of phases (or the last before it) and the last one reconstruct the same
test records. Printed are the mel distances of both, and the distances in features that had no part
in the training:

- of a critic of another kind than the run's, trained here to tell training records from what both
  checkpoints make of them, half of each, so that it favours neither;
- of the same critic before that training, its weights drawn at random;
- with `--digits`, of a recogniser of spoken digits, trained on recordings alone.

A distance is the mean of |difference of features|, over the mean |feature of the record|.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

HOME = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HOME))

from apps import build  # noqa: E402
from apps.config import VaeGan  # noqa: E402
from apps.data import AudioFolder, fixed_batch  # noqa: E402
from apps.engine.stored import stored_steps  # noqa: E402
from apps.judges.recogniser import judged  # noqa: E402
from apps.judges.recognition import recognition  # noqa: E402
from apps.metrics import audio  # noqa: E402
from apps.objectives import autoencoding, losses  # noqa: E402
from apps.objectives.critics import Critics, make_critics  # noqa: E402

Signals = np.ndarray
DIGITS, OFFICIAL_TEST = r"^(\d)_", r"_[0-4]\.wav$"  # of {digit}_{speaker}_{index}.wav


def reconstruct(model: Any, records: Signals, size: int = 20) -> Signals:
    """What a model makes of records, in batches of one size."""
    rows = []
    for at in range(0, len(records), size):
        part = records[at : at + size]
        filled = np.pad(part, ((0, size - len(part)), (0, 0), (0, 0)))
        rows.append(autoencoding.reconstruct(model, filled)[: len(part)])
    return np.concatenate(rows)


def taught(critic: Critics, real: Signals, made: list[Signals], *, steps: int) -> Critics:
    """A critic that has learnt to tell records from all that was made of them."""
    optimiser = optax.adamw(1e-3, b1=0.8, b2=0.99)
    state = optimiser.init(eqx.filter(critic, eqx.is_inexact_array))
    game = losses.game("least_squares")

    @eqx.filter_jit
    def step(critic: Critics, state: Any, real: Any, made: Any) -> tuple[Critics, Any]:
        def loss(critic: Critics) -> Any:
            verdict = critic(jnp.concatenate([real, made])).scores
            parts = [game.critic(each[: len(real)], each[len(real) :]) for each in verdict]
            return jnp.mean(jnp.stack(parts))

        slope = eqx.filter_grad(loss)(critic)
        with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an integer power
            updates, state = optimiser.update(
                slope, state, eqx.filter(critic, eqx.is_inexact_array)
            )
        return eqx.apply_updates(critic, updates), state

    rng = np.random.default_rng(0)
    for _ in range(steps):
        rows = rng.integers(0, len(real), 16)
        mixed = np.concatenate([each[rows[at :: len(made)]] for at, each in enumerate(made)])
        critic, state = step(critic, state, real[rows], mixed)
    return critic


def features(critic: Critics, records: Signals, size: int = 20) -> list[np.ndarray]:
    """All features of records, critic by critic and layer by layer."""
    look = eqx.filter_jit(lambda critic, signal: jax.tree.leaves(critic(signal).features))
    batches = [look(critic, records[at : at + size]) for at in range(0, len(records), size)]
    return [np.concatenate(each) for each in zip(*batches, strict=True)]


def distance(made: list[np.ndarray], real: list[np.ndarray]) -> float:
    """Mean over layers of the relative mean absolute difference."""
    return float(
        np.mean([np.abs(m - r).mean() / np.abs(r).mean() for m, r in zip(made, real, strict=True)])
    )


def main(words: list[str] | None = None) -> int:
    """Compare the two checkpoints and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("--steps", type=int, default=200, help="of the critic trained here")
    parser.add_argument("--records", type=int, default=200, help="test records, at most")
    parser.add_argument("--digits", action="store_true", help="measure with a recogniser too")
    wanted = parser.parse_args(words)
    saved = stored_steps(wanted.run / "checkpoints")
    run = build.trained(wanted.run)
    config, rate = run.config, run.signal.rate
    if not isinstance(config.objective, VaeGan) or rate is None:
        print(f"{wanted.run} is no VAE-GAN of sounds")
        return 2
    switch = max((s for s in saved if s <= config.objective.adversarial_from), default=None)
    if switch is None or switch == run.step:
        print(f"{wanted.run} has kept {saved}: no checkpoint on both sides of the switch")
        return 2
    models = {switch: build.trained(wanted.run, checkpoint=switch).model, run.step: run.model}
    test, train = (
        np.asarray(getattr(batch, "signal", batch))
        for batch in (
            fixed_batch(build.source(config, "test"), wanted.records),
            fixed_batch(build.source(config, "train"), 400),
        )
    )
    made = {step: reconstruct(model, test) for step, model in models.items()}
    rows = {
        "mel distance": {
            s: float(audio.mel_distance(m, test, rate=rate).mean()) for s, m in made.items()
        }
    }
    rows["SI-SDR, dB"] = {s: float(audio.si_sdr(m, test).mean()) for s, m in made.items()}
    critic = make_critics(
        run.signal.channels, length=run.signal.length, n_ffts=(512, 256), channels=8,
        key=jax.random.key(1234)
    )  # fmt: skip
    learnt = taught(
        critic, train, [reconstruct(model, train) for model in models.values()], steps=wanted.steps
    )
    for name, each in (("spectrum critic, trained here", learnt), ("the same, untrained", critic)):
        real = features(each, test)
        rows[name] = {step: distance(features(each, m), real) for step, m in made.items()}
    if wanted.digits:
        train, held_out = (
            AudioFolder(
                root=config.data.root,  # pyright: ignore[reportAttributeAccessIssue]
                split=split, length=8192, rate=rate, labels=DIGITS, test_pattern=OFFICIAL_TEST
            )
            for split in ("train", "test")
        )  # fmt: skip
        judge = recognition(train, held_out, train, told=False)
        real = judged(judge.model, test)[1]
        name = f"digit recogniser ({100 * judge.accuracy:.1f} % on its test split)"
        rows[name] = {
            step: distance([judged(judge.model, m)[1]], [real]) for step, m in made.items()
        }
    print(f"{len(test)} test records; steps {switch} and {run.step}")
    for name, values in rows.items():
        first, last = values[switch], values[run.step]
        print(f"  {name:<52}{first:9.4f}{last:9.4f}   {100 * (last / first - 1):+.1f} %")
    return 0


if __name__ == "__main__":
    sys.exit(main())
