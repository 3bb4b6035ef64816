"""What a model makes of signals too long to be held, at constant memory."""

from collections.abc import Iterable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import convt1d
from apps.build import Trained
from apps.modes import inputs
from apps.modes.blocks import Block, filled, portions
from apps.objectives import autoencoding
from apps.objectives.draws import normal_blocks
from convt1d import Stream
from convt1d.models import VAE, Conditional

LONG = 1 << 18  # samples above which a signal is made block by block and not at once
_STEPS = 1 << 12  # steps of the latent drawn at once


def is_long(length: int, run: Trained) -> bool:
    """Whether a signal is made block by block; where padding mirrors the end, none can be."""
    return length > LONG and run.config.model.padding_mode == "zeros"


def reconstructed(blocks: Iterable[Block], run: Trained) -> Iterator[Block]:
    """A signal through an autoencoder and back, as `autoencoding.reconstruct` makes of the whole.

    Args:
        blocks: [samples, channels] of the model's units, in order.
        run: The run.

    Yields:
        As many samples, and what fills them up to whole hops.

    Raises:
        ValueError: If the model needs the whole signal at once.
    """
    window = inputs.window(run)
    if window is None:
        halves = convt1d.stream_chain(run.model.encoder, _mean, run.model.decoder)
        yield from through(halves, filled(blocks, hop=run.model.hop))
        return
    for some in portions(filled(blocks, hop=window), hop=window):
        pieces = some.reshape(-1, window, some.shape[1])
        yield autoencoding.reconstruct(run.model, pieces).reshape(-1, some.shape[1])


def sampled(run: Trained, index: int, *, length: int, seed: int, label: int | None) -> Any:
    """A new signal, of the model's units, in blocks.

    Args:
        run: The run, whose model takes any length.
        index: The draw's number. Its latent depends on the seed and on this number; a longer
            signal begins with the same.
        length: Samples, at least; it ends with a whole hop.
        seed: Of the draws.
        label: The class, of a run that knows labels.

    Returns:
        An iterator of [samples, channels].

    Raises:
        ValueError: If the model needs the whole latent at once.
    """
    model = run.model
    drawn = normal_blocks(
        index, steps=model.latent_length(length), latent=model.latent, seed=seed, size=_STEPS
    )
    if label is not None:
        vector = np.asarray(model.vectors[label], np.float32)
        drawn = (np.hstack([each, np.tile(vector, (len(each), 1))]) for each in drawn)
    decoder = model.decoder if isinstance(model, VAE | Conditional) else model
    return through(convt1d.stream(decoder), drawn)


def through(stream: Stream, blocks: Iterable[Block]) -> Iterator[Block]:
    """What a module makes of a signal of whole hops; together what it makes of all of it at once.

    Args:
        stream: Of the module.
        blocks: [samples, channels] each, in order.

    Yields:
        [samples, channels].
    """
    state, late = stream.init(batch=1, dtype=jnp.float32), stream.latency
    for some in portions(blocks, hop=stream.hop):
        state, piece = _step(stream, state, jnp.asarray(some[None], jnp.float32))
        found = jax.device_get(piece)[0]
        yield found[late:]
        late = max(0, late - len(found))
    yield jax.device_get(_flush(stream, state))[0][late:]


def _mean(features: Float[Array, "batch frames both"]) -> Float[Array, "batch frames latent"]:
    return jnp.split(features, 2, axis=-1)[0]


@eqx.filter_jit  # here, and not in `through`: compiled once for all signals
def _step(stream: Stream, state: Any, rows: Array) -> tuple[Any, Array]:
    return stream.step(state, rows)


@eqx.filter_jit
def _flush(stream: Stream, state: Any) -> Array:
    return stream.flush(state)
