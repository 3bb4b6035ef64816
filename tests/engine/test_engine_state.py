import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import pytest
from engine_toys import arrays, gan_players, vae_players

from apps.engine.state import abstract_state, averaged, init_state

KEY = jax.random.key(0)


def addresses(state):
    keyless = [a for a in arrays(state) if not jnp.issubdtype(a.dtype, jax.dtypes.prng_key)]
    return [array.unsafe_buffer_pointer() for array in keyless]


@pytest.mark.parametrize(
    "optimiser",
    [optax.adamw(1e-3), optax.contrib.schedule_free_sgd(1e-2)],  # the second keeps the parameters
    ids=["adamw", "schedule_free"],
)
def test_no_two_arrays_of_a_state_share_a_buffer(optimiser):
    models, _ = vae_players()
    state = init_state(models, {"vae": optimiser}, key=KEY)
    found = addresses(state) + addresses(models)
    assert len(set(found)) == len(found)


def test_the_average_begins_as_the_model():
    models, optimisers = gan_players()
    state = init_state(models, optimisers, key=KEY)
    assert eqx.tree_equal(averaged(state), models)


def test_only_the_players_named_keep_an_average():
    models, optimisers = gan_players()
    state = init_state(models, optimisers, key=KEY, ema=["decoder"])
    assert state.players["critic"].ema is None
    assert state.players["decoder"].ema is not None
    assert eqx.tree_equal(averaged(state)["critic"], models["critic"])


def test_an_abstract_state_has_the_shapes_and_types_of_the_state():
    models, optimisers = vae_players()

    def make():
        return init_state(models, optimisers, key=KEY)

    shapes = jax.tree.leaves(eqx.filter(abstract_state(make), lambda x: hasattr(x, "shape")))
    assert [(s.shape, s.dtype) for s in shapes] == [(a.shape, a.dtype) for a in arrays(make())]


def test_a_player_without_an_optimiser_is_refused():
    models, _ = gan_players()
    with pytest.raises(ValueError, match=r"models are \['critic', 'decoder'\], optimisers are"):
        init_state(models, {"critic": optax.sgd(1.0)}, key=KEY)


def test_an_average_of_a_stranger_is_refused():
    models, optimisers = gan_players()
    with pytest.raises(ValueError, match=r"`ema` names \['vae'\]; the players are"):
        init_state(models, optimisers, key=KEY, ema=["vae"])
