"""Laws of a stream's state: what it holds, what it goes through, and how it begins anew."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from streams import assert_streams, down, in_chunks, signal, up

import convt1d


@pytest.fixture(autouse=True, scope="module")
def _double_precision():
    with jax.enable_x64(True):
        yield


def stream_step(stream, state, x):
    return stream.step(state, x)


@pytest.mark.parametrize(
    ("layer", "samples"),
    [
        (lambda: up(4, 3, 8, 4), 4),  # the overlap
        (lambda: up(4, 3, 8, 4, crop=(-2, 0)), 6),  # and what is late
        (lambda: up(4, 3, 3, 4), 0),
        (lambda: down(4, 3, 5), 4),
        (lambda: down(4, 3, 8, 4, padding="CAUSAL"), 4),
        (lambda: down(4, 3, 1), 0),
    ],
)
def test_the_state_is_what_the_next_chunk_needs(layer, samples):
    assert convt1d.stream(layer()).init(2).parts.shape[1] == samples


def test_a_stream_without_a_batch_is_one_item_of_a_batch():
    stream, x = convt1d.stream([up(4, 3, 5, 2), down(3, 2, 5, 2, padding=1)]), signal(6, 4)

    @jax.jit
    def run(x):
        state, y = stream.step(stream.init(x.shape[0] if x.ndim == 3 else None), x)
        return y, stream.flush(state)

    for one, both in zip(run(x[1]), run(x), strict=True):
        np.testing.assert_allclose(one, both[1], atol=1e-13)


def test_streams_go_through_scan_and_vmap():
    layers = [up(4, 3, 5, 2), jnp.tanh, down(3, 2, 6, 4), up(2, 4, 7, 2, groups=2)]
    stream, x = convt1d.stream(layers), signal(12, 4)
    assert stream.hop == 2

    @jax.jit
    def scanned(x):
        chunks = jnp.moveaxis(x.reshape(2, 3, 4, 4), 1, 0)
        state, y = jax.lax.scan(lambda *carry: stream.step(*carry), stream.init(2), chunks)
        y = jnp.moveaxis(y, 0, 1).reshape(2, -1, 4)
        return jnp.concatenate([y, stream.flush(state)], 1)

    @jax.jit
    def mapped(x):
        states = jax.vmap(lambda _: stream.init())(x)
        states, first = jax.vmap(stream.step)(states, x[:, :7])
        states, then = jax.vmap(stream.step)(states, x[:, 7:])
        return jnp.concatenate([first, then, jax.vmap(stream.flush)(states)], 1)

    together = jax.jit(lambda x: in_chunks(stream, x, [4]))(x)
    np.testing.assert_allclose(scanned(x), together, atol=1e-13)
    np.testing.assert_allclose(mapped(x), together, atol=1e-13)


def test_an_item_begins_anew_and_the_others_do_not_notice():
    layers = [up(4, 3, 7, 2), jax.nn.sigmoid, down(3, 2, 8, 4, padding=3), up(2, 2, 9, 3)]
    stream = convt1d.stream(layers)

    @jax.jit
    def run(first, where, then):
        state, _ = stream.step(stream.init(2), first)
        state, y = stream.step(stream.reset(state, where), then)
        return jnp.concatenate([y, stream.flush(state)], 1)

    old, new = signal(6, 4, seed=3), signal(6, 4, seed=4)
    one = run(old, jnp.array([False, True]), new)
    np.testing.assert_array_equal(one[0], run(old, jnp.array([False, False]), new)[0])
    np.testing.assert_array_equal(one[1], run(old, jnp.array([True, True]), new)[1])
    alone = jax.jit(lambda x: in_chunks(stream, x, [6]))(new)
    np.testing.assert_array_equal(one[1], alone[1])


@pytest.mark.parametrize(
    "dtype",
    ["bfloat16", "complex128", *(pytest.param(t, marks=pytest.mark.slow) for t in ("f2", "f4"))],
)
def test_a_stream_computes_in_the_dtype_of_its_layers(dtype):
    precise = dtype == "complex128"
    kinds = {"dtype": None if precise else dtype, "param_dtype": "complex128" if precise else None}
    layers = [up(4, 3, 8, 2, **kinds), down(3, 2, 5, **kinds)]
    x = signal(7, 4).astype(dtype)[:, :4]
    eps = float(jnp.finfo(dtype).eps)
    assert_streams(layers, x, [1], atol=2 * eps if eps > 1e-10 else 1e-12)


def test_half_types_wait_for_the_next_frame_as_float32():
    layer = up(2, 2, 8, 1, dtype="bfloat16", padding="CAUSAL")
    x = jnp.ones((1, 9, 2), jnp.bfloat16)
    late = jax.jit(lambda x: in_chunks(convt1d.stream(layer), x, [1]))(x)
    np.testing.assert_array_equal(late, eqx.filter_jit(layer)(x))
    assert convt1d.stream(layer).init(1).parts.dtype == jnp.float32


@pytest.mark.parametrize("chunk", [1, 8])
def test_a_step_holds_no_convolution_of_xla(chunk):
    layers = [
        up(16, 16, 8, 2),
        up(16, 16, 8, 2, groups=16),
        down(16, 32, 7, groups=2, dilation=3),
        down(32, 32, 3, groups=32),
        down(32, 8, 8, 4),
    ]
    stream = jax.tree.map(lambda leaf: leaf.astype("float32"), convt1d.stream(layers))
    state, x = stream.init(1), jnp.ones((1, chunk, 16), jnp.float32)
    program = jax.jit(stream_step).lower(stream, state, x).compile().as_text() or ""
    assert " convolution(" not in program
    assert "dot_general" in program


def test_gradients_pass_through_a_stream_as_through_the_layer():
    layer, x = up(3, 2, 5, 2), signal(5, 3)

    def streamed(weight):
        stream = convt1d.stream(eqx.tree_at(lambda made: made.weight, layer, weight))
        return jnp.sum(jnp.square(in_chunks(stream, x, [2])))

    def whole(weight):
        return jnp.sum(jnp.square(eqx.tree_at(lambda made: made.weight, layer, weight)(x)))

    np.testing.assert_allclose(
        jax.jit(jax.grad(streamed))(layer.weight),
        jax.jit(jax.grad(whole))(layer.weight),
        rtol=1e-11,
    )
