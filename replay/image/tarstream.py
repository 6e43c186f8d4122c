"""Tar archives as streams of bytes that depend on nothing but what is in them.

Format: POSIX.1-2001 (pax), https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from replay.digest import CHUNK
from replay.environment.tree import folders_of
from replay.environment.wheels import EPOCH
from replay.errors import StoreError

FILE, PROGRAM, FOLDER = 0o444, 0o555, 0o555
"""The modes of an image's files: nobody writes to them."""

Listing = dict[str, list[str | int]]
"""The files of a layer: path to digest, size in bytes and mode."""


@dataclass(frozen=True)
class Entry:
    """One member: a file (`source`), a symbolic link (`link`) or, with neither, a folder. Owned by root."""

    path: str
    mode: int = FOLDER
    source: Path | bytes | None = None
    link: str | None = None


def with_folders(files: Iterable[Entry], modes: Mapping[str, int]) -> list[Entry]:
    """Return entries in their one order, with every folder above them; `modes` are those that are not FOLDER's."""
    named = {entry.path: entry for entry in files}
    for path in folders_of(named):
        named.setdefault(path, Entry(path, modes.get(path, FOLDER)))
    return [named[path] for path in sorted(named)]


def stream(entries: Iterable[Entry], listing: Listing | None = None) -> Iterator[bytes]:
    """Yield the archive of `entries`, as they come; the files' digests are entered in `listing`.

    Raises StoreError where a file changes its size meanwhile, and OSError.
    """
    for entry in entries:
        size = _size(entry)
        yield _header(entry, size)
        if entry.source is not None:
            digest = hashlib.sha256()
            for chunk in _content(entry, size):
                if listing is not None:
                    digest.update(chunk)
                yield chunk
            yield bytes(-size % tarfile.BLOCKSIZE)
            if listing is not None:
                listing[entry.path] = [f"sha256:{digest.hexdigest()}", size, entry.mode]
    yield bytes(2 * tarfile.BLOCKSIZE)


def member(path: str, size: int, content: Iterable[bytes]) -> Iterator[bytes]:
    """Yield one file of an archive whose content is itself a stream of `size` bytes."""
    yield _header(Entry(path, 0o644, b""), size)
    yield from content
    yield bytes(-size % tarfile.BLOCKSIZE)


END = bytes(2 * tarfile.BLOCKSIZE)
"""What closes an archive."""


def measured(chunks: Iterable[bytes], take: Callable[[bytes], object] = len) -> tuple[str, int]:
    """Return digest and size of a stream, handing every piece to `take`."""
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
        take(chunk)
    return f"sha256:{digest.hexdigest()}", size


def _size(entry: Entry) -> int:
    if entry.source is None:
        return 0
    return len(entry.source) if isinstance(entry.source, bytes) else entry.source.stat().st_size


def _header(entry: Entry, size: int) -> bytes:
    info = tarfile.TarInfo(entry.path)
    info.mode, info.mtime, info.size = entry.mode, EPOCH, size
    if entry.link is not None:
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.link, 0o777
    elif entry.source is None:
        info.type = tarfile.DIRTYPE
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _content(entry: Entry, size: int) -> Iterator[bytes]:
    if isinstance(entry.source, bytes):
        yield entry.source
    elif entry.source is not None:
        left = size
        with entry.source.open("rb") as file:
            while chunk := file.read(CHUNK):
                left -= len(chunk)
                if left >= 0:
                    yield chunk
        if left:
            raise StoreError(
                f"{entry.source} changed while it was read",
                cause="something writes into the store's cache",
                do="stop it, delete the store's cache/ and repeat",
            )
