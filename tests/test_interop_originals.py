"""Imported layers against the originals: what these computed once (reference/), and live."""

import importlib
import json
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.interop_cases import CASES, ORIGINS, PAIRS, filled, signal
from reference.make_interop_vectors import is_here

from convt1d import WeightNorm, interop

REFERENCE = Path(__file__).parent / "reference"
OUTPUTS = np.load(REFERENCE / "interop_layers.npz")
SHAPES = json.loads((REFERENCE / "interop_layers.json").read_text())


def blank(case, *, normed=False):
    """Our layer, without numbers."""
    return eqx.filter_eval_shape(lambda: (WeightNorm if normed else lambda it: it)(case.layer()))


def check(layer, case, outputs):
    y = np.asarray(layer(jnp.asarray(signal(case))))
    np.testing.assert_allclose(y, outputs, rtol=0, atol=case.tolerance)


def names_of(pairs):
    return [f"{origin}-{CASES[i]}" for origin, i in pairs]


@pytest.mark.parametrize(("origin", "i"), PAIRS, ids=names_of(PAIRS))
def test_an_imported_layer_computes_what_its_original_did(origin, i):
    case, (_, library, name, form) = CASES[i], ORIGINS[origin]
    arrays = filled(SHAPES[f"{origin}:{i}"])
    outputs = OUTPUTS[f"{origin}:{i}"]
    layer = interop.read(blank(case), arrays, library=library, name=name)
    check(layer, case, outputs)
    if library == "torch":
        normed = interop.read(blank(case, normed=True), arrays, library=library, name=name)
        check(normed, case, outputs)
        layer = normed if form != "folded" else layer
    again = interop.write(layer, library=library, name=name, form=form)
    assert again.keys() == arrays.keys()
    for key, array in again.items():
        np.testing.assert_array_equal(array, arrays[key], strict=True)


def test_every_original_has_given_its_numbers():
    assert set(OUTPUTS.files) == SHAPES.keys() == {f"{origin}:{i}" for origin, i in PAIRS}


@pytest.mark.filterwarnings("ignore")  # of the other libraries' own
@pytest.mark.parametrize(("origin", "i"), PAIRS, ids=names_of(PAIRS))
def test_the_original_computes_the_same_with_what_was_read_and_written(origin, i):
    if not is_here(origin):
        pytest.skip(f"{ORIGINS[origin].package} is not installed, or in another version")
    with jax.numpy_dtype_promotion("standard"):  # Keras adds while it is imported
        original = importlib.import_module("reference.interop_originals").original
        case, (_, library, name, form) = CASES[i], ORIGINS[origin]
        state, apply = original(origin, case)
    # What the library itself has made, as it gives it:
    layer = interop.read(blank(case, normed=form != "folded"), state, library=library, name=name)
    check(
        layer,
        case,
        apply(interop.write(layer, library=library, name=name, form=form), signal(case)),
    )
    # What we have made:
    layer = drawn_like(layer)
    arrays = interop.write(layer, library=library, name=name, form=form)
    check(layer, case, apply(arrays, signal(case)))


def drawn_like(layer):
    """The layer with other numbers, biases among them."""
    leaves, structure = jax.tree.flatten(layer)
    rng = np.random.default_rng(0)
    new = [jnp.asarray(rng.uniform(-1, 1, leaf.shape).astype(np.float32)) for leaf in leaves]
    return jax.tree.unflatten(structure, new)
