"""Tiny players and data for the laws of the engine: linear maps, batches by step."""

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.console import Console

from apps.engine.checkpoint import Checkpoints
from apps.engine.log import Log
from apps.engine.loop import Cadence, train
from apps.engine.mesh import make_mesh, place
from apps.engine.sample import Sample
from apps.engine.signals import StopSignal
from apps.engine.state import TrainState, init_state
from apps.engine.step import Turn, make_train_step

BATCH, LENGTH, LATENT = 8, 16, 4


class Auto(eqx.Module):
    """An autoencoder of two maps; the activation makes a leaf that is no array."""

    encoder: eqx.nn.Linear
    decoder: eqx.nn.MLP

    def __init__(self, key: jax.Array, width: int = 8) -> None:
        one, two = jax.random.split(key)
        self.encoder = eqx.nn.Linear(LENGTH, LATENT, key=one)
        self.decoder = eqx.nn.MLP(LATENT, LENGTH, width, 1, key=two)


def noise_of(keys):
    return jax.vmap(lambda key: jax.random.normal(key, (LATENT,)))(keys)


def elbo(model, others, batch, *, keys, step):
    del others, step
    latent = jax.vmap(model.encoder)(batch)
    latent = latent + 0.1 * noise_of(keys)
    error = jnp.mean((jax.vmap(model.decoder)(latent) - batch) ** 2)
    size = jnp.mean(latent**2)
    return error + 0.01 * size, {"error": error, "size": size}


def critic_loss(critic, others, batch, *, keys, step):
    del step
    noise = noise_of(keys)
    fake = jax.vmap(others["decoder"])(noise)
    real_score, fake_score = jax.vmap(critic)(batch), jax.vmap(critic)(fake)
    return jnp.mean((real_score - 1) ** 2) + jnp.mean(fake_score**2), {
        "real": jnp.mean(real_score),
        "fake": jnp.mean(fake_score),
    }


def adversarial_loss(decoder, others, batch, *, keys, step):
    del step
    noise = noise_of(keys)
    return jnp.mean((jax.vmap(others["critic"])(jax.vmap(decoder)(noise)) - 1) ** 2), {}


VAE = [Turn("vae", elbo)]
GAN = [Turn("critic", critic_loss), Turn("decoder", adversarial_loss)]


@functools.cache  # made once: a state has buffers of its own
def vae_players(width: int = 8) -> tuple[dict[str, Any], dict[str, Any]]:
    return {"vae": Auto(jax.random.key(1), width)}, {"vae": optax.adamw(1e-2)}


@functools.cache
def gan_players() -> tuple[dict[str, Any], dict[str, Any]]:
    one, two = jax.random.split(jax.random.key(2))
    models = {
        "critic": eqx.nn.Linear(LENGTH, 1, key=one),
        "decoder": eqx.nn.Linear(LATENT, LENGTH, key=two),
    }
    return models, {"critic": optax.adam(3e-2), "decoder": optax.sgd(1e-2, momentum=0.9)}


OBJECTIVES = {"vae": (VAE, vae_players), "gan": (GAN, gan_players)}


def batch_at(step: int) -> np.ndarray:
    random = np.random.default_rng([7, step])
    phase = random.uniform(0, 2 * np.pi, (BATCH, 1))
    return np.sin(np.arange(LENGTH) / 2 + phase).astype(np.float32)


def batches(start: int) -> Iterator[np.ndarray]:
    while True:
        yield batch_at(start)
        start += 1


def arrays(tree: Any) -> list[jax.Array]:
    return jax.tree.leaves(eqx.filter(tree, eqx.is_array))


def copied(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.copy(leaf) if eqx.is_array(leaf) else leaf, tree)


def values(tree: Any) -> list[np.ndarray]:
    keyless = (
        jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
        for leaf in arrays(tree)
    )
    return [np.array(leaf) for leaf in keyless]


def same_bits(one: Any, two: Any) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(values(one), values(two), strict=True))


@functools.cache  # compiled once for all tests
def toy_step(objective: str, devices: str | int):
    turns, players = OBJECTIVES[objective]
    mesh = make_mesh(devices, BATCH)
    return make_train_step(turns, players()[1], mesh=mesh), mesh


@functools.cache
def toy_state(objective: str, devices: str | int) -> TrainState:
    models, optimisers = OBJECTIVES[objective][1]()
    state = init_state(models, optimisers, key=jax.random.key(0))
    return place(state, toy_step(objective, devices)[1])


class Run:
    """A run of a toy, in a folder."""

    def __init__(self, folder: Path, *, objective: str = "vae", devices: str | int = "one") -> None:
        self.folder, self.checkpoints = folder, folder / "checkpoints"
        self.models, self.optimisers = OBJECTIVES[objective][1]()
        self.step, self.mesh = toy_step(objective, devices)
        self._state = toy_state(objective, devices)

    def fresh(self) -> TrainState:
        return copied(self._state)  # a step may have it

    def train(
        self,
        steps: int,
        *,
        cadence: Cadence | None = None,
        keep: Mapping[str, Any] | None = None,
        stop: StopSignal | None = None,
        told: list[str] | None = None,
        **options: Any,
    ) -> TrainState:
        """Trains up to `steps`, from the newest checkpoint if there is one."""
        state = self.fresh()
        with (
            Checkpoints(self.checkpoints, **(keep or {})) as checkpoints,
            Log(self.folder, console=Console(quiet=True)) as log,
        ):
            if told is not None:

                def tell(text: str) -> None:
                    if not text.startswith("each device holds"):  # true of every run
                        told.append(text)

                log.message = log.warn = tell
            found = checkpoints.restore(state)
            options.setdefault("batches", batches)
            with jax.transfer_guard("disallow"):  # nothing leaves the device but in the log
                return train(
                    state if found is None else found[1],
                    step=self.step,
                    mesh=self.mesh,
                    steps=steps,
                    cadence=cadence or Cadence(log=1, evaluate=0, sample=0, save=5),
                    checkpoints=checkpoints,
                    log=log,
                    stop=stop or StopSignal(),
                    **options,
                )


def wave(name: str = "a tone", *, channels: int = 1, rate: int | None = 8000) -> Sample:
    signal = (0.5 * np.sin(np.arange(400) / 9)[:, None] * np.ones((1, channels))).astype(np.float32)
    return Sample(name, signal, rate=rate, reference=signal)
