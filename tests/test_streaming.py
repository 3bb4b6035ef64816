"""Laws of the layers' streams."""

import math
from fractions import Fraction

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from streams import assert_streams, down, signal, up

import convt1d
from convt1d import Conv1d, ConvTranspose1d

UPSAMPLING = {
    "same": lambda: up(4, 3, 8, 4),
    "same, odd": lambda: up(4, 3, 5, 2, padding="SAME_LOWER"),
    "causal": lambda: up(4, 3, 8, 4, padding="CAUSAL"),
    "valid": lambda: up(4, 3, 7, 2, padding="VALID"),
    "padded by more than the kernel": lambda: up(4, 3, 3, 2, padding=(6, 1)),
    "output padding": lambda: up(4, 3, 5, 3, crop=2, output_padding=2),
    "cropped by more than the kernel": lambda: up(4, 3, 4, crop=(9, 0)),
    "cropped at the end": lambda: up(4, 3, 4, 2, crop=(0, 9)),
    "zeros before, cropped after": lambda: up(4, 3, 9, 4, crop=(-2, 7)),
    "gaps": lambda: up(4, 3, 2, 5, lhs_dilation=2, crop=(1, -3)),
    "gaps, valid": lambda: up(4, 3, 1, 3, padding="VALID", b_init=None),
    "dilated": lambda: up(4, 3, 4, 2, rhs_dilation=3),
    "grouped": lambda: up(20, 30, 6, 2, groups=2),
    "depthwise": lambda: up(6, 6, 6, 3, groups=6, b_init=None),
    "channels first": lambda: up(4, 3, 8, 4, channel_first=True),
    "masked": lambda: up(4, 3, 4, 2, w_mask=lambda shape: np.eye(shape[0], shape[1])[..., None]),
    "frozen": lambda: up(4, 3, 4, 2, param_type=convt1d.Frozen),
    "weight norm": lambda: convt1d.WeightNorm(up(4, 3, 4, 2)),
}
DOWNSAMPLING = {
    "same": lambda: down(4, 3, 5),
    "same lower, dilated": lambda: down(4, 3, 4, dilation=3, padding="SAME_LOWER"),
    "causal": lambda: down(4, 3, 5, padding="CAUSAL"),
    "causal, strided": lambda: down(4, 3, 7, 3, padding="CAUSAL"),
    "causal, K < stride": lambda: down(4, 3, 2, 4, padding="CAUSAL"),
    "valid, strided": lambda: down(4, 3, 6, 2, padding="VALID"),
    "padded by numbers": lambda: down(4, 3, 5, 2, padding=(3, 1)),
    "padded by more than the kernel": lambda: down(4, 3, 3, 2, padding=(8, 9)),
    "one tap": lambda: down(4, 3, 1),
    "one tap, strided": lambda: down(4, 3, 1, 3, padding=0),
    "grouped": lambda: down(20, 30, 6, 2, groups=2, padding=2),
    "depthwise": lambda: down(6, 6, 7, groups=6, padding="SAME"),
    "no bias": lambda: down(4, 3, 3, b_init=None),
}
LENGTH = 13
RARE = {  # what the drawn chains of the slow test meet, too
    "same, odd", "padded by more than the kernel", "output padding", "cropped at the end", "gaps",
    "frozen", "weight norm", "valid", "same lower, dilated", "causal, strided", "one tap, strided",
    "no bias",
}  # fmt: skip


def each(table):
    return [pytest.param(name, marks=pytest.mark.slow) if name in RARE else name for name in table]


@pytest.fixture(autouse=True, scope="module")
def _double_precision():
    with jax.enable_x64(True):
        yield


def signal_for(layer, length=LENGTH):
    plain = layer.layer if isinstance(layer, convt1d.WeightNorm) else layer
    x = signal(length, plain.in_channels)
    return x.swapaxes(1, 2) if getattr(plain, "channel_first", False) else x


@pytest.mark.parametrize("name", each(UPSAMPLING))
def test_the_stream_of_a_transposed_convolution_equals_the_whole(name):
    layer = UPSAMPLING[name]()
    assert_streams(layer, signal_for(layer), [5, 8])


@pytest.mark.parametrize("name", each(DOWNSAMPLING))
def test_the_stream_of_a_convolution_equals_the_whole(name):
    layer = DOWNSAMPLING[name]()
    assert_streams(layer, signal_for(layer), [5, 8])


@pytest.mark.parametrize(
    ("kernel_size", "stride", "padding"), [(7, 2, "SAME"), (7, 2, "SAME_LOWER"), (2, 3, "SAME")]
)
def test_a_strided_same_convolution_streams_whole_strides(kernel_size, stride, padding):
    layer = down(4, 3, kernel_size, stride, padding=padding)
    assert_streams(layer, signal(4 * stride, 4), [stride + 1, 3 * stride - 1])


def test_a_strided_same_convolution_refuses_another_length():
    stream = convt1d.stream(down(4, 3, 7, 3))
    state, _ = stream.step(stream.init(2), signal(8, 4))
    with pytest.raises(ValueError, match=r"multiple of the stride: end it with 1 more samples"):
        stream.flush(state)


@pytest.mark.parametrize("length", [1, 3])
def test_signals_shorter_than_the_latency_stream_too(length):
    layers = [up(4, 3, 16, 2, crop=(7, 3)), jax.nn.sigmoid, down(3, 2, 9)]
    assert_streams(layers, signal(length, 4), [2])


# ---------------------------------------------------------------------------------------- latency


def sees(layer, j):
    """The inputs that output sample ``j`` is made of, from the definition."""
    taps = range(layer.kernel_size[0])
    if isinstance(layer, ConvTranspose1d):
        reach = [j + layer.crop[0] - k * layer.rhs_dilation for k in taps]
        return [at // layer.spacing for at in reach if at % layer.spacing == 0]
    before = convt1d.stream(layer).pads[0]  # pyright: ignore[reportAttributeAccessIssue]
    return [j * layer.stride + k * layer.dilation - before for k in taps]


def suffices(layer, latency):
    """Whether a stream that is so late never hands out what it cannot know."""
    ratio = convt1d.stream(layer).ratio
    for fed in range(1, 12):
        due = range(max(0, math.floor(fed * ratio) - latency))
        if any(frame >= fed for j in due for frame in sees(layer, j)):
            return False
        try:
            whole = layer.out_length(fed)
        except ValueError:
            whole = 0
        if whole < len(due):  # the signal may end here
            return False
    return True


@pytest.mark.parametrize("name", [*UPSAMPLING, *DOWNSAMPLING])
def test_the_declared_latency_is_the_smallest(name):
    layers = [table[name]() for table in (UPSAMPLING, DOWNSAMPLING) if name in table]
    for layer in layers:
        plain = layer.layer if isinstance(layer, convt1d.WeightNorm) else layer
        latency = convt1d.stream(layer).latency
        assert suffices(plain, latency)
        assert latency == 0 or not suffices(plain, latency - 1)


def test_causal_layers_are_not_late_and_are_not_masked():
    layers = [
        down(4, 3, 5, 2, padding="CAUSAL"),
        jnp.tanh,
        up(3, 2, 8, 4, padding="CAUSAL"),
        down(2, 2, 7, padding="CAUSAL", dilation=3),
    ]
    stream = convt1d.stream(layers)
    assert stream.latency == 0
    program = jax.jit(lambda *taken: stream.step(*taken)).lower(stream.init(2), signal(4, 4))
    assert "select" not in program.as_text()


@pytest.mark.parametrize(
    ("module", "ratio", "hop"),
    [
        (lambda: up(4, 3, 8, 4), 4, 1),
        (lambda: down(4, 3, 8, 4), Fraction(1, 4), 4),
        (lambda: [down(4, 3, 8, 4), up(3, 2, 6, 2), down(2, 2, 4, 3)], Fraction(1, 6), 12),
        (lambda: [up(4, 3, 8, 4), down(3, 2, 2, 2)], 2, 1),
        (lambda: [], 1, 1),
    ],
)
def test_ratio_and_hop_are_those_of_the_chain(module, ratio, hop):
    stream = convt1d.stream(module())
    assert (stream.ratio, stream.hop) == (ratio, hop)


# ------------------------------------------------------------------------------------- any of them


@st.composite
def upsampling(draw):
    groups = draw(st.sampled_from([1, 1, 2, 4]))
    kernel_size, stride = draw(st.integers(1, 9)), draw(st.integers(1, 6))
    return (
        up(
            4,
            4,
            kernel_size,
            stride,
            rhs_dilation=draw(st.integers(1, 3)),
            groups=groups,
            crop=(draw(st.integers(-5, 12)), draw(st.integers(-5, 12))),
        )
        if draw(st.booleans())
        else up(
            4,
            4,
            kernel_size,
            stride,
            groups=groups,
            padding=draw(st.sampled_from(["SAME", "SAME_LOWER", "VALID", "CAUSAL"])),
        )
    )


@st.composite
def downsampling(draw):
    numbers = st.tuples(st.integers(0, 9), st.integers(0, 9))
    return down(
        4,
        4,
        draw(st.integers(1, 7)),
        draw(st.integers(1, 4)),
        dilation=draw(st.integers(1, 3)),
        groups=draw(st.sampled_from([1, 1, 2, 4])),
        padding=draw(st.one_of(numbers, st.sampled_from(["CAUSAL", "VALID"]))),
    )


FUNCTIONS = st.sampled_from([jnp.tanh, jax.nn.sigmoid, jax.nn.softplus])


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(
    first=st.one_of(upsampling(), downsampling()),
    others=st.lists(st.one_of(upsampling(), downsampling(), FUNCTIONS), max_size=3),
    length=st.integers(1, 12),
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=3),
)
def test_any_chain_streams_in_any_chunks(first, others, length, sizes):
    layers, at = [first, *others], length
    for layer in layers:
        if isinstance(layer, ConvTranspose1d | Conv1d):
            try:
                at = layer.out_length(at)
            except ValueError:
                assume(False)
    assume(at < 400)
    assert_streams(layers, signal(length, 4), sizes)


@pytest.mark.slow
@pytest.mark.parametrize("kernel_size", [1, 3, 8])
@pytest.mark.parametrize("stride", [1, 3, 5])
@pytest.mark.parametrize("dilation", [1, 2])
def test_every_crop_streams(kernel_size, stride, dilation):
    for crop in ((0, 9), (9, -4), (-2, 3)):
        layer = up(2, 3, kernel_size, stride, rhs_dilation=dilation, crop=crop)
        assert_streams(layer, signal(11, 2, batch=1), [4, 7])


# ----------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda s: s.step(s.init(2), signal(5, 3)), r"`x` has shape \(2, 5, 3\).*\(2, length, 4\)"),
        (lambda s: s.step(s.init(3), signal(5, 4)), r"`x` has shape \(2, 5, 4\).*\(3, length, 4\)"),
        (lambda s: s.step(s.init(), signal(5, 4)), r"takes chunks of \(length, 4\)"),
        (lambda s: s.step(s.init(2), signal(5, 4)[0, 0]), r"`x` has shape \(4,\)"),
        (
            lambda s: s.step(s.init(2), signal(5, 4).astype("float32")),
            r"`x` is of float32.*begun for float64: init\(dtype=float32\)",
        ),
        (lambda s: s.init(2, channels=3), r"`channels` \(=3\) must be 4"),
        (lambda s: s.reset(s.init(2), jnp.array([True])), r"`where` has shape \(1,\).*\(2,\)"),
        (
            lambda s: s.reset(s.step(s.init(2), signal(1, 4))[0], jnp.array([True, False])),
            r"unfinished frame.*hop, 2 samples",
        ),
        (lambda s: convt1d.stream(jnp.tanh).init(2), r"`channels` \(=None\) must be given"),
        (
            lambda s: convt1d.stream_chain(up(4, 4, 3, channel_first=True), down(4, 4, 3)),
            r"channel_first=True and some have not",
        ),
        (lambda s: convt1d.stream_sum(), r"`branches` must be one or more"),
        (lambda s: convt1d.stream_sum(up(4, 4, 4, 2), down(4, 4, 3)), r"have \['1', '2'\]"),
        (
            lambda s: convt1d.stream([eqx.nn.Linear(4, 4, key=jax.random.key(0))]),
            r"`module` is a Linear, which cannot be streamed.*stream\.register\(Linear\)",
        ),
        (lambda s: convt1d.stream(3), r"`module` is a int, which cannot be streamed"),
    ],
)
def test_what_does_not_fit_is_refused(wrong, message):
    stream = convt1d.stream([up(4, 4, 3), down(4, 4, 4, 2)])
    with pytest.raises(ValueError, match=message):
        wrong(stream)


@pytest.mark.parametrize("mode", ["circular", "reflect", "replicate"])
def test_only_padding_by_zeros_streams(mode):
    for layer in (up(4, 4, 3, padding_mode=mode), down(4, 4, 3, padding_mode=mode)):
        with pytest.raises(ValueError, match=f"padding_mode='{mode}'.*only 'zeros' streams"):
            convt1d.stream(layer)


def test_a_parameter_with_a_unit_is_refused():
    class Quantity(eqx.Module):
        mantissa: jax.Array
        unit: str = "mV"

    layer = eqx.tree_at(lambda made: made.bias, up(4, 4, 3), Quantity(jnp.ones(4)))
    with pytest.raises(ValueError, match=r"a parameter with the unit mV"):
        convt1d.stream(layer)
