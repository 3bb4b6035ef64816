"""What conditional models are told stands where it should, and nothing of it is lost."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import drawn

import convt1d
from convt1d.models import (
    VAE,
    Banded,
    BandedEncoder,
    Conditional,
    ConditionalEncoder,
    Decoder,
    Encoder,
    Layout,
)

LAYOUT = Layout(strides=(4, 2), channels=(8, 6, 4), dilations=(1,))
KEYS = jax.random.split(jax.random.key(0), 4)
RNG = np.random.default_rng(0)
LABEL = jnp.asarray([2, 0, 1], jnp.int32)
HOP = LAYOUT.hop


def numbers(*shape):
    return jnp.asarray(RNG.standard_normal(shape), jnp.float32)


def autoencoder(*, length=None, classes=3, covariates=2, bands=1):
    """A conditional VAE of one channel and four latents; an embedding of two."""
    embedding = 2 if classes else 0
    hop, seen = HOP * bands, 1 + embedding + covariates

    def make():
        encoder = Encoder(seen * bands, 8, LAYOUT, length=length, key=KEYS[0])
        told = 4 + embedding + covariates * (length or hop)
        decoder = Decoder(bands, told, LAYOUT, length=length, key=KEYS[1])
        if bands > 1:
            encoder = BandedEncoder(encoder, convt1d.PQMF(bands, channels=seen))
            decoder = Banded(decoder, convt1d.PQMF(bands))
        known = {"embedding": embedding, "covariates": covariates}
        return VAE(
            ConditionalEncoder(encoder, classes, **known, key=KEYS[2]),
            Conditional(decoder, classes, **known, key=KEYS[3]),
        )

    return drawn(make)


@pytest.mark.parametrize(("length", "samples"), [(None, 5 * HOP), (None, 5 * HOP - 3), (30, 30)])
def test_a_latent_step_is_told_of_each_of_its_samples_in_order(length, samples):
    model = autoencoder(length=length).decoder
    given = numbers(3, samples, 2)
    frames = model.latent_length(samples)
    rows = np.asarray(model.conditions(frames, LABEL, given))
    vectors = np.asarray(model.vectors)[np.asarray(LABEL)]
    whole = length or frames * HOP
    for batch in range(3):
        for frame in range(frames):
            np.testing.assert_array_equal(rows[batch, frame, :2], vectors[batch])
            span = np.zeros((whole // frames, 2), np.float32)
            part = np.asarray(given[batch, frame * HOP : frame * HOP + len(span)])
            span[: len(part)] = part
            np.testing.assert_array_equal(rows[batch, frame, 2:], span.reshape(-1))
    latent = numbers(3, frames, model.latent)
    expected = model.decoder(jnp.concatenate([latent, jnp.asarray(rows)], axis=2))
    np.testing.assert_array_equal(model(latent, LABEL, given), expected)


def test_an_encoder_hears_what_is_known_beside_the_signal():
    model = autoencoder().encoder
    signal, given = numbers(3, 20, 1), numbers(3, 20, 2)
    vectors = jnp.repeat(model.vectors[LABEL][:, None], 20, axis=1)
    expected = model.encoder(jnp.concatenate([signal, vectors, given], axis=2))
    np.testing.assert_array_equal(model(signal, LABEL, given), expected)
    assert (model.signal, model.features, model.hop, model.length) == (1, 8, HOP, None)


@pytest.mark.slow
@pytest.mark.parametrize("bands", [1, 2])
@pytest.mark.parametrize(("classes", "covariates"), [(3, 0), (0, 2), (3, 2)])
def test_every_condition_reaches_both_halves_and_every_sample_counts(classes, covariates, bands):
    model = autoencoder(classes=classes, covariates=covariates, bands=bands)
    length = 3 * HOP * bands
    signal, latent = numbers(3, length, 1), numbers(3, 3, 4)
    label = LABEL if classes else None
    given = numbers(3, length, covariates) if covariates else None
    mean, made = model.encode(signal, label, given)[0], model.decode(latent, label, given)
    assert mean.shape == latent.shape
    assert made.shape == signal.shape
    if label is not None:
        other = jnp.asarray([1, 0, 1], jnp.int32)
        heard, told = model.encode(signal, other, given)[0], model.decode(latent, other, given)
        for before, after in ((mean, heard), (made, told)):
            moved = np.abs(np.asarray(after - before)).max(axis=(1, 2)) > 1e-6
            assert moved.tolist() == [True, False, False]
    if given is not None:

        def loud(given, what):
            return jnp.square(what(given)).sum()

        for what in (lambda g: model.encode(signal, label, g)[0],
                     lambda g: model.decode(latent, label, g)):  # fmt: skip
            slope = np.abs(jax.grad(loud)(given, what))
            assert (slope > 0).all()


def test_it_is_saved_loaded_and_summed_up(tmp_path):
    model = autoencoder(length=30, classes=0)
    convt1d.save(tmp_path, model)
    again = convt1d.load(tmp_path)
    signal, given = numbers(2, 30, 1), numbers(2, 30, 2)
    mean, _ = model.encode(signal, None, given)
    np.testing.assert_array_equal(again.encode(signal, None, given)[0], mean)
    np.testing.assert_array_equal(again.decode(mean, None, given), model.decode(mean, None, given))
    for vae in (model, autoencoder()):
        rows = convt1d.summary(vae, 30)
        counted = sum(leaf.size for leaf in jax.tree.leaves(vae) if hasattr(leaf, "size"))
        assert sum(row.parameters for row in rows) == counted
    assert [row.name for row in rows if "Embedding" in row.kind] == [
        "encoder.vectors", "decoder.vectors",
    ]  # fmt: skip


def test_what_is_known_does_not_stream_and_the_error_says_what_does():
    model = autoencoder()
    with pytest.raises(ValueError, match=r"is a Conditional, .* stream its `decoder`"):
        convt1d.stream(model.decoder)
    with pytest.raises(ValueError, match=r"is a ConditionalEncoder, .* stream its `encoder`"):
        convt1d.stream(model.encoder)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": 0}, "`classes` and `covariates` are both 0: then there is no condition"),
        ({"covariates": -1}, r"`covariates` \(=-1\) must be an int of at least 0"),
        ({"covariates": 2, "classes": 0, "embedding": 1}, "is of labels, and `classes` is 0"),
        ({"covariates": 6}, r"takes 5 channels, of which `embedding` \(=3\) are the label's and"),
    ],
)
def test_a_wrong_argument_of_an_encoder_is_named(arguments, message):
    encoder = Encoder(5, 4, LAYOUT, key=KEYS[0])
    chosen = {"classes": 3} | arguments
    with pytest.raises(ValueError, match=message):
        ConditionalEncoder(encoder, **chosen, key=KEYS[1])


def test_a_decoder_too_narrow_for_its_covariates_is_refused():
    decoder = Decoder(1, 2 * HOP, LAYOUT, key=KEYS[0])
    with pytest.raises(ValueError, match=r"and 16 the covariates', `covariates` .=2. at each"):
        Conditional(decoder, covariates=2, key=KEYS[1])


@pytest.mark.parametrize(
    ("label", "shape", "message"),
    [
        (None, (3, 24, 2), "`label` is None, but this model was made with some"),
        (LABEL, None, "`covariates` is None, but this model was made with some"),
        (LABEL, (3, 24, 3), "`covariates` have 3 channels, and this model was made with"),
        (LABEL, (3, 16, 2), "`covariates` are of 16 samples, and the"),
    ],
)
def test_conditions_that_do_not_fit_are_refused(label, shape, message):
    model = autoencoder()
    given = None if shape is None else jnp.ones(shape)
    with pytest.raises(ValueError, match=message):
        model.encode(jnp.ones((3, 24, 1)), label, given)
    with pytest.raises(ValueError, match=message):
        model.decode(jnp.ones((3, 3, 4)), label, given)


def test_halves_that_are_told_of_other_things_do_not_go_together():
    told, plain = autoencoder(), autoencoder(covariates=1)
    with pytest.raises(ValueError, match="knows 3 labels and 2 covariates, and `decoder` 3 and 1"):
        VAE(told.encoder, plain.decoder)
    vae = VAE(Encoder(1, 8, LAYOUT, key=KEYS[0]), Decoder(1, 4, LAYOUT, key=KEYS[1]))
    with pytest.raises(ValueError, match="`label` is given, but this model was made without"):
        vae.encode(jnp.ones((3, 24, 1)), LABEL)
