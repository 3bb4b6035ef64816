"""Training steps per second, ours against PyTorch's: `bench_torch_step.py --root FOLDER`.

The same model, losses and optimiser on both sides, in processes of their own that take turns, with
as many threads; `torch_step.py` is the other side, written plainly. Before anything is timed both
compute the losses of one step with the same weights on the same records, and must agree. FOLDER
holds the recordings of the FSDD experiments. Measure on a quiet machine.

Printed for each case: milliseconds a step on both sides (median over rounds and their spread), the
ratio with its spread, and how long our first step takes with nothing compiled before and with the
compilation cache of the run before.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import wait_until_quiet

HOME = Path(__file__).resolve().parents[1]
LATE = 10**6  # a step after every warm-up
PERIODS = "critic.periods=[2,3,5,7,11]"
CRITIC = ("critic=hifigan", "critic.scales=0", "critic.channels=8", PERIODS)
CASES = {
    "vae": ("experiment=fsdd_vae",),
    "vae_gan": (
        *("experiment=fsdd_vae", "objective=vae_gan", "objective.adversarial_from=1", *CRITIC),
        *("objective.reconstruction=log_mel", "objective.l1_weight=10"),
    ),
    "vocoder": ("experiment=fsdd_vocoder",),
    "vocoder_gan": ("experiment=fsdd_vocoder", *CRITIC),
}


# ------------------------------------------------------------------------- inside of our process


def prepared(words: list[str]) -> tuple[Any, Any, Any, Any, Any]:
    """Config, objective, records, state and phased step of a run."""
    sys.path.insert(0, str(HOME))
    from apps import build, command_line
    from apps.config import Config
    from apps.engine import compilation, memory

    config = command_line.read(Config, command_line.sort(words))
    compilation.keep_compilations()
    memory.keep_memory()
    records = build.source(config, "train")
    mesh = build.mesh(config)
    aim = build.objective(config, records.signal)
    step = build.step(config, aim, mesh)
    return config, aim, records, build.begun(config, records.signal, mesh), step


def measure(words: list[str], steps: int) -> dict[str, Any]:
    """Seconds to the first step of the last phase, and milliseconds of each step after it."""
    began = time.perf_counter()
    config, _, records, state, step = prepared(words)
    import jax

    from apps import build
    from apps.engine.mesh import place_batch

    mesh = build.mesh(config)
    batches = build.loader(config, records).batches(0)
    skipped = step.phases[-1].start  # the case's phase is the last one
    for done in range(skipped):
        state, _ = step.at(done)(state, place_batch(next(batches), mesh))
    times, first = [], 0.0
    for done in range(skipped, skipped + steps):
        batch = place_batch(next(batches), mesh)
        start = time.perf_counter()
        state, _ = jax.block_until_ready(step.at(done)(state, batch))
        times.append(1e3 * (time.perf_counter() - start))
        if done == skipped:
            first = time.perf_counter() - began
    batches.close()
    return {"first": first, "ms": times[min(5, steps - 1) :]}


def export(words: list[str], folder: Path) -> dict[str, Any]:
    """Write what the other side needs into a folder; return the losses of our turns."""
    config, aim, records, state, step = prepared(words)
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import numpy as np

    from apps.data import fixed_batch
    from apps.objectives.adversary import CRITIC as JUDGE
    from convt1d._mel import mel_filterbank

    batch = jnp.asarray(fixed_batch(records, config.train.batch_size))
    models = {name: player.model for name, player in state.players.items()}
    product = models[aim.product]
    keys = jax.random.split(jax.random.key(1), batch.shape[0])
    found, noise = {}, {}
    for turn in step.phases[-1].turns:
        others = {name: model for name, model in models.items() if name != turn.player}
        # Arguments, all of it: what is closed over would be folded as constants, for minutes.
        loss = eqx.filter_jit(
            lambda loss, *given, keys: loss(*given, keys=keys, step=jnp.asarray(LATE))[0]
        )
        name = "critic" if turn.player == JUDGE else "model"
        found[name] = float(loss(turn.loss, models[turn.player], others, batch, keys=keys))
        if config.objective.kind != "vocoder":
            noise[f"noise.{name}"] = drawn(keys, turn.player, len(step.phases), product, batch)
    kept = {f"model.{n}": a for n, a in parameters(product).items()}
    if JUDGE in models:
        kept |= {f"critic.{n}": a for n, a in parameters(models[JUDGE]).items()}
    signal, objective = records.signal, config.objective
    spectra = {}
    windows = [*objective.n_ffts, *([objective.n_fft] if objective.kind == "vocoder" else [])]
    for n_fft in windows:
        spectra[f"window.{n_fft}"] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    for n_fft, bands in zip(objective.n_ffts, objective.bands, strict=True):
        spectra[f"mel.{n_fft}"] = mel_filterbank(signal.rate, n_fft, bands)
    if objective.kind == "vocoder":
        mel = product.mel
        shape = {"low": mel.low, "high": mel.high, "scale": mel.scale, "norm": mel.norm}
        spectra["mel"] = mel_filterbank(mel.rate, mel.n_fft, mel.bands, **shape)
    spectra = {name: np.asarray(values, np.float32) for name, values in spectra.items()}
    arrays = {**kept, **spectra, **noise, "batch": np.moveaxis(np.asarray(batch), 2, 1)}
    whole: dict[str, Any] = {n: np.ascontiguousarray(a) for n, a in arrays.items()}
    np.savez(folder / "arrays.npz", **whole)
    (folder / "case.json").write_text(json.dumps(described(config, product, models.get(JUDGE))))
    return found


def drawn(keys: Any, player: str, phases: int, product: Any, batch: Any) -> Any:
    """The noise of a turn's latents, as its loss draws it from these keys."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from apps.objectives.adversary import CRITIC as JUDGE

    if player == JUDGE:
        keys = jax.vmap(lambda key: jax.random.split(key, 3), out_axes=1)(keys)[0]
    elif phases > 1:
        keys = jax.vmap(jax.random.split, out_axes=1)(keys)[0]
    shape = (product.latent_length(batch.shape[1]), product.latent)
    noise = jax.vmap(lambda key: jax.random.normal(key, shape, jnp.float32))(keys)
    return np.moveaxis(np.asarray(noise), 2, 1)


def parameters(model: Any) -> dict[str, Any]:
    """The arrays of a model under PyTorch's names."""
    import equinox as eqx
    import jax
    import numpy as np

    from convt1d import Conv1d, ConvTranspose1d, Snake, WeightNorm, interop

    kinds = (Conv1d, ConvTranspose1d, WeightNorm, Snake)
    leaves = jax.tree_util.tree_flatten_with_path(model, is_leaf=lambda x: isinstance(x, kinds))[0]
    found: dict[str, Any] = {}
    for path, layer in leaves:
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        if isinstance(layer, Snake):
            found[f"{name}.alpha"] = np.asarray(layer.alpha).reshape(-1)
        elif isinstance(layer, Conv1d | ConvTranspose1d | WeightNorm):
            form = "parametrizations" if isinstance(layer, WeightNorm) else "folded"
            found |= interop.write(layer, library="torch", name=name, form=form)
        elif eqx.is_array(layer):
            raise ValueError(
                f"{name} is a {type(layer).__name__} that the other side does not know"
            )
    return found


def described(config: Any, product: Any, judge: Any) -> dict[str, Any]:
    """What the other side must know to build the same."""
    import dataclasses

    objective = config.objective
    layouts = {
        side: dataclasses.asdict(getattr(product, side).layout)
        for side in ("encoder", "decoder")
        if hasattr(product, side)
    }
    widths = [] if judge is None else _widths(judge)
    mel = getattr(product, "mel", None)
    return {
        **dataclasses.asdict(objective),
        **layouts,
        "kind": "vocoder" if mel is not None else "vae",
        "latent": product.decoder.latent,
        "output": product.decoder.output,
        "decoder_alone": objective.kind == "vae_gan",
        "periods": [] if judge is None else [critic.period for critic in judge.critics],
        "critic_widths": widths,
        "optimiser": dataclasses.asdict(config.optimiser),
        "critic_optimiser": None if judge is None else dataclasses.asdict(config.critic.optimiser),
        "ema_decay": config.train.ema_decay,
        **({} if mel is None else {"hop": mel.hop, "floor": mel.floor}),
    }


def _widths(judge: Any) -> list[int]:
    from convt1d.models.blocks import plain

    layers = [plain(layer) for layer in judge.critics[0].layers]
    return [layers[0].in_channels, *(layer.out_channels for layer in layers)]


# ----------------------------------------------------------------------------------- from outside


def ask(command: list[str], *, cache: Path, threads: int) -> dict[str, Any]:
    """The last line that a process prints, from JSON."""
    settings = {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "OMP_NUM_THREADS": str(threads),
        "JAX_PLATFORMS": "cpu",
    }
    answer = subprocess.run(
        command, env={**os.environ, **settings}, capture_output=True, text=True, check=False
    )
    if answer.returncode:
        raise SystemExit(f"{' '.join(command)}\n{answer.stderr}")
    return json.loads(answer.stdout.splitlines()[-1])


def check_equal(ours: dict[str, float], theirs: dict[str, float], *, within: float) -> str:
    """Refuse to compare what does not compute the same."""
    apart = {name: abs(theirs[name] / value - 1) for name, value in ours.items()}
    if max(apart.values()) > within:
        raise SystemExit(f"the two sides differ: ours {ours}, PyTorch's {theirs}")
    return ", ".join(f"{name} {value:.6g} (±{apart[name]:.1e})" for name, value in ours.items())


def compare(name: str, wanted: argparse.Namespace) -> None:
    """Measure one case and print it."""
    words = [*CASES[name], f"data.root={wanted.root}"]
    us = [sys.executable, __file__, f"--steps={wanted.steps}"]
    with tempfile.TemporaryDirectory() as given:
        folder, cache = Path(given), Path(given) / "cache"
        them = [wanted.python, str(HOME / "scripts" / "torch_step.py"), str(folder)]
        losses = ask([*us, "--export", given, *words], cache=cache / "x", threads=wanted.threads)
        steps = [str(wanted.steps), str(wanted.threads)]
        check = ask([*them, "1", str(wanted.threads)], cache=cache, threads=wanted.threads)
        same = check_equal(losses, check["losses"], within=wanted.within)
        print(f"{name}: the same losses, {same}")
        ours, theirs, first = [], [], []
        for _ in range(wanted.rounds):
            busy = wait_until_quiet(wanted.wait)
            mine = ask([*us, "--here", *words], cache=cache / "kept", threads=wanted.threads)
            rival = ask([*them, *steps], cache=cache, threads=wanted.threads)
            ours.append(statistics.median(mine["ms"]))
            theirs.append(statistics.median(rival["ms"]))
            first.append(mine["first"])
            print(f"  {busy:.2f} cores busy before: {ours[-1]:.1f} ms, PyTorch {theirs[-1]:.1f} ms")
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    warm = f", warm {min(first[1:]):.1f} s" if first[1:] else ""
    print(
        f"{name}: {_spread(ours)} ms a step, PyTorch {check['version']} {_spread(theirs)} ms: "
        f"{_spread(ratios, digits=2)} times as fast; first step cold {first[0]:.1f} s{warm}"
    )


def _spread(values: list[float], *, digits: int = 1) -> str:
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def main() -> int:
    """Compare the cases that are named, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("words", nargs="*", help=f"cases, of {', '.join(CASES)}; default all")
    parser.add_argument("--root", type=Path, help="the recordings")
    parser.add_argument("--python", default=sys.executable, help="an interpreter with torch")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--wait", type=float, default=60.0, help="seconds to wait for quiet")
    parser.add_argument("--within", type=float, default=1e-4, help="relative difference of losses")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--export", type=Path, help=argparse.SUPPRESS)
    wanted = parser.parse_intermixed_args()
    if wanted.here or wanted.export:
        found = export(wanted.words, wanted.export) if wanted.export else None
        print(json.dumps(found or measure(wanted.words, wanted.steps)))
        return 0
    if wanted.root is None:
        parser.error("--root names the folder of the recordings")
    for name in wanted.words or CASES:
        if name not in CASES:
            parser.error(f"{name} is none of {', '.join(CASES)}")
        compare(name, wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
