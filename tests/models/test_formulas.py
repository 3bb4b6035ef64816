"""The families, written out in numpy from their formulas."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import drawn
from test_recurrent import written_out

from convt1d.models import Decoder, Encoder, Layout

KEY = jax.random.key(0)


@pytest.fixture(autouse=True, scope="module")
def _double_precision():
    with jax.enable_x64(True):
        yield


def leaky(x, slope):
    return np.where(x > 0, x, slope * x)


def elu(x):
    return np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1)


def conv(layer: Any, x: Any, *, stride=1, dilation=1, pads):
    """``y[n] = b + sum_k w[k]^T x[n s + k d]`` of the padded signal."""
    weight = layer.weight
    x = pads(x) if callable(pads) else np.pad(x, ((0, 0), pads, (0, 0)))
    frames = (x.shape[1] - (weight.shape[0] - 1) * dilation - 1) // stride + 1
    y = np.zeros((x.shape[0], frames, weight.shape[2]))
    for k, taps in enumerate(weight):
        y += x[:, k * dilation :][:, : (frames - 1) * stride + 1 : stride] @ taps
    return y if layer.bias is None else y + layer.bias


def up(layer: Any, x: Any, *, stride, crop):
    """``full[n s + k] += x[n] w[k]``, less the crop."""
    taps = layer.weight.shape[0]
    full = np.zeros((x.shape[0], (x.shape[1] - 1) * stride + taps, layer.weight.shape[1]))
    for n in range(x.shape[1]):
        for k in range(taps):
            full[:, n * stride + k] += x[:, n] @ layer.weight[k].T
    full = full[:, crop[0] : full.shape[1] - crop[1]]
    return full if layer.bias is None else full + layer.bias


# ------------------------------------------------------------------------------------- HiFi-GAN

HIFIGAN = {
    "1": Layout(
        strides=(4, 2), channels=(8, 6, 4), stride_kernels=(8, 4), residual_kernels=(3, 5),
        dilations=(1, 3), residual="twice", activation="leaky_relu", slope=0.1, closing_slope=0.01,
        weight_norm=False,
    ),
    "2": Layout(
        strides=(2, 3), channels=(8, 6, 4), stride_kernels=(4, 5), residual_kernels=(3, 5),
        dilations=((1, 2), (2, 6)), residual="single", activation="leaky_relu", slope=0.1,
        closing_slope=0.01, weight_norm=False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", HIFIGAN)
def test_a_decoder_after_hifigan_is_the_formula(kind):
    layout = HIFIGAN[kind]
    decoder = drawn(lambda: Decoder(1, 5, layout, key=KEY))
    plain, x = (
        jax.tree.map(np.asarray, decoder),
        np.random.default_rng(1).standard_normal((2, 6, 5)),
    )
    y = conv(plain.first, x, pads=(3, 3))
    for i, stage in enumerate(plain.stages):
        taps, stride = layout.stride_kernels[i], layout.strides[i]
        crop = (taps - stride) // 2
        y = up(stage.up, leaky(y, 0.1), stride=stride, crop=(crop, crop))
        ends = []
        for b, units in enumerate(stage.branches):
            r, size = y, layout.residual_kernels[b]
            for unit, dilation in zip(units, layout.branches[b], strict=True):
                pad = (size - 1) * dilation // 2
                z = conv(unit.dilated, leaky(r, 0.1), dilation=dilation, pads=(pad, pad))
                if kind == "1":
                    z = conv(unit.mixing, leaky(z, 0.1), pads=(size // 2, size // 2))
                r = r + z
            ends.append(r)
        y = np.mean(ends, axis=0)
    expected = np.tanh(conv(plain.last, leaky(y, 0.01), pads=(3, 3)))
    np.testing.assert_allclose(eqx.filter_jit(decoder)(x), expected, atol=1e-12)


# --------------------------------------------------------------------------------------- SEANet

SEANET = Layout(
    strides=(3, 2), channels=(8, 6, 4), residual_kernels=(3,), dilations=(2,), compress=2,
    shortcut=True, activation="elu", padding="causal", padding_mode="reflect", lstm=1,
    weight_norm=False,
)  # fmt: skip


def mirrored(taps, *, stride=1, dilation=1, causal):
    """EnCodec's padding; what is too short to be mirrored is continued by zeros, and cut again."""
    total = (taps - 1) * dilation + 1 - stride
    pads = (total, 0) if causal else (total - total // 2, total // 2)

    def pad(x):
        missing = max(0, max(pads) + 1 - x.shape[1])
        x = np.pad(x, ((0, 0), (0, missing), (0, 0)))
        x = np.pad(x, ((0, 0), pads, (0, 0)), "reflect")
        return x[:, : x.shape[1] - missing]

    return pad


def seanet_unit(unit, x, *, causal):
    y = conv(unit.dilated, elu(x), dilation=2, pads=mirrored(3, dilation=2, causal=causal))
    return conv(unit.skip, x, pads=(0, 0)) + conv(unit.mixing, elu(y), pads=(0, 0))


@pytest.mark.parametrize("frames", [1, 4, 9])
@pytest.mark.parametrize("padding", ["causal", "same_lower"])
def test_a_decoder_after_seanet_is_the_formula(padding, frames):
    layout, causal = dataclasses.replace(SEANET, padding=padding), padding == "causal"
    decoder = drawn(lambda: Decoder(1, 5, layout, output="none", key=KEY))
    plain = jax.tree.map(np.asarray, decoder)
    x = np.random.default_rng(1).standard_normal((2, frames, 5))
    y = conv(plain.first, x, pads=mirrored(7, causal=causal))
    y = y + written_out(plain.recurrence.layers[0], y)
    for stage, stride in zip(plain.stages, layout.strides, strict=True):
        crop = (0, stride) if causal else (stride - stride // 2, stride // 2)
        y = up(stage.up, elu(y), stride=stride, crop=crop)
        y = seanet_unit(stage.branches[0][0], y, causal=causal)
    expected = conv(plain.last, elu(y), pads=mirrored(7, causal=causal))
    np.testing.assert_allclose(eqx.filter_jit(decoder)(x), expected, atol=1e-12)


@pytest.mark.parametrize("padding", ["causal", "same_lower"])
def test_an_encoder_after_seanet_is_the_formula(padding):
    layout, causal = dataclasses.replace(SEANET, padding=padding), padding == "causal"
    encoder = drawn(lambda: Encoder(1, 5, layout, key=KEY))
    plain = jax.tree.map(np.asarray, encoder)
    x = np.random.default_rng(1).standard_normal((2, 24, 1))
    y = conv(plain.first, x, pads=mirrored(7, causal=causal))
    for stage, stride in zip(plain.stages, (2, 3), strict=True):
        y = seanet_unit(stage.branches[0][0], y, causal=causal)
        pads = mirrored(2 * stride, stride=stride, causal=causal)
        y = conv(stage.down, elu(y), stride=stride, pads=pads)
    y = y + written_out(plain.recurrence.layers[0], y)
    expected = conv(plain.last, elu(y), pads=mirrored(7, causal=causal))
    np.testing.assert_allclose(eqx.filter_jit(encoder)(x), expected, atol=1e-12)


# ------------------------------------------------------------------------------- DAC and RAVE v2


def test_a_decoder_after_rave_is_the_formula():
    layout = Layout(
        strides=(2, 4), channels=(8, 6, 4), latent_kernel_size=3, residual_kernels=(3,),
        dilations=(1, 3), units=(1, 2), activation="leaky_relu", bias=False, weight_norm=False,
    )  # fmt: skip
    decoder = drawn(lambda: Decoder(2, 5, layout, output="modulated", key=KEY))
    assert not [leaf for leaf in jax.tree.leaves(decoder) if leaf.ndim == 1]  # no bias anywhere
    plain, x = (
        jax.tree.map(np.asarray, decoder),
        np.random.default_rng(1).standard_normal((2, 6, 5)),
    )
    y = conv(plain.first, x, pads=(1, 1))
    for stage, stride in zip(plain.stages, layout.strides, strict=True):
        y = up(stage.up, leaky(y, 0.2), stride=stride, crop=(stride // 2, stride // 2))
        for unit, dilation in zip(stage.branches[0], (1, 3), strict=False):
            z = conv(unit.dilated, leaky(y, 0.2), dilation=dilation, pads=(dilation, dilation))
            y = y + conv(unit.mixing, leaky(z, 0.2), pads=(0, 0))
    wave, amplitude = np.split(conv(plain.last, leaky(y, 0.2), pads=(3, 3)), 2, axis=2)
    expected = np.tanh(wave / (1 + np.exp(-amplitude)))
    np.testing.assert_allclose(eqx.filter_jit(decoder)(x), expected, atol=1e-12)


def snake(x, alpha):
    return x + np.sin(alpha * x) ** 2 / (alpha + 1e-9)


def test_symmetric_crops_are_those_of_dac():
    layout = Layout(
        strides=(5, 2), channels=(8, 6, 4), dilations=(), padding="symmetric", weight_norm=False
    )
    decoder = drawn(lambda: Decoder(1, 5, layout, key=KEY))
    plain, x = (
        jax.tree.map(np.asarray, decoder),
        np.random.default_rng(1).standard_normal((2, 6, 5)),
    )
    y = conv(plain.first, x, pads=(3, 3))
    for stage, stride in zip(plain.stages, layout.strides, strict=True):
        crop = -(-stride // 2)
        y = up(stage.up, snake(y, plain_alpha(stage)), stride=stride, crop=(crop, crop))
    expected = np.tanh(conv(plain.last, snake(y, plain.closing.alpha), pads=(3, 3)))
    assert expected.shape[1] == 6 * 10 - 2  # a sample less per odd stride, times those after it
    np.testing.assert_allclose(eqx.filter_jit(decoder)(x), expected, atol=1e-12)

    encoder = drawn(lambda: Encoder(1, 5, layout, key=KEY))
    plain, x = (
        jax.tree.map(np.asarray, encoder),
        np.random.default_rng(1).standard_normal((2, 30, 1)),
    )
    y = conv(plain.first, x, pads=(3, 3))
    for stage, stride in zip(plain.stages, (2, 5), strict=True):
        pad = -(-stride // 2)
        y = conv(stage.down, snake(y, plain_alpha(stage)), stride=stride, pads=(pad, pad))
    expected = conv(plain.last, snake(y, plain.closing.alpha), pads=(3, 3))
    assert expected.shape[1] == 3
    np.testing.assert_allclose(eqx.filter_jit(encoder)(x), expected, atol=1e-12)


def plain_alpha(stage):
    return stage.activation.alpha


def test_features_are_what_the_last_layer_takes():
    layout = Layout(strides=(4,), channels=(6, 4), dilations=(1,), activation="elu")
    whole = drawn(lambda: Decoder(1, 3, layout, output="none", key=KEY))
    features = drawn(lambda: Decoder(4, 3, layout, output="features", key=KEY))
    x = jnp.asarray(np.random.default_rng(1).standard_normal((2, 6, 3)))
    assert features.last is None
    expected = jax.jit(lambda x: whole.last(whole.closing(features(x))))(x)
    np.testing.assert_allclose(eqx.filter_jit(whole)(x), expected, atol=1e-12)
