"""The learnt prior: what moves when, what it is told, and that it learns where latents are."""

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
from apps.objectives import autoencoding, prior, vae
from apps.objectives.elbo import Elbo
from convt1d.models import VAE, Decoder, Encoder, Flow, Layout

LENGTH = 16
LAYOUT = Layout(strides=(4,), channels=(4,), dilations=(), activation="elu", weight_norm=False)
KEYS = jax.random.split(jax.random.key(0), 3)
BOUND = Elbo(rate=None, reconstruction="sum_of_squares", l1_weight=0.0, kl_weight=0.01)


def autoencoder():
    return drawn(
        lambda: VAE(
            Encoder(1, 4, LAYOUT, length=LENGTH, key=KEYS[0]),
            Decoder(1, 2, LAYOUT, length=LENGTH, key=KEYS[1]),
            Flow(2, channels=16, blocks=1, key=KEYS[2]),
        )
    )


def batch(count, seed=0):
    return np.random.default_rng(seed).standard_normal((count, LENGTH, 1)).astype(np.float32)


def objective(prior_from=2):
    return vae.objective(BOUND, unscale=lambda signal: signal, prior_from=prior_from)


def trained(steps, *, prior_from=2, count=4):
    mesh = make_mesh(1, count)
    state = init_state(
        {vae.PLAYER: autoencoder()},
        {vae.PLAYER: optax.adam(1e-2)},
        key=jax.random.key(1),
        trainable=convt1d.trainable,
    )
    step = make_phased_step(
        objective(prior_from).phases,
        {vae.PLAYER: optax.adam(1e-2)},
        mesh=mesh,
        trainable=convt1d.trainable,
    )
    state, seen = place(state, mesh), []
    for number in range(steps):
        state, metrics = step.at(number)(state, place_batch(batch(count, number), mesh))
        seen.append((jax.device_get(state.players[vae.PLAYER].model), metrics))
    return seen


def moved(first, second):
    """Names of the fields, two deep, that differ."""
    leaves = jax.tree_util.tree_leaves_with_path(eqx.filter(first, eqx.is_array))
    others = jax.tree.leaves(eqx.filter(second, eqx.is_array))
    return {
        ".".join(str(getattr(each, "name", each)) for each in path[:2])
        for (path, leaf), other in zip(leaves, others, strict=True)
        if not np.array_equal(leaf, other)
    }


def test_first_the_autoencoder_moves_with_the_normal_part_then_the_velocities_alone():
    seen = trained(4)
    first = moved(seen[0][0], seen[1][0])
    assert {name.partition(".")[0] for name in first} == {"encoder", "decoder", "prior"}
    assert {name for name in first if name.startswith("prior")} == {
        "prior.shift", "prior.log_scale",
    }  # fmt: skip
    assert {name.partition(".")[0] for name in moved(seen[2][0], seen[3][0])} == {"prior"}
    assert not {"prior.shift", "prior.log_scale"} & moved(seen[1][0], seen[3][0])
    assert set(seen[0][1]) >= {"vae/prior", "vae/kl", "vae/reconstruction"}


def test_the_normal_part_is_at_its_best_where_mean_and_spread_are_the_latents_own():
    rng = np.random.default_rng(0)
    mean = jnp.asarray(rng.normal([3.0, -1.0], [2.0, 0.1], (500, 1, 2)), jnp.float32)
    log_std = jnp.full(mean.shape, -1.0)
    spread = np.sqrt(np.asarray(mean).var(axis=(0, 1)) + np.exp(-2))
    flow = eqx.tree_at(
        lambda f: (f.shift, f.log_scale),
        autoencoder().prior,
        (mean.mean((0, 1)), jnp.log(jnp.asarray(spread, jnp.float32))),
    )

    def cost(both):
        other = eqx.tree_at(lambda f: (f.shift, f.log_scale), flow, both)
        return prior.normal_cost(other, mean, log_std)

    slope = jax.grad(cost)((flow.shift, flow.log_scale))
    assert all(np.abs(each).max() < 1e-4 for each in slope)
    assert cost((flow.shift, flow.log_scale)) < cost((flow.shift + 0.3, flow.log_scale))


def test_no_gradient_of_the_prior_reaches_the_autoencoder():
    model = autoencoder()
    keys = jax.random.split(jax.random.key(0), 4)
    slope = eqx.filter_grad(
        lambda m: prior.matching(m, {}, batch(4), keys=keys, step=jnp.zeros((), int))[0]
    )(model)
    for part in (slope.encoder, slope.decoder):
        assert all((np.asarray(leaf) == 0).all() for leaf in jax.tree.leaves(part))
    assert any(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(slope.prior))


def test_the_keys_of_an_example_alone_decide_its_noise():
    model, keys = autoencoder(), jax.random.split(jax.random.key(0), 4)
    step = jnp.zeros((), int)
    whole = prior.matching(model, {}, batch(4), keys=keys, step=step)[0]
    parts = [
        prior.matching(model, {}, batch(4)[some], keys=keys[some], step=step)[0]
        for some in (slice(0, 2), slice(2, 4))
    ]
    assert float(whole) == pytest.approx(float(sum(parts)) / 2, rel=1e-5)


@pytest.mark.slow
def test_draws_come_to_lie_where_latents_are_though_they_are_no_normal_distribution():
    flow = Flow(1, channels=64, blocks=2, key=KEYS[2])
    optimiser = optax.adam(3e-3)
    state = optimiser.init(eqx.filter(flow, eqx.is_array))

    @eqx.filter_jit
    def update(flow, state, key):
        signs, noise, time = jax.random.split(key, 3)
        end = jnp.sign(jax.random.normal(signs, (256, 1, 1)))
        begin = jax.random.normal(noise, end.shape)
        when = jax.random.uniform(time, (256,))

        def loss(flow):
            share = when[:, None, None]
            found = flow.velocity((1 - share) * begin + share * end, when)
            return jnp.mean(jnp.square(found - (end - begin)))

        with jax.numpy_dtype_promotion("standard"):
            change, state = optimiser.update(eqx.filter_grad(loss)(flow), state)
        return eqx.apply_updates(flow, change), state

    for number in range(1500):
        flow, state = update(flow, state, jax.random.fold_in(KEYS[0], number))
    made = np.asarray(eqx.filter_jit(flow)(jax.random.normal(KEYS[1], (2000, 1, 1))))
    near = np.abs(np.abs(made) - 1) < 0.25
    assert near.mean() > 0.9
    assert 0.4 < (made > 0).mean() < 0.6


def test_draws_for_a_batch_are_as_many_in_blocks_as_at_once(monkeypatch):
    model = autoencoder()
    whole = autoencoding.draw(model, batch(7), unscale=lambda x: x, seed=3)
    parts = [slice(0, 3), slice(3, 7)]
    monkeypatch.setattr(autoencoding, "blocks", lambda count: iter(parts))
    again = autoencoding.draw(model, batch(7), unscale=lambda x: 2 * x, seed=3)
    np.testing.assert_allclose(again, 2 * whole, rtol=1e-5)
    assert whole.shape == (7, LENGTH, 1)


def test_a_prior_before_its_autoencoder_is_refused():
    with pytest.raises(ValueError, match="prior_from is 0"):
        objective(prior_from=0)


def test_a_sum_of_squares_is_the_mean_times_what_a_signal_holds():
    model, keys = autoencoder(), jax.random.split(jax.random.key(0), 4)
    mean = Elbo(rate=None, reconstruction="l2", l1_weight=0.0, kl_weight=0.01)
    step = jnp.zeros((), int)
    found, other = (each.loss(model, batch(4), keys, step)[1] for each in (BOUND, mean))
    expected = float(other["reconstruction"]) * LENGTH
    assert float(found["reconstruction"]) == pytest.approx(expected, rel=1e-5)
