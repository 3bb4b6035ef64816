"""A small classifier of sounds, trained here on real ones, by which made ones are judged."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray, Scalar
from numpy.typing import NDArray

from apps.data import AudioFolder, Conditioned, fixed_batch
from convt1d import Conv1d
from convt1d._spectral import log_mel

BANDS, N_FFT, HOP, FLOOR = 40, 256, 64, 1e-3
DIGITS = r"^(\d)_"
"""The label of a recording of the Free Spoken Digit Dataset, {digit}_{speaker}_{index}.wav."""
OFFICIAL_TEST = r"_[0-4]\.wav$"
"""Its official test split."""


class Recogniser(eqx.Module):
    """Convolutions over the frames of a log-mel spectrum, their means and maxima, one dense layer.

    Args:
        classes: Number of labels.
        rate: Samples per second.
        width: Channels of the convolutions.
        key: For the first weights.
    """

    layers: tuple[Conv1d, ...]
    last: Conv1d
    rate: int = eqx.field(static=True)

    def __init__(self, classes: int, *, rate: int, width: int = 96, key: PRNGKeyArray) -> None:
        keys = jax.random.split(key, 4)
        shapes = [(BANDS, 1), (width, 2), (width, 2)]
        self.layers = tuple(
            Conv1d(size, width, 5, stride=stride, w_init=jax.nn.initializers.he_normal(), key=each)
            for (size, stride), each in zip(shapes, keys, strict=False)
        )
        self.last = Conv1d(2 * width, classes, 1, key=keys[3])
        self.rate = rate

    def features(self, signal: Float[Array, "batch length 1"]) -> Float[Array, "batch features"]:
        """What the last layer sees: of each channel its mean and its maximum over time."""
        x = log_mel(signal, N_FFT, rate=self.rate, bands=BANDS, hop=HOP, floor=FLOOR)[..., 0]
        x = x + 1.5  # about the middle of what speech has
        for layer in self.layers:
            x = jax.nn.relu(layer(x))
        return jnp.concatenate([jnp.mean(x, axis=1), jnp.max(x, axis=1)], axis=-1)

    def __call__(self, signal: Float[Array, "batch length 1"]) -> Float[Array, "batch classes"]:
        """Log-probabilities."""
        return jax.nn.log_softmax(self.last(self.features(signal)[:, None])[:, 0])


class Recognised(NamedTuple):
    """A trained recogniser, what it is of, and how good it is."""

    model: Recogniser
    labels: tuple[str, ...]
    test: Conditioned
    accuracy: float


def digits(root: str, *, length: int = 8192, rate: int = 8000, epochs: int = 25) -> Recognised:
    """Train on the training split of spoken digits, and measure on the test split.

    Args:
        root: Folder of the recordings.
        length: Samples of each; longer ones are cut, shorter ones followed by zeros.
        rate: Samples per second.
        epochs: Passes over the training split.
    """
    train, test = (
        AudioFolder(
            root=root, split=split, length=length, rate=rate, labels=DIGITS,
            test_pattern=OFFICIAL_TEST
        )
        for split in ("train", "test")
    )  # fmt: skip
    real, held_out = fixed_batch(train, len(train)), fixed_batch(test, len(test))
    model = Recogniser(len(train.signal.labels), rate=rate, key=jax.random.key(0))
    model = _trained(model, real, epochs=epochs)
    right = log_probabilities(model, held_out.signal).argmax(axis=1) == held_out.label
    return Recognised(model, train.signal.labels, held_out, float(right.mean()))


def log_probabilities(model: Recogniser, signal: NDArray[Any], size: int = 50) -> NDArray[Any]:
    """Of each class, for each signal, computed in batches of `size`."""
    return _in_batches(_judge, model, signal, size)


def features(model: Recogniser, signal: NDArray[Any], size: int = 50) -> NDArray[Any]:
    """What the last layer sees of each signal, computed in batches of `size`."""
    return _in_batches(_look, model, signal, size)


def _in_batches(function: Any, model: Recogniser, signal: NDArray[Any], size: int) -> NDArray[Any]:
    rows = []
    for at in range(0, len(signal), size):
        part = np.asarray(signal[at : at + size], np.float32)
        filled = np.pad(part, ((0, size - len(part)), (0, 0), (0, 0)))  # one program for all
        rows.append(np.asarray(function(model, filled))[: len(part)])
    return np.concatenate(rows)


@eqx.filter_jit
def _judge(model: Recogniser, signal: Array) -> Array:
    return model(signal)


@eqx.filter_jit
def _look(model: Recogniser, signal: Array) -> Array:
    return model.features(signal)


def _trained(model: Recogniser, real: Conditioned, *, epochs: int, size: int = 60) -> Recogniser:
    count = len(real.signal) // size
    rates = optax.cosine_decay_schedule(2e-3, epochs * count)
    optimiser = optax.adamw(rates, weight_decay=1e-2)
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
    for epoch in range(epochs):
        order = rng.permutation(len(real.signal))
        for number in range(count):
            rows = order[number * size : (number + 1) * size]
            own = jax.random.fold_in(key, epoch * count + number)
            signal, label = (
                jnp.asarray(real.signal[rows]),
                jnp.asarray(np.asarray(real.label)[rows]),
            )
            model, state = step(model, state, signal, label, own)
    return model


def _loss(
    model: Recogniser, signal: Array, label: Int[Array, " batch"], *, key: Key[Array, ""]
) -> Scalar:
    """Cross entropy of varied recordings, a third of the features left out."""
    varying, dropping = jax.random.split(key)
    seen = model.features(_varied(signal, key=varying))
    seen = jnp.where(jax.random.bernoulli(dropping, 2 / 3, seen.shape), 1.5 * seen, 0.0)
    logits = model.last(seen[:, None])[:, 0]
    wanted = optax.smooth_labels(jax.nn.one_hot(label, logits.shape[1]), 0.02)
    return optax.softmax_cross_entropy(logits, wanted).mean()


def _varied(signal: Float[Array, "batch length 1"], *, key: Key[Array, ""]) -> Array:
    """Moved in time, of another loudness, and with noise.

    What is made is never as clean as a recording's silence, and is to be judged by its digit.
    """
    keys = jax.random.split(key, 4)
    shape = (signal.shape[0], 1, 1)
    shifts = jax.random.randint(keys[0], shape[:1], -600, 600)
    moved = jax.vmap(lambda row, shift: jnp.roll(row, shift, axis=0))(signal, shifts)
    gain = jnp.exp(jax.random.uniform(keys[1], shape, minval=-1.2, maxval=0.1))
    noise = 10 ** jax.random.uniform(keys[2], shape, minval=-4.0, maxval=-1.7)
    return gain * moved + noise * jax.random.normal(keys[3], signal.shape)
