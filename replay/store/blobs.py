"""Content-addressed blobs: written whole or not at all, hashed again at every read.

Most are files named by their digest. Many small ones that came together share a file, and of a large one only what no
other blob holds gets a file (decision 0023); `path` puts such blobs together in a folder of this process.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from replay.digest import CHUNK, of_bytes
from replay.errors import CorruptBlob
from replay.state import FileEntry
from replay.store.assembly import MODE, MTIME, Assembly
from replay.store.chunks import LARGE, ChunkIndex, Sorter
from replay.store.clone import clone, copy_new
from replay.store.documents import no_blob
from replay.store.files import publish, storing
from replay.store.intake import Beside, Drain, blocks, source, unchanged
from replay.store.pieces import Parts, Pieces, read_part
from replay.store.refs import DIGEST, shown
from replay.store.work import Work

WORTH = 4
"""A large file is kept in parts where at least one in so many of its bytes is here already."""

_BLOCK = 4 << 20
_Mark = tuple[int, int, int, int]


class Blobs:
    """The folder `blobs/sha256`: files named by the digest of their content; in `root` the `pieces` of others.

    Without a root every blob gets a file of its own.
    """

    def __init__(self, folder: Path, work: Work, root: Path | None = None) -> None:
        self.folder = folder
        self.pieces = Pieces((root or folder) / "pieces", folder, work)
        self._chunks = ChunkIndex(root / "chunks") if root else None
        self._work = work
        self._assembly = Assembly(work)
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
        """Keep a file, hashed and copied in one pass; of a large one only what is new here is copied.

        Raises InputError where it is no file, cannot be read or changes meanwhile, StoreError where it cannot
        be kept.
        """
        with source(path) as (fd, info):
            if info.st_size <= CHUNK:
                digest = self.put(b"".join(blocks(path, fd, info))).blob
            elif info.st_size < LARGE or self._chunks is None:
                digest = self._put_whole(blocks(path, fd, info), info.st_size)
            else:
                digest = self._put_large(path, fd, info, self._chunks)
        return entry(digest, info)

    def get(self, digest: str) -> bytes:
        """Return a blob's bytes. Raises NotFound, CorruptBlob, StoreError."""
        parts = self._parts(digest)
        if parts is None:
            with self._open(digest) as file:
                data = file.read()
        else:
            with storing(f"read blob {digest}"):
                data = b"".join(self.pieces.read(digest, parts))
        self._check(digest, of_bytes(data))
        return data

    def path(self, digest: str) -> Path:
        """Return a file with a blob's verified bytes. Raises NotFound, CorruptBlob, StoreError.

        For the life of this process a blob counts as verified while its inode, size and times stay the same. A file
        that had to be put together stays while this object does; links to it stay longer.
        """
        parts = self._parts(digest)
        if parts is not None:
            return self._assembled(digest, parts)
        with self._open(digest) as file:
            mark = _mark(os.fstat(file.fileno()))
            if self._verified.get(digest) != mark:
                self._check(digest, "sha256:" + hashlib.file_digest(file, "sha256").hexdigest())
                self._verified[digest] = mark
        return self._file(digest)

    def verify(self, digest: str) -> None:
        """Hash a blob whatever is remembered of it. Raises NotFound, CorruptBlob, StoreError."""
        parts = self._parts(digest)
        if parts is None:
            self._verified.pop(digest, None)
            self.path(digest)
            return
        hashed = hashlib.sha256()
        with storing(f"read blob {digest}"):
            for block in self.pieces.read(digest, parts):
                hashed.update(block)
        self._check(digest, "sha256:" + hashed.hexdigest())

    def size(self, digest: str) -> int | None:
        """Return a blob's size in bytes, None where there is no such blob. Raises StoreError."""
        own = self.own_size(digest)
        if own is not None or not DIGEST.fullmatch(digest):
            return own
        parts = self.pieces.find(digest)
        return None if parts is None else sum(part.length for part in parts)

    def lacking(self, sizes: Mapping[str, int]) -> list[str]:
        """Return which of many blobs are not here, or not of the size they should have. Raises StoreError."""
        apart = {digest: size for digest, size in sizes.items() if self.own_size(digest) != size}
        found = self.pieces.find_all(apart)
        here = {digest: sum(part.length for part in parts) for digest, parts in found.items()}
        return [digest for digest, size in apart.items() if here.get(digest) != size]

    def own_size(self, digest: str) -> int | None:
        """Return the size of a blob's own file as the file system has it, None where it has none."""
        if not DIGEST.fullmatch(digest):
            return None
        try:
            info = os.lstat(f"{self.folder}/{digest.removeprefix('sha256:')}")
        except OSError:
            return None
        return info.st_size if stat.S_ISREG(info.st_mode) else None

    def files(self) -> Iterator[tuple[str, int]]:
        """Yield the digest and size in bytes of every file among the blobs. Raises OSError."""
        for path in self.folder.iterdir():
            digest = f"sha256:{path.name}"
            if (size := self.own_size(digest)) is not None:
                yield digest, size

    def files_of(self, digest: str) -> frozenset[str]:
        """Return the digests of the files in which a blob's bytes lie: what must stay where the blob does."""
        return frozenset((digest,)) if self.own_size(digest) is not None else self.pieces.sources(digest)

    def retain(self, needed: Collection[str]) -> None:
        """Forget what blobs are made of that are not among `needed`. Raises OSError."""
        self.pieces.retain(needed)

    def remove(self, digest: str) -> None:
        """Remove a file among the blobs; the caller knows that nothing needs it. Raises OSError."""
        self._verified.pop(digest, None)
        self._file(digest).unlink(missing_ok=True)
        if self._chunks is not None:
            self._chunks.forget(digest)

    def _file(self, digest: str) -> Path:
        return self.folder / digest.removeprefix("sha256:")

    def _parts(self, digest: str) -> Parts | None:
        """Return the parts of a blob that has no file. Raises NotFound, StoreError."""
        if self.own_size(digest) is not None:
            return None
        parts = self.pieces.find(digest) if DIGEST.fullmatch(digest) else None
        if parts is None:
            raise no_blob(digest)
        return parts

    def _assembled(self, digest: str, parts: Parts) -> Path:
        with storing(f"put blob {digest} together"), self._assembly.guard:
            file = self._assembly.file(digest)
            if not file.exists() or self._verified.get(digest) != _mark(file.lstat()):
                content = self.pieces.read(digest, parts)
                found = self._assembly.write(file, content, sum(part.length for part in parts) >= LARGE)
                try:
                    self._check(digest, found)
                except CorruptBlob:
                    file.unlink()
                    raise
                self._verified[digest] = _mark(file.lstat())
        return file

    def _put_whole(self, content: Iterator[bytes], size: int) -> str:
        hashed = hashlib.sha256()
        with self._incoming() as file:
            for block in content:
                hashed.update(block)
                file.write(block)
            digest = "sha256:" + hashed.hexdigest()
            if self.size(digest) != size:
                self._keep(file, digest)
        return digest

    def _put_large(self, path: Path, fd: int, info: os.stat_result, chunks: ChunkIndex) -> str:
        """Keep what is new of a large file, and what the file is made of where it shares enough with others."""
        hashed, size = hashlib.sha256(), info.st_size
        with self._incoming() as file:
            cloned = clone(fd, file.fileno())
            if cloned:  # from here on the clone is what is read: nobody writes to it
                unchanged(path, fd, info)
                fd, info = file.fileno(), os.fstat(file.fileno())
            content = blocks(path, fd, info, _BLOCK)
            write = (lambda _: None) if cloned else Drain(file).write
            with Beside(write) as writing, Sorter(chunks.load(), self.folder, writing.feed) as sorter:
                with Beside(hashed.update) as hashing, Beside(sorter.feed) as sorting:
                    for block in content:
                        hashing.feed(block)
                        sorting.feed(block)
                sorter.finish()
            digest = "sha256:" + hashed.hexdigest()
            if self.size(digest) == size:
                return digest
            file.flush()
            chunks.met({part.blob for part in sorter.parts if part.blob})
            if sorter.shared * WORTH >= size:
                self._keep_parts(file, cloned, digest, sorter, chunks)
                return digest
            if cloned or not sorter.shared:
                self._keep(file, digest)
            else:
                self._keep_joined(file, digest, sorter)
            chunks.save(digest, sorter.marks_in_file, self._work.temporary())
        return digest

    def _keep_joined(self, new: BinaryIO, digest: str, sorter: Sorter) -> None:
        """Give a file that shares little a blob of its own. Raises OSError, CorruptBlob."""
        hashed = hashlib.sha256()
        with self._incoming() as file:
            for part in sorter.parts:
                for block in read_part(self._file(part.blob) if part.blob else Path(new.name), part):
                    hashed.update(block)
                    file.write(block)
            self._check(digest, "sha256:" + hashed.hexdigest())
            self._keep(file, digest)

    def _keep_parts(self, new: BinaryIO, cloned: bool, digest: str, sorter: Sorter, chunks: ChunkIndex) -> None:
        """Keep the new bytes as a blob, then what the file is made of. Raises OSError."""
        if cloned and sorter.new:
            with self._incoming() as file:
                copy_new(Path(new.name), sorter.parts, file.write)
                file.flush()
                self._keep_parts(file, False, digest, sorter, chunks)
            return
        with Path(new.name).open("rb") as written:
            rest = "sha256:" + hashlib.file_digest(written, "sha256").hexdigest()
        if sorter.new:
            self._keep(new, rest)
        self.pieces.add({digest: sorter.named(rest)})
        if sorter.marks:
            chunks.save(rest, sorter.marks, self._work.temporary())

    @contextmanager
    def _incoming(self) -> Iterator[BinaryIO]:
        """Open a temporary file; unless it is kept it is gone at the end."""
        with storing("write a blob"):
            temporary = self._work.temporary()
            try:
                with temporary.open("x+b") as file:
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
        if self.own_size(digest) is None:
            raise no_blob(digest)
        with storing(f"read blob {digest}"), self._file(digest).open("rb") as file:
            yield file

    def _check(self, digest: str, found: str) -> None:
        if found == digest:
            return
        sources = self.pieces.sources(digest) if self.own_size(digest) is None else {digest}
        where = " and ".join(shown(self._file(source), 400) for source in sorted(sources))
        raise CorruptBlob(
            f"blob {digest} is corrupt: its bytes hash to {found}",
            cause="the disk damaged the file, or something else wrote into the store",
            do=f"remove {where} and bring it back: from a copy of the store, or by repeating "
            "the run that made it (the same content is kept again); `replay fsck` lists what else is affected",
        )


def entry(digest: str, info: os.stat_result) -> FileEntry:
    """Return the entry of a file that is kept under `digest`."""
    return FileEntry(blob=digest, size=info.st_size, executable=bool(info.st_mode & stat.S_IXUSR))


def _mark(info: os.stat_result) -> _Mark:
    return info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns
