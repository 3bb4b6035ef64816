"""Imported layers against the originals: what these computed once (reference/), and live."""

import importlib
import json
from pathlib import Path

import equinox as eqx
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import drawn
from hypothesis import assume, given, settings
from reference.interop_cases import CASES, ORIGINS, PAIRS, Case, filled, has, signal
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


@st.composite
def cases(draw, origin):
    """A layer that the library has; its kernel covers the stride and lies within the signal."""
    size = st.integers(1, 4)
    transposed = not has(origin, Case(False, (1, 1), 1)) or draw(st.booleans())
    grouped = has(origin, Case(transposed, (2, 2), 1, groups=2))
    groups, taps, dilation = draw(size) if grouped else 1, draw(size), draw(st.integers(1, 2))
    case = Case(
        transposed=transposed,
        channels=(groups * draw(size), groups * draw(size)),
        kernel_size=taps,
        stride=draw(st.integers(1, min(4, (taps - 1) * dilation + 1))),
        dilation=dilation,
        groups=groups,
        bias=draw(st.booleans()),
    )
    assume(has(origin, case))
    return case


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the other libraries' own
@pytest.mark.parametrize("origin", ORIGINS)
def test_the_original_computes_the_same_with_what_was_read_and_written(origin):
    if not is_here(origin):
        pytest.skip(f"{ORIGINS[origin].package} is not installed, or in another version")
    with jax.numpy_dtype_promotion("standard"):  # Keras adds while it is imported
        original = importlib.import_module("reference.interop_originals").original
    _, library, name, form = ORIGINS[origin]

    @settings(deadline=None, max_examples=12, derandomize=True, database=None)
    @given(case=cases(origin))
    def compare(case):
        state, apply = original(origin, case)
        empty = blank(case, normed=form != "folded")
        theirs = interop.read(empty, state, library=library, name=name)
        for layer in (theirs, drawn(lambda: theirs)):
            arrays = interop.write(layer, library=library, name=name, form=form)
            check(layer, case, apply(arrays, signal(case)))

    compare()
