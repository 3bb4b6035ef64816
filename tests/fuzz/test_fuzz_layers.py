"""Any arguments of a layer either work as the formula says or are refused by their name."""

import fuzz_layers
from fuzz_laws import few
from hypothesis import given


@few(12)
@given(fuzz_layers.transposed())
def test_a_transposed_layer_is_its_formula_or_refuses_an_argument(arguments):
    fuzz_layers.check_transposed(arguments)


@few(12)
@given(fuzz_layers.plain())
def test_a_convolution_is_its_formula_or_refuses_an_argument(arguments):
    fuzz_layers.check_plain(arguments)
