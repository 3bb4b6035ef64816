"""Running a stream over a whole signal, and modules of drawn numbers to run."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from cases import drawn

import convt1d
from convt1d import Conv1d, ConvTranspose1d


def up(channels, out, kernel_size, stride=1, *, b_init: Any = 0.0, channel_first=False, **kinds):
    """A transposed convolution of drawn numbers."""
    size = (channels, 40) if channel_first else (40, channels)
    kinds |= {"b_init": b_init, "channel_first": channel_first}
    return drawn(lambda: ConvTranspose1d(size, out, kernel_size, stride, **kinds))


def down(channels, out, kernel_size, stride=1, **kinds):
    """A convolution of drawn numbers."""
    return drawn(lambda: Conv1d(channels, out, kernel_size, stride=stride, **kinds), seed=1)


def signal(length, channels, *, batch=2, seed=2):
    return jnp.asarray(np.random.default_rng(seed).standard_normal((batch, length, channels)))


def in_chunks(stream: convt1d.Stream, x: jax.Array, sizes: Sequence[int]) -> jax.Array:
    """All that a stream gives for ``x`` in chunks of ``sizes``, around and around."""
    axis = 2 if stream.channel_first else 1
    state, pieces, first = stream.init(x.shape[0], dtype=x.dtype), [], 0
    while first < x.shape[axis]:
        size = sizes[len(pieces) % len(sizes)]
        chunk = jax.lax.slice_in_dim(x, first, min(first + size, x.shape[axis]), axis=axis)
        state, y = stream.step(state, chunk)
        pieces.append(y)
        first += size
    return jnp.concatenate([*pieces, stream.flush(state)], axis)


def assert_streams(module: Any, x: jax.Array, sizes: Sequence[int], *, atol: float = 1e-12) -> None:
    """The law: behind as many zeros as the latency comes the whole output, and nothing else."""

    @jax.jit  # one program, not one for each small operation
    def both(x):
        late = in_chunks(convt1d.stream(module), x, sizes)
        whole = module(x) if callable(module) else passed(module, x)
        return late, whole

    stream = convt1d.stream(module)
    late, whole = both(x)
    axis = 2 if stream.channel_first else 1
    silence, rest = np.split(late, [stream.latency], axis)
    assert not silence.any()
    assert rest.dtype == whole.dtype
    np.testing.assert_allclose(
        rest.astype(whole.dtype), whole, atol=atol * max(1, float(abs(whole).max())), rtol=0
    )


def passed(parts, x):
    """What a list of modules makes of ``x``."""
    for part in parts:
        x = part(x)
    return x
