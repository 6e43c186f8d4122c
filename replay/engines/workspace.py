"""The job's working folder: inputs laid in before, everything readable to the caller again afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from replay.engines.base import Mount
from replay.errors import EngineError

_WRITE = 0o222


def place(mount: Mount, workspace: Path) -> Path:
    """Return where a mount goes, with its parent folders made. Raises EngineError for a place outside."""
    target = PurePosixPath(mount.target)
    if target.is_absolute() or ".." in target.parts or not target.parts or "\0" in mount.target:
        raise _outside(mount)
    path = workspace / target
    path.parent.mkdir(parents=True, exist_ok=True)
    # A folder laid in earlier may hold a link that leads out of the workspace.
    if not path.parent.resolve().is_relative_to(workspace.resolve()):
        raise _outside(mount)
    return path


def make_mountpoints(mounts: Iterable[Mount], workspace: Path) -> None:
    """Make an empty file or folder in the workspace for every mount to be mounted over."""
    for mount in _shallow_first(mounts):
        path = place(mount, workspace)
        if _source_is_folder(mount):
            path.mkdir(exist_ok=True)
        else:
            path.touch()


def lay_in(mounts: Iterable[Mount], workspace: Path) -> None:
    """Copy every mount into the workspace with its mode, less the right to write.

    A copy (by reference where the file system can), not a hard link: a job may change the mode of what it
    owns, and a linked input is the store's own file. A file that the caller may not read is laid in empty,
    with its mode, so that the job is denied it as well.
    """
    folders: list[tuple[Path, int]] = []
    for mount in _shallow_first(mounts):
        path = place(mount, workspace)
        if _source_is_folder(mount):
            folders.extend(_copy_folder(mount.source, path))
        else:
            _copy_file(mount.source, path)
    for folder, mode in reversed(folders):
        folder.chmod(mode & ~_WRITE)


def open_up(workspace: Path) -> None:
    """Give the owner every right on the folders of a workspace and the right to read its files.

    A job may leave a folder that its own caller can neither read nor remove. Follows no links; what cannot
    be changed (a path that is too long, another owner) stays as it is.
    """
    todo = [workspace]
    while todo:
        folder = todo.pop()
        with contextlib.suppress(OSError):
            _allow(folder, stat.S_IRWXU)
            todo += _readable_inside(folder)


def _readable_inside(folder: Path) -> list[Path]:
    """Make the files of a folder readable; return the folders in it. Raises OSError."""
    with os.scandir(folder) as entries:
        found = list(entries)
    for file in (folder / entry.name for entry in found if entry.is_file(follow_symlinks=False)):
        with contextlib.suppress(OSError):  # another's file keeps the others from nothing
            _allow(file, stat.S_IRUSR)
    return [folder / entry.name for entry in found if entry.is_dir(follow_symlinks=False)]


def discard(folder: Path) -> None:
    """Remove a folder that a job wrote into, however it left it. What cannot be removed is left."""
    open_up(folder)
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except RecursionError:  # a thousand folders deep
        subprocess.run(["rm", "-rf", "--", str(folder)], check=False, capture_output=True)


def _allow(path: Path, rights: int) -> None:
    mode = stat.S_IMODE(path.lstat().st_mode)
    if mode & rights != rights:
        path.chmod(mode | rights)


def _shallow_first(mounts: Iterable[Mount]) -> list[Mount]:
    return sorted(mounts, key=lambda mount: len(PurePosixPath(mount.target).parts))


def _source_is_folder(mount: Mount) -> bool:
    try:
        return stat.S_ISDIR(mount.source.stat().st_mode)
    except OSError as error:
        raise EngineError(
            f"the input {mount.target} cannot be laid into the job's folder",
            cause=f"{mount.source}: {error.strerror}",
            do="`replay fsck` tells whether the store is sound",
        ) from error


def _copy_folder(source: Path, path: Path) -> Iterator[tuple[Path, int]]:
    path.mkdir(exist_ok=True)
    yield path, stat.S_IMODE(source.stat().st_mode)
    if not os.access(source, os.R_OK | os.X_OK):
        return
    for entry in sorted(source.iterdir()):
        if entry.is_symlink():
            (path / entry.name).symlink_to(entry.readlink())
        elif entry.is_dir():
            yield from _copy_folder(entry, path / entry.name)
        else:
            _copy_file(entry, path / entry.name)


def _copy_file(source: Path, path: Path) -> None:
    mode = stat.S_IMODE(source.stat().st_mode)
    if os.access(source, os.R_OK):
        _copy_bytes(source, path)
    else:
        path.touch()
    path.chmod(mode & ~_WRITE)


def _copy_bytes(source: Path, path: Path) -> None:
    if hasattr(os, "copy_file_range"):
        with source.open("rb") as read, path.open("wb") as write:
            try:
                while os.copy_file_range(read.fileno(), write.fileno(), 1 << 30):
                    pass
                return
            except OSError:
                pass
    shutil.copyfile(source, path)


def _outside(mount: Mount) -> EngineError:
    return EngineError(
        f"an input cannot be laid in at {mount.target!r}",
        cause="the place is outside the job's folder: the state was damaged, or made to break out",
        do="do not run this state unless you know who made it",
    )
