"""Laws of the encoders, decoders and autoencoders."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import drawn

import convt1d
from convt1d.models import VAE, Decoder, Encoder, Layout

KEYS = jax.random.split(jax.random.key(0))

LENGTHS = {"wavegan": 40}  # fixed ones
LAYOUTS = {
    "dac": Layout(strides=(4, 2), channels=(8, 6, 4), dilations=(3,)),
    "odd strides": Layout(strides=(3, 5), channels=(8, 6, 4), dilations=()),
    "wavegan": Layout(
        strides=(4, 4), channels=(8, 6), stride_kernels=(25, 25), dilations=(), activation="relu",
        weight_norm=False,
    ),
    "elu": Layout(strides=(2,), channels=(6, 4), dilations=(1,), activation="elu"),
    "branches": Layout(
        strides=(2,), channels=(6, 4), residual_kernels=(3, 5), dilations=((1, 2), (3,)),
        residual="twice", activation="leaky_relu", slope=0.1, closing_slope=0.01,
    ),
    "seanet": Layout(
        strides=(3,), channels=(6, 4), residual_kernels=(3,), dilations=(1,), compress=2,
        shortcut=True, activation="elu", padding="causal", lstm=2, bias=False, closing_bias=True,
    ),
}  # fmt: skip


def pair(name, *, signal=2, latent=3, **changes):
    """A model with numbers of numpy's."""
    layout, length = dataclasses.replace(LAYOUTS[name], **changes), LENGTHS.get(name)
    return drawn(
        lambda: VAE(
            Encoder(signal, 2 * latent, layout, length=length, key=KEYS[0]),
            Decoder(signal, latent, layout, length=length, key=KEYS[1]),
        )
    )


def length_of(name, model) -> int:
    return LENGTHS[name] if name in LENGTHS else 4 * model.hop


def count(model):
    return sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array)))


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_lengths_are_those_that_the_model_promises(name):
    model = pair(name)
    length = length_of(name, model)
    mean, log_std = eqx.filter_eval_shape(model.encode, jnp.ones((2, length, 2)))
    assert mean.shape == log_std.shape == (2, model.latent_length(length), model.latent)
    assert eqx.filter_eval_shape(model.decode, mean).shape == (2, length, 2)


def test_a_length_that_is_no_multiple_of_the_hop_is_encoded_whole():
    model = pair("dac")
    mean, _ = eqx.filter_eval_shape(model.encode, jnp.ones((2, 4 * model.hop + 1, 2)))
    assert mean.shape[1] == model.latent_length(4 * model.hop + 1) == 5


@pytest.mark.parametrize("name", ["dac", "wavegan"])
def test_a_signal_comes_out_alive_at_initialisation(name):
    """Neither silent nor clipped, whatever the strides: a decoder must be able to begin."""
    frames = 1 if name in LENGTHS else 32

    @jax.jit
    def begin(key):
        decoder = Decoder(1, 8, LAYOUTS[name], length=LENGTHS.get(name), key=key)
        return jnp.std(decoder(jax.random.normal(key, (16, frames, 8))))

    assert 0.02 < float(begin(KEYS[1])) < 0.8


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_weight_matters(name):
    model = pair(name)
    length = length_of(name, model)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, length, 2)), jnp.float32)

    @eqx.filter_jit
    @eqx.filter_grad
    def gradient(model):
        mean, log_std = model.encode(x)
        return jnp.sum(jnp.square(model.decode(mean + log_std) - x))

    leaves = jax.tree_util.tree_leaves_with_path(gradient(model))
    silent = [jax.tree_util.keystr(path) for path, leaf in leaves if not jnp.any(leaf)]
    assert not silent


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_summary_counts_every_parameter_and_ends_at_the_signal(name):
    model = pair(name)
    length = length_of(name, model)
    rows = convt1d.summary(model, length)
    assert sum(row.parameters for row in rows) == count(model)
    assert rows[-1].length >= length
    assert rows[-1].channels == 2
    halves = [
        sum(r.parameters for r in rows if r.name.startswith(n)) for n in ("encoder", "decoder")
    ]
    assert halves == [count(model.encoder), count(model.decoder)]


def test_an_unknown_output_is_refused():
    with pytest.raises(ValueError, match=r"`output` \(='relu'\) must be one of 'none', 'sigmoid'"):
        Decoder(1, 4, LAYOUTS["elu"], output="relu", key=KEYS[0])


def test_halves_that_do_not_fit_are_refused():
    layout = LAYOUTS["elu"]
    decoder = drawn(lambda: Decoder(1, 3, layout, key=KEYS[0]))
    with pytest.raises(ValueError, match=r"`encoder` gives 5 features, .* are 6"):
        VAE(drawn(lambda: Encoder(1, 5, layout, key=KEYS[0])), decoder)
    with pytest.raises(ValueError, match=r"`encoder` \(hop 2, length None, 2 channels\) and `deco"):
        VAE(drawn(lambda: Encoder(2, 6, layout, key=KEYS[0])), decoder)


def test_an_encoder_of_a_fixed_length_refuses_another_length():
    with pytest.raises(ValueError, match=r"takes 40 samples, but got 41"):
        pair("wavegan").encode(jnp.ones((1, 41, 2)))


@pytest.mark.parametrize("kind", [Decoder, Encoder])
def test_lengths_that_cannot_be_fixed_are_refused(kind):
    with pytest.raises(ValueError, match=r"`length` \(=0\) must be at least 1, or None for any"):
        kind(1, 4, LAYOUTS["elu"], length=0, key=KEYS[0])
    symmetric = Layout(strides=(3,), channels=(4,), padding="symmetric")
    with pytest.raises(ValueError, match=r"`length` \(=9\) needs the exact lengths of padding='s"):
        kind(1, 4, symmetric, length=9, key=KEYS[0])


def test_features_are_as_many_as_the_last_channels():
    with pytest.raises(ValueError, match=r"`signal` \(=3\) must be the last of `channels` \(=\(6"):
        Decoder(3, 4, LAYOUTS["elu"], output="features", key=KEYS[0])


@pytest.mark.parametrize("name", ["dac", "branches", "seanet"])
def test_a_model_computes_in_the_dtype_of_its_weights_and_returns_that_of_its_input(name):
    model = pair(name)
    half = lambda leaf: leaf.astype(jnp.bfloat16) if eqx.is_array(leaf) else leaf  # noqa: E731
    model = jax.tree.map(half, model)

    def there_and_back(x):
        return model.decoder(model.encoder(x)[..., :3])

    for dtype in (jnp.float32, jnp.bfloat16):
        x = jax.ShapeDtypeStruct((2, 48, 2), dtype)
        assert jax.eval_shape(there_and_back, x).dtype == dtype
    program = jax.make_jaxpr(there_and_back)(jax.ShapeDtypeStruct((2, 48, 2), jnp.float32))
    operands = {str(dtype) for dtype in _multiplied(program.jaxpr)}
    assert operands == {"bfloat16"}


def _multiplied(jaxpr):
    """The dtypes of all operands of layers and matrix products, inner programs included."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("dot_general", "convt1d_refine", "convt1d_coarsen"):
            yield from (variable.aval.dtype for variable in equation.invars)
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)  # of a closed one
            if hasattr(inner, "eqns"):
                yield from _multiplied(inner)


@pytest.mark.slow
def test_rematerialising_changes_no_number():
    layout = Layout(strides=(2, 2), channels=(5, 4, 3), dilations=(1,), weight_norm=False)
    again = dataclasses.replace(layout, rematerialise=True)
    decoders = [
        drawn(lambda layout=it: Decoder(1, 3, layout, key=KEYS[0])) for it in (layout, again)
    ]
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 6, 3)), jnp.float32)
    arrays = jax.tree.leaves(decoders[0])

    def gradient(decoder):
        structure = jax.tree.structure(decoder)
        return jax.grad(lambda a: jnp.mean(jnp.square(jax.tree.unflatten(structure, a)(x))))

    assert [_checkpoints(gradient(it), arrays) for it in decoders] == [0, 2]  # one for each stride
    for one, two in zip(*(jax.jit(gradient(it))(arrays) for it in decoders), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-7)


def _checkpoints(function, *arguments):
    """How many parts of a gradient's program are computed again; activations' own are not asked."""
    return str(jax.make_jaxpr(function)(*arguments)).count("prevent_cse=True")
