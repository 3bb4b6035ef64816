"""From settings to objects, one small function each; the only place where a word selects code."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Key

import convt1d
from apps import config as settings
from apps.config import Config
from apps.data import Arrays, AudioFolder, Loader, Plucks, Signal, Sines, Source, fixed_batch
from apps.engine.checkpoint import CheckpointError, Checkpoints, restore_ema
from apps.engine.loop import Cadence
from apps.engine.mesh import abstract_placed, make_mesh, place
from apps.engine.sample import Sample
from apps.engine.state import TrainState, abstract_state, averaged, init_state
from apps.engine.step import Step, Turn, make_train_step
from apps.objectives import vae
from apps.schema import ConfigError
from convt1d.models import VAE, Decoder, Encoder, Layout

SIGNAL = "signal.json"
"""The file of a run folder that says what one example is; to use a run, its data is not needed."""


def source(config: Config, split: str) -> Source:
    """Return the records of a split, ``"train"`` or ``"test"``."""
    data = config.data
    match data:
        case settings.Plucks():
            return Plucks(
                split=split, length=data.length, rate=data.rate, count=data.count, seed=data.seed,
                lowest=data.lowest, highest=data.highest, hiss=data.hiss
            )  # fmt: skip
        case settings.Sines():
            return Sines(
                split=split, length=data.length, channels=data.channels, count=data.count,
                seed=data.seed
            )  # fmt: skip
        case settings.AudioFolder():
            return AudioFolder(
                root=data.root, split=split, length=data.length, rate=data.rate,
                channels=data.channels, peak=data.peak, on_bad=data.on_bad,
                test_pattern=data.test_pattern, test_fraction=data.test_fraction, seed=data.seed
            )  # fmt: skip
        case settings.Arrays():
            return Arrays(
                path=data.path, split=split, key=data.key, length=data.length, stride=data.stride,
                scaling=data.scaling, split_by=data.split_by, test_fraction=data.test_fraction,
                seed=data.seed
            )  # fmt: skip


def loader(config: Config, records: Source) -> Loader:
    """Return the batches of the training records."""
    train = config.train
    return Loader(records, batch_size=train.batch_size, seed=train.seed, workers=train.workers)


def model(config: Config, signal: Signal, *, key: Key[Array, ""]) -> VAE:
    """Return the network for such signals, with its first weights."""
    settings.check_length(signal.length, config.model)
    wanted = config.model
    encoder_key, decoder_key = jax.random.split(key)
    length = signal.length if wanted.entry == "dense" else None
    layout = Layout(
        strides=wanted.strides, channels=wanted.channels, stride_kernels=wanted.stride_kernels,
        kernel_size=wanted.kernel_size, residual_kernels=wanted.residual_kernels,
        dilations=wanted.dilations, residual=wanted.residual, activation=wanted.activation,
        slope=wanted.slope, padding=wanted.padding, lstm=wanted.lstm,
        weight_norm=wanted.weight_norm, rematerialise=wanted.rematerialise
    )  # fmt: skip
    short = dataclasses.replace(layout, latent_kernel_size=3)  # as DAC's encoder has it
    encoder = Encoder(signal.channels, 2 * wanted.latent, short, length=length, key=encoder_key)
    decoder = Decoder(
        signal.channels, wanted.latent, layout, length=length, output=wanted.output, key=decoder_key
    )
    return VAE(encoder, decoder)


def optimiser(config: Config) -> optax.GradientTransformation:
    """Return AdamW on its schedule, behind the clip.

    Weight decay takes kernels alone: drawn to zero, a bias, a gain or a Snake's frequency would
    not be simpler, only wrong.
    """
    wanted = config.optimiser
    adamw = optax.adamw(
        learning_rate(config),
        b1=wanted.beta1,
        b2=wanted.beta2,
        weight_decay=wanted.weight_decay,
        mask=lambda weights: jax.tree.map(lambda leaf: leaf.ndim >= 2, weights),
    )
    if wanted.clip is None:
        return adamw
    return optax.chain(optax.clip_by_global_norm(wanted.clip), adamw)


def learning_rate(config: Config) -> optax.Schedule:
    """Return the learning rate as a function of the number of steps made."""
    wanted = config.optimiser
    rate, warmup = wanted.learning_rate, wanted.warmup_steps
    steps = max(config.train.steps - warmup, 1)
    match wanted.schedule:
        case "constant":
            course = optax.constant_schedule(rate)
        case "cosine":
            course = optax.cosine_decay_schedule(rate, steps, alpha=wanted.final)
        case "exponential":
            course = optax.exponential_decay(rate, steps, wanted.final)
    if not warmup:
        return course
    # From rate / warmup, not from 0: the first step is not to be lost.
    rise = optax.linear_schedule(rate / warmup, rate, warmup)
    return optax.join_schedules([rise, course], [warmup])


def turns(config: Config, signal: Signal) -> list[Turn]:
    """Return what is trained in one step, in order."""
    wanted = config.objective
    return vae.turns(
        rate=signal.rate,
        reconstruction=wanted.reconstruction,
        n_ffts=wanted.n_ffts,
        bands=wanted.bands,
        reconstruction_weight=wanted.reconstruction_weight,
        l1_weight=wanted.l1_weight,
        kl_weight=wanted.kl_weight,
        kl_warmup_steps=wanted.kl_warmup_steps,
        free_bits=wanted.free_bits,
    )


def mesh(config: Config) -> Mesh:
    """Return the devices that train."""
    return make_mesh(config.train.devices, config.train.batch_size)


def state(config: Config, signal: Signal) -> TrainState:
    """Return the state before the first step; the weights follow from `train.seed` alone."""
    first, later = jax.random.split(jax.random.key(config.train.seed))
    return init_state(
        {vae.PLAYER: model(config, signal, key=first)},
        {vae.PLAYER: optimiser(config)},
        key=later,
        ema=config.train.ema_decay > 0,
        trainable=convt1d.trainable,
    )


def template(config: Config, signal: Signal, devices: Mesh) -> TrainState:
    """Return the state's shapes and places, for a checkpoint to fill; nothing is computed."""
    return abstract_placed(abstract_state(lambda: state(config, signal)), devices)


def begun(config: Config, signal: Signal, devices: Mesh) -> TrainState:
    """Return the state before the first step, on the devices."""
    draw = jax.jit(lambda: eqx.filter(state(config, signal), eqx.is_array)).lower()
    # Hundreds of small random draws, made once: optimising them takes longer than all of them.
    arrays = draw.compile(compiler_options={"xla_backend_optimization_level": "0"})()
    shapes = abstract_state(lambda: state(config, signal))
    return place(eqx.combine(arrays, eqx.filter(shapes, _is_static)), devices)


def _is_static(leaf: Any) -> bool:
    return not isinstance(leaf, jax.ShapeDtypeStruct)


def step(config: Config, signal: Signal, devices: Mesh) -> Step:
    """Return the compiled training step."""
    return make_train_step(
        turns(config, signal),
        {vae.PLAYER: optimiser(config)},
        mesh=devices,
        ema_decay=config.train.ema_decay,
        trainable=convt1d.trainable,
    )


def cadence(config: Config) -> Cadence:
    """Return how often to do what."""
    train = config.train
    return Cadence(
        log=train.log_every,
        sample=train.sample_every,
        evaluate=train.evaluate_every,
        save=train.save_every,
    )


def checkpoints(config: Config, folder: Path) -> Checkpoints:
    """Open the checkpoints of a run folder, which then belongs to this process alone."""
    series = isinstance(config.data, settings.Sines | settings.Arrays)
    best = "mean_absolute_error" if series else "mel_distance"
    return Checkpoints(
        folder / "checkpoints",
        keep_latest=config.train.keep_latest,
        keep_best=config.train.keep_best,
        best_metric=f"test/{best}",
        config=settings.stored(config),
    )


def sampler(config: Config, records: Source) -> Callable[[TrainState], list[Sample]]:
    """Return what shows the fixed test examples as a state hears them."""
    batch = fixed_batch(records, config.train.samples)
    count = len(batch)
    names = [records.name(index * len(records) // count) for index in range(count)]
    signal = records.signal

    def sample(now: TrainState) -> list[Sample]:
        model = averaged(now)[vae.PLAYER]
        return vae.samples(model, batch, rate=signal.rate, names=names, unscale=signal.unscale)

    return sample


def evaluator(config: Config, records: Source) -> Callable[[TrainState], dict[str, float]]:
    """Return what measures a state on fixed test examples."""
    examples = fixed_batch(records, config.train.evaluate_records)
    size = config.train.batch_size
    batches = [examples[at : at + size] for at in range(0, len(examples), size)]
    signal = records.signal

    def evaluate(now: TrainState) -> dict[str, float]:
        model = averaged(now)[vae.PLAYER]
        return vae.evaluate(model, batches, rate=signal.rate, unscale=signal.unscale)

    return evaluate


def stored_signal(folder: Path) -> Signal:
    """Read what one example of a run is.

    Raises:
        ConfigError: If the file is missing or damaged.
    """
    try:
        return Signal.from_dict(json.loads((folder / SIGNAL).read_text(encoding="utf-8")))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ConfigError(f"{folder / SIGNAL} is missing or damaged: {error}") from error


class Trained(NamedTuple):
    """A run, ready for use: its settings, its kind of signal, and the model at one step."""

    config: Config
    signal: Signal
    step: int
    model: VAE


def trained(folder: Path, *, checkpoint: int | str = "latest", averaged: bool = True) -> Trained:
    """Read a run folder; its data is not needed.

    Args:
        folder: The run folder.
        checkpoint: A step, ``"best"`` or ``"latest"``.
        averaged: Whether to take the moving average of the weights, where the run keeps one.

    Raises:
        ConfigError: If the folder holds no run, there is no such checkpoint, or it is damaged.
    """
    config = settings.load(folder)
    step = None if checkpoint == "latest" else checkpoint
    try:
        signal = stored_signal(folder)
        shapes = eqx.filter_eval_shape(model, config, signal, key=jax.random.key(0))
        found, models = restore_ema(
            folder / "checkpoints", {vae.PLAYER: shapes}, step=step, averaged=averaged
        )
    except (CheckpointError, OSError) as error:
        raise ConfigError(f"run={folder} cannot be used: {error}") from error
    return Trained(config, signal, found, models[vae.PLAYER])
