"""Laws of streams made of streams, of the models', and of decoding in windows."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import drawn
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import assert_streams, down, signal, up

import convt1d
from convt1d.models import VAE, Decoder, Encoder, Layout

KEY = jax.random.key(0)


@pytest.fixture(autouse=True, scope="module")
def _double_precision():
    with jax.enable_x64(True):
        yield


LAYOUTS = {
    "dac": Layout(strides=(3, 2), channels=(6, 4, 3), dilations=(3,)),
    "wavegan": Layout(
        strides=(4, 4), channels=(4, 3), stride_kernels=(25, 25), dilations=(), activation="relu",
        weight_norm=False,
    ),
    "rave": Layout(strides=(3, 2), channels=(4, 3, 2), dilations=(1,), activation="leaky_relu"),
    "branches": Layout(
        strides=(2,), channels=(4, 3), residual_kernels=(3, 5), dilations=((1,), (2,)),
        residual="twice", activation="leaky_relu", closing_slope=0.01, padding="same_lower",
    ),
    "seanet": Layout(
        strides=(3, 2), channels=(4, 4, 3), residual_kernels=(3,), dilations=(1,), compress=2,
        shortcut=True, activation="elu", padding="causal", lstm=1, weight_norm=False,
    ),
    "symmetric": Layout(strides=(3, 2), channels=(4, 3, 2), dilations=(), padding="symmetric"),
}  # fmt: skip
DECODERS = {
    "dac": lambda: Decoder(1, 4, LAYOUTS["dac"], output="none", key=KEY),
    "wavegan": lambda: Decoder(1, 4, LAYOUTS["wavegan"], output="sigmoid", key=KEY),
    "rave": lambda: Decoder(2, 4, LAYOUTS["rave"], key=KEY),
    "branches": lambda: Decoder(1, 4, LAYOUTS["branches"], output="modulated", key=KEY),
    "symmetric": lambda: Decoder(1, 4, LAYOUTS["symmetric"], key=KEY),
}
RAVE, SYMMETRIC = (pytest.param(name, marks=pytest.mark.slow) for name in ("rave", "symmetric"))


def encoder(**kinds):
    shape: Any = {"latent_kernel_size": 3, "dilations": (1,), "channels": (6, 4, 3)} | kinds
    return drawn(lambda: Encoder(1, 8, Layout(strides=(3, 2), **shape), key=KEY))


PLAIN = Layout(strides=(3, 2), channels=(6, 4, 3), dilations=())


@pytest.mark.parametrize("name", ["dac", "wavegan", RAVE, "branches", SYMMETRIC])
def test_the_stream_of_a_decoder_equals_the_whole(name):
    assert_streams(drawn(DECODERS[name]), signal(7, 4), [3, 4])


def test_a_causal_decoder_streams_without_latency_recurrence_included():
    decoder = drawn(lambda: Decoder(1, 4, LAYOUTS["seanet"], key=KEY))
    assert convt1d.stream(decoder).latency == 0
    assert_streams(decoder, signal(7, 4), [3, 1])


def test_a_causal_encoder_streams_without_latency_recurrence_included():
    model = drawn(lambda: Encoder(1, 4, LAYOUTS["seanet"], key=KEY))
    assert convt1d.stream(model).latency == 0
    assert_streams(model, signal(25, 1), [12, 7])


def test_recurrence_behind_layers_that_look_ahead_streams():
    layout = dataclasses.replace(LAYOUTS["seanet"], padding="same")
    assert_streams(drawn(lambda: Decoder(1, 4, layout, key=KEY)), signal(7, 4), [3, 4])


@pytest.mark.parametrize("kind", [Decoder, Encoder])
def test_a_mirrored_end_is_refused(kind):
    layout = dataclasses.replace(LAYOUTS["seanet"], padding_mode="reflect")
    with pytest.raises(ValueError, match=r"padding_mode='reflect', which .* only 'zeros' streams"):
        convt1d.stream(drawn(lambda: kind(1, 4, layout, key=KEY)))


@pytest.mark.parametrize("length", [31, 4])
def test_the_stream_of_an_encoder_equals_the_whole_of_any_length(length):
    assert_streams(encoder(channels=(6, 4)), signal(length, 1), [12, 7])


@pytest.mark.slow
def test_the_halves_of_an_autoencoder_stream():
    vae = VAE(encoder(), drawn(lambda: Decoder(1, 4, PLAIN, key=KEY)))
    halves = convt1d.stream_chain(
        vae.encoder, lambda features: jnp.split(features, 2, axis=-1)[0], vae.decoder
    )
    assert (halves.ratio, halves.hop) == (1, 6)
    state, y = jax.jit(lambda x: halves.step(halves.init(1), x))(signal(12, 1, batch=1))
    rest = jax.jit(lambda state: halves.flush(state))(state)
    whole = eqx.filter_jit(lambda x: vae.decode(vae.encode(x)[0]))(signal(12, 1, batch=1))
    np.testing.assert_allclose(
        jnp.concatenate([y, rest], 1)[:, halves.latency :], whole, atol=1e-13
    )


def test_branches_wait_for_the_latest():
    early, late = down(3, 3, 4), down(3, 3, 9, dilation=2)
    both = convt1d.stream_sum(convt1d.stream_chain(), [jax.nn.sigmoid, early], late)
    assert both.latency == 8

    class Branches(eqx.Module):
        def __call__(self, x):
            return x + early(jax.nn.sigmoid(x)) + late(x)

    convt1d.stream.register(Branches, lambda _: both)
    assert_streams(Branches(), signal(11, 3), [2, 9])


def test_a_branch_that_shortens_and_lengthens_again_is_summed_after_a_late_layer():
    class Around(eqx.Module):
        down: convt1d.Conv1d
        up: convt1d.ConvTranspose1d

        def __call__(self, x):
            return x + self.up(jnp.tanh(self.down(x)))

    @convt1d.stream.register
    def _(module: Around):
        inner = convt1d.stream_chain(module.down, jnp.tanh, module.up)
        return convt1d.stream_sum(convt1d.stream_chain(), inner)

    around = Around(down(3, 4, 4, 2, padding="CAUSAL"), up(4, 3, 6, 2))
    assert_streams([down(3, 3, 4), around, down(3, 2, 5)], signal(10, 3), [3, 7])


def test_branches_that_end_apart_are_refused():
    around = [down(3, 4, 4, 2, padding="CAUSAL"), up(4, 3, 6, 2)]
    stream = convt1d.stream_sum(convt1d.stream_chain(), convt1d.stream_chain(*around))
    state, _ = stream.step(stream.init(2), signal(3, 3))
    with pytest.raises(ValueError, match=r"the branches of a sum end after \[.*\] more samples"):
        stream.flush(state)


def test_a_function_may_change_the_channels():
    layers = [lambda x: jax.nn.glu(x, axis=-1), down(2, 4, 3), jax.nn.softplus, up(4, 2, 5, 2)]
    stream = convt1d.stream(layers)
    with pytest.raises(ValueError, match=r"`channels` \(=4\) must be 2"):
        stream.init(2, channels=4)
    assert_streams([convt1d.Snake(4), *layers], signal(6, 4).astype("float64"), [2])


@pytest.mark.parametrize("kind", [Decoder, Encoder])
def test_a_fixed_length_is_refused(kind):
    layout = Layout(strides=(2,), channels=(3,))
    model = drawn(lambda: kind(1, 4, layout, length=8, key=KEY))
    with pytest.raises(ValueError, match=f"{kind.__name__} with length=8"):
        convt1d.stream(model)


# ----------------------------------------------------------------------------------------- windows


@pytest.mark.parametrize("name", ["dac", pytest.param("wavegan", marks=pytest.mark.slow), RAVE])
def test_decoding_in_windows_equals_decoding_at_once(name):
    decoder = drawn(DECODERS[name])
    latent = signal(41, 4)
    whole = eqx.filter_jit(decoder)(latent)
    windows = convt1d.decode_chunked(decoder, latent, chunk=9)
    assert isinstance(windows, np.ndarray)
    assert windows.dtype == whole.dtype
    np.testing.assert_allclose(windows, whole, atol=1e-12)


def test_a_decoder_is_compiled_for_one_window():
    lengths = []

    class Spy(eqx.Module):
        layer: convt1d.ConvTranspose1d

        def __call__(self, x):
            lengths.append(x.shape[1])
            return self.layer(x)

    convt1d.stream.register(Spy, lambda spy: convt1d.stream(spy.layer))
    convt1d.decode_chunked(Spy(up(2, 2, 8, 2)), np.ones((1, 100, 2)), chunk=10)
    assert lengths == [10 + 2 + 2]  # frames that reach into the chunk from before, and after


@pytest.mark.slow
@pytest.mark.parametrize("length", [240, 233])
def test_an_encoder_encodes_in_windows(length):
    model, x = encoder(), signal(length, 1)
    whole = eqx.filter_jit(model)(x)
    np.testing.assert_allclose(convt1d.decode_chunked(model, x, chunk=29), whole, atol=1e-12)


CROPPED = [(9, 0), (-3, -4), (2, 2), (1, 20)]


@pytest.mark.parametrize("crop", CROPPED)
def test_layers_of_any_crop_decode_in_windows(crop):
    layer = up(4, 3, 5, 3, crop=crop, channel_first=crop == (2, 2))
    x = signal(40, 4, batch=1)[0]
    x = x.T if layer.channel_first else x
    windows = convt1d.decode_chunked(layer, x, chunk=7)
    np.testing.assert_allclose(windows, eqx.filter_jit(layer)(x), atol=1e-13)


@pytest.mark.slow
@settings(deadline=None, max_examples=12)
@given(
    decoder=st.sampled_from(sorted(DECODERS)),
    frames=st.integers(1, 60),
    chunk=st.integers(1, 70),
)
def test_any_length_decodes_in_any_windows(decoder, frames, chunk):
    model, latent = drawn(DECODERS[decoder]), signal(frames, 4, batch=1)
    whole = eqx.filter_jit(model)(latent)
    windows = convt1d.decode_chunked(model, latent, chunk=chunk)
    np.testing.assert_allclose(windows, whole, atol=1e-12)


@pytest.mark.slow
@settings(deadline=None, max_examples=6)
@given(
    decoder=st.sampled_from(sorted(DECODERS)),
    frames=st.integers(1, 9),
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3),
)
def test_any_decoder_streams_in_any_chunks(decoder, frames, sizes):
    assert_streams(drawn(DECODERS[decoder]), signal(frames, 4, batch=1), sizes)


@pytest.mark.parametrize("chunk", [0, 1.5])
def test_a_window_needs_a_chunk(chunk):
    with pytest.raises(ValueError, match=r"`chunk` \(="):
        convt1d.decode_chunked(up(4, 3, 5, 3), signal(40, 4), chunk=chunk)


def test_windows_refuse_what_cannot_be_cut():
    with pytest.raises(ValueError, match=r"multiple of the stride"):
        convt1d.decode_chunked(down(4, 3, 6, 3), signal(40, 4), chunk=9)
    vae = VAE(encoder(), drawn(lambda: Decoder(1, 4, PLAIN, key=KEY)))
    with pytest.raises(ValueError, match=r"VAE, which cannot be streamed as a whole"):
        convt1d.decode_chunked(vae, signal(40, 1), chunk=9)
