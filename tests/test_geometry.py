import itertools

import jax
import numpy as np
import pytest

from convt1d._geometry import (
    conv_length,
    conv_padding,
    frames_beyond,
    kernel_extent,
    number_pair,
    padding_pair,
    single,
    transpose_crop,
    transpose_length,
)

GRID = list(itertools.product((1, 2, 7, 28), (1, 3, 4, 5, 16), (1, 2, 3, 8), (1, 2)))


@pytest.mark.parametrize("padding", ["SAME", "VALID", 0, 1, (1, 0), 3])
def test_lengths_are_those_of_lax_conv_transpose(padding):
    numbers = padding if isinstance(padding, str) else [number_pair("padding", padding)]
    for length, kernel_size, stride, dilation in GRID:
        extent = kernel_extent(kernel_size, dilation)
        crop = transpose_crop(padding, spacing=stride, extent=extent)
        ours = transpose_length(length, spacing=stride, extent=extent, crop=crop)
        theirs = jax.eval_shape(
            lambda x, w, s=stride, d=dilation: jax.lax.conv_transpose(
                x, w, (s,), numbers, rhs_dilation=(d,)
            ),
            jax.ShapeDtypeStruct((1, length, 1), np.float32),
            jax.ShapeDtypeStruct((kernel_size, 1, 1), np.float32),
        )
        assert max(ours, 0) == theirs.shape[1], (length, kernel_size, stride, dilation)


@pytest.mark.parametrize("word", ["SAME", "SAME_LOWER", "CAUSAL"])
def test_words_of_equal_length_give_the_input_times_the_spacing(word):
    for length, kernel_size, stride, dilation in GRID:
        extent = kernel_extent(kernel_size, dilation)
        crop = transpose_crop(word, spacing=stride, extent=extent)
        out = transpose_length(length, spacing=stride, extent=extent, crop=crop)
        assert out == length * stride
        assert crop[0] >= 0


def test_same_lower_is_same_with_the_ends_exchanged():
    for extent, spacing in itertools.product(range(1, 20), range(1, 9)):
        low, high = transpose_crop("SAME", spacing=spacing, extent=extent)
        if extent >= spacing:
            assert transpose_crop("SAME_LOWER", spacing=spacing, extent=extent) == (high, low)


@pytest.mark.parametrize("word", ["SAME", "SAME_LOWER", "CAUSAL"])
def test_a_convolution_undoes_the_length_of_its_transposition(word):
    for length, kernel_size, stride, dilation in GRID:
        extent = kernel_extent(kernel_size, dilation)
        pads = conv_padding(word, length=length * stride, stride=stride, extent=extent)
        assert conv_length(length * stride, stride=stride, extent=extent, padding=pads) == length
        if extent >= stride and word != "CAUSAL":
            assert pads == transpose_crop(word, spacing=stride, extent=extent)


def test_same_convolution_pads_as_lax_does():
    for length, kernel_size, stride, dilation in GRID:
        extent = kernel_extent(kernel_size, dilation)
        ours = conv_padding("SAME", length=length, stride=stride, extent=extent)
        [theirs] = jax.lax.padtype_to_pads((length,), (extent,), (stride,), "SAME")
        assert ours == tuple(theirs)


def test_frames_beyond_the_ends_are_those_that_the_window_sees():
    for length, extent, spacing, low, fine in itertools.product(
        (1, 4), (1, 5, 12), (1, 3), (-2, 0, 3), (1, 9)
    ):
        window = set(range(low, low + fine))
        seen = [n for n in range(-40, 40) if window & {*range(n * spacing, n * spacing + extent)}]
        before, after = frames_beyond(length, fine, spacing=spacing, extent=extent, low=low)
        assert before == max(0, -min(seen, default=0))
        assert after == max(0, max(seen, default=0) - length + 1)


@pytest.mark.parametrize("form", [3, np.int64(3), (3, 3), [3, 3], [(3, 3)], ((3, 3),), (3,)])
def test_every_form_of_the_reference_page_is_read(form):
    assert padding_pair("padding", form) == (3, 3)


@pytest.mark.parametrize("word", ["same", "Same", "SAME"])
def test_padding_words_are_read_in_any_case(word):
    assert padding_pair("padding", word) == "SAME"


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("FULL", r"`padding` \(='FULL'\) is not a padding word: use one of 'SAME', 'SAME_LOWER'"),
        (1.5, r"`padding` \(=1\.5\) must be an int"),
        (True, r"`padding` \(=True\) must be an int"),
        ((1, 2, 3), r"`padding` \(=\(1, 2, 3\)\) must be an int, a pair"),
        ((), r"`padding` \(=\(\)\) must be an int, a pair"),
        (None, r"`padding` \(=None\) must be an int"),
    ],
)
def test_other_paddings_are_refused(form, message):
    with pytest.raises(ValueError, match=message):
        padding_pair("padding", form)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, r"`stride` \(=0\) must be at least 1"),
        ((2, 2), r"`stride` \(=\(2, 2\)\) must be an int or a sequence of one int"),
        (2.0, r"`stride` \(=2\.0\) must be an int"),
        (True, r"`stride` \(=True\) must be an int"),
    ],
)
def test_a_size_is_one_positive_integer(value, message):
    with pytest.raises(ValueError, match=message):
        single("stride", value)
