import contextlib

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from engine_toys import (
    BATCH,
    GAN,
    OBJECTIVES,
    VAE,
    arrays,
    batch_at,
    copied,
    elbo,
    gan_players,
    same_bits,
    toy_state,
    toy_step,
    vae_players,
    values,
)

from apps.engine.mesh import make_mesh, place, place_batch
from apps.engine.state import init_state
from apps.engine.step import Turn, make_eval_step, make_train_step

KEY = jax.random.key(0)


def setup(objective="vae", devices: str | int = "one"):
    return copied(toy_state(objective, devices)), *toy_step(objective, devices)


def run(state, step, mesh, steps):
    reported = []
    for index in range(steps):
        state, metrics = step(state, place_batch(batch_at(index), mesh))
        reported.append({name: float(value) for name, value in metrics.items()})
    return state, reported


def keys_of(key, count=BATCH):
    return jnp.stack([jax.random.fold_in(key, index) for index in range(count)])


@contextlib.contextmanager
def compilations():
    found = []

    def listen(event: str, duration_secs: float, **kwargs: str | int) -> None:
        del duration_secs, kwargs
        if event.endswith("backend_compile_duration"):
            found.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def test_a_step_is_gradient_descent_written_by_hand():
    model = vae_players()[0]["vae"]
    optimisers = {"vae": optax.sgd(0.1)}
    mesh = make_mesh("one", BATCH)
    state = place(init_state({"vae": model}, optimisers, key=KEY), mesh)
    step = make_train_step(VAE, optimisers, mesh=mesh)
    state, metrics = step(state, place_batch(batch_at(0), mesh))

    keys = keys_of(jax.random.fold_in(jax.random.fold_in(KEY, 0), 0))
    loss = eqx.filter_jit(eqx.filter_value_and_grad(elbo, has_aux=True))
    (value, parts), slope = loss(model, {}, jnp.asarray(batch_at(0)), keys=keys, step=0)
    by_hand = eqx.apply_updates(model, jax.tree.map(lambda g: -0.1 * g, slope))
    norm = np.sqrt(sum(float(jnp.sum(g**2)) for g in jax.tree.leaves(slope)))

    for found, expected in zip(values(state.players["vae"].model), values(by_hand), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
    always = {"vae/loss", "vae/gradient_norm", "vae/skipped", "vae/skipped_total"}
    assert set(metrics) == always | {"vae/error", "vae/size"}
    np.testing.assert_allclose(float(metrics["vae/loss"]), float(value), rtol=1e-6)
    np.testing.assert_allclose(float(metrics["vae/error"]), float(parts["error"]), rtol=1e-6)
    np.testing.assert_allclose(float(metrics["vae/gradient_norm"]), norm, rtol=1e-6)
    assert int(state.step) == 1


def test_the_same_step_trains_an_autoencoder():
    state, step, mesh = setup("vae")
    _, reported = run(state, step, mesh, 150)
    assert reported[-1]["vae/error"] < 0.4 * reported[0]["vae/error"]


def test_the_same_step_trains_two_players_against_each_other():
    state, step, mesh = setup("gan")
    before = values(state.players["decoder"].model)
    state, reported = run(state, step, mesh, 30)
    assert reported[-1]["critic/loss"] < reported[0]["critic/loss"]
    assert {name.split("/")[0] for name in reported[0]} == {"critic", "decoder", "gradient_ratio"}
    after = values(state.players["decoder"].model)
    assert all(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_later_turn_sees_what_an_earlier_one_changed():
    def follow(model, others, batch, *, keys, step):
        del batch, keys, step
        return jnp.sum((model - jax.lax.stop_gradient(others["leader"])) ** 2), {}

    def lead(model, others, batch, *, keys, step):
        del others, batch, keys, step
        return jnp.sum(model), {}

    models = {"leader": jnp.zeros(()), "follower": jnp.zeros(())}
    optimisers = {name: optax.sgd(0.5) for name in models}
    mesh = make_mesh("one", BATCH)
    state = place(init_state(models, optimisers, key=KEY), mesh)
    turns = [Turn("leader", lead), Turn("follower", follow)]
    state, _ = make_train_step(turns, optimisers, mesh=mesh)(state, place_batch(batch_at(0), mesh))
    assert float(state.players["leader"].model) == -0.5
    assert float(state.players["follower"].model) == -0.5


def test_a_step_is_a_pure_function_and_its_noise_one_of_key_and_step():
    state, step, mesh = setup()
    batch = place_batch(batch_at(0), mesh)
    other = eqx.tree_at(lambda s: s.step, state, state.step + 1)
    once, metrics = step(copied(state), batch)
    again, repeated = step(copied(state), batch)
    _, later = step(copied(other), batch)
    assert same_bits((once, metrics), (again, repeated))
    assert float(later["vae/error"]) != float(metrics["vae/error"])


def test_the_average_follows_with_a_decay_that_warms_up():
    state, _, mesh = setup()
    step = make_train_step(VAE, vae_players()[1], mesh=mesh, ema_decay=0.3)
    expected = values(state.players["vae"].ema)
    for index in range(6):
        decay = min(0.3, (1 + index) / (10 + index))
        state, _ = step(state, place_batch(batch_at(index), mesh))
        model = values(state.players["vae"].model)
        expected = [decay * e + (1 - decay) * m for e, m in zip(expected, model, strict=True)]
    for found, wanted in zip(values(state.players["vae"].ema), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)


def test_what_is_not_trainable_stays_as_it_is_everywhere():
    def only_the_decoder(model):
        spec = jax.tree.map(eqx.is_inexact_array, model)
        fixed = jax.tree.map(lambda leaf: False, spec.encoder)
        return eqx.tree_at(lambda m: m.encoder, spec, fixed)

    models, optimisers = vae_players()
    mesh = make_mesh("all", BATCH)
    state = init_state(models, optimisers, key=KEY, trainable=only_the_decoder)
    step = make_train_step(VAE, optimisers, mesh=mesh, trainable=only_the_decoder)
    state, _ = run(place(state, mesh), step, mesh, 3)
    player = state.players["vae"]
    assert same_bits(player.model.encoder, models["vae"].encoder)
    assert same_bits(player.ema.encoder, models["vae"].encoder)
    assert not same_bits(player.model.decoder, models["vae"].decoder)


@pytest.mark.parametrize("objective", ["vae", "gan"])
def test_eight_devices_agree_with_one(objective):
    one, alone = run(*setup(objective, "one"), 20)
    eight, together = run(*setup(objective, "all"), 20)
    for name in alone[0]:
        found = np.array([metrics[name] for metrics in together])
        wanted = np.array([metrics[name] for metrics in alone])
        # A sum over devices is another order of adding: some ulps of float32, no more.
        assert np.max(np.abs(found - wanted)) <= 1e-6 * np.max(np.abs(wanted)), name
    for found, wanted in zip(values(eight), values(one), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("devices", ["one", "all"])
@pytest.mark.parametrize("objective", ["vae", "gan"])
def test_steps_compile_once_move_no_array_and_transfer_nothing(objective, devices):
    state, _, mesh = setup(objective, devices)
    turns, players = OBJECTIVES[objective]
    step = make_train_step(turns, players()[1], mesh=mesh)
    before = [array.sharding for array in arrays(state)]
    ready = [place_batch(batch_at(index), mesh) for index in range(4)]
    with jax.transfer_guard("disallow"), compilations() as compiled:
        for batch in ready:
            state, _ = step(state, batch)
            assert [array.sharding for array in arrays(state)] == before
    assert len(compiled) == 1


def test_a_step_returns_before_its_result_is_there():
    def slow(model, others, batch, *, keys, step):
        del others, batch, keys, step
        big = jnp.full((500, 500), model)
        for _ in range(30):
            big = jnp.tanh(big @ big)
        return jnp.sum(big), {}

    models, optimisers = {"one": jnp.zeros(())}, {"one": optax.sgd(1.0)}
    mesh = make_mesh("one", BATCH)
    state = place(init_state(models, optimisers, key=KEY), mesh)
    step = make_train_step([Turn("one", slow)], optimisers, mesh=mesh)
    batch = place_batch(batch_at(0), mesh)
    state, metrics = step(state, batch)
    jax.block_until_ready((state, metrics))
    state, metrics = step(state, batch)
    assert not metrics["one/loss"].is_ready()  # pyright: ignore[reportAttributeAccessIssue]


def test_a_step_that_changes_the_form_of_the_state_is_refused():
    def drop(updates, state, params=None):
        del state, params
        return updates, ()

    optimisers = {"vae": optax.GradientTransformation(lambda params: params, drop)}
    mesh = make_mesh("one", BATCH)
    state = place(init_state(vae_players()[0], optimisers, key=KEY), mesh)
    step = make_train_step(VAE, optimisers, mesh=mesh)
    with pytest.raises(TypeError, match="the step changed the form of the state"):
        step(state, place_batch(batch_at(0), mesh))


def test_the_state_is_donated():
    state, step, mesh = setup(devices="all")
    weight = state.players["vae"].ema.encoder.weight
    step(state, place_batch(batch_at(0), mesh))
    assert weight.is_deleted()


def test_an_evaluation_changes_nothing_and_is_of_the_average():
    state, step, mesh = setup()
    state, _ = run(state, step, mesh, 3)
    evaluate = make_eval_step(VAE, mesh=mesh)
    batch = place_batch(batch_at(9), mesh)
    before = values(state)
    found = evaluate(state, batch)
    keys = keys_of(jax.random.fold_in(KEY, 0))
    expected, _ = eqx.filter_jit(elbo)(
        state.players["vae"].ema, {}, batch, keys=keys, step=state.step
    )
    np.testing.assert_allclose(float(found["vae/loss"]), float(expected), rtol=1e-6)
    assert all(np.array_equal(a, b) for a, b in zip(before, values(state), strict=True))


def test_two_players_are_evaluated_against_each_other():
    state, _, mesh = setup("gan")
    found = make_eval_step(GAN, mesh=mesh)(state, place_batch(batch_at(0), mesh))
    assert {"critic/loss", "critic/real", "critic/fake", "decoder/loss"} == set(found)


def test_impossible_steps_are_refused():
    mesh = make_mesh("one", BATCH)
    _, optimisers = gan_players()
    with pytest.raises(ValueError, match="`turns` is empty"):
        make_train_step([], optimisers, mesh=mesh)
    with pytest.raises(ValueError, match="player 'vae', but optimisers are given for"):
        make_train_step(VAE, optimisers, mesh=mesh)
    with pytest.raises(ValueError, match=r"`ema_decay` is 1.0: it must lie in \[0, 1\)"):
        make_train_step(GAN, optimisers, mesh=mesh, ema_decay=1.0)
