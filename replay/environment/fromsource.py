"""Wheels of archives, folders and repositories: brought, built, and called by what they were built from."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from replay.digest import of_file
from replay.environment import bring
from replay.environment.build import Builder
from replay.environment.fingerprint import fingerprint
from replay.environment.packages import Wheel
from replay.environment.requirements import without_credentials
from replay.store.files import remove_tree

Built = tuple[str, Wheel]


def of_archive(builder: Builder, file: Path, filename: str, within: str = "") -> Built:
    """Return name and wheel of a source archive. Raises LockError."""
    digest = of_file(file)

    def fetch(target: Path) -> Path:
        return _inside(bring.unpack(file, filename, target), within, filename)

    return builder.build(filename, digest, fetch, key=f"{digest}#{within}")


def of_folder(builder: Builder, folder: Path, within: str = "", *, start: Path) -> Built:
    """Return name and wheel of a folder, called by its path from `start`. Raises LockError."""
    origin = os.path.relpath(folder / within, start)

    def fetch(target: Path) -> Path:
        return _inside(bring.copy(folder, target), within, origin)

    return builder.build(origin, None, fetch, key=f"{fingerprint(folder)}#{within}")


def of_repository(builder: Builder, url: str, revision: str | None, within: str = "") -> Built:
    """Return name and wheel of a git repository (`git+https://…`) at a revision. Raises LockError."""
    folder = builder.store.scratch("checkout")
    try:
        commit = bring.check_out(url, revision, folder / "source")
        origin = without_credentials(url) + (f"#subdirectory={within}" if within else "")

        def fetch(target: Path) -> Path:
            (folder / "source").rename(target)
            return _inside(target, within, origin)

        return builder.build(origin, f"git:{commit}", fetch, key=f"git:{commit}#{within}")
    finally:
        remove_tree(folder)


def _inside(project: Path, within: str, origin: str) -> Path:
    parts = PurePosixPath(within).parts
    found = project.joinpath(*parts)
    if ".." in parts or PurePosixPath(within).is_absolute() or not found.resolve().is_relative_to(project.resolve()):
        raise bring.refused(origin, f"the subdirectory {within!r} leads out of it")
    if not found.is_dir():
        raise bring.refused(origin, f"it has no folder {within!r}")
    return found
