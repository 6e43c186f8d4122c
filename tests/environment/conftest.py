"""What several tests of the environment share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def uv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a real uv, as PyPI has it."""
    place = tmp_path_factory.mktemp("uv")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(place), "uv"]
    subprocess.run(command, check=True)
    return place / "bin"
