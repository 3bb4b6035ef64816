"""How a signal goes on beyond its ends: zeros, circular, reflect, replicate."""

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import SMALL, Case, drawn, scatter

import convt1d

CONTINUED = ["circular", "reflect", "replicate"]
CASES = [SMALL[i] for i in (0, 2, 3, 4, 7, 8, 9, 11)]
PERIODIC = [  # crops that leave L·S samples, so that the output is periodic, too
    case._replace(high=case.full - case.length * case.stride - case.low) for case in CASES
]


@pytest.fixture(autouse=True, scope="module")
def _double_precision():
    with jax.enable_x64(True):
        yield


@functools.partial(jax.jit, static_argnums=(0, 3))
def up(case: Case, x, w, mode: str):
    return convt1d.conv_transpose1d(
        x, w, stride=case.stride, dilation=case.dilation, groups=case.groups, crop=case.crop,
        padding_mode=mode,
    )  # fmt: skip


@functools.partial(jax.jit, static_argnums=(0, 3))
def down(case: Case, y, w, mode: str):
    """The convolution back from the fine signal: ``(K, O, I/g) -> (K, O/g, I)`` by groups."""
    blocks = w.reshape(w.shape[0], case.groups, -1, w.shape[2]).swapaxes(1, 2)
    return convt1d.conv1d(
        y, blocks.reshape(w.shape[0], -1, case.groups * w.shape[2]), stride=case.stride,
        dilation=case.dilation, groups=case.groups, padding=case.crop, padding_mode=mode,
    )  # fmt: skip


@pytest.mark.parametrize("mode", CONTINUED)
@pytest.mark.parametrize("case", CASES[1::2], ids=str)
def test_a_continued_input_is_one_that_numpy_has_padded_long_enough(case, mode):
    x, w, _ = case.signals().values()
    more = -(-case.full // case.stride)
    name: Any = {"circular": "wrap", "reflect": "reflect", "replicate": "edge"}[mode]
    padded = np.pad(x, ((0, 0), (more, more), (0, 0)), name)
    longer = case._replace(
        length=case.length + 2 * more,
        low=case.low + more * case.stride,
        high=case.high + more * case.stride,
    )
    expected = scatter(longer, padded, w)
    np.testing.assert_allclose(up(case, jnp.asarray(x), jnp.asarray(w), mode), expected, atol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_transpose_is_the_adjoint_of_the_convolution_with_zeros(case):
    check_adjoint(case, "zeros")


@pytest.mark.parametrize("case", PERIODIC, ids=str)
def test_the_circular_transpose_is_the_adjoint_of_the_circular_convolution(case):
    check_adjoint(case, "circular")


def check_adjoint(case, mode):
    x, w, y = map(jnp.asarray, case.signals().values())
    inner = jnp.vdot(up(case, x, w, mode), y)
    np.testing.assert_allclose(jnp.vdot(x, down(case, y, w, mode)), inner, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("case", PERIODIC, ids=str)
def test_a_circular_transpose_of_a_rolled_signal_is_the_rolled_output(case):
    x, w, _ = case.signals().values()
    y = up(case, jnp.asarray(x), jnp.asarray(w), "circular")
    rolled = up(case, jnp.roll(x, 1, axis=1), jnp.asarray(w), "circular")
    np.testing.assert_allclose(rolled, jnp.roll(y, case.stride, axis=1), atol=1e-12)


@pytest.mark.parametrize("word", ["SAME", "SAME_LOWER"])
@pytest.mark.parametrize(
    ("length", "kernel_size", "stride", "dilation", "groups"),
    [(6, 4, 2, 1, 1), (5, 5, 2, 1, 2), (2, 16, 3, 1, 1), (1, 5, 2, 3, 2)],
)
def test_it_is_the_circular_transpose_of_equinox(
    length, kernel_size, stride, dilation, groups, word
):
    """Also where the kernel is longer than the output and wraps around it more than once."""
    theirs = drawn(
        lambda: eqx.nn.ConvTranspose1d(
            4, 6, kernel_size, stride, padding=word, dilation=dilation, groups=groups,
            padding_mode="CIRCULAR", key=jax.random.key(0),
        )
    )  # fmt: skip
    ours = convt1d.ConvTranspose1d(
        (length, 4), 6, kernel_size, stride, word, rhs_dilation=dilation, groups=groups,
        padding_mode="circular", b_init=np.asarray(theirs.bias)[:, 0],
        w_init=np.asarray(theirs.weight)[..., ::-1].transpose(2, 0, 1),
    )  # fmt: skip
    x = jnp.asarray(np.random.default_rng(0).standard_normal((length, 4)))
    found, expected = jax.jit(lambda x: (ours(x).T, theirs(x.T)))(x)
    np.testing.assert_allclose(found, expected, atol=1e-13)


@pytest.mark.parametrize("layer", ["ConvTranspose1d", "Conv1d"])
@pytest.mark.parametrize("mode", CONTINUED)
def test_a_layer_continues_its_input_as_the_operation_does(layer, mode):
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 6, 4)))
    w = np.random.default_rng(1).standard_normal((5, 6, 4))
    if layer == "Conv1d":
        w = w.swapaxes(1, 2)
        made = convt1d.Conv1d(4, 6, 5, stride=2, padding_mode=mode, w_init=w)
        operation = convt1d.conv1d
    else:
        made = convt1d.ConvTranspose1d((6, 4), 6, 5, 2, padding_mode=mode, w_init=w)
        first = convt1d.ConvTranspose1d(
            (4, 6), 6, 5, 2, channel_first=True, padding_mode=mode, w_init=w
        )
        np.testing.assert_allclose(first(x[0].T).T, made(x[0]), atol=1e-14)
        operation = convt1d.conv_transpose1d
    expected = operation(x, jnp.asarray(w), stride=2, padding_mode=mode)
    np.testing.assert_allclose(made(x), expected, atol=1e-14)
    np.testing.assert_allclose(made(x[0]), expected[0], atol=1e-14)


@pytest.mark.parametrize(
    "call",
    [
        lambda: convt1d.ConvTranspose1d((6, 4), 6, 5, padding_mode="wrap"),
        lambda: convt1d.Conv1d(4, 6, 5, padding_mode="wrap"),
        lambda: convt1d.conv1d(jnp.ones((6, 4)), jnp.ones((3, 4, 4)), padding_mode="wrap"),
        lambda: convt1d.conv_transpose1d(
            jnp.ones((6, 4)), jnp.ones((3, 4, 4)), padding_mode="wrap"
        ),
    ],
)
def test_another_mode_is_refused(call):
    message = r"`padding_mode` \(='wrap'\) must be one of 'zeros', 'circular', 'reflect', 'repl"
    with pytest.raises(ValueError, match=message):
        call()
