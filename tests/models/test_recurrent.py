"""Recurrent layers: their numbers, their gradient, their stream."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import drawn
from jax.test_util import check_grads
from streams import assert_streams, signal

import convt1d
from convt1d.models import Decoder, Layout
from convt1d.models.recurrent import LSTM, Recurrence

KEY = jax.random.key(0)


@pytest.fixture(autouse=True, scope="module")
def _double_precision():
    with jax.enable_x64(True):
        yield


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def written_out(layer, x):
    """One step after the other, as the formula has it."""
    hidden = cell = np.zeros((x.shape[0], x.shape[2]))
    steps = []
    for t in range(x.shape[1]):
        gates = x[:, t] @ layer.input_weight.T + hidden @ layer.hidden_weight.T
        i, f, g, o = np.split(gates + layer.input_bias + layer.hidden_bias, 4, axis=1)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        hidden = sigmoid(o) * np.tanh(cell)
        steps.append(hidden)
    return np.stack(steps, axis=1)


def test_the_layers_are_those_of_the_formula():
    module = drawn(lambda: Recurrence(3, 2, key=KEY))
    x = np.asarray(signal(6, 3))
    plain = jax.tree.map(np.asarray, module)
    expected = x + written_out(plain.layers[1], written_out(plain.layers[0], x))
    np.testing.assert_allclose(eqx.filter_jit(module)(x), expected, atol=1e-13)


def test_it_begins_with_the_numbers_of_a_live_layer():
    layer = LSTM(16, key=KEY)
    assert float(jnp.std(layer(signal(50, 16)))) > 0.05
    assert float(abs(layer.hidden_weight).max()) <= 0.25  # 1 / sqrt(channels)


@pytest.mark.parametrize("length", [1, 7])
def test_the_stream_remembers(length):
    parts = drawn(lambda: [convt1d.Conv1d(3, 3, 5, key=KEY), Recurrence(3, 2, key=KEY)])
    assert_streams(parts, signal(length, 3), [2, 3])  # late samples must leave no trace


def test_an_item_that_begins_anew_forgets():
    module = drawn(lambda: Recurrence(3, 1, key=KEY))
    stream, x = convt1d.stream(module), signal(4, 3)
    state, _ = stream.step(stream.init(2, dtype=x.dtype), x)
    state = stream.reset(state, jnp.asarray([True, False]))
    _, y = stream.step(state, x)
    np.testing.assert_allclose(y[0], module(x)[0], atol=1e-13)
    assert abs(y[1] - module(x)[1]).max() > 1e-3


def test_no_window_holds_what_it_remembers():
    layout = Layout(strides=(2,), channels=(4,), dilations=(), lstm=1)
    decoder = drawn(lambda: Decoder(1, 3, layout, key=KEY))
    with pytest.raises(ValueError, match="`module` has recurrent layers, which see all that came"):
        convt1d.decode_chunked(decoder, signal(40, 3), chunk=5)


def test_the_gradient_is_that_of_the_formula():
    module, x = drawn(lambda: LSTM(2, key=KEY)), signal(4, 2)
    arrays, static = eqx.partition(module, eqx.is_array)

    def total(arrays, x):
        return jnp.sum(jnp.sin(eqx.combine(arrays, static)(x)))

    check_grads(jax.jit(total), (arrays, x), order=1, modes=["rev"])
