"""What several tests of the environment share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from replay.store.folder import FolderStore


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore.open(tmp_path / "store")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of wheels that stands in for an index; requirements beside it name it by a relative path (HERE)."""
    return tmp_path / "wheels"


@pytest.fixture(scope="session")
def uv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a real uv, as PyPI has it."""
    place = tmp_path_factory.mktemp("uv")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(place), "uv"]
    subprocess.run(command, check=True)
    return place / "bin"
