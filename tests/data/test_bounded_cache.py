"""The cache keeps to its budget and to what it first made."""

import numpy as np

from apps.data.cache import BoundedCache


def test_what_is_kept_is_made_once_and_never_beyond_the_budget():
    cache = BoundedCache(2.5 * 80 / 2**20)  # room for two arrays of 80 bytes
    made = []

    def make(name):
        made.append(name)
        return np.full(10, float(name))

    for name in (0, 1, 2, 0, 1, 2, 2):
        np.testing.assert_array_equal(cache.get(name, lambda name=name: make(name)), float(name))
    assert made == [0, 1, 2, 2, 2]
    assert cache.used == 160 <= cache.budget
