"""The baselines of upsampling: exact where they should be, and lined up with the low rate."""

import numpy as np
import pytest

from apps.metrics.interpolation import METHODS, errors, ratio, squares

RNG = np.random.default_rng(0)


def lowered(high, factor, offset):
    """Means of blocks if they stand in the middle, else every so many-th sample."""
    blocks = high.reshape(len(high), -1, factor, high.shape[2])
    return blocks.mean(2) if offset else blocks[:, :, 0]


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("middle", [True, False])
def test_a_line_is_made_again_between_the_samples_by_linear_and_cubic(factor, middle):
    """A shift of half a sample between the rates would show as a shift of the line."""
    offset = (factor - 1) / 2 if middle else 0.0
    high = np.arange(24.0)[None, :, None] * [[[1.0, -3.0]]] + 5
    low = lowered(high, factor, offset)
    inside = slice(factor, 24 - factor)
    for name in ("linear", "cubic"):
        made = METHODS[name](low, factor=factor, length=24, offset=offset)
        np.testing.assert_allclose(made[:, inside], high[:, inside], atol=1e-9)
        assert (made[:, 0] == low[:, 0]).all() or not middle


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("middle", [True, False])
def test_a_slow_period_is_made_again_by_fourier(factor, middle):
    offset = (factor - 1) / 2 if middle else 0.0
    angle = 2 * np.pi * np.arange(24)[None, :, None] / 24 + RNG.uniform(0, 6, (3, 1, 2))
    high = np.sin(angle)
    low = lowered(high, factor, offset)
    made = METHODS["fourier"](low, factor=factor, length=24, offset=offset)
    # The mean of a block of a sine is the sine in its middle, smaller by this.
    damped = np.mean(np.cos(2 * np.pi * (np.arange(factor) - offset) / 24)) if middle else 1.0
    np.testing.assert_allclose(made, damped * high, atol=1e-9)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_any_number_of_samples_is_interpolated(count):
    low = RNG.normal(size=(2, count, 3))
    for method in METHODS.values():
        made = method(low, factor=4, length=4 * count - 1, offset=1.5)
        assert made.shape == (2, 4 * count - 1, 3)
        assert np.isfinite(made).all()
        np.testing.assert_allclose(made[:, 0], low[:, 0], atol=10)


def test_errors_are_those_of_each_method():
    high = RNG.normal(size=(5, 24, 2))
    low = lowered(high, 4, 0.0)
    found = errors(low, high, factor=4, offset=0.0)
    for name, (absolute, root, each) in found.items():
        made = METHODS[name](low, factor=4, length=24, offset=0.0)
        np.testing.assert_allclose(absolute, np.abs(made - high).mean((1, 2)))
        np.testing.assert_allclose(root, np.sqrt(((made - high) ** 2).mean((1, 2))))
        np.testing.assert_allclose(each, ((made - high) ** 2).mean(1))


def test_a_ratio_counts_variables_of_all_units_alike():
    wanted = RNG.normal(size=(6, 24, 3)) * [1.0, 1e6, 0.0]
    other = squares(wanted * 1.5, wanted)
    assert ratio(squares(wanted * [1.25, 2.0, 1.0], wanted), other) == pytest.approx(1.0)
    assert ratio(squares(wanted * 1.25, wanted), other) == pytest.approx(0.5)
    assert ratio(other[..., 2:], other[..., 2:]) == 1.0
