"""Every test has a cache folder of its own."""

import pytest


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory, monkeypatch):
    """Where this test keeps what it found in sound files."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr("apps.data.index.user_cache", folder.joinpath)
    return folder
