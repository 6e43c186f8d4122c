"""Files of this process with the content of blobs that have none of their own."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
import threading
import weakref
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from replay.store.files import remove_tree
from replay.store.intake import Beside
from replay.store.work import Work

MODE = 0o444
MTIME = 315_532_800
"""1980-01-01 UTC in seconds: what every blob says, so that trees linked from blobs are the same anywhere."""

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

    def write(self, file: Path, content: Iterable[bytes], large: bool) -> str:
        """Write a file anew and return its digest; half of one is removed again. Raises OSError and as `content`."""
        file.unlink(missing_ok=True)
        hashed = hashlib.sha256()
        try:
            with file.open("xb", buffering=0) as target, ExitStack() as stack:
                update = stack.enter_context(Beside(hashed.update)).feed if large else hashed.update
                for block in content:
                    update(block)
                    target.write(block)
                os.fchmod(target.fileno(), MODE)
                os.utime(target.fileno(), (MTIME, MTIME))
        except BaseException:
            file.unlink(missing_ok=True)
            raise
        return "sha256:" + hashed.hexdigest()

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
