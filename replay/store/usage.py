"""Who uses a store: any number of processes at once, or one alone that removes from it."""

from __future__ import annotations

import fcntl
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from replay.errors import StoreError

FILE = "users"


class Usage:
    """This process's hold on a store, for as long as any object in it uses the store; the kernel ends it with us.

    A process that finds a blob there may refer to it much later, so nothing is removed beside another process.
    """

    _known: weakref.WeakValueDictionary[Path, Usage] = weakref.WeakValueDictionary()

    def __init__(self, fd: int | None) -> None:
        self._fd = fd
        if fd is not None:
            weakref.finalize(self, os.close, fd)

    @classmethod
    def of(cls, root: Path) -> Usage:
        """Return the hold on the store in `root`; waits while another process is alone in it. Raises OSError.

        A store that this user may not write has no file to hold: then nobody keeps this user's reading safe.
        """
        found = cls._known.get(root)
        if found is None:
            fd = _opened(root / FILE)
            found = cls._known[root] = cls(fd)
            if fd is not None:
                fcntl.flock(fd, fcntl.LOCK_SH)
        return found

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep all other processes out. Raises StoreError at once where one is in."""
        if self._fd is None:
            raise OSError(f"the store's file {FILE} cannot be opened")
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(self._fd, fcntl.LOCK_SH)  # what was held may be lost in the attempt
            raise StoreError(
                "another process is using the store, and nothing was removed",
                cause="a run, a bisect or another command is at work in it",
                do="wait until it has ended, then repeat (--dry-run can be asked at any time)",
            ) from None
        try:
            yield
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_SH)


def _opened(file: Path) -> int | None:
    for flags in (os.O_RDWR | os.O_CREAT, os.O_RDONLY):
        with suppress(OSError):
            return os.open(file, flags | os.O_CLOEXEC, 0o666)
    return None
