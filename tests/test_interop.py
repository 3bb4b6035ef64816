import equinox as eqx
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import drawn
from hypothesis import given, settings

import convt1d
from convt1d import Conv1d, ConvTranspose1d, WeightNorm, interop
from convt1d.interop._libraries import CONVENTIONS

FORMS = ("folded", "weight_norm", "parametrizations")
WAYS = [(library, "folded") for library in CONVENTIONS] + [("torch", form) for form in FORMS[1:]]


def up(**arguments):
    return drawn(lambda: ConvTranspose1d((7, 4), 6, 5, 2, **{"b_init": 0.0, **arguments}))


def abstract(layer):
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), layer)


def close(weight, other):
    """Equal to the rounding of a norm of as many numbers as a weight has, and two products."""
    terms = weight.size
    np.testing.assert_allclose(weight, other, rtol=(terms / 2 + 4) * np.finfo(weight.dtype).eps)


@st.composite
def layers(draw):
    size = st.integers(1, 4)
    groups = draw(st.integers(1, 3))
    inputs, outputs = groups * draw(size), groups * draw(size)
    taps, bias = draw(size), draw(st.sampled_from([0.0, None]))
    transposed, first, normed = draw(st.booleans()), draw(st.booleans()), draw(st.booleans())
    in_size = (inputs, 5) if first else (5, inputs)

    def make():
        if transposed:
            layer = ConvTranspose1d(
                in_size, outputs, taps, groups=groups, b_init=bias, channel_first=first
            )
        else:
            layer = Conv1d(inputs, outputs, taps, groups=groups, b_init=bias)
        return WeightNorm(layer) if normed else layer

    return drawn(make, seed=draw(st.integers(0, 9)))


def bare(layer):
    return layer.layer if isinstance(layer, WeightNorm) else layer


def without_groups(library):
    return not CONVENTIONS[library].grouped


@settings(deadline=None, max_examples=100)
@given(layer=layers(), way=st.sampled_from(WAYS), name=st.sampled_from(["", "a", "net.0"]))
def test_what_is_written_is_what_is_read(layer, way, name):
    library, form = way
    inner = bare(layer)
    if isinstance(inner, ConvTranspose1d) and inner.groups > 1 and without_groups(library):
        with pytest.raises(ValueError, match=rf"\(={library!r}\) has no groups in its transposed"):
            interop.write(layer, library=library)
        return
    arrays = interop.write(layer, library=library, name=name, form=form)
    again = interop.read(abstract(layer), arrays, library=library, name=name)
    if isinstance(layer, WeightNorm) == (form != "folded"):
        assert eqx.tree_equal(again, layer)
    else:
        folded = [interop.write(it, library="torch")["weight"] for it in (again, layer)]
        close(*folded)
        assert eqx.tree_equal(bare(again).bias, inner.bias)
    twice = interop.write(again, library=library, name=name, form=form)
    for key, array in arrays.items():
        np.testing.assert_allclose(twice[key], array, rtol=1e-6)
        assert twice[key].dtype == array.dtype == np.float32


class Named(eqx.Module):
    weight: jax.Array
    bias: jax.Array
    scale: float = 1.0  # no array, and therefore not looked at


class Model(eqx.Module):
    layers: tuple[Named, ...]


NESTED = {
    "flat": ("torch", "net.up", lambda w, b: {"net.up.weight": w, "net.up.bias": b}),
    "called with a dot": ("torch", "up.", lambda w, b: {"up.weight": w, "up.bias": b}),
    "nested": ("flax", "up", lambda w, b: {"up": {"kernel": w, "bias": b}}),
    "by slashes": ("flax", "up/0", lambda w, b: {"up/0/kernel": w, "up/0/bias": b}),
    "by tuples": ("flax", "up/0", lambda w, b: {("up", 0): {"kernel": w}, ("up", "0", "bias"): b}),
    "of two levels": ("haiku", "net/~/up", lambda w, b: {"net/~/up": {"w": w, "b": b}}),
    "a list": ("keras", "", lambda w, b: [w, b]),
    "by paths": ("keras", "net/up", lambda w, b: {"net/up/kernel": w, "net/up/bias": b}),
    "states": ("brainstate", "a.weight", lambda w, b: {("a", "weight"): {"weight": w, "bias": b}}),
    "a module": ("equinox", "", Named),
    "a model": ("equinox", "layers.1", lambda w, b: Model((Named(b, b), Named(w, b)))),
}


@pytest.mark.parametrize("case", NESTED.values(), ids=NESTED.keys())
def test_names_may_be_flat_or_nested(case):
    library, name, make = case
    layer = up()
    weight, bias = interop.write(layer, library=library).values()
    arrays = make(weight, bias)
    assert eqx.tree_equal(interop.read(abstract(layer), arrays, library=library, name=name), layer)


def test_what_is_not_below_the_name_is_not_looked_at():
    layer = up()
    arrays = interop.write(layer, library="torch", name="up") | {"upper.weight": np.ones(3)}
    assert eqx.tree_equal(interop.read(abstract(layer), arrays, library="torch", name="up"), layer)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_torch_is_read_into_either_layer(form):
    for layer in (up(groups=2), WeightNorm(up(groups=2))):
        arrays = interop.write(layer, library="torch", form=form)
        for into in (up(groups=2), WeightNorm(up(groups=2))):
            close(interop.read(abstract(into), arrays, library="torch").weight, layer.weight)


def test_a_plain_weight_is_its_own_direction_as_when_torch_wraps_it():
    layer = up()
    normed = interop.read(
        abstract(WeightNorm(layer)), interop.write(layer, library="torch"), library="torch"
    )
    np.testing.assert_array_equal(normed.layer.weight, layer.weight)
    close(normed.gain, WeightNorm(layer).gain)


@eqx.filter_jit
def weight_and_gradient(normed):
    return normed.weight, eqx.filter_grad(lambda it: jnp.sum(it.weight))(normed)


def test_a_row_of_zeros_stays_zero_and_can_be_trained():
    weight = np.ones((4, 6, 5), np.float32)
    weight[1] = 0
    weight[2] *= 1e-30  # its squares are zero in float32
    arrays = {"weight": weight, "bias": np.zeros(6, np.float32)}
    normed = interop.read(WeightNorm(up()), arrays, library="torch")
    rows, gradient = weight_and_gradient(normed)
    np.testing.assert_array_equal(rows[..., 1], 0)
    np.testing.assert_allclose(rows[..., 2], 1e-30, rtol=1e-5)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    assert gradient.gain[1] != 0
    again = interop.write(normed, library="torch")
    np.testing.assert_allclose(again["weight"], weight, rtol=1e-6)


def test_a_gain_of_zero_travels():
    layer = eqx.tree_at(lambda it: it.gain, WeightNorm(up()), jnp.array([0.0, 1.0, -2.0, 3.0]))
    arrays = interop.write(layer, library="torch", form="weight_norm")
    assert eqx.tree_equal(interop.read(abstract(layer), arrays, library="torch"), layer)
    assert not interop.write(layer, library="torch")["weight"][0].any()
    assert not interop.read(up(), arrays, library="torch").weight[..., 0].any()


def test_a_narrower_file_goes_into_a_wider_layer_and_no_other():
    layer, wide = up(), up()
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), layer)
    arrays = interop.write(half, library="torch")
    assert arrays["weight"].dtype == jnp.bfloat16
    read = interop.read(wide, arrays, library="torch")
    assert read.weight.dtype == jnp.float32
    np.testing.assert_array_equal(read.weight, half.weight.astype(jnp.float32))
    assert eqx.tree_equal(interop.read(half, arrays, library="torch"), half)
    with pytest.raises(ValueError, match="weight is float32, which bfloat16 does not hold exactly"):
        interop.read(half, interop.write(layer, library="torch"), library="torch")


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int8, np.complex64])
def test_no_precision_is_lost_silently(dtype):
    arrays = {k: v.astype(dtype) for k, v in interop.write(up(), library="torch").items()}
    if dtype == np.float16:
        assert interop.read(up(), arrays, library="torch").weight.dtype == jnp.float32
        return
    name = np.dtype(dtype).name
    with pytest.raises(ValueError, match=rf"weight is {name}, which .*\n  bias is {name}, which"):
        interop.read(up(), arrays, library="torch")


def test_what_a_mask_hides_is_written_as_zeros():
    mask = np.arange(4) > 1
    layer = up(w_mask=mask)
    arrays = interop.write(layer, library="torch")
    assert not arrays["weight"][:2].any()
    np.testing.assert_array_equal(
        arrays["weight"][2:], interop.write(up(), library="torch")["weight"][2:]
    )
    read = interop.read(up(w_mask=mask), arrays, library="torch")
    x = jnp.ones((1, 7, 4))
    np.testing.assert_array_equal(read(x), layer(x))
    normed = interop.write(WeightNorm(layer), library="torch")["weight"]
    close(normed, interop.write(layer, library="torch")["weight"])
    with pytest.raises(
        ValueError, match=r"`form` \(='weight_norm'\) cannot hold a WeightNorm with"
    ):
        interop.write(WeightNorm(layer), library="torch", form="weight_norm")


def test_what_wraps_a_parameter_stays_around_it():
    layer = up(param_type=convt1d.Frozen)
    arrays = interop.write(up(), library="torch")
    read = interop.read(layer, arrays, library="torch")
    assert isinstance(read.weight, convt1d.Frozen)
    assert isinstance(read.bias, convt1d.Frozen)
    assert eqx.tree_equal(read.weight.array, up().weight)


class Two(eqx.Module):
    value: jax.Array
    other: jax.Array


def doubled(array):
    return Two(array, array)


TORCH = {"weight": np.ones((4, 6, 5), np.float32), "bias": np.ones(6, np.float32)}
NORMED = {"weight_g": np.ones((4, 1, 1), np.float32), "weight_v": TORCH["weight"]}
WRONG = {
    "missing bias": (
        up(), {"weight": TORCH["weight"]}, r"bias \(6,\) is missing",
    ),
    "no bias wanted": (
        up(b_init=None), TORCH, "bias is there, but the layer has no bias: give it `b_init=0.0`",
    ),
    "unknown": (up(), {**TORCH, "other": np.ones(3)}, r"other \(3,\) is unknown"),
    "two forms": (up(), TORCH | NORMED, r"weight \(4, 6, 5\) is unknown"),
    "of another layout": (
        up(), {**TORCH, "weight": np.ones((6, 4, 5), np.float32)},
        r"weight has the shape \(6, 4, 5\) instead of \(4, 6, 5\)",
    ),
    "half a weight norm": (
        WeightNorm(up()), {"bias": TORCH["bias"], "weight_g": NORMED["weight_g"]},
        r"weight_v \(4, 6, 5\) is missing",
    ),
    "nothing": (
        up(b_init=None), {},
        r"weight \(4, 6, 5\), or weight_g \(4, 1, 1\) and weight_v \(4, 6, 5\), or "
        r"parametrizations.weight.original0 \(4, 1, 1\) and "
        r"parametrizations.weight.original1 \(4, 6, 5\) is missing",
    ),
    "everything": (
        up(), {"w": np.ones(1), "bias": np.ones((6, 1))},
        r"weight \(4, 6, 5\), or .*\n  bias has the shape \(6, 1\) instead of \(6,\)"
        r"\n  w \(1,\) is unknown$",
    ),
    "no direction": (
        up(b_init=None), NORMED | {"weight_v": np.zeros((4, 6, 5), np.float32)},
        r"weight_v has only zeros in its rows \[0, 1, 2, 3\], where the original computes NaN",
    ),
    "an object": (up(), {"weight": object()}, "'weight' of type object, which is no array"),
    "twice": (up(), {"a.b": np.ones(2), "a": {"b": np.ones(2)}}, "`arrays` has 'a.b' twice"),
    "no mapping": (up(), [np.ones(2)], r"`arrays` \(a list\) must be a mapping from names"),
    "no layer": (eqx.nn.Lambda(jax.nn.relu), TORCH, r"`layer` \(=Lambda\) must be a ConvTr"),
    "two arrays": (up(param_type=doubled), TORCH, "parameter of type Two with 2 arrays instead of"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG.keys())
def test_what_does_not_fit_is_said_with_the_names_and_shapes_that_would(case):
    layer, arrays, message = case
    with pytest.raises(ValueError, match=message):
        interop.read(layer, arrays, library="torch")


def test_a_third_array_of_keras_is_not_dropped():
    arrays = [*interop.write(up(), library="keras").values(), np.ones(2)]
    with pytest.raises(ValueError, match=r"2 \(2,\) is unknown"):
        interop.read(up(), arrays, library="keras")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"library": "tensorflow"}, r"`library` \(='tensorflow'\) must be one of 'brainstate', "),
        ({"library": "torch", "form": "g"}, r"`form` \(='g'\) must be one of 'folded', 'weight_n"),
        (
            {"library": "flax", "form": "weight_norm"},
            r"`form` \(='weight_norm'\) is PyTorch's way .*'folded' goes with `library` \(='flax'",
        ),
    ],
)
def test_an_unknown_library_or_form_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        interop.write(up(), **arguments)


def test_layers_that_have_no_numbers_are_not_written():
    with pytest.raises(ValueError, match="`layer` has shapes instead of arrays: read or make it"):
        interop.write(abstract(up()), library="torch")
    zero = eqx.tree_at(lambda it: it.layer.weight, WeightNorm(up()), jnp.zeros((5, 6, 4)))
    with pytest.raises(ValueError, match=r"direction of zeros in the rows \[0, 1, 2, 3\], where"):
        interop.write(zero, library="torch")
