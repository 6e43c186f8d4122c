"""Laying out what a run sees: files out of the store, as folders and mounts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from replay.engines.base import Mount
from replay.errors import StoreError
from replay.layers.base import Placed, Workspace
from replay.store.base import Store


@dataclass(frozen=True)
class LaidOut:
    """`work`: the job's empty, writable working folder. `mounts`: what it sees there read-only."""

    work: Path
    mounts: tuple[Mount, ...]


def lay_out(workspace: Workspace, outputs: Iterable[str], store: Store, folder: Path) -> LaidOut:
    """Lay a workspace out below `folder` (private to this run) and return where.

    Raises StoreError where two paths of a state contradict each other or leave the project.
    """
    inputs, work = folder / "inputs", folder / "work"
    inputs.mkdir()
    work.mkdir()
    written = [PurePosixPath(path) for path in outputs]
    for path in sorted(workspace.folders):
        inside(inputs, path).mkdir(parents=True, exist_ok=True)
    for placed in workspace.files.values():
        _put(placed, inside(inputs, placed.path), store)
    for output in outputs:
        target = inside(work, output)
        (target if output.endswith("/") else target.parent).mkdir(parents=True, exist_ok=True)
    roots = _roots(inputs, workspace, written)
    return LaidOut(work, tuple(Mount(inputs / path, str(path)) for path in roots))


def _put(placed: Placed, target: Path, store: Store) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if placed.blob is None:
            target.mkdir() if placed.folder else target.touch()
            target.chmod(0)
        elif placed.executable:
            shutil.copyfile(store.path(placed.blob), target)
            target.chmod(0o555)
        else:
            _link(store.path(placed.blob), target)
    except (FileExistsError, NotADirectoryError):
        raise StoreError(
            f"{placed.path} is a file in one layer of this state and a folder in another",
            cause="the state was made by hand, or two layers declare the same path",
            do="declare each path in one layer only, then bind again",
        ) from None


def _link(source: Path, target: Path) -> None:
    """Link where the file system can: a gigabyte of input costs nothing. A job cannot write through it (0444)."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        target.chmod(0o444)


def _roots(inputs: Path, workspace: Workspace, written: list[PurePosixPath]) -> list[PurePosixPath]:
    """Return the paths to mount: each declared folder whole, unless the job writes inside it; else file by file.

    So the job may write beside its inputs (its working folder is thrown away) and never into them.
    """
    found: list[PurePosixPath] = []
    pending = [PurePosixPath(path) for path in sorted(workspace.folders | workspace.files.keys())]
    while pending:
        path = pending.pop(0)
        if any(root == path or root in path.parents for root in found):
            continue
        inside = [output for output in written if path == output or path in output.parents]
        if path == PurePosixPath() or (inside and (inputs / path).is_dir()):
            pending = [path / child.name for child in sorted((inputs / path).iterdir())] + pending
        else:
            found.append(path)
    return found


def inside(root: Path, path: str) -> Path:
    """Return `path` below `root`. Raises StoreError: what comes from elsewhere may name anything."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\x00" in path:
        raise StoreError(
            f"the state names {path!r}, which lies outside the project",
            cause="the state was not written by Replay, or somebody tampered with it",
            do="do not use it; ask whoever made it",
        )
    return root / pure
