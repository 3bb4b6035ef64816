"""The two phases of an autoencoder with a critic: what moves in each, and what it is told."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import drawn

import convt1d
from apps.engine.mesh import make_mesh, place, place_batch
from apps.engine.phases import make_phased_step
from apps.engine.state import init_state
from apps.objectives import maker, vae_gan
from apps.objectives.adversary import CRITIC, Adversary
from apps.objectives.critics import make_critics
from apps.objectives.elbo import Elbo
from convt1d.models import VAE, Decoder, Encoder, Layout

LENGTH = 32
LAYOUT = Layout(strides=(4,), channels=(4,), dilations=(), activation="elu")
KEYS = jax.random.split(jax.random.key(0), 3)
BOUND = Elbo(
    rate=None, reconstruction="l2", reconstruction_weight=2.0, l1_weight=1.0, kl_weight=0.1
)


def autoencoder():
    return drawn(
        lambda: VAE(
            Encoder(1, 6, LAYOUT, key=KEYS[0]),
            Decoder(1, 3, LAYOUT, key=KEYS[1]),
        )
    )


def critic():
    return drawn(lambda: make_critics(1, length=LENGTH, wave=True, channels=2, key=KEYS[2]))


def batch(count):
    return np.random.default_rng(0).standard_normal((count, LENGTH, 1)).astype(np.float32)


def unchanged(signal):
    return signal


def aim(**settings):
    chosen = {
        "adversary": Adversary(kind="least_squares", weight=0.5, feature_weight=2.0),
        "adversarial_from": 2,
    }
    return vae_gan.objective(BOUND, unscale=unchanged, **(chosen | settings))


def trained(objective, steps, *, devices=1):
    """The players before each step and after the last, and the last step's metrics."""
    optimisers = {CRITIC: optax.sgd(0.1), vae_gan.PLAYER: optax.adam(0.01)}
    models = {CRITIC: critic(), vae_gan.PLAYER: autoencoder()}
    state = init_state(
        models, optimisers, key=jax.random.key(5), ema=False, trainable=convt1d.trainable
    )
    mesh = make_mesh(devices, 8)
    step = make_phased_step(
        objective.phases, optimisers, mesh=mesh, trainable=convt1d.trainable, parts=objective.parts
    )
    state, seen, metrics = place(state, mesh), [], {}
    for done in range(steps):
        seen.append(jax.device_get(eqx.filter(state.players, eqx.is_array)))
        data = place_batch(batch(8 * objective.parts), mesh)
        state, metrics = step.at(done)(state, data)
    return [*seen, jax.device_get(eqx.filter(state.players, eqx.is_array))], metrics


def moved(before, after):
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)
    return [bool(np.any(np.asarray(left) != np.asarray(right))) for left, right in pairs]


@pytest.mark.slow
def test_the_critic_enters_when_the_encoder_is_frozen():
    objective = aim()
    assert [phase.start for phase in objective.phases] == [0, 2]
    seen, metrics = trained(objective, 4)
    changes = [
        {
            "encoder": any(moved(a["vae"].model.encoder, b["vae"].model.encoder)),
            "decoder": all(moved(a["vae"].model.decoder, b["vae"].model.decoder)),
            "critic": any(moved(a[CRITIC].model, b[CRITIC].model)),
        }
        for a, b in itertools.pairwise(seen)
    ]
    first = {"encoder": True, "decoder": True, "critic": False}
    second = {"encoder": False, "decoder": True, "critic": True}
    assert changes == [first, first, second, second]
    assert {"vae/l1", "vae/kl", "vae/adversarial", "vae/features", "critic/real"} <= set(metrics)


def test_the_second_phase_adds_what_the_critic_says_of_the_same_draw():
    adversary = Adversary(kind="hinge", weight=0.5, feature_weight=2.0)
    *critics, last = maker.against("vae", BOUND.loss, adversary, critic_turns=2)
    assert [turn.part for turn in critics] == [0, 1]
    model, judge, data = autoencoder(), critic(), jnp.asarray(batch(4))
    keys, step = jax.random.split(jax.random.key(1), 4), jnp.asarray(7)
    loss, metrics = last.loss(model, {CRITIC: judge}, data, keys=keys, step=step)
    drawing, looking = jax.vmap(jax.random.split, out_axes=1)(keys)
    value, _, made = BOUND.loss(model, data, drawing, step)
    pleasing, _ = adversary.persuade(judge, made, data, keys=looking)
    np.testing.assert_allclose(loss, value + pleasing, rtol=1e-6)
    parts = 2.0 * metrics["reconstruction"] + metrics["l1"] + 0.1 * metrics["kl"]
    parts = parts + 0.5 * metrics["adversarial"] + 2.0 * metrics["features"]
    np.testing.assert_allclose(loss, parts, rtol=1e-5)


def test_the_decoder_alone_is_every_leaf_of_it_and_no_other():
    model = autoencoder()
    marked = vae_gan.decoder_alone(model)
    assert all(jax.tree.leaves(marked.decoder))
    assert not any(jax.tree.leaves(marked.encoder))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"adversarial_from": 0}, "adversarial_from is 0, but from that step on the encoder"),
        ({"critic_turns": 0}, "critic_turns is 0; give at least 1"),
    ],
)
def test_phases_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        aim(**settings)
