"""Finds a Python of a wanted version on this host."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from replay.engines import facts
from replay.errors import BaseMissing, EngineError

_PATIENCE = 20
"""Seconds within which an interpreter must have told its facts."""


def minor(version: str) -> str:
    """Return the X.Y of a Python version."""
    return ".".join(version.split(".")[:2])


def find(python: str | None) -> facts.Facts:
    """Return the facts of an interpreter of version `python` (X.Y or X.Y.Z; None: Replay's own).

    Looks at Replay's own interpreter, PATH, then the versions that pyenv and uv installed. An interpreter
    of that X.Y will do; the full version stands in its facts. Raises BaseMissing, naming what was found.
    """
    own = facts_of(sys.executable)
    if python is None or minor(python) == minor(own.interpreter.version):
        return own
    for candidate in _candidates(minor(python)):
        try:
            found = facts_of(candidate)
        except EngineError:
            continue
        if minor(found.interpreter.version) == minor(python):
            return found
    raise BaseMissing(
        f"there is no Python {minor(python)} on this host",
        cause=f"looked on PATH and among pyenv's and uv's versions; found {', '.join(_known())}",
        do=f"install one (`uv python install {minor(python)}`), or use --engine docker",
    )


def facts_of(executable: str) -> facts.Facts:
    """Return the facts about an interpreter of this host. Raises EngineError where it does not tell them."""
    path = os.environ.get("PATH", os.defpath)
    variables = {"PATH": path, "HOME": str(Path.home())}
    try:
        said = subprocess.run(
            [executable, *facts.FLAGS, facts.SCRIPT],
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            check=True,
        )
        return facts.read(said.stdout.decode("utf-8", "replace"))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise EngineError(
            f"{executable} does not tell what kind of Python it is",
            cause=str(error)[-300:],
            do="check that it starts, or put another interpreter first on PATH",
        ) from error


def _candidates(python: str) -> Iterator[str]:
    for name in (f"python{python}", "python3", "python"):
        found = shutil.which(name)
        if found is not None:
            yield found
    for folder in _version_folders():
        fitting = [path for path in folder.glob("*") if re.search(rf"(^|-){re.escape(python)}\.\d+", path.name)]
        for path in sorted(fitting, key=_patch, reverse=True):
            yield str(path / "bin" / "python3")


def _version_folders() -> tuple[Path, ...]:
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR", Path.home() / ".local/share/uv/python"))
    return pyenv / "versions", uv


def _patch(path: Path) -> int:
    found = re.search(r"\d+\.\d+\.(\d+)", path.name)
    return int(found.group(1)) if found else -1


def _known() -> list[str]:
    """Return the X.Y that this host seems to have, for a message; nothing is started for it."""
    known = {minor(".".join(map(str, sys.version_info[:2])))}
    for folder in map(Path, os.environ.get("PATH", "").split(os.pathsep)):
        names = (path.name.removeprefix("python") for path in folder.glob("python3.*"))
        known.update(name for name in names if re.fullmatch(r"3\.\d+", name))
    for folder in _version_folders():
        versions = (re.search(r"(?:^|-)(3\.\d+)\.\d+", path.name) for path in folder.glob("*"))
        known.update(found.group(1) for found in versions if found)
    return sorted(known, key=lambda version: [int(part) for part in version.split(".")])
