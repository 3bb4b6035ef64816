"""The Fourier transform of real frames, which stays where the frames are.

XLA gathers a whole batch on every device before a transform, however the batch is spread
(openxla/xla#24): over eight devices each would do the work of all. Here each transforms its own.
"""

import functools
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.custom_partitioning import custom_partitioning
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Complex, Float

Way = Literal["forward", "back"]


@jax.custom_vjp
def real_fft(frames: Float[Array, "... n"]) -> Complex[Array, "... m"]:
    """`jnp.fft.rfft` along the last axis, of even length, with one real transform as its gradient.

    JAX transposes rfft through a complex transform of full length, at about twice the cost.
    """
    return _batchable("forward")(frames)


@jax.custom_vjp
def inverse_real_fft(spectrum: Complex[Array, "... m"]) -> Float[Array, "... n"]:
    """`jnp.fft.irfft` along the last axis, of even length, with one real transform as gradient."""
    return _batchable("back")(spectrum)


def _weights(length: int, dtype: Any) -> Float[Array, " m"]:
    """How often rfft counts each frequency: all but the first and the last twice."""
    weights = np.full(length // 2 + 1, 2.0)
    weights[[0, -1]] = 1.0
    return jnp.asarray(weights, dtype)


def _weighted(spectrum: Complex[Array, "... m"], weights: Float[Array, " m"]) -> Array:
    weights = weights.reshape((1,) * (spectrum.ndim - 1) + (-1,))
    return jax.lax.complex(spectrum.real * weights, -spectrum.imag * weights)


def _real_fft_backward(residual: None, cotangent: Complex[Array, "... m"]) -> tuple[Array]:
    del residual
    length = 2 * (cotangent.shape[-1] - 1)
    # irfft divides by the length and counts like rfft.
    return (
        inverse_real_fft(_weighted(cotangent, length / _weights(length, cotangent.real.dtype))),
    )


def _inverse_backward(residual: None, cotangent: Float[Array, "... n"]) -> tuple[Array]:
    del residual
    length = cotangent.shape[-1]
    return (_weighted(real_fft(cotangent), _weights(length, cotangent.dtype) / length),)


real_fft.defvjp(lambda frames: (real_fft(frames), None), _real_fft_backward)
inverse_real_fft.defvjp(lambda spectrum: (inverse_real_fft(spectrum), None), _inverse_backward)


def _plain(array: Array, way: Way) -> Array:
    if way == "forward":
        return jnp.fft.rfft(array)
    return jnp.fft.irfft(array, 2 * (array.shape[-1] - 1))


@functools.cache
def _partitioned(way: Way, rank: int) -> Callable[[Array], Array]:
    """The transform, whose leading axes may be spread over devices as they like."""
    transform = functools.partial(_plain, way=way)

    def along(sharding: Any) -> NamedSharding:
        spec = (*sharding.spec, *(None,) * rank)[: rank - 1]
        return NamedSharding(sharding.mesh, PartitionSpec(*spec, None))

    def partition(mesh: Any, given: Any, result: Any) -> Any:
        del result
        place = along(given[0].sharding)
        return mesh, transform, place, (place,)

    def infer(mesh: Any, given: Any, result: Any) -> NamedSharding:
        del mesh, result
        return along(given[0].sharding)

    function = custom_partitioning(lambda array: transform(array))
    leading = " ".join(f"a{axis}" for axis in range(rank - 1))
    function.def_partition(
        partition,
        infer_sharding_from_operands=infer,
        sharding_rule=f"{leading} n -> {leading} m",
        need_replication_factors=("n", "m"),
    )
    return function


@functools.cache
def _batchable(way: Way) -> Callable[[Array], Array]:
    """The transform under `vmap`, for which partitioned functions have no rule of their own."""

    @jax.custom_batching.custom_vmap
    def transform(array: Array) -> Array:
        return _partitioned(way, array.ndim)(array)

    @transform.def_vmap
    def rule(size: int, batched: Any, array: Array) -> tuple[Array, bool]:
        del size, batched
        return transform(array), True  # one more leading axis

    return transform
