"""Files that are whole or not there: atomic writes, the lock between processes, and what a failed write means."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from replay.errors import StoreError
from replay.store.refs import shown

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the operating system says where no more can be written."""

_FULL = ("the disk or quota is full", "free some space (the store's cache/ can always go), then repeat")
_DENIED = ("this user may not write there", "give this user the right to write, or name another store with --store")
_CAUSES = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: ("a limit on the size of files was reached", "raise the limit (ulimit -f), then repeat"),
    errno.EROFS: ("the file system is mounted read-only", "name a writable store with --store, or mount it writable"),
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EIO: ("the disk reports an error", "check the disk, and copy the store while it can be read"),
    errno.ENOTDIR: ("a part of the path is a file where a folder should be", "name a folder with --store"),
    errno.ENOENT: ("a part of the store was removed", "run `replay fsck` to see what is left"),
}


@contextmanager
def storing(what: str) -> Iterator[None]:
    """Turn an OSError inside into a StoreError that says `what` was tried, why it failed and what to do."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        cause, remedy = _CAUSES.get(error.errno or 0, ("the operating system refused", "run `replay doctor`"))
        where = f" ({shown(error.filename)})" if error.filename else ""
        raise StoreError(f"could not {what}: {reason}{where}", cause=cause, do=remedy) from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the exclusive lock on file `path` (waits; the kernel frees it when a process dies). Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def publish(temporary: Path, target: Path) -> None:
    """Rename a finished, synced file to its place and make that durable. Raises OSError."""
    temporary.replace(target)
    sync_folder(target.parent)


def write_whole(target: Path, data: bytes, temporary: Path) -> None:
    """Write `target` at once or not at all, by way of the file `temporary`. Raises OSError."""
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        publish(temporary, target)
    finally:
        with suppress(OSError):
            temporary.unlink()


def remove_tree(folder: Path) -> None:
    """Remove a folder, also one with read-only folders inside; what cannot be removed stays."""
    with suppress(OSError):
        folder.chmod(stat.S_IRWXU)
    for parent, folders, _ in os.walk(folder):
        for inner in (Path(parent, name) for name in folders):
            with suppress(OSError):
                if not inner.is_symlink():
                    inner.chmod(stat.S_IRWXU)
    shutil.rmtree(folder, ignore_errors=True)
