import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import convt1d
from convt1d import Conv1d, ConvTranspose1d, WeightNorm

LAYERS = {
    "transposed": lambda: ConvTranspose1d((6, 4), 6, 5, 2, b_init=1.0),
    "transposed, grouped": lambda: ConvTranspose1d((6, 4), 6, 5, 2, groups=2),
    "convolution": lambda: Conv1d(4, 6, 5, stride=2),
    "convolution, grouped": lambda: Conv1d(4, 6, 5, groups=2, b_init=None),
}


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS.keys())
def test_wrapping_changes_nothing(make):
    layer = make()
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 6, 4)), jnp.float32)
    np.testing.assert_allclose(WeightNorm(layer)(x), layer(x), atol=1e-6)


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS.keys())
def test_folding_gives_the_plain_layer_back(make):
    normed = WeightNorm(make())
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 6, 4)), jnp.float32)
    np.testing.assert_array_equal(normed.folded()(x), normed(x))
    assert type(normed.folded()) is type(make())


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS.keys())
def test_the_length_of_the_direction_does_not_matter(make):
    normed = WeightNorm(make())
    longer = eqx.tree_at(lambda n: n.layer.weight, normed, normed.layer.weight * 7)
    np.testing.assert_allclose(longer.weight, normed.weight, rtol=1e-5)


def test_there_is_a_gain_for_every_row_of_torchs_weight():
    assert WeightNorm(LAYERS["transposed, grouped"]()).gain.shape == (4,)  # its input channels
    assert WeightNorm(LAYERS["convolution, grouped"]()).gain.shape == (6,)  # its output channels


@pytest.mark.parametrize(
    "layer",
    [ConvTranspose1d((6, 4), 6, 5, param_type=convt1d.Frozen), jax.nn.relu],
    ids=["frozen", "relu"],
)
def test_what_has_no_bare_weight_is_refused(layer):
    with pytest.raises(ValueError, match=r"`layer` \(=.*\) must be a Conv1d or ConvTranspose1d"):
        WeightNorm(layer)
