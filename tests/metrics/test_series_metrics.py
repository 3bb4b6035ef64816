import numpy as np
import pytest

from apps.metrics import series

RNG = np.random.default_rng(3)


def test_errors_equal_their_definitions_series_by_series():
    made, wanted = RNG.standard_normal((4, 24, 5)), RNG.standard_normal((4, 24, 5))
    absolute, root = (
        series.mean_absolute_error(made, wanted),
        series.root_mean_square_error(made, wanted),
    )
    for index in range(4):
        difference = (made[index] - wanted[index]).ravel()
        assert absolute[index] == pytest.approx(np.linalg.norm(difference, 1) / 120)
        assert root[index] == pytest.approx(np.linalg.norm(difference) / np.sqrt(120))


def test_correlation_difference_equals_numpys_matrices():
    made, wanted = RNG.standard_normal((9, 24, 3)), RNG.standard_normal((4, 30, 3))
    made[..., 1] += made[..., 0]
    matrices = [np.corrcoef(x.reshape(-1, 3), rowvar=False) for x in (made, wanted)]
    apart = np.abs(matrices[0] - matrices[1])
    expected = (apart[0, 1] + apart[0, 2] + apart[1, 2]) / 3
    assert series.correlation_difference(made, wanted) == pytest.approx(expected)


def test_a_variable_that_never_changes_correlates_with_nothing():
    constant = np.concatenate([RNG.standard_normal((5, 24, 1)), np.ones((5, 24, 1))], axis=2)
    assert series.correlation_difference(constant, constant) == 0.0
    assert series.correlation_difference(constant[..., :1], constant[..., :1]) == 0.0


def test_shapes_that_cannot_be_compared_are_refused():
    with pytest.raises(ValueError, match=r"signal has shape \(2, 3\)"):
        series.mean_absolute_error(np.zeros((2, 3)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="with the same variables"):
        series.correlation_difference(np.zeros((2, 3, 4)), np.zeros((2, 3, 5)))


def test_correlational_scores_are_a_tenth_of_the_sum_over_pairs():
    made, wanted = RNG.standard_normal((8, 24, 3)), RNG.standard_normal((8, 24, 3))
    made[..., 1] += made[..., 0]
    matrices = [np.corrcoef(x.reshape(-1, 3), rowvar=False) for x in (made, wanted)]
    apart = np.abs(matrices[0] - matrices[1])
    expected = (apart[0, 1] + apart[0, 2] + apart[1, 2]) / 10
    found = series.correlational_scores(made, wanted, subsets=1)
    np.testing.assert_allclose(found, [expected])
    several = series.correlational_scores(made, wanted, subsets=4)
    assert len(set(several.tolist())) == 4


def test_sets_without_enough_series_are_refused():
    with pytest.raises(ValueError, match="of 2 series or more"):
        series.correlational_scores(np.zeros((1, 3, 4)), np.zeros((5, 3, 4)))
