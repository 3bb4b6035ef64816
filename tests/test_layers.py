"""The reference page, argument by argument."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import convt1d
from convt1d import Conv1d, ConvTranspose1d


def signal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def test_the_examples_of_the_reference_page_run():
    conv_transpose = ConvTranspose1d(in_size=(28, 16), out_channels=8, kernel_size=4, stride=2)
    x = jnp.ones((2, 28, 16))
    y = conv_transpose(x)
    assert y.shape == (2, 56, 8)

    x_single = jnp.ones((28, 16))
    y_single = conv_transpose(x_single)
    assert y_single.shape == (56, 8)

    conv_transpose = ConvTranspose1d(
        in_size=(16, 28), out_channels=8, kernel_size=4, stride=2, channel_first=True
    )
    x = jnp.ones((2, 16, 28))
    y = conv_transpose(x)
    assert y.shape == (2, 8, 56)


def test_the_parameters_come_in_the_order_of_the_page():
    positional = ConvTranspose1d(
        (28, 16), 8, 4, 2, "VALID", 1, 2, 4, jax.nn.initializers.ones, 0.5, jnp.ones((4, 1, 1)),
        False, "up", convt1d.Frozen,
    )  # fmt: skip
    named = ConvTranspose1d(
        in_size=(28, 16), out_channels=8, kernel_size=4, stride=2, padding="VALID",
        lhs_dilation=1, rhs_dilation=2, groups=4, w_init=jax.nn.initializers.ones, b_init=0.5,
        w_mask=jnp.ones((4, 1, 1)), channel_first=False, name="up", param_type=convt1d.Frozen,
    )  # fmt: skip
    assert eqx.tree_equal(positional, named)


@pytest.mark.parametrize("channel_first", [False, True])
def test_the_attributes_of_the_page_are_there(channel_first):
    size = (16, 28) if channel_first else (28, 16)
    layer = ConvTranspose1d(size, 8, 4, stride=2, b_init=0.0, channel_first=channel_first)
    assert layer.in_size == size
    assert layer.out_size == ((8, 56) if channel_first else (56, 8))
    assert (layer.in_channels, layer.out_channels, layer.kernel_size) == (16, 8, (4,))
    assert (layer.weight.shape, layer.bias.shape) == ((4, 8, 16), (8,))


def test_sequences_of_one_and_numpy_integers_are_sizes():
    sizes: list[Any] = [[28, 16], np.int64(8), (4,), [2], np.int64(1), (1,), np.int32(1)]
    layer = ConvTranspose1d(*sizes)
    assert eqx.tree_equal(layer, ConvTranspose1d((28, 16), 8, 4, 2, 1))


@pytest.mark.parametrize("padding", ["SAME", "SAME_LOWER", "VALID", "CAUSAL", 1, (2, 0), [(0, 3)]])
@pytest.mark.parametrize(
    ("stride", "lhs_dilation", "rhs_dilation"), [(1, 1, 1), (2, 3, 1), (3, 1, 2)]
)
def test_out_length_is_the_length_of_the_output(padding, stride, lhs_dilation, rhs_dilation):
    layer = ConvTranspose1d((6, 2), 3, 4, stride, padding, lhs_dilation, rhs_dilation)
    assert layer.out_size == (layer.out_length(6), 3)
    for length in (3, 6, 11):
        assert layer(jnp.ones((length, 2))).shape == (layer.out_length(length), 3)


def test_lhs_dilation_multiplies_the_stride():
    x = signal(2, 6, 3)
    product, alone, twice = (
        ConvTranspose1d((6, 3), 4, 5, stride, lhs_dilation=dilation)(x)
        for stride, dilation in ((6, 1), (1, 6), (2, 3))
    )
    np.testing.assert_array_equal(product, alone)
    np.testing.assert_array_equal(product, twice)


def test_numbers_pad_the_dilated_input_as_lax_does():
    layer = ConvTranspose1d((6, 3), 4, 5, 2, padding=(3, 1))
    x = signal(2, 6, 3)
    theirs = jax.lax.conv_transpose(x, layer.weight[::-1].swapaxes(1, 2), (2,), [(3, 1)])
    np.testing.assert_allclose(layer(x), theirs, atol=1e-5)


@pytest.mark.parametrize("crop", [0, 1, (2, 1), (-1, 0)])
def test_a_crop_is_a_slice_of_the_full_result(crop):
    x = signal(2, 6, 3)
    full = ConvTranspose1d((6, 3), 4, 5, 2, crop=0)(x)
    low, high = (crop, crop) if isinstance(crop, int) else crop
    cut = jnp.pad(full, ((0, 0), (max(-low, 0), 0), (0, 0)))
    cut = cut[:, max(low, 0) : cut.shape[1] - high]
    np.testing.assert_allclose(ConvTranspose1d((6, 3), 4, 5, 2, crop=crop)(x), cut, atol=1e-6)


def test_output_padding_gives_back_samples_of_the_end():
    x = signal(2, 6, 3)
    short, long = (
        ConvTranspose1d((6, 3), 4, 5, 3, crop=2, output_padding=extra)(x) for extra in (0, 2)
    )
    assert long.shape[1] == short.shape[1] + 2
    np.testing.assert_array_equal(long[:, :-2], short)


@pytest.mark.parametrize("output_padding", [0, 1])
def test_an_output_size_takes_the_place_of_output_padding(output_padding):
    layer = ConvTranspose1d((6, 3), 4, 5, 3, crop=2, output_padding=output_padding)
    x = signal(2, 6, 3)
    for extra in range(3):
        expected = ConvTranspose1d((6, 3), 4, 5, 3, crop=2, output_padding=extra)(x)
        found = layer(x, output_size=expected.shape[1])
        np.testing.assert_array_equal(found, expected)
        operation = convt1d.conv_transpose1d(
            x, layer.weight, stride=3, crop=2, output_size=[expected.shape[1]]
        )
        np.testing.assert_array_equal(operation, expected)


def test_an_output_size_lengthens_what_a_padding_word_gives():
    for first in (False, True):
        layer = ConvTranspose1d((3, 6) if first else (6, 3), 4, 5, 2, channel_first=first)
        y = layer(jnp.ones((3, 6) if first else (6, 3)), output_size=13)
        assert y.shape == ((4, 13) if first else (13, 4))


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (15, r"`output_size` \(=15\) must be from 16 to 18 for an input of length 6"),
        (19, r"`output_size` \(=19\) must be from 16 to 18 for an input of length 6"),
        ((16, 16), r"`output_size` \(=\(16, 16\)\) must be an int or a sequence of one int"),
        (0, r"`output_size` \(=0\) must be at least 1"),
    ],
)
def test_an_output_size_out_of_range_is_refused(size, message):
    layer = ConvTranspose1d((6, 3), 4, 5, 3, crop=2, output_padding=1)
    with pytest.raises(ValueError, match=message):
        layer(jnp.ones((6, 3)), output_size=size)


@pytest.mark.parametrize("padding", ["SAME", "VALID", (3, 1)])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("out_channels", [4, 12])  # 12 is the output's length, too
def test_channels_first_is_the_same_layer_with_its_axes_exchanged(padding, groups, out_channels):
    last, first = (
        ConvTranspose1d(
            size, out_channels, 3, 2, padding, groups=groups, channel_first=channel_first,
            b_init=jax.nn.initializers.normal(1.0),
        )
        for size, channel_first in (((6, 4), False), ((4, 6), True))
    )  # fmt: skip
    x = signal(2, 6, 4)
    np.testing.assert_array_equal(first(x.swapaxes(1, 2)).swapaxes(1, 2), last(x))
    np.testing.assert_array_equal(first(x[0].T).T, last(x[0]))


def test_the_bias_is_added_to_every_sample_of_its_channel():
    with_bias, without = (
        ConvTranspose1d((6, 4), 3, 3, 2, b_init=bias) for bias in (jnp.arange(3.0), None)
    )
    x = signal(2, 6, 4)
    np.testing.assert_allclose(
        with_bias(x) - without(x), np.broadcast_to(np.arange(3.0), (2, 12, 3)), atol=1e-6
    )


def test_the_default_weight_is_glorot_normal_over_the_fans_that_meet():
    for groups in (1, 8):
        layer = ConvTranspose1d((1, 64), 128, 16, groups=groups)
        fans = 16 * (64 + 128) / groups
        assert float(jnp.var(layer.weight)) == pytest.approx(2 / fans, rel=0.05)
        assert abs(float(jnp.mean(layer.weight))) < 0.01


def test_without_a_key_two_layers_are_equal_and_with_keys_they_are_not():
    make = lambda **key: ConvTranspose1d((6, 4), 3, 3, **key).weight  # noqa: E731
    np.testing.assert_array_equal(make(), make(key=jax.random.key(0)))
    assert not jnp.array_equal(make(), make(key=jax.random.key(1)))


@pytest.mark.parametrize(
    ("init", "dtype"),
    [
        (jax.nn.initializers.constant(2.0), jnp.float32),
        (lambda key, shape, dtype: np.full(shape, 2), jnp.float32),
        (np.full((3, 5, 4), 2), jnp.float32),
        (jnp.full((3, 5, 4), 2, jnp.bfloat16), jnp.bfloat16),
        (2, jnp.float32),
        (2.0, jnp.float32),
        (np.float32(2), jnp.float32),
        (2 + 0j, jnp.complex64),
    ],
)
def test_every_kind_of_first_value_is_taken(init, dtype):
    weight = ConvTranspose1d((6, 4), 5, 3, w_init=init).weight
    assert weight.dtype == dtype
    np.testing.assert_array_equal(np.asarray(weight, complex), np.full((3, 5, 4), 2))


def test_true_is_one_as_a_first_value():
    np.testing.assert_array_equal(
        ConvTranspose1d((6, 4), 5, 3, w_init=True).weight, np.ones((3, 5, 4))
    )


def test_a_quantity_brings_its_unit_to_the_output():
    unit = pytest.importorskip("brainunit")
    layer = ConvTranspose1d((6, 4), 5, 3, w_init=2.0 * unit.mV, b_init=1.0 * unit.mV)
    plain = ConvTranspose1d((6, 4), 5, 3, w_init=2.0, b_init=1.0)
    y: Any = layer(jnp.ones((6, 4)))
    np.testing.assert_allclose(y.to_decimal(unit.mV), plain(jnp.ones((6, 4))))
    squared: Any = ConvTranspose1d((6, 4), 5, 3, w_init=2.0 * unit.mV)(jnp.ones((6, 4)) * unit.ms)
    assert squared.unit == unit.mV * unit.ms


@pytest.mark.parametrize(
    "mask",
    [
        np.arange(3)[:, None, None] > 0,
        lambda shape: np.tri(shape[1], shape[2])[None],
        jnp.asarray([0.5, 0.0, 1.0, 2.0]),
        0,
    ],
)
def test_a_mask_acts_forward_and_in_the_gradient_and_is_not_trained(mask):
    masked, bare = (ConvTranspose1d((6, 4), 5, 3, w_mask=m) for m in (mask, None))
    values = np.broadcast_to(
        np.asarray(mask(bare.weight.shape) if callable(mask) else mask, np.float32),
        bare.weight.shape,
    )
    expected = eqx.tree_at(lambda module: module.weight, bare, bare.weight * values)
    x = signal(2, 6, 4)
    np.testing.assert_allclose(masked(x), expected(x), atol=1e-6)
    gradient, free = (
        eqx.filter_grad(lambda f: jnp.sin(f(x)).sum())(layer).weight for layer in (masked, expected)
    )
    np.testing.assert_allclose(gradient, free * values, atol=1e-4)
    assert len(jax.tree.leaves(eqx.filter(masked, eqx.is_array))) == 1
    assert hash(masked.w_mask) == hash(ConvTranspose1d((6, 4), 5, 3, w_mask=mask).w_mask)


def test_frozen_keeps_a_layer_out_of_training():
    frozen = ConvTranspose1d((6, 4), 5, 3, b_init=0.0, param_type=convt1d.Frozen)
    bare = ConvTranspose1d((6, 4), 5, 3, b_init=0.0)
    x = signal(2, 6, 4)
    np.testing.assert_array_equal(frozen(x), bare(x))
    assert not any(jax.tree.leaves(convt1d.trainable(frozen)))
    assert all(jax.tree.leaves(convt1d.trainable(bare)))
    gradient = eqx.filter_grad(lambda f: f(x).sum())(frozen)
    assert all(not leaf.any() for leaf in jax.tree.leaves(gradient))


def test_a_name_is_seen_in_the_profile():
    layer = ConvTranspose1d((6, 4), 5, 3, name="first_up")
    text = jax.jit(lambda x: layer(x)).lower(jnp.ones((6, 4))).compile().as_text()
    assert text
    assert "first_up" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_size": (28,)}, r"`in_size` \(=\(28,\)\) must be two positive ints"),
        ({"in_size": 28}, r"`in_size` \(=28\) must be two positive ints"),
        ({"in_size": (28, 0)}, r"`in_size` \(=\(28, 0\)\) must be two positive ints"),
        ({"out_channels": 0}, r"`out_channels` \(=0\) must be at least 1"),
        ({"kernel_size": 0}, r"`kernel_size` \(=0\) must be at least 1"),
        ({"kernel_size": (3, 3)}, r"`kernel_size` \(=\(3, 3\)\) must be an int or a sequence"),
        ({"stride": -1}, r"`stride` \(=-1\) must be at least 1"),
        ({"lhs_dilation": 0}, r"`lhs_dilation` \(=0\) must be at least 1"),
        ({"rhs_dilation": 0}, r"`rhs_dilation` \(=0\) must be at least 1"),
        ({"groups": 0}, r"`groups` \(=0\) must be at least 1"),
        ({"groups": 3}, r"`groups` \(=3\) must divide the input's 16 and the output's 8"),
        ({"padding": "FULL"}, r"`padding` \(='FULL'\) is not a padding word"),
        ({"padding": (1, 2, 3)}, r"`padding` \(=\(1, 2, 3\)\) must be an int, a pair"),
        ({"crop": 1, "padding": "VALID"}, r"`crop` \(=1\) and `padding` \(='VALID'\) both"),
        ({"crop": 1, "output_padding": 2, "stride": 2}, r"`output_padding` \(=2\) .* from 0 to 1"),
        ({"output_padding": 1}, r"`output_padding` \(=1\) belongs to `crop`"),
        ({"crop": 40}, r"an input of length 28 would give an output of length -49 = .* crop less"),
        ({"w_init": jnp.ones((4, 16, 8))}, r"`w_init` gives .* \(4, 16, 8\), but .* \(4, 8, 16\)"),
        ({"w_init": lambda k, s, d: jnp.ones(3)}, r"`w_init` gives an array of shape \(3,\)"),
        (
            {"w_init": {}},
            r"`w_init` \(=\{\}\) is no array of numbers: give one of shape",
        ),
        ({"b_init": 10**12}, r"`b_init` \(=1000000000000\) is no array of numbers"),
        ({"b_init": jnp.ones(9)}, r"`b_init` gives .* \(9,\), but \(out_channels,\) is \(8,\)"),
        ({"w_mask": jnp.ones(3)}, r"`w_mask` has shape \(3,\), which does not broadcast"),
        ({"lowering": "cudnn"}, r"`lowering` \(='cudnn'\) must be one of"),
    ],
)
def test_a_wrong_argument_is_refused_at_construction(arguments, message):
    whole = {"in_size": (28, 16), "out_channels": 8, "kernel_size": 4} | arguments
    with pytest.raises(ValueError, match=message):
        ConvTranspose1d(**whole)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (
            (28, 15),
            r"`x` has shape \(28, 15\), but ConvTranspose1d takes \(batch, length, 16\) or",
        ),
        ((16,), r"`x` has shape \(16,\)"),
        ((1, 2, 28, 16), r"`x` has shape \(1, 2, 28, 16\)"),
        ((0, 16), r"an input of length 0 would give an output of length"),
    ],
)
def test_a_wrong_input_is_refused_at_call(shape, message):
    with pytest.raises(ValueError, match=message):
        ConvTranspose1d((28, 16), 8, 4)(jnp.ones(shape))


def test_a_wrong_input_of_channels_first_names_that_layout():
    layer = ConvTranspose1d((16, 28), 8, 4, channel_first=True)
    with pytest.raises(
        ValueError, match=r"shape \(28, 16\), but .* \(batch, 16, length\) or \(16, length\)"
    ):
        layer(jnp.ones((28, 16)))


@pytest.mark.parametrize("padding", ["SAME", "VALID", "CAUSAL", 2, (0, 3)])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (3, 2)])
def test_a_convolution_says_how_long_its_output_is(padding, stride, dilation):
    layer = Conv1d(2, 4, 3, stride=stride, padding=padding, dilation=dilation)
    for length in (7, 12):
        assert layer(jnp.ones((length, 2))).shape == (layer.out_length(length), 4)
        assert layer(jnp.ones((3, length, 2))).shape == (3, layer.out_length(length), 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_channels": 0}, r"`in_channels` \(=0\) must be at least 1"),
        ({"padding": -1}, r"`padding` \(=-1\) must not be negative"),
        ({"groups": 3}, r"`groups` \(=3\) must divide the input's 2 and the output's 4"),
        ({"w_init": jnp.ones((3, 4, 2))}, r"`w_init` gives .* \(3, 4, 2\), but .* is \(3, 2, 4\)"),
    ],
)
def test_a_wrong_convolution_is_refused_at_construction(arguments, message):
    whole = {"in_channels": 2, "out_channels": 4, "kernel_size": 3} | arguments
    with pytest.raises(ValueError, match=message):
        Conv1d(**whole)


def test_a_wrong_input_of_a_convolution_is_refused():
    with pytest.raises(ValueError, match=r"\(7, 3\), but Conv1d takes \(batch, length, 2\)"):
        Conv1d(2, 4, 3)(jnp.ones((7, 3)))
    with pytest.raises(ValueError, match=r"an input of length 2 with padding \(0, 0\) is shorter"):
        Conv1d(2, 4, 3, padding="VALID")(jnp.ones((2, 2)))
