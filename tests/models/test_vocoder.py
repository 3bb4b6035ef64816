"""A vocoder is a decoder of the spectra that its own front end makes."""

import re
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import drawn
from reference.mel_cases import CASES, sounds

import convt1d
from convt1d.models import Decoder, Layout, MelFrontEnd, Vocoder

REFERENCE = Path(__file__).parents[1] / "reference"

LAYOUT = Layout(
    strides=(4, 2), channels=(8, 6, 4), residual_kernels=(3, 5), dilations=(1, 3),
    residual="twice", activation="leaky_relu",
)  # fmt: skip
FRONT_END = MelFrontEnd(8000, 32, 8, 10)


def vocoder(*, mel=FRONT_END, layout=LAYOUT):
    return drawn(lambda: Vocoder(Decoder(1, 10, layout, key=jax.random.key(0)), mel))


def spectra(frames, *, batch=2, seed=0):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.normal(-5, 2, (batch, frames, 10)), jnp.float32)


@pytest.mark.parametrize("name", CASES)
def test_front_end_equals_librosas_in_hifigans_formula(name):
    rate, n_fft, hop, bands, given = CASES[name]
    with np.load(REFERENCE / "mel_front_end.npz") as stored:
        expected = stored[name]
    front_end = jax.jit(MelFrontEnd(rate, n_fft, hop, bands, **given))
    with jax.enable_x64(True):
        exact = front_end(jnp.asarray(sounds()[..., None]))
    np.testing.assert_allclose(exact, expected, atol=1e-10)
    single = front_end(jnp.asarray(sounds()[..., None], jnp.float32))
    # The logarithm of what float32 leaves of the quietest bands, 120 dB below the loudest.
    np.testing.assert_allclose(single, expected, atol=2e-2)
    np.testing.assert_allclose(single.mean((1, 2)), expected.mean((1, 2)), rtol=1e-5)


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize(("n_fft", "hop"), [(32, 8), (32, 7), (16, 16), (16, 12)])
@pytest.mark.parametrize("length", [48, 61])
def test_there_is_a_frame_for_every_hop_of_the_signal(n_fft, hop, length, centred):
    front_end = MelFrontEnd(8000, n_fft, hop, 4, centred=centred)
    made = jax.eval_shape(front_end, jnp.zeros((3, length, 1)))
    assert made.shape == (3, length // hop, 4)


@pytest.mark.parametrize("centred", [True, False])
def test_a_long_signal_may_come_in_pieces_that_overlap(centred):
    front_end = MelFrontEnd(8000, 32, 8, 10, centred=centred)
    signal = jnp.asarray(sounds()[:, :400, None], jnp.float32)
    whole = front_end(signal)
    padded = np.pad(signal, ((0, 0), front_end.reach, (0, 0)), mode="reflect")
    cut = 20 * 8
    pieces = [padded[:, : cut + 32 - 8], padded[:, cut:]]
    made = np.concatenate([front_end.frames(jnp.asarray(piece)) for piece in pieces], axis=1)
    np.testing.assert_allclose(made[:, : whole.shape[1]], whole, atol=1e-5)


def test_silence_is_the_floor_and_has_a_finite_slope():
    silence = jnp.zeros((1, 64, 1))
    np.testing.assert_allclose(FRONT_END(silence), np.log(1e-5), rtol=1e-6)
    slope = jax.jit(jax.grad(lambda x: FRONT_END(x).sum()))(silence)
    assert np.isfinite(slope).all()


@pytest.mark.parametrize("frames", [1, 2, 13])
def test_exactly_hop_samples_are_made_of_each_frame(frames):
    model = vocoder()
    made = jax.eval_shape(model, spectra(frames))
    assert made.shape == (2, frames * model.hop, 1)
    assert jax.eval_shape(model.front_end, made).shape[1] == frames if frames > 2 else True


def test_the_decoder_sees_silence_as_minus_two_and_one_as_two():
    model = vocoder()
    seen = jnp.asarray([-2.0, 2.0, 0.0])[None, :, None] * jnp.ones((2, 3, 10))
    mels = jnp.asarray([np.log(1e-5), 0.0, np.log(1e-5) / 2], jnp.float32)
    given = mels[None, :, None] * jnp.ones((2, 3, 10))
    np.testing.assert_allclose(model(given), model.decoder(seen), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("chunks", [(1,) * 9, (4, 5), (9,)])
def test_a_stream_of_spectra_equals_the_whole(chunks):
    model, mels = vocoder(), spectra(9)
    stream = convt1d.stream(model)
    assert (stream.ratio, stream.hop, stream.channels) == (8, 1, 10)
    state, pieces, at = stream.init(batch=2), [], 0
    step = eqx.filter_jit(stream.step)
    for size in chunks:
        state, made = step(state, mels[:, at : at + size])
        pieces.append(made)
        at += size
    streamed = jnp.concatenate([*pieces, stream.flush(state)], axis=1)[:, stream.latency :]
    np.testing.assert_allclose(streamed, model(mels), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("high", [None, 3500.0])
def test_the_front_end_is_saved_with_the_model(tmp_path, high):
    front_end = MelFrontEnd(8000, 32, 8, 10, low=50.0, high=high, scale="htk", centred=True)
    model = vocoder(mel=front_end)
    convt1d.save(tmp_path, model)
    again = convt1d.load(tmp_path)
    assert again.mel == front_end
    signal = jnp.asarray(sounds()[:1, :80, None], jnp.float32)
    np.testing.assert_array_equal(again(again.front_end(signal)), model(model.front_end(signal)))


def test_its_summary_is_the_decoders():
    model = vocoder()
    rows = convt1d.summary(model, 80)
    assert [row[1:] for row in rows] == [row[1:] for row in convt1d.summary(model.decoder, 80)]
    count = sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(model, eqx.is_array)))
    assert sum(row.parameters for row in rows) == count


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_weights_of_half_precision_leave_the_signal_in_its_own(dtype):
    model = vocoder()
    half = jax.tree.map(lambda leaf: leaf.astype(dtype), model)
    made = half(spectra(6))
    assert made.dtype == jnp.float32
    np.testing.assert_allclose(made, model(spectra(6)), atol=0.05)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"n_fft": 31}, "`n_fft` (=31) must be an even number of at least 2."),
        ({"hop": 40}, "`hop` (=40) must be at most n_fft (=32), or samples are lost."),
        ({"floor": 0.0}, "`floor` (=0.0) must lie between 0 and 1, such as 1e-5."),
        ({"bands": 0}, "`bands` (=0) must be at least 1."),
        ({"scale": "bark"}, "`scale` (='bark')"),
        ({"high": 5000.0}, "low is 0.0 and high is 5000.0"),
        ({"norm": "l2"}, "norm is 'l2'; choose None or slaney"),
    ],
)
def test_a_front_end_refuses_what_it_cannot_be(given, said):
    sizes = {"n_fft": 32, "hop": 8, "bands": 10} | given
    with pytest.raises(ValueError, match=re.escape(said)):
        MelFrontEnd(8000, **sizes)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((2, 64, 2), "`signal` has shape (2, 64, 2), but a mel front end takes (batch, length, 1)"),
        ((2, 64), "`signal` has shape (2, 64), but"),
        ((2, 12, 1), "`signal` has 12 samples, but its ends are reflected by 12"),
    ],
)
def test_a_front_end_refuses_a_signal_it_cannot_take(shape, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        FRONT_END(jnp.zeros(shape))


@pytest.mark.parametrize(
    ("mel", "length", "said"),
    [
        (MelFrontEnd(8000, 32, 16, 10), None, "must have the front end's hop 16, its 10 bands"),
        (MelFrontEnd(8000, 32, 8, 12), None, "must have the front end's hop 8, its 12 bands"),
        (FRONT_END, 64, "`decoder` makes signals of 64 samples"),
    ],
)
def test_a_vocoder_refuses_parts_that_do_not_fit(mel, length, said):
    def make():
        decoder = Decoder(1, 10, LAYOUT, length=length, key=jax.random.key(0))
        return Vocoder(decoder, mel)

    with pytest.raises(ValueError, match=re.escape(said)):
        eqx.filter_eval_shape(make)
