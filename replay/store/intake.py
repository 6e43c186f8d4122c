"""Reading files that are to be kept: regular ones only, and only as they were when they were opened."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Generic, Self, TypeVar

from replay.digest import CHUNK
from replay.errors import InputError
from replay.store.refs import shown

WAITING = 8
"""How many blocks may wait for a helper thread: what it holds in memory beside the one in hand."""

DRAINED = 16 << 20
"""How many bytes are written before the disk is asked to take them."""

Buffer = bytes | memoryview
Block = TypeVar("Block")


@contextmanager
def source(path: Path) -> Iterator[tuple[int, os.stat_result]]:
    """Open a regular file for reading (its descriptor), never waiting for a pipe's other end. Raises InputError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            raise unreadable(path, "it is not a file")
        yield fd, info
    finally:
        os.close(fd)


def blocks(path: Path, fd: int, info: os.stat_result, size: int = CHUNK) -> Iterator[bytes]:
    """Yield a file's content, to exactly the size it had when it was opened. Raises InputError where it changed."""
    left = info.st_size
    while True:
        try:
            block = os.read(fd, min(size, left + 1))
        except OSError as error:
            raise unreadable(path, error) from error
        left -= len(block)
        if left < 0 or not block:
            break
        yield block
    unchanged(path, fd, info, ended=not left)


def unchanged(path: Path, fd: int, info: os.stat_result, ended: bool = True) -> None:
    """Raise InputError where a file is no longer as it was when it was opened, or did not end where it had to."""
    now = os.fstat(fd)
    if not ended or (now.st_size, now.st_mtime_ns) != (info.st_size, info.st_mtime_ns):
        raise InputError(
            f"{shown(path)} changed while it was being read",
            cause="another process is writing to it",
            do="wait until it is complete, then repeat",
        )


def unreadable(path: Path, reason: object) -> InputError:
    """Return the error for a file that cannot be read."""
    text = os.strerror(reason.errno) if isinstance(reason, OSError) and reason.errno else str(reason)
    return InputError(
        f"cannot read {shown(path)}: {shown(text)}",
        cause="the file was removed, is a folder or pipe, or this user may not read it",
        do="check the path and its permissions",
    )


class Drain:
    """Writes blocks to a file and has the disk take them meanwhile, so that syncing it finds little left to wait for.

    What the disk has taken leaves the page cache: a snapshot does not push out what others read.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._written = 0
        self._handed_over = 0

    def write(self, block: Buffer) -> None:
        """Write a block. Raises OSError."""
        self._file.write(block)
        self._written += len(block)
        if self._written - self._handed_over >= DRAINED:
            length = self._written - self._handed_over
            os.posix_fadvise(self._file.fileno(), self._handed_over, length, os.POSIX_FADV_DONTNEED)
            self._handed_over = self._written


class Beside(Generic[Block]):
    """Calls `work` on blocks in their order, on a thread of its own, so that hashing and writing go on beside reading.

    What `work` raises comes out of the next `feed`, or of the end of the `with` block.
    """

    def __init__(self, work: Callable[[Block], object]) -> None:
        self._work = work
        self._thread = ThreadPoolExecutor(1)
        self._pending: list[Future[object]] = []

    def feed(self, block: Block) -> None:
        """Hand over a block; waits while too many are pending."""
        while len(self._pending) >= WAITING:
            self._pending.pop(0).result()
        self._pending.append(self._thread.submit(self._work, block))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._thread.shutdown(wait=True, cancel_futures=kind is not None)
        if kind is None:
            for future in self._pending:
                future.result()
