import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import drawn

from convt1d import Snake, WeightNorm, interop
from convt1d.interop._libraries import WeightForm
from convt1d.models import Decoder, Layout


def decoder():
    return Decoder(1, 3, Layout(strides=(3, 2), channels=(6, 4, 2)), key=jax.random.key(0))


MODEL = drawn(decoder)
LAYERS = dict(MODEL.layers())
SNAKES = {
    jax.tree_util.keystr(path, simple=True, separator="."): leaf.alpha
    for path, leaf in jax.tree_util.tree_leaves_with_path(
        MODEL, is_leaf=lambda node: isinstance(node, Snake)
    )
    if isinstance(leaf, Snake)
}
NAMES = {path: f"decoder.model.{i}" for i, path in enumerate(LAYERS)}
NAMES |= {f"{path}.alpha": f"decoder.{path}.alpha" for path in SNAKES}


def state(form: WeightForm = "weight_norm"):
    """The model as PyTorch keeps it, with Snake's alpha as DAC has it."""
    arrays = {}
    for path, layer in LAYERS.items():
        arrays |= interop.write(layer, library="torch", name=NAMES[path], form=form)
    for path, alpha in SNAKES.items():
        arrays[NAMES[f"{path}.alpha"]] = np.asarray(alpha).reshape(1, -1, 1)
    return arrays


def read(arrays, *, names=NAMES, ignore=()):
    blank = eqx.filter_eval_shape(decoder)
    return interop.read_model(blank, arrays, library="torch", names=names, ignore=ignore)


@pytest.mark.parametrize("form", ["weight_norm", "parametrizations"])
def test_a_whole_model_travels(form):
    assert eqx.tree_equal(read(state(form)), MODEL)


def test_a_model_of_folded_weights_computes_the_same():
    model = read(state("folded"))
    assert isinstance(model.first, WeightNorm)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((1, 4, 3)), jnp.float32)
    run = eqx.filter_jit(lambda model, x: model(x))
    np.testing.assert_allclose(run(model, x), run(MODEL, x), atol=1e-5)


def test_what_is_ignored_is_not_read_and_what_is_none_stays():
    arrays = state() | {"encoder.0.weight": np.ones(3), "encoder.1": np.ones(2)}
    blank = eqx.tree_at(lambda it: it.first.layer.bias, MODEL, jnp.ones(6))
    names = NAMES | {"first": None}
    ignore = ["encoder.*", f"{NAMES['first']}.*"]
    model = interop.read_model(blank, arrays, library="torch", names=names, ignore=ignore)
    assert eqx.tree_equal(model, blank)


def changed(**changes):
    """The state with arrays added, or taken away where None."""
    arrays = state() | {k.replace("_", "."): v for k, v in changes.items()}
    return {k: v for k, v in arrays.items() if v is not None}


WRONG = {
    "unknown": ({"encoder_0": np.ones((2, 3))}, {}, r"encoder\.0 \(2, 3\) is unknown"),
    "missing": (
        {"decoder_model_0_bias": None}, {}, r"decoder\.model\.0\.bias \(6,\) is missing",
    ),
    "both, and of another shape": (
        {"decoder_model_0_bias": None, "other": np.ones(3), "decoder_model_1_bias": np.ones(9)}, {},
        r"model\.0\.bias \(6,\) is missing\n  decoder\.model\.1\.bias has the shape \(9,\) instead "
        r"of \(4,\)\n  other \(3,\) is unknown$",
    ),
    "an array of another shape": (
        {"decoder_stages_0_activation_alpha": np.ones((6, 2), np.float32)}, {},
        r"decoder\.stages\.0\.activation\.alpha has the shape \(6, 2\) instead of \(6,\)",
    ),
    "an array of another dtype": (
        {"decoder_stages_0_activation_alpha": np.ones(6)}, {},
        r"activation\.alpha is float64, which float32 does not hold exactly: cast it first",
    ),
    "a missing array": (
        {"decoder_stages_0_activation_alpha": None}, {}, r"activation\.alpha \(6,\) is missing",
    ),
    "an unknown path": ({}, {"stages.7": "x"}, r"`names` has 'stages\.7', which the model has not"),
    "a path claimed twice": (
        {}, {"last": "decoder.model.0"},
        r"decoder\.model\.0\.bias is claimed by 'last' and by 'first'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG.keys())
def test_everything_that_does_not_fit_is_said_at_once(case):
    changes, names, message = case
    with pytest.raises(ValueError, match=message):
        read(changed(**changes), names=NAMES | names)


def test_no_part_of_the_model_is_forgotten():
    names = {path: name for path, name in NAMES.items() if path != "last"}
    with pytest.raises(ValueError, match=r"`names` leaves out 'last' \(WeightNorm\): name it, or"):
        read(state(), names=names, ignore=[f"{NAMES['last']}.*"])


def test_nothing_is_ignored_in_vain():
    with pytest.raises(ValueError, match=r"`ignore` names 'encoder\.\*', which nothing is called"):
        read(state(), ignore=["encoder.*"])


def test_whole_numbers_outside_of_layers_travel_too():
    (read_counts,) = interop.read_model(
        (jnp.zeros(3, jnp.int32),),
        {"counts": np.arange(3, dtype=np.int32)},
        library="torch",
        names={"0": "counts"},
    )
    assert read_counts.tolist() == [0, 1, 2]
