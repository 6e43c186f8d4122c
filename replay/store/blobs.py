"""Content-addressed blobs in files: written whole or not at all, hashed again at every read."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from replay.digest import CHUNK, of_bytes
from replay.errors import CorruptBlob, InputError
from replay.state import FileEntry
from replay.store.documents import no_blob
from replay.store.files import publish, storing
from replay.store.refs import DIGEST, shown
from replay.store.work import Work

MODE = 0o444
MTIME = 315_532_800
"""1980-01-01 UTC in seconds: what every blob says, so that trees linked from blobs are the same anywhere."""

_Mark = tuple[int, int, int, int]


class Blobs:
    """The folder `blobs/sha256`: files named by the digest of their content."""

    def __init__(self, folder: Path, work: Work) -> None:
        self.folder = folder
        self._work = work
        self._verified: dict[str, _Mark] = {}

    def put(self, data: bytes) -> FileEntry:
        """Keep `data`. A blob of that name and another size (truncated) is written again. Raises StoreError."""
        digest = of_bytes(data)
        if self.size(digest) != len(data):
            with self._incoming() as file:
                file.write(data)
                self._keep(file, digest)
        return FileEntry(blob=digest, size=len(data))

    def put_file(self, path: Path) -> FileEntry:
        """Keep a file, hashed and copied in one pass.

        Raises InputError where it is no file, cannot be read or changes meanwhile, StoreError where it cannot
        be kept.
        """
        with _source(path) as (source, info):
            chunks = _chunks(path, source, info)
            small = info.st_size <= CHUNK
            digest = self.put(b"".join(chunks)).blob if small else self._put_chunks(chunks, info.st_size)
        return FileEntry(blob=digest, size=info.st_size, executable=bool(info.st_mode & stat.S_IXUSR))

    def get(self, digest: str) -> bytes:
        """Return a blob's bytes. Raises NotFound, CorruptBlob, StoreError."""
        with self._open(digest) as file:
            data = file.read()
        self._check(digest, of_bytes(data))
        return data

    def path(self, digest: str) -> Path:
        """Return the file with a blob's verified bytes. Raises NotFound, CorruptBlob, StoreError.

        For the life of this process a blob counts as verified while its inode, size and times stay the same.
        """
        with self._open(digest) as file:
            mark = _mark(os.fstat(file.fileno()))
            if self._verified.get(digest) != mark:
                self._check(digest, "sha256:" + hashlib.file_digest(file, "sha256").hexdigest())
                self._verified[digest] = mark
        return self._file(digest)

    def verify(self, digest: str) -> None:
        """Hash a blob whatever is remembered of it. Raises NotFound, CorruptBlob, StoreError."""
        self._verified.pop(digest, None)
        self.path(digest)

    def size(self, digest: str) -> int | None:
        """Return a blob's size in bytes as the file system has it, None where there is no such blob."""
        if not DIGEST.fullmatch(digest):
            return None
        try:
            info = self._file(digest).lstat()
        except OSError:
            return None
        return info.st_size if stat.S_ISREG(info.st_mode) else None

    def _file(self, digest: str) -> Path:
        return self.folder / digest.removeprefix("sha256:")

    def _put_chunks(self, chunks: Iterator[bytes], size: int) -> str:
        hashed = hashlib.sha256()
        with self._incoming() as file:
            for chunk in chunks:
                hashed.update(chunk)
                file.write(chunk)
            digest = "sha256:" + hashed.hexdigest()
            if self.size(digest) != size:
                self._keep(file, digest)
        return digest

    @contextmanager
    def _incoming(self) -> Iterator[BinaryIO]:
        """Open a temporary file; unless it is kept it is gone at the end."""
        with storing("write a blob"):
            temporary = self._work.temporary()
            try:
                with temporary.open("xb") as file:
                    yield file
            finally:
                with suppress(OSError):
                    temporary.unlink()

    def _keep(self, file: BinaryIO, digest: str) -> None:
        """Make the temporary file a blob, durably. Raises OSError."""
        file.flush()
        os.fchmod(file.fileno(), MODE)
        os.utime(file.fileno(), (MTIME, MTIME))
        os.fsync(file.fileno())
        publish(Path(file.name), self._file(digest))

    @contextmanager
    def _open(self, digest: str) -> Iterator[BufferedReader]:
        if self.size(digest) is None:
            raise no_blob(digest)
        with storing(f"read blob {digest}"), self._file(digest).open("rb") as file:
            yield file

    def _check(self, digest: str, found: str) -> None:
        if found == digest:
            return
        raise CorruptBlob(
            f"blob {digest} is corrupt: its bytes hash to {found}",
            cause="the disk damaged the file, or something else wrote into the store",
            do=f"remove {shown(self._file(digest), 400)} and bring it back: from a copy of the store, or by repeating "
            "the run that made it (the same content is kept again); `replay fsck` lists what else is affected",
        )


def _mark(info: os.stat_result) -> _Mark:
    return info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns


@contextmanager
def _source(path: Path) -> Iterator[tuple[BinaryIO, os.stat_result]]:
    """Open a regular file for reading (never waiting for a pipe's other end)."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    info = os.fstat(fd)
    if not stat.S_ISREG(info.st_mode):
        os.close(fd)
        raise _unreadable(path, "it is not a file")
    with os.fdopen(fd, "rb") as file:
        yield file, info


def _chunks(path: Path, file: BinaryIO, info: os.stat_result) -> Iterator[bytes]:
    """Yield a file's content, to exactly the size it had when it was opened."""
    left = info.st_size
    while True:
        try:
            chunk = file.read(CHUNK)
        except OSError as error:
            raise _unreadable(path, error) from error
        left -= len(chunk)
        if left < 0 or not chunk:
            break
        yield chunk
    if left or os.fstat(file.fileno()).st_mtime_ns != info.st_mtime_ns:
        raise InputError(
            f"{shown(path)} changed while it was being read",
            cause="another process is writing to it",
            do="wait until it is complete, then repeat",
        )


def _unreadable(path: Path, reason: object) -> InputError:
    text = os.strerror(reason.errno) if isinstance(reason, OSError) and reason.errno else str(reason)
    return InputError(
        f"cannot read {shown(path)}: {shown(text)}",
        cause="the file was removed, is a folder or pipe, or this user may not read it",
        do="check the path and its permissions",
    )
