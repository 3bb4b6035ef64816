"""Laws of the upsampler of series, against NumPy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import convt1d
from convt1d.models import Layout, SeriesUpsampler

KEY = jax.random.key(3)
LOW_RATES = ("mean", "points")


def make(factor: int = 4, low_rate: str = "mean", **changes: object) -> SeriesUpsampler:
    settings = {"strides": (1, factor), "channels": (6, 6, 4), "dilations": (1,), **changes}
    layout = Layout(residual_kernels=(3,), kernel_size=3, **settings)  # pyright: ignore[reportArgumentType]
    return SeriesUpsampler(factor, layout, channels=2, low_rate=low_rate, key=KEY)


def noise(*shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(7), shape)


@pytest.mark.parametrize("low_rate", LOW_RATES)
@pytest.mark.parametrize(("length", "factor"), [(24, 4), (25, 4), (7, 3), (1, 2)])
def test_the_low_rate_is_means_or_points_and_what_is_made_keeps_them(low_rate, length, factor):
    model, high = make(factor, low_rate), noise(3, length, 2)
    low = model.low(high)
    full = length // factor * factor
    blocks = np.asarray(high[:, :full]).reshape(3, -1, factor, 2)
    wanted = blocks.mean(2) if low_rate == "mean" else blocks[:, :, 0]
    np.testing.assert_allclose(low[:, : full // factor], wanted, atol=1e-6)
    assert low.shape[1] == -(-length // factor)
    made = model(low)
    assert made.shape == (3, factor * low.shape[1], 2)
    np.testing.assert_allclose(model.low(made), low, atol=1e-5)


@pytest.mark.parametrize("low_rate", LOW_RATES)
def test_plain_is_interpolation_on_straight_lines(low_rate):
    model, low = make(4, low_rate), noise(2, 9, 2)
    known = 4 * np.arange(9) + model.offset
    for row, made in zip(np.asarray(low), np.asarray(model.plain(low)), strict=True):
        for variable in range(2):
            wanted = np.interp(np.arange(36), known, row[:, variable])
            np.testing.assert_allclose(made[:, variable], wanted, atol=1e-6)


def test_the_base_begins_as_interpolation_on_straight_lines():
    model = make(3, "points")
    silent = eqx.tree_at(lambda m: m.detail, model, lambda steps: 0 * jnp.repeat(steps, 3, axis=1))
    low = noise(2, 9, 2)
    np.testing.assert_allclose(silent(low), model.plain(low), atol=1e-6)


@pytest.mark.parametrize("low_rate", LOW_RATES)
def test_a_variable_that_is_moved_or_multiplied_comes_out_moved_or_multiplied(low_rate):
    model, low = make(4, low_rate), noise(2, 12, 2)
    scale, move = jnp.array([[[100.0, 3.0]]]), jnp.array([[[-7.0, 1000.0]]])
    wanted = scale * model(low) + move
    # Rounding of numbers up to 1000, and of their differences.
    np.testing.assert_allclose(model(scale * low + move), wanted, atol=2e-2)


@pytest.mark.parametrize("padding", ["same", "causal"])
def test_a_part_of_a_series_is_made_as_in_the_whole(padding):
    model, low = make(2, padding=padding), noise(1, 80, 2)
    whole, margin = model(low), model.margin
    for begin, end in ((margin, margin + 1), (margin + 5, 80 - margin)):
        window = low[:, begin - margin : end + margin]
        np.testing.assert_allclose(model.inside(window), whole[:, 2 * begin : 2 * end], atol=1e-5)


def test_the_margin_is_no_wider_than_what_is_seen():
    model = make(2)
    length = 2 * model.margin + 1
    seen = jax.jacobian(lambda low: model.inside(low)[0, :, 0])(noise(1, length, 2))
    assert (np.abs(seen[:, 0]).sum(axis=(0, 2)) > 0)[[0, -1]].any()


def test_it_is_saved_and_read_back(tmp_path):
    model = make(2, "points")
    convt1d.save(tmp_path, model)
    assert eqx.tree_equal(convt1d.load(tmp_path), model)


def test_its_summary_counts_what_is_learned():
    model = make()
    rows = convt1d.models.summary(model, 24)
    learned = sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(model, eqx.is_array)))
    assert sum(row.parameters for row in rows) == learned
    assert rows[-1].length == 24


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factor": 1}, r"`factor` \(=1\) must be at least 2: with 1 nothing is missing"),
        ({"strides": (2, 4)}, r"strides \(2, 4\), whose product is 8: it must be the `factor`"),
        ({"lstm": 1}, r"`layout` has lstm=1, which sees the whole series"),
        ({"low_rate": "filtered"}, "low_rate"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**arguments)
