"""What a layout refuses, and what it fills in."""

import re

import pytest

from convt1d.models import Layout

REFUSED = {
    "no strides": ({"strides": ()}, "`strides` (=()) must be one or more ints"),
    "a stride of 0": ({"strides": (0, 2)}, "`strides` (=(0, 2)) must be one or more ints of at"),
    "few channels": ({"channels": (4,)}, "`channels` (=(4,)) must hold one positive int for each"),
    "few kernels": ({"stride_kernels": (4,)}, "`stride_kernels` (=(4,)) must hold one positive"),
    "no taps": ({"kernel_size": 0}, "`kernel_size` (=0) must be an int of at least 1"),
    "no taps at the latent": ({"latent_kernel_size": 0}, "`latent_kernel_size` (=0) must be an"),
    "no branch": ({"residual_kernels": ()}, "`residual_kernels` (=()) must hold one positive int"),
    "a dilation of 0": ({"dilations": (1, 0)}, "`dilations` (=(1, 0)) must be ints of at least 1"),
    "dilations of another number of branches": (
        {"dilations": ((1, 3), (1, 3))},
        "`dilations` (=((1, 3), (1, 3))) must be ints, or a tuple of ints for each of the 1",
    ),
    "a unit": ({"residual": "thrice"}, "`residual` (='thrice') must be one of 'pointwise', 'twi"),
    "more units than dilations": (
        {"units": (1, 4)},
        "`units` (=(1, 4)) must hold a number from 0 to 3, of the dilations used, for each of",
    ),
    "fewer units than strides": ({"units": (1,)}, "`units` (=(1,)) must hold a number from 0"),
    "a compression of 0": ({"compress": 0}, "`compress` (=0) must be an int of at least 1"),
    "an activation": (
        {"activation": "swish"}, "`activation` (='swish') must be one of 'snake', 'snake_beta'",
    ),
    "a padding": ({"padding": "valid"}, "`padding` (='valid') must be one of 'same', 'same_low"),
    "a padding mode": (
        {"padding_mode": "wrap"}, "`padding_mode` (='wrap') must be one of 'zeros', 'reflect'",
    ),
    "half a layer": ({"lstm": 0.5}, "`lstm` (=0.5) must be an int of at least 0"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED)
def test_arguments_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Layout(**({"strides": (4, 2), "channels": (8, 6, 4)} | arguments))


def test_lists_are_as_good_as_tuples():
    plain = Layout(strides=(4, 2), channels=(8, 6), residual_kernels=(3, 5), dilations=((1,), (2,)))
    listed = Layout(strides=[4, 2], channels=[8, 6], residual_kernels=[3, 5], dilations=[[1], [2]])  # pyright: ignore[reportArgumentType]
    assert plain == listed
    assert hash(plain) == hash(listed)


@pytest.mark.parametrize(
    ("arguments", "stage", "found"),
    [
        ({}, 0, ((1, 3, 9),)),
        ({"units": (2, 3)}, 0, ((1, 3),)),
        ({"units": (2, 3)}, 1, ((1, 3, 9),)),
        ({"residual_kernels": (3, 7), "dilations": (1, 5)}, 0, ((1, 5), (1, 5))),
        ({"residual_kernels": (3, 7), "dilations": ((1,), (5,))}, 1, ((1,), (5,))),
        ({"channels": (8, 6)}, 1, ()),  # where the stride makes the signal
        ({"dilations": ()}, 0, ((),)),
    ],
)
def test_each_stage_has_its_dilations(arguments, stage, found):
    layout = Layout(**({"strides": (4, 2), "channels": (8, 6, 4)} | arguments))
    assert layout.dilations_at(stage) == found
