"""Faults are done to processes of their own; these share what they compile."""

from pathlib import Path

import pytest
from processes import Trainer


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the processes keep what they have compiled."""
    return tmp_path_factory.mktemp("compiled", numbered=False)


@pytest.fixture(scope="session")
def trainer(compiled: Path) -> Trainer:
    """Starts processes that train toys."""
    return Trainer(compiled)
