"""Sets of series laid into a plane."""

import numpy as np
import pytest

from apps import pictures
from apps.metrics import projections

RNG = np.random.default_rng(0)
REAL, MADE = RNG.standard_normal((30, 12, 3)), RNG.standard_normal((25, 12, 3)) + 2


def test_principal_components_are_the_singular_vectors_of_the_real_set():
    found = projections.principal_components(MADE, REAL)
    rows = REAL.mean(axis=2)
    centred = rows - rows.mean(axis=0)
    values = np.linalg.svd(centred, compute_uv=False)
    np.testing.assert_allclose(np.linalg.norm(found.real, axis=0), values[:2], rtol=1e-9)
    assert found.made.shape == (25, 2)


def test_neighbours_stay_neighbours_and_a_seed_gives_the_same_plane():
    found, again = (projections.neighbour_embedding(MADE, REAL) for _ in range(2))
    np.testing.assert_array_equal(found.made, again.made)
    centres = found.made.mean(axis=0), found.real.mean(axis=0)
    spread = max(found.made.std(), found.real.std())
    assert np.linalg.norm(centres[0] - centres[1]) > spread / 2  # the sets are apart


def test_of_large_sets_as_many_are_shown_as_can_be_told_apart(monkeypatch):
    monkeypatch.setattr(projections, "MOST", 20)
    found = projections.principal_components(MADE, REAL)
    assert found.made.shape == found.real.shape == (20, 2)


def test_series_that_make_no_plane_are_refused():
    with pytest.raises(ValueError, match="of 3 series or more"):
        projections.principal_components(MADE[:2], REAL)
    with pytest.raises(ValueError, match="have 1 step"):
        projections.neighbour_embedding(MADE[:, :1], REAL[:, :1])


def test_every_projection_has_its_panel():
    pairs = {"PCA": projections.principal_components(MADE, REAL)}
    figure = pictures.planes({**pairs, "again": pairs["PCA"]}, title="both")
    assert [axes.get_title() for axes in figure.axes] == ["PCA", "again"]
    assert all(len(axes.collections) == 2 for axes in figure.axes)
    with pytest.raises(ValueError, match="pairs is empty"):
        pictures.planes({})
