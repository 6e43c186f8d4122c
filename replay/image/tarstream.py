"""Tar archives as streams of bytes that depend on nothing but what is in them.

Format: POSIX.1-2001 (pax), https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html. Members sorted by
name, owned by root, of one time; not compressed, because the bytes of a compressor change with its version.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from replay.digest import CHUNK
from replay.environment.tree import folders_of
from replay.environment.wheels import EPOCH
from replay.errors import StoreError

FILE, PROGRAM, FOLDER = 0o444, 0o555, 0o555
"""The modes of an image's files: nobody writes to them."""

END = bytes(2 * tarfile.BLOCKSIZE)
"""What closes an archive."""

Listing = dict[str, list[str | int]]
"""The files of a layer: path to digest, size in bytes and mode."""


@dataclass(frozen=True)
class Entry:
    """One member: a file (`source`: a path or the content itself), a symbolic link (`link`) or, with neither, a folder.

    Owned by root. A file whose `mode` is None is a program where its owner may execute it.
    """

    path: str
    mode: int | None = FOLDER
    source: Path | bytes | None = None
    link: str | None = None


def with_folders(files: Iterable[Entry], mode: Callable[[str], int]) -> list[Entry]:
    """Return entries in their one order, with every folder above them in the mode that `mode` gives its path."""
    named = {entry.path: entry for entry in files}
    for path in folders_of(named):
        named.setdefault(path, Entry(path, mode(path)))
    return [named[path] for path in sorted(named)]


def stream(entries: Iterable[Entry], listing: Listing | None = None) -> Iterator[bytes]:
    """Yield the archive of `entries`, as they come; the files' digests are entered in `listing`.

    Raises StoreError where a file changes its size meanwhile, and OSError.
    """
    for entry in entries:
        size, mode = _measure(entry)
        yield _header(entry, size, mode)
        if entry.source is None:
            continue
        digest = hashlib.sha256()
        for chunk in _content(entry.source, size):
            if listing is not None:
                digest.update(chunk)
            yield chunk
        yield bytes(-size % tarfile.BLOCKSIZE)
        if listing is not None:
            listing[entry.path] = [f"sha256:{digest.hexdigest()}", size, mode]
    yield END


def member(path: str, size: int, content: Iterable[bytes]) -> Iterator[bytes]:
    """Yield one file of an archive whose content is itself a stream of `size` bytes."""
    yield _header(Entry(path, source=b""), size, 0o644)
    yield from content
    yield bytes(-size % tarfile.BLOCKSIZE)


def measured(chunks: Iterable[bytes]) -> tuple[str, int]:
    """Return digest and size of a stream."""
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
    return f"sha256:{digest.hexdigest()}", size


def _measure(entry: Entry) -> tuple[int, int]:
    """Return a member's size in bytes and its mode. Raises OSError."""
    if not isinstance(entry.source, Path):
        return len(entry.source or b""), FILE if entry.mode is None else entry.mode
    status = entry.source.stat()
    mode = (PROGRAM if status.st_mode & 0o100 else FILE) if entry.mode is None else entry.mode
    return status.st_size, mode


def _header(entry: Entry, size: int, mode: int) -> bytes:
    info = tarfile.TarInfo(entry.path)
    info.mode, info.mtime, info.size = mode, EPOCH, size
    if entry.link is not None:
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.link, 0o777
    elif entry.source is None:
        info.type = tarfile.DIRTYPE
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _content(source: Path | bytes, size: int) -> Iterator[bytes]:
    """Yield a file's content, all of it and no more than `size`: an archive cannot take back a header."""
    if isinstance(source, bytes):
        yield source
        return
    left = size
    with source.open("rb") as file:
        while left > 0 and (chunk := file.read(min(CHUNK, left))):
            left -= len(chunk)
            yield chunk
        if left or file.read(1):
            raise StoreError(
                f"{source} changed while it was read",
                cause="something writes into the store's cache",
                do="stop it, delete the store's cache/ and repeat",
            )
