"""What a model makes of signals too long to be held, at constant memory."""

from collections.abc import Iterable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray

import convt1d
from apps.build import Trained
from apps.data import Conditioned
from apps.modes import inputs
from apps.modes.blocks import Block, filled, portions
from apps.objectives import autoencoding
from apps.objectives.batches import Conditions
from apps.objectives.draws import normal_blocks
from convt1d import Stream
from convt1d.models import VAE, Conditional, ConditionalEncoder

LONG = 1 << 18  # samples above which a signal is made block by block and not at once
_STEPS = 1 << 12  # steps of the latent drawn at once


def is_long(length: int, run: Trained) -> bool:
    """Whether a signal is made block by block; where padding mirrors the end, none can be."""
    return length > LONG and run.config.model.padding_mode == "zeros"


def batch(pieces: Block, given: Conditions, *, pad: int = 0) -> Any:
    """Pieces of one signal as a batch for a model, with the conditions of that signal.

    Args:
        pieces: [pieces, length, channels].
        given: The conditions, for a batch of one.
        pad: Samples with which the signal was filled up.
    """
    if not given:
        return pieces
    label, covariates = given
    if covariates is not None:
        rows = np.pad(covariates[0], ((0, pad), (0, 0)))
        covariates = rows.reshape(*pieces.shape[:2], -1)
    return Conditioned(pieces, None if label is None else np.repeat(label, len(pieces)), covariates)


def reconstructed(blocks: Iterable[Block], run: Trained, given: Conditions = ()) -> Iterator[Block]:
    """A signal through an autoencoder and back, as `autoencoding.reconstruct` makes of the whole.

    Args:
        blocks: [samples, channels] of the model's units, in order.
        run: The run.
        given: The label, for a batch of one, of a run that takes one; it takes no covariates.

    Yields:
        As many samples, and what fills them up to whole hops.

    Raises:
        ValueError: If the model needs the whole signal at once.
    """
    window = inputs.window(run)
    if window is None:
        encoder, decoder = run.model.encoder, run.model.decoder
        whole = filled(blocks, hop=run.model.hop)
        if not given:
            yield from through(convt1d.stream_chain(encoder, _mean, decoder), whole)
            return
        heard, told = (_conditions(part, 1, given) for part in (encoder, decoder))
        whole = (np.hstack([each, np.tile(heard, (len(each), 1))]) for each in whole)
        between = convt1d.stream_pointwise(_Latent(jnp.asarray(told[0])))
        halves = convt1d.stream_chain(encoder.encoder, between, decoder.decoder)
        yield from through(halves, whole)
        return
    for some in portions(filled(blocks, hop=window), hop=window):
        pieces = some.reshape(-1, window, some.shape[1])
        yield autoencoding.reconstruct(run.model, batch(pieces, given)).reshape(-1, some.shape[1])


def sampled(
    run: Trained, index: int, *, length: int, seed: int, given: Conditions = ()
) -> Iterator[Block]:
    """A new signal, of the model's units, in blocks.

    Args:
        run: The run, whose model takes any length.
        index: The draw's number. Its latent depends on the seed and on this number; a longer
            signal begins with the same.
        length: Samples, at least; it ends with a whole hop.
        seed: Of the draws.
        given: The conditions, for a batch of one, of a run that takes some.

    Returns:
        An iterator of [samples, channels].

    Raises:
        ValueError: If the model needs the whole latent at once.
    """
    model = run.model
    drawn = normal_blocks(
        index, steps=model.latent_length(length), latent=model.latent, seed=seed, size=_STEPS
    )
    if isinstance(model, VAE) and model.prior is not None:  # looks along the latent: takes it whole
        drawn = iter(autoencoding.carried(model, np.concatenate(list(drawn))[None]))
    decoder = model.decoder if isinstance(model, VAE) else model
    if isinstance(decoder, Conditional):
        rows = _conditions(decoder, model.latent_length(length), given)
        drawn = _beside(drawn, rows)
        decoder = decoder.decoder
    return through(convt1d.stream(decoder), drawn)


def _conditions(
    part: Conditional | ConditionalEncoder, steps: int, given: Conditions
) -> NDArray[np.floating[Any]]:
    """What a part of a model is told at each step."""
    return jax.device_get(part.conditions(steps, *map(_array, given)))[0]


def _array(given: Any) -> Array | None:
    return None if given is None else jnp.asarray(given)


def _beside(blocks: Iterable[Block], rows: NDArray[np.floating[Any]]) -> Iterator[Block]:
    """Each block with what stands beside it."""
    at = 0
    for block in blocks:
        yield np.hstack([block, rows[at : at + len(block)]])
        at += len(block)


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


class _Latent(eqx.Module):
    """From an encoder's features to their mean, and what the decoder is told beside it."""

    told: Float[Array, " conditions"]

    def __call__(self, features: Float[Array, "batch frames both"]) -> Float[Array, "..."]:
        """The decoder's input."""
        mean = _mean(features)
        told = jnp.broadcast_to(self.told, (*mean.shape[:2], len(self.told)))
        return jnp.concatenate([mean, told], axis=-1)


def _mean(features: Float[Array, "batch frames both"]) -> Float[Array, "batch frames latent"]:
    return jnp.split(features, 2, axis=-1)[0]


@eqx.filter_jit  # here, and not in `through`: compiled once for all signals
def _step(stream: Stream, state: Any, rows: Array) -> tuple[Any, Array]:
    return stream.step(state, rows)


@eqx.filter_jit
def _flush(stream: Stream, state: Any) -> Array:
    return stream.flush(state)
