"""A conditional decoder is its decoder, fed with a label's vector beside the noise."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import drawn

import convt1d
from convt1d.models import Conditional, Decoder, Layout

LAYOUT = Layout(strides=(4, 2), channels=(8, 6, 4), dilations=(1,))
LABEL = np.array([2, 0, 1, 2], np.int32)


def conditional(*, length=None, layout=LAYOUT):
    def make():
        decoder = Decoder(2, 5, layout, length=length, key=jax.random.key(0))
        return Conditional(decoder, 3, embedding=2, key=jax.random.key(1))

    return drawn(make)


def noise(model, frames):
    shape = (len(LABEL), frames, model.latent)
    return jnp.asarray(np.random.default_rng(0).standard_normal(shape), jnp.float32)


@pytest.mark.parametrize(("length", "frames"), [(None, 6), (44, 1)])
def test_the_decoder_sees_the_noise_and_the_vector_of_the_label(length, frames):
    model = conditional(length=length)
    latent = noise(model, frames)
    vectors = np.repeat(np.asarray(model.vectors)[LABEL][:, None], frames, axis=1)
    expected = model.decoder(jnp.concatenate([latent, jnp.asarray(vectors)], axis=2))
    made = model(latent, jnp.asarray(LABEL))
    np.testing.assert_array_equal(made, expected)
    assert made.shape[1] == (length or frames * model.hop)
    assert model.latent_length(made.shape[1]) == frames


def test_it_tells_of_itself_what_a_decoder_does():
    model = conditional()
    assert (model.latent, model.signal, model.hop, model.length) == (3, 2, 8, None)
    assert model.layout == LAYOUT
    half = Conditional(model.decoder, 3, key=jax.random.key(1))
    assert (half.latent, half.embedding) == (3, 2)


@pytest.mark.slow
def test_only_the_vectors_of_the_labels_seen_are_taught():
    model = conditional()
    label = jnp.asarray([2, 2, 0, 2])

    def total(vectors):
        taught = eqx.tree_at(lambda model: model.vectors, model, vectors)
        return jnp.sum(taught(noise(model, 2), label))

    slope = np.abs(jax.grad(total)(model.vectors)).sum(axis=1)
    assert (slope[[0, 2]] > 0).all()
    assert slope[1] == 0


@pytest.mark.parametrize("label", [3, -1])
def test_a_label_of_no_class_is_not_taken_for_another(label):
    model = conditional()
    made = model(noise(model, 2), jnp.full(4, label))
    assert np.isnan(made).all()


def test_it_is_saved_and_summed_up(tmp_path):
    model = conditional(length=44)
    convt1d.save(tmp_path, model)
    again = convt1d.load(tmp_path)
    latent = noise(model, 1)
    label = jnp.asarray(LABEL)
    np.testing.assert_array_equal(again(latent, label), model(latent, label))
    rows = convt1d.summary(model, 44)
    assert rows[0].parameters == 3 * 2
    assert sum(row.parameters for row in rows) == sum(
        leaf.size for leaf in jax.tree.leaves(model) if hasattr(leaf, "size")
    )


@pytest.mark.slow
def test_weights_in_half_precision_compute_in_it_and_return_the_noise_s_type():
    model = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), conditional())
    assert model(noise(model, 2), jnp.asarray(LABEL)).dtype == jnp.float32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": -1}, r"`classes` \(=-1\) must be an int of at least 0"),
        ({"embedding": 1.5}, r"`embedding` \(=1\.5\) must be an int of at least 1"),
        ({"embedding": 5}, r"has 5 latent channels, of which `embedding` \(=5\) are the label"),
    ],
)
def test_a_wrong_argument_is_named(arguments, message):
    decoder = Decoder(2, 5, LAYOUT, key=jax.random.key(0))
    chosen = {"classes": 3, "embedding": 2} | arguments
    with pytest.raises(ValueError, match=message):
        Conditional(
            decoder, chosen["classes"], embedding=chosen["embedding"], key=jax.random.key(1)
        )
