"""Files of this process with the content of blobs that have none of their own."""

from __future__ import annotations

import errno
import os
import tempfile
import threading
import weakref
from collections.abc import Iterable
from pathlib import Path

from replay.store.files import remove_tree
from replay.store.work import Work

_MAY_NOT_WRITE = (errno.EACCES, errno.EPERM, errno.EROFS)


class Assembly:
    """A folder of this process's work; it goes with this object, and with the process however that ends."""

    def __init__(self, work: Work) -> None:
        self.guard = threading.RLock()
        """Held while a file is put together, so that no other thread finds half of it."""
        self._work = work
        self._folder: Path | None = None

    def file(self, digest: str) -> Path:
        """Return where a blob is, or is to be, put together. Raises OSError."""
        with self.guard:
            if self._folder is None:
                self._folder = self._make()
            return self._folder / digest.removeprefix("sha256:")

    def write(self, file: Path, content: Iterable[bytes], mode: int, mtime: int) -> None:
        """Write a file anew; half of one is removed again. Raises OSError and what `content` raises."""
        file.unlink(missing_ok=True)
        try:
            with file.open("xb", buffering=0) as target:
                for block in content:
                    target.write(block)
                os.fchmod(target.fileno(), mode)
                os.utime(target.fileno(), (mtime, mtime))
        except BaseException:
            file.unlink(missing_ok=True)
            raise

    def _make(self) -> Path:
        try:
            folder = self._work.scratch("whole")
        except OSError as error:
            if error.errno not in _MAY_NOT_WRITE:
                raise
            folder = Path(tempfile.mkdtemp(prefix="replay-whole-"))  # a store that may only be read can be read
        weakref.finalize(self, _discard, folder, os.getpid())
        return folder


def _discard(folder: Path, pid: int) -> None:
    if os.getpid() == pid:  # a fork must not take its parent's folder away
        remove_tree(folder)
