"""The real Fourier transform is numpy's, in every direction, and stays on its devices."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from convt1d._fourier import inverse_real_fft, real_fft

SHAPES = [(64,), (5, 64), (16, 3, 6)]


def signal(shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def power(array, transform):
    return jnp.sum(jnp.abs(transform(array)) ** 1.5)


def slope(array, transform):
    return jnp.sum(jnp.abs(jax.grad(power)(array, transform)) ** 2)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_transform_is_numpys_and_its_inverse_brings_the_signal_back(shape):
    x = signal(shape)
    np.testing.assert_allclose(real_fft(x), np.fft.rfft(x), atol=2e-5)
    np.testing.assert_allclose(inverse_real_fft(real_fft(x)), x, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("loss", [power, slope])
def test_gradients_of_both_are_jaxs_own_also_the_second(shape, loss):
    def gradients(array, *transforms):
        return [jax.jit(jax.grad(functools.partial(loss, transform=t)))(array) for t in transforms]

    with jax.enable_x64(True):
        x = np.random.default_rng(0).standard_normal(shape)
        found, wanted = gradients(x, real_fft, jnp.fft.rfft)
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)
        found, wanted = gradients(np.fft.rfft(x), inverse_real_fft, jnp.fft.irfft)
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)


def test_each_example_of_a_vmap_has_its_own():
    x = signal((5, 3, 64))
    found = jax.vmap(jax.grad(functools.partial(power, transform=real_fft)), in_axes=1)(x)
    wanted = jax.vmap(jax.grad(functools.partial(power, transform=jnp.fft.rfft)), in_axes=1)(x)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("mapped", [False, True])
def test_no_device_is_sent_the_frames_of_another(mapped):
    grid = np.asarray(jax.devices()).reshape(4, 2)
    mesh = Mesh(grid, ("data", "other"), axis_types=(AxisType.Auto,) * 2)
    spec = PartitionSpec(("data", "other"))
    x = jax.device_put(signal((16, 3, 64)), NamedSharding(mesh, spec))
    gradient = jax.grad(functools.partial(power, transform=real_fft))
    if mapped:
        gradient = jax.shard_map(gradient, mesh=mesh, in_specs=spec, out_specs=spec)
    program = jax.jit(gradient).lower(x).compile()
    text = program.as_text()
    assert text is not None
    for sent in ("all-gather", "all-to-all", "collective-permute"):
        assert sent not in text, sent
    found = program(x)
    assert found.sharding.is_equivalent_to(x.sharding, 3)
    wanted = jax.grad(functools.partial(power, transform=jnp.fft.rfft))(np.asarray(x))
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)
