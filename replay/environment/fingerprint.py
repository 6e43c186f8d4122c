"""A project's folder by content, without what is no source."""

from __future__ import annotations

import os
from pathlib import Path

from replay.digest import canonical, of_bytes, of_file

_LEFT_OUT = {".git", ".hg", ".svn", ".replay", ".venv", "venv", ".tox", ".nox", "__pycache__", "node_modules"}
_LEFT_OUT |= {".mypy_cache", ".pytest_cache", ".ruff_cache", "build", "dist", "replay.lock"}
"""What in a project is no part of its source."""


def left_out(name: str) -> bool:
    """Whether a file or folder of this name is no part of a project's source."""
    return name in _LEFT_OUT or name.endswith(".egg-info")


def fingerprint(folder: Path) -> str:
    """Return a digest of a project's folder, without what is no source."""
    found: dict[str, str] = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not left_out(name))
        for path in (Path(parent, name) for name in names):
            inner = os.fsencode(path.relative_to(folder)).decode("utf-8", "backslashreplace")
            if path.is_symlink():
                found[inner] = f"-> {os.fspath(path.readlink())!a}"
            elif path.is_file():
                found[inner] = of_file(path)
    return of_bytes(canonical(found))
