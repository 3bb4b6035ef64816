"""Scaling and its inverse."""

import json

import numpy as np
import pytest
from scipy import stats

from apps.data import Scaling

ROWS = np.random.default_rng(0).normal([5.0, -1e6, 0.0], [2.0, 1e5, 1e-3], (200, 3))


@pytest.mark.parametrize("kind", ["none", "min-max", "standard", "robust"])
def test_unscale_undoes_scale_also_after_json(kind):
    scaling = Scaling.fit(kind, ROWS)
    restored = Scaling.from_dict(json.loads(json.dumps(scaling.to_dict())))
    assert restored == scaling
    # Two roundings of numbers of the size of the offset.
    size = np.abs(ROWS).max(0)
    assert (np.abs(restored.unscale(scaling.scale(ROWS)) - ROWS) <= 4e-16 * 2 * size).all()


def test_each_kind_does_what_its_name_says():
    scaled = Scaling.fit("min-max", ROWS).scale(ROWS)
    np.testing.assert_array_equal([scaled.min(0), scaled.max(0)], [[0, 0, 0], [1, 1, 1]])
    scaled = Scaling.fit("standard", ROWS).scale(ROWS)
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(scaled.std(0), 1, rtol=1e-12)
    np.testing.assert_array_equal(Scaling.fit("none", ROWS).scale(ROWS), ROWS)


@pytest.mark.parametrize("kind", ["min-max", "standard", "robust"])
def test_a_constant_channel_becomes_zero(kind):
    rows = np.full((5, 1), 7.0)
    scaling = Scaling.fit(kind, rows)
    np.testing.assert_array_equal(scaling.scale(rows), 0)
    np.testing.assert_array_equal(scaling.unscale(scaling.scale(rows)), rows)


def test_robust_scaling_is_that_of_median_and_quartiles_which_outliers_do_not_move():
    scaled = Scaling.fit("robust", ROWS).scale(ROWS)
    np.testing.assert_allclose(np.median(scaled, 0), 0, atol=1e-12)
    np.testing.assert_allclose(stats.iqr(scaled, axis=0), 1, rtol=1e-12)
    outliers = ROWS.copy()
    outliers[np.argmax(ROWS[:, 0]), 0] = 1e9
    assert Scaling.fit("robust", outliers) == Scaling.fit("robust", ROWS)


def test_a_channel_that_mostly_rests_is_scaled_by_its_deviation():
    rows = np.zeros((100, 1))
    rows[::10] = 1e6
    assert Scaling.fit("robust", rows).factor == (rows.std(),)


def test_wrong_scalings_are_refused():
    with pytest.raises(ValueError, match=r"scaling='minmax' is not one of .*mean 'min-max'"):
        Scaling.fit("minmax", ROWS)
    with pytest.raises(ValueError, match="got 1 offsets and 2 factors"):
        Scaling("standard", (0.0,), (1.0, 1.0))


@pytest.mark.parametrize(("offset", "factor"), [((np.nan,), (1.0,)), ((0.0,), (0.0,))])
def test_a_scaling_that_cannot_be_undone_is_refused(offset, factor):
    with pytest.raises(ValueError, match="needs finite offsets and factors other than 0, got the"):
        Scaling("standard", offset, factor)
