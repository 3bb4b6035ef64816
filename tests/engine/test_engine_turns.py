"""Parts, accumulation, frozen leaves, half precision and skipped updates of a step."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from engine_toys import LATENT, LENGTH, OBJECTIVES, noise_of, same_bits, values

from apps.engine.mesh import make_mesh, place, place_batch
from apps.engine.state import init_state
from apps.engine.step import make_train_step
from apps.engine.turn import Turn

KEY = jax.random.key(0)
LARGE = 32


def examples(count=LARGE, seed=0):
    return np.random.default_rng(seed).standard_normal((count, LENGTH)).astype(np.float32)


class Map(eqx.Module):
    """A linear map that computes in the type of its weights, as the library's models do."""

    weight: jax.Array
    bias: jax.Array

    def __init__(self, inner, outer, seed):
        self.weight = 0.3 * jax.random.normal(jax.random.key(seed), (inner, outer))
        self.bias = jnp.zeros((1, outer))

    def __call__(self, x):
        return (x.astype(self.weight.dtype) @ self.weight + self.bias).astype(x.dtype)


def judged(critic, others, batch, *, keys, step):
    del step
    real, fake = critic(batch), critic(others["maker"](noise_of(keys)))
    return jnp.mean((real - 1) ** 2) + jnp.mean(fake**2), {"real": jnp.mean(real)}


def fooled(maker, others, batch, *, keys, step):
    del batch, step
    return jnp.mean((others["critic"](maker(noise_of(keys))) - 1) ** 2), {}


GAME = [Turn("critic", judged), Turn("maker", fooled)]


def made(turns: Any = GAME, *, models=None, optimisers=None, devices: str = "one", **options):
    """Returns a step, its first state, and the mesh."""
    models = models or {"critic": Map(LENGTH, 1, 1), "maker": Map(LATENT, LENGTH, 2)}
    optimisers = optimisers or {name: optax.sgd(0.1) for name in models}
    mesh = make_mesh(devices, LARGE)
    state = place(init_state(models, optimisers, key=KEY, ema=options.pop("ema", True)), mesh)
    return make_train_step(turns, optimisers, mesh=mesh, **options), state, mesh


def after(steps=1, *, batches=None, **options):
    step, state, mesh = made(**options)
    metrics = {}
    for index in range(steps):
        batch = examples(seed=index) if batches is None else batches[index]
        state, metrics = step(state, place_batch(batch, mesh))
    return state, {name: float(value) for name, value in metrics.items()}


def updates_of(state: Any, player: str) -> int:
    return int(state.players[player].opt_state[0].count)


def close(one, two, tolerance):
    for a, b in zip(values(one), values(two), strict=True):
        assert np.max(np.abs(a - b)) <= tolerance * np.max(np.abs(b))


# parts and pieces


@pytest.mark.parametrize("devices", ["one", "all"])
@pytest.mark.parametrize("objective", ["vae", "gan"])
def test_accumulated_gradients_are_those_of_the_large_batch_for_every_player(objective, devices):
    turns, players = OBJECTIVES[objective]
    # Plain descent by 1: what is compared is the gradient itself, beside a weight near 1.
    models = players()[0]
    options = {
        "turns": turns,
        "models": models,
        "optimisers": dict.fromkeys(models, optax.sgd(1.0)),
    }
    whole, wanted = after(**options)
    pieces, found = after(**options, devices=devices, accumulate=4)
    close(
        [player.model for player in pieces.players.values()],
        [player.model for player in whole.players.values()],
        1e-6,
    )
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, rel=2e-6, abs=1e-7), name


def test_pieces_stay_spread_over_the_devices():
    step, state, mesh = made(devices="all", accumulate=2, parts=2)
    batch = place_batch(examples(), mesh)
    program = step.lower(state, batch).compile().as_text()
    assert program is not None
    assert "all-reduce" in program
    for move in ("all-to-all", "all-gather", "collective-permute"):
        assert move not in program, move


def test_every_turn_sees_its_part_and_every_example_its_key():
    def see(model, others, batch, *, keys, step):
        del others, step
        noise = jax.vmap(jax.random.uniform)(keys)
        return model * jnp.mean(batch["x"]), {
            f"{index}": number
            for index, number in enumerate([*batch["x"], *noise])
        }  # fmt: skip

    turns = [Turn("one", see, part=0), Turn("two", see, part=2)]
    models = {"one": jnp.ones(()), "two": jnp.ones(())}
    batch = {"x": np.arange(12, dtype=np.float32)}
    step, state, mesh = made(turns, models=models, parts=3)
    _, metrics = step(state, place_batch(batch, mesh))
    for index, (player, part) in enumerate([("one", 0), ("two", 2)]):
        key = jax.random.fold_in(jax.random.fold_in(KEY, 0), index)
        found = [float(metrics[f"{player}/{place}"]) for place in range(8)]
        records = range(part, 12, 3)
        noise = [float(jax.random.uniform(jax.random.fold_in(key, each))) for each in records]
        assert found == [*records, *noise]


# frozen leaves


def only_the_weight(model):
    return eqx.tree_at(lambda m: m.bias, jax.tree.map(lambda leaf: True, model), replace=False)


def test_a_leaf_that_does_not_move_keeps_its_bits_in_spite_of_momentum_and_decay():
    optimisers = {name: optax.adamw(0.1, weight_decay=0.5) for name in ("critic", "maker")}
    state, _ = after(3, optimisers=optimisers)  # momentum there is
    state = eqx.tree_at(lambda s: s.players["critic"].model.bias, state, -jnp.ones((1, 1)))
    before = values(state.players["critic"].model)
    turns = [Turn("critic", judged, moves=only_the_weight), GAME[1]]
    mesh = make_mesh("one", LARGE)
    step = make_train_step(turns, optimisers, mesh=mesh)
    metrics = {}
    for index in range(3):
        state, metrics = step(state, place_batch(examples(seed=index), mesh))
    weight, bias = values(state.players["critic"].model)
    assert np.array_equal(bias, before[1])
    assert not np.array_equal(weight, before[0])
    assert updates_of(state, "critic") == 6
    assert float(metrics["critic/gradient_norm"]) > 0


# half precision


def half(**options):
    optimisers = {name: optax.adam(3e-2) for name in ("critic", "maker")}
    return after(20, optimisers=optimisers, **options)


def test_half_precision_computes_in_bfloat16_and_keeps_everything_in_float32():
    state, found = half(compute=jnp.bfloat16, accumulate=2)
    kinds = {leaf.dtype for leaf in jax.tree.leaves(eqx.filter(state, eqx.is_inexact_array))}
    assert kinds == {jnp.dtype("float32")}
    _, wanted = half()
    # bfloat16 has 8 bits: a part in 256 for each product.
    for name in ("critic/loss", "maker/loss", "critic/real"):
        assert found[name] == pytest.approx(wanted[name], rel=0.03, abs=0.01), name
    step, state, mesh = made(compute=jnp.bfloat16)
    _, metrics = step(state, place_batch(examples(), mesh))
    assert {value.dtype for value in metrics.values()} == {jnp.dtype("float32")}


@pytest.mark.parametrize(("compute", "kind"), [(jnp.bfloat16, "bf16"), (jnp.float32, "f32")])
def test_all_products_of_every_player_are_of_the_type_asked_for(compute, kind):
    step, state, mesh = made(compute=compute)
    program = step.lower(state, place_batch(examples(), mesh)).as_text()
    products = [line for line in program.splitlines() if "dot_general" in line]
    assert len(products) >= 7  # forward and backward, both players in both turns
    assert all(line.count(f"x{kind}>") == 3 for line in products)


# skipped updates


def test_a_bad_update_changes_nothing_of_its_player_and_others_go_on():
    def poison(maker, others, batch, *, keys, step):
        value, metrics = fooled(maker, others, batch, keys=keys, step=step)
        return value + jnp.where(step == 2, jnp.nan, 0.0), metrics  # the gradient is finite

    turns = [GAME[0], Turn("maker", poison)]
    optimisers = {name: optax.adam(3e-2) for name in ("critic", "maker")}
    step, state, mesh = made(turns, optimisers=optimisers)
    counts = []
    for index in range(4):
        before = [values(state.players[name]) for name in ("maker", "critic")]
        state, metrics = step(state, place_batch(examples(seed=index), mesh))
        maker, critic = (state.players[name] for name in ("maker", "critic"))
        counts.append((float(metrics["maker/skipped"]), float(metrics["maker/skipped_total"])))
        kept = [np.array_equal(a, b) for a, b in zip(values(maker), before[0], strict=True)]
        assert all(kept[:-2]) == (index == 2)  # all but the two counts
        assert not same_bits(critic.model, before[1]) if index != 2 else True
    assert counts == [(0, 0), (0, 0), (1, 1), (0, 1)]
    assert updates_of(state, "maker") == 3
    assert updates_of(state, "critic") == 4


@pytest.mark.parametrize("accumulate", [1, 4])
def test_one_bad_record_in_a_piece_skips_the_update(accumulate):
    bad = examples()
    bad[5, 3] = np.inf
    state, metrics = after(2, batches=[bad, bad], turns=[GAME[0]], accumulate=accumulate)
    first, _ = after(0)
    assert same_bits(state.players["critic"].model, first.players["critic"].model)
    assert same_bits(state.players["critic"].ema, first.players["critic"].ema)
    assert (metrics["critic/skipped"], metrics["critic/skipped_total"]) == (2, 2)


# what is told of several players


def test_of_two_players_the_ratio_of_their_gradients_is_told_and_nothing_of_those_that_rest():
    _, both = after()
    ratio = both["critic/gradient_norm"] / both["maker/gradient_norm"]
    assert both["gradient_ratio"] == pytest.approx(ratio, rel=1e-6)
    _, alone = after(turns=[GAME[0]])
    assert {name.split("/")[0] for name in alone} == {"critic"}


def test_only_those_that_are_asked_keep_an_average():
    state, _ = after(2, ema=["maker"])
    assert state.players["critic"].ema is None
    assert not same_bits(state.players["maker"].ema, state.players["maker"].model)


def test_rules_that_cannot_be_kept_are_refused():
    with pytest.raises(ValueError, match="sees part 1, but `parts` is 1"):
        made([Turn("critic", judged, part=1)])
    with pytest.raises(ValueError, match="`accumulate` is 0: it must be 1 or more"):
        made(accumulate=0)
    with pytest.raises(ValueError, match="it must be a floating-point type"):
        made(compute=jnp.int8)
    nothing = Turn("critic", judged, moves=lambda model: jax.tree.map(lambda _: False, model))
    with pytest.raises(ValueError, match="moves nothing: look at its `moves`"):
        after(turns=[nothing])
    with pytest.raises(ValueError, match="32 records cannot be divided into 3 parts × 1 pieces"):
        after(parts=3)
