"""A small classifier of signals, trained here on real ones, by which made ones are judged."""

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray, Scalar
from numpy.typing import NDArray

from apps.data import Source
from apps.data.source import LabelledSource
from convt1d import Conv1d
from convt1d._spectral import log_mel

Signals = NDArray[np.floating[Any]]  # (signals, length, channels), in the data's units
Progress = Callable[[range], Iterable[int]]
"""Passes on the numbers of the steps, and may show them."""

MOST_RECORDS = 5000
"""So many are learnt, spread evenly over all: the rest would need memory, and change little."""

BANDS, FLOOR = 40, 1e-3
_SECONDS, _SHIFT = 0.032, 0.075  # of a window, and by which a sound is moved at most
_EPOCHS, _LEAST, _MOST = 25, 200, 700  # passes over the records, within so many steps
_BATCH = 60
_VERSION = "1"  # of the network and its training: what an older one learnt is not read


class Real(NamedTuple):
    """Records, and what they are.

    Attributes:
        signal: In the data's units.
        label: For each, the place of its class among the labels.
    """

    signal: Signals
    label: NDArray[np.int32]


def real(source: Source, most: int = MOST_RECORDS) -> Real:
    """The fixed examples of a source that has labels, or of so many records spread over it."""
    count = min(most, len(source))
    indices = [at * len(source) // count for at in range(count)]
    signal = source.signal.unscale(np.stack([source.example(at, None) for at in indices]))
    labels = cast(LabelledSource, source)
    return Real(signal, np.array([labels.label(at) for at in indices], np.int32))


class Recogniser(eqx.Module):
    """Convolutions over frames, their means and maxima over time, one dense layer.

    Frames are of sound the log-mel spectrum, in windows of a power of two of samples, the nearest
    to 32 ms; of series the values themselves, centred and scaled.

    Args:
        classes: Number of labels.
        channels: Of a signal.
        length: Of the signals that are learnt; others can be judged.
        rate: Samples per second; None for series.
        centre: Of each channel of series the mean.
        spread: Of each channel of series the standard deviation.
        width: Channels of the convolutions.
        key: For the first weights.
    """

    layers: tuple[Conv1d, ...]
    last: Conv1d
    rate: int | None = eqx.field(static=True)
    n_fft: int = eqx.field(static=True)
    centre: tuple[float, ...] = eqx.field(static=True)
    spread: tuple[float, ...] = eqx.field(static=True)

    def __init__(
        self,
        classes: int,
        *,
        channels: int,
        length: int,
        rate: int | None,
        centre: tuple[float, ...] = (0.0,),
        spread: tuple[float, ...] = (1.0,),
        width: int = 96,
        key: PRNGKeyArray,
    ) -> None:
        self.rate, self.centre, self.spread = rate, centre, spread
        self.n_fft = 2 ** round(np.log2(_SECONDS * (rate or 1e3)))
        while self.n_fft // 2 >= length:  # half a window is reflected at the ends
            self.n_fft //= 2
        keys = jax.random.split(key, 4)
        seen = channels if rate is None else channels * self.bands
        shapes = [(seen, 1), (width, 2), (width, 2)]
        self.layers = tuple(
            Conv1d(size, width, 5, stride=stride, w_init=jax.nn.initializers.he_normal(), key=each)
            for (size, stride), each in zip(shapes, keys, strict=False)
        )
        self.last = Conv1d(2 * width, classes, 1, key=keys[3])

    @property
    def bands(self) -> int:
        """Mel triangles: of a short window, as many as it can tell apart."""
        return min(BANDS, max(self.n_fft * BANDS // 256, 1))

    def frames(
        self, signal: Float[Array, "batch length channels"]
    ) -> Float[Array, "batch frames values"]:
        """What the first layer sees."""
        if self.rate is None:
            centre, spread = (
                jnp.asarray(each, signal.dtype) for each in (self.centre, self.spread)
            )
            return (signal - centre[None, None]) / spread[None, None]
        x = log_mel(
            signal, self.n_fft, rate=self.rate, bands=self.bands, hop=self.n_fft // 4, floor=FLOOR
        )
        # 1.5 is about the middle of what sound has
        return jnp.reshape(x, (*x.shape[:2], -1)) + 1.5

    def features(
        self, signal: Float[Array, "batch length channels"]
    ) -> Float[Array, "batch features"]:
        """What the last layer sees: of each channel its mean and its maximum over time."""
        return self._pooled(self.frames(signal))

    def __call__(
        self, signal: Float[Array, "batch length channels"]
    ) -> Float[Array, "batch classes"]:
        """Log-probabilities."""
        return jax.nn.log_softmax(self.logits(self.features(signal)))

    def logits(self, features: Float[Array, "batch features"]) -> Float[Array, "batch classes"]:
        """The last layer."""
        return self.last(features[:, None])[:, 0]

    def _pooled(self, x: Float[Array, "batch frames values"]) -> Float[Array, "batch features"]:
        for layer in self.layers:
            x = jax.nn.relu(layer(x))
        return jnp.concatenate([jnp.mean(x, axis=1), jnp.max(x, axis=1)], axis=-1)


def recogniser(
    learnt: Real,
    *,
    classes: int,
    rate: int | None,
    kept: Path | None = None,
    progress: Progress = iter,
) -> Recogniser:
    """One that has learnt real signals: the same for the same ones.

    Args:
        learnt: The signals and their labels.
        classes: Number of labels.
        rate: Samples per second; None for series.
        kept: A folder. What was learnt is written there, and read again if it was learnt of the
            same signals; where it cannot be written, it is not kept.
        progress: Shows the steps.
    """
    model = _begun(learnt, classes=classes, rate=rate)
    if kept is None:
        return _trained(model, learnt, progress)
    file = kept / f"recogniser-{_digest(learnt, classes=classes, rate=rate)}.eqx"
    try:
        return eqx.tree_deserialise_leaves(file, model)
    except Exception:  # absent, or damaged in one of many ways: it can be made again
        model = _trained(model, learnt, progress)
    half = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    try:
        eqx.tree_serialise_leaves(half, model)
        half.replace(file)
    except OSError:
        half.unlink(missing_ok=True)
    return model


def judged(
    model: Recogniser, signal: Signals, size: int = 50
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Log-probabilities and features of each signal, computed in batches of `size`."""
    rows = []
    for at in range(0, len(signal), size):
        part = np.asarray(signal[at : at + size], np.float32)
        filled = np.pad(part, ((0, size - len(part)), (0, 0), (0, 0)))  # one program for all
        rows.append([np.asarray(each)[: len(part)] for each in _judge(model, jnp.asarray(filled))])
    logs, features = (np.concatenate(each) for each in zip(*rows, strict=True))
    return logs, features


@eqx.filter_jit
def _judge(model: Recogniser, signal: Array) -> tuple[Array, Array]:
    features = model.features(signal)
    return jax.nn.log_softmax(model.logits(features)), features


def _begun(learnt: Real, *, classes: int, rate: int | None) -> Recogniser:
    _, length, channels = learnt.signal.shape
    spread = learnt.signal.std(axis=(0, 1))
    return Recogniser(
        classes,
        channels=channels,
        length=length,
        rate=rate,
        centre=tuple(learnt.signal.mean(axis=(0, 1)).tolist()),
        spread=tuple(np.where(spread > 0, spread, 1.0).tolist()),
        key=jax.random.key(0),
    )


def _digest(learnt: Real, *, classes: int, rate: int | None) -> str:
    found = hashlib.sha256(f"{_VERSION} {classes} {rate} {learnt.signal.shape}".encode())
    found.update(learnt.signal.tobytes())
    found.update(learnt.label.tobytes())
    return found.hexdigest()[:12]


def _trained(model: Recogniser, learnt: Real, progress: Progress) -> Recogniser:
    size = min(_BATCH, len(learnt.label))
    count = len(learnt.label) // size  # batches in a pass
    steps = min(max(_EPOCHS * count, _LEAST), _MOST)
    optimiser = optax.adamw(optax.cosine_decay_schedule(2e-3, steps), weight_decay=1e-2)
    state = optimiser.init(eqx.filter(model, eqx.is_inexact_array))

    @eqx.filter_jit
    def step(
        model: Recogniser, state: Any, signal: Array, label: Array, key: Array
    ) -> tuple[Recogniser, Any]:
        slope = eqx.filter_grad(_loss)(model, signal, label, key=key)
        with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an integer power
            updates, state = optimiser.update(slope, state, eqx.filter(model, eqx.is_inexact_array))
        return eqx.apply_updates(model, updates), state

    key, rng = jax.random.key(0), np.random.default_rng(0)
    order = rng.permutation(len(learnt.label))
    for number in progress(range(steps)):
        if number and number % count == 0:
            order = rng.permutation(len(learnt.label))
        rows = order[number % count * size :][:size]
        signal, label = jnp.asarray(learnt.signal[rows]), jnp.asarray(learnt.label[rows])
        model, state = step(model, state, signal, label, jax.random.fold_in(key, number))
    return model


def _loss(
    model: Recogniser, signal: Array, label: Int[Array, " batch"], *, key: Key[Array, ""]
) -> Scalar:
    """Cross entropy of varied records, a third of the features left out."""
    varying, dropping = jax.random.split(key)
    if model.rate is None:
        frames = model.frames(signal)
        noise = 0.05 * jax.random.normal(varying, frames.shape, frames.dtype)
        seen = model._pooled(frames + noise)
    else:
        seen = model.features(_varied(signal, rate=model.rate, key=varying))
    seen = jnp.where(jax.random.bernoulli(dropping, 2 / 3, seen.shape), 1.5 * seen, 0.0)
    logits = model.logits(seen)
    wanted = optax.smooth_labels(jax.nn.one_hot(label, logits.shape[1]), 0.02)
    return optax.softmax_cross_entropy(logits, wanted).mean()


def _varied(
    signal: Float[Array, "batch length channels"], *, rate: int, key: Key[Array, ""]
) -> Array:
    """Sounds moved in time, of another loudness, and with noise.

    What is made is never as clean as a recording's silence, and is to be judged by its label.
    """
    keys = jax.random.split(key, 4)
    shape, most = (signal.shape[0], 1, 1), min(round(_SHIFT * rate), signal.shape[1] // 8)
    shifts = jax.random.randint(keys[0], shape[:1], -most, most + 1)
    moved = jax.vmap(lambda row, shift: jnp.roll(row, shift, axis=0))(signal, shifts)
    gain = jnp.exp(jax.random.uniform(keys[1], shape, minval=-1.2, maxval=0.1))
    noise = 10 ** jax.random.uniform(keys[2], shape, minval=-4.0, maxval=-1.7)
    return gain * moved + noise * jax.random.normal(keys[3], signal.shape)
