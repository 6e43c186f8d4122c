"""Work in progress: each process has a folder of its own under `tmp/`, swept away once the process is gone.

A process owns its folder by holding a lock on the file `owner` in it. The kernel drops the lock when the
process ends, however it ends: unlike a pid this cannot be reused by another process, and it holds between
containers that share the store.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from replay.store.files import locked, remove_tree

OWNER = "owner"


class Work:
    """The part of `tmp/` that belongs to this process; made when it is first needed.

    `lock` is the store's lock: folders are made and judged under it, so that none is judged half made.
    """

    def __init__(self, tmp: Path, lock: Path) -> None:
        self.tmp = tmp
        self._lock = lock
        self._own: Path | None = None
        self._guard = threading.Lock()

    def temporary(self) -> Path:
        """Return the path for a new temporary file. Raises OSError."""
        return self._folder() / f"write-{secrets.token_hex(8)}"

    def scratch(self, purpose: str) -> Path:
        """Return a new private folder. Raises OSError."""
        return Path(tempfile.mkdtemp(prefix=f"{purpose}-", dir=self._folder()))

    def abandoned(self) -> list[Path]:
        """Return what processes that are gone left behind. Raises OSError."""
        with locked(self._lock):
            return [path for path in sorted(self.tmp.iterdir()) if not _is_owned(path)]

    def sweep(self) -> None:
        """Remove what processes that are gone left behind, as far as this user may."""
        with suppress(OSError):
            if not any(self.tmp.iterdir()):
                return
            with ExitStack() as claims:
                with locked(self._lock):
                    gone = [path for path in self.tmp.iterdir() if claims.enter_context(_claimed(path))]
                for path in gone:
                    _remove(path)

    def _folder(self) -> Path:
        with self._guard:
            if self._own is None:
                self._own = self._claim()
            return self._own

    def _claim(self) -> Path:
        with locked(self._lock):
            folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=self.tmp))
            try:
                fd = os.open(folder / OWNER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError:
                folder.rmdir()
                raise
            fcntl.flock(fd, fcntl.LOCK_EX)
        weakref.finalize(self, _retire, folder, fd, os.getpid())
        return folder


@contextmanager
def _claimed(folder: Path) -> Iterator[bool]:
    """Whether nobody owns `folder`; while inside, nobody else can think so too."""
    try:
        fd = os.open(folder / OWNER, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        # Without the file its maker died before it could own the folder; else it is another user's.
        yield isinstance(error, FileNotFoundError | NotADirectoryError)
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(fd)


def _is_owned(folder: Path) -> bool:
    with _claimed(folder) as mine:
        return not mine


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        path.unlink()


def _retire(folder: Path, fd: int, pid: int) -> None:
    """Give the folder up when its owner ends. Scratch that somebody may still use waits for the next sweep."""
    if os.getpid() != pid:
        return  # a fork must not take its parent's folder away
    with suppress(OSError):
        if [path.name for path in folder.iterdir()] == [OWNER]:
            shutil.rmtree(folder)
            os.close(fd)
