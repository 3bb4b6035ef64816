"""How weights begin: PyTorch's and Equinox's way, unit variance at any stride, no checkerboard."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import convt1d
from convt1d import Conv1d, ConvTranspose1d, initializers

IN, OUT, TAPS = 64, 32, 8


def layer(kind, name, *, groups=2, bias: str | None = None) -> Any:
    if kind == "Conv1d":
        return Conv1d(IN, OUT, TAPS, groups=groups, w_init=name, b_init=bias)
    return ConvTranspose1d((1, IN), OUT, TAPS, 4, groups=groups, w_init=name, b_init=bias)


@pytest.mark.parametrize(
    ("kind", "name", "fan"),
    [
        ("ConvTranspose1d", "torch", TAPS * OUT),  # measured on torch 2.13: var·(O/g)·K = 1/3
        ("Conv1d", "torch", TAPS * IN),
        ("ConvTranspose1d", "equinox", TAPS * IN),
        ("Conv1d", "equinox", TAPS * IN),
    ],
)
def test_torch_and_equinox_draw_uniformly_over_their_own_fans(kind, name, fan):
    made = layer(kind, name, groups=2, bias=name)
    limit = (fan / 2) ** -0.5
    for values in (made.weight, made.bias):
        assert float(jnp.abs(values).max()) <= limit
    # The largest of n uniform numbers lies 1/n below the limit, the variance 1/√n off its value.
    assert float(jnp.abs(made.weight).max()) == pytest.approx(limit, rel=5 / made.weight.size)
    assert float(made.weight.var()) == pytest.approx(
        limit**2 / 3, rel=5 * (0.8 / made.weight.size) ** 0.5
    )
    assert float(jnp.abs(made.bias).max()) > limit / 2


@pytest.mark.parametrize("kind", ["Conv1d", "ConvTranspose1d"])
def test_equinox_itself_draws_from_the_same_interval(kind):
    theirs = getattr(eqx.nn, kind)(IN, OUT, TAPS, groups=2, key=jax.random.key(0))
    ours = layer(kind, "equinox", groups=2)
    limits = [float(jnp.abs(values).max()) for values in (ours.weight, theirs.weight)]
    assert limits[0] == pytest.approx(limits[1], rel=10 / ours.weight.size)


@pytest.mark.parametrize("kind", ["Conv1d", "ConvTranspose1d"])
def test_torch_itself_draws_from_the_same_interval(kind):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    torch.manual_seed(0)
    theirs = getattr(torch.nn, kind)(IN, OUT, TAPS, groups=2)
    ours = layer(kind, "torch", groups=2, bias="torch")
    limits = [float(abs(np.asarray(v.detach())).max()) for v in (theirs.weight, theirs.bias)]
    assert float(jnp.abs(ours.weight).max()) == pytest.approx(limits[0], rel=10 / ours.weight.size)
    assert float(jnp.abs(ours.bias).max()) == pytest.approx(limits[1], rel=0.5)


def test_a_complex_weight_has_both_parts_drawn():
    weight = initializers.fan_in_uniform(4)(jax.random.key(0), (999,), jnp.complex64)
    assert weight.dtype == jnp.complex64
    for part in (weight.real, weight.imag):
        assert 0.45 < float(jnp.abs(part).max()) <= 0.5


@pytest.mark.parametrize(
    ("kernel_size", "stride", "dilation", "groups"),
    [(8, 4, 1, 1), (25, 4, 1, 1), (7, 3, 1, 2), (5, 4, 3, 1)],
)
def test_unit_variance_comes_out_at_every_sample(kernel_size, stride, dilation, groups):
    """The output's variance, for inputs of variance one, is what the squared weights let pass."""
    made = ConvTranspose1d(
        (9, 32 * groups), 512 * groups, kernel_size, stride, rhs_dilation=dilation, groups=groups,
        w_init="unit_variance",
    )  # fmt: skip
    passed = jnp.square(made.weight).mean(axis=1, keepdims=True)  # over the output's channels
    variance = convt1d.conv_transpose1d(
        jnp.ones((9, 32)), passed, stride=stride, dilation=dilation, padding_mode="circular"
    )
    # A mean of 512·32 squares or more, each of a standard deviation below √2.
    np.testing.assert_allclose(variance, 1, atol=5 * (2 / (512 * 32)) ** 0.5)


def test_unit_variance_is_measured_in_the_signal_too():
    made = ConvTranspose1d((256, 16), 256, 7, 3, w_init="unit_variance", padding_mode="circular")
    x = jax.random.normal(jax.random.key(1), (16, 256, 16))
    phases = made(x).reshape(16, 256, 3, 256).var(axis=(0, 1, 3))
    np.testing.assert_allclose(phases, 1, atol=0.07)  # 16·256·2 or 3 weights make each of them


def test_phases_that_no_tap_reaches_stay_silent_and_disturb_no_other():
    draw = initializers.unit_variance(stride=6, dilation=3)
    weight = draw(jax.random.key(0), (2, 64, 64), jnp.float32)
    np.testing.assert_allclose(64 * weight.var(axis=(1, 2)), 1, atol=5 * (2 / 4096) ** 0.5)


def test_a_convolution_of_unit_variance_keeps_it():
    variance = float(layer("Conv1d", "unit_variance", groups=2).weight.var()) * IN / 2 * TAPS
    assert variance == pytest.approx(1, abs=5 * (2 / (TAPS * IN / 2 * OUT)) ** 0.5)


@pytest.mark.parametrize(("kernel_size", "stride", "groups"), [(8, 4, 1), (6, 2, 2)])
def test_icnr_begins_as_a_convolution_repeated_over_each_stride(kernel_size, stride, groups):
    made = ConvTranspose1d((9, 4), 6, kernel_size, stride, groups=groups, w_init="icnr")
    x = jax.random.normal(jax.random.key(1), (2, 9, 4))
    plain = convt1d.conv_transpose1d(x, made.weight[::stride], groups=groups, crop=0)
    nearest = jnp.repeat(plain, stride, axis=1)
    low = made.crop[0]
    np.testing.assert_allclose(made(x), nearest[:, low : low + 9 * stride], atol=1e-5)


@pytest.mark.parametrize("name", ["icnr", "glorot_normal"])
def test_only_icnr_begins_without_a_checkerboard(name):
    """A constant signal must come out constant: a pattern of period S in it is the checkerboard."""
    made = ConvTranspose1d((9, 16), 8, 8, 4, w_init=name, padding_mode="circular")
    y = made(jnp.ones((9, 16)))
    pattern = float(y.std(axis=0).max()) / float(jnp.abs(y).max())
    assert pattern < 1e-6 if name == "icnr" else pattern > 0.1


def test_icnr_keeps_the_variance():
    weight = initializers.icnr(stride=4)(jax.random.key(0), (8, 64, 64), jnp.float32)
    assert float(weight.var()) * 2 * 64 == pytest.approx(1, abs=5 * (2 / 8192) ** 0.5)


def test_icnr_repeats_what_its_base_draws():
    draw = initializers.icnr(stride=2, base=jax.nn.initializers.ones)
    np.testing.assert_array_equal(draw(jax.random.key(0), (4, 2, 3), jnp.float32), 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layer("ConvTranspose1d", "he"), r"`w_init` \(='he'\) must be one of .* 'icnr'"),
        (lambda: layer("Conv1d", "icnr"), r"`w_init` \(='icnr'\) must be one of 'glorot_normal', "),
        (lambda: layer("Conv1d", "torch", bias="icnr"), r"`b_init` .* one of 'torch', 'equinox'"),
        (
            lambda: ConvTranspose1d((1, 4), 4, 6, 4, w_init="icnr"),
            r"`kernel_size` \(=6\) must be a multiple of the stride \(=4\) for ICNR",
        ),
        (
            lambda: ConvTranspose1d((1, 4), 4, 4, 2, rhs_dilation=3, w_init="icnr"),
            r"`w_init` \(='icnr'\) repeats adjacent taps, which a dilation \(=3\) sets apart",
        ),
        (lambda: initializers.fan_in_uniform(0), r"`fan_in` \(=0\) must be at least 1"),
        (lambda: initializers.unit_variance(stride=0), r"`stride` \(=0\) must be at least 1"),
        (lambda: initializers.unit_variance(dilation=0), r"`dilation` \(=0\) must be at least 1"),
        (lambda: initializers.icnr(stride=-1), r"`stride` \(=-1\) must be at least 1"),
    ],
)
def test_a_wrong_initialiser_is_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()
