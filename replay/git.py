"""What git says of a repository, where there is one."""

from __future__ import annotations

import subprocess
from pathlib import Path

TIMEOUT = 20
"""Seconds one git command may take."""


def git(root: Path, *words: str, timeout: float = TIMEOUT) -> bytes | None:
    """Return what a git command says of the repository at `root`; None where it fails, or there is no git."""
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, timeout=timeout, check=False)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
