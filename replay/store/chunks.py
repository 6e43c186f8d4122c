"""What of a large file is here already, and what is new: content-defined chunks, compared byte by byte.

Boundaries are FastCDC's (Xia and others, 2020), so that they move with the content when rows come or go. Where the
chunks of a blob begin is kept in `chunks/<hex of the blob>`: a hint, never a proof. A chunk counts as known once its
bytes have been compared with those of the blob that is said to hold it, and from there on the two are compared as far
as they agree. A hint that is lost or wrong costs room, never content.
"""

from __future__ import annotations

import hashlib
import os
import struct
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from replay.store.intake import Buffer
from replay.store.pieces import Part, Parts

LARGE = 8 << 20
"""Files from this size on are taken apart, in bytes."""

AVERAGE = 64 << 10
"""FastCDC's expected size of a chunk beyond the smallest, in bytes; at least a quarter of it, at most four times."""

REMEMBERED = 500_000
"""How many chunks a new file is compared with, of the blobs last met: some 40 GB of data, 100 MB of memory."""

_HEAD = 4096
_RECORD = struct.Struct("<16sQ")

Place = tuple[str, int]
Hints = dict[bytes, Place]


class ChunkIndex:
    """The folder `chunks`: where the chunks of large blobs begin."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._hints: Hints = {}
        self._read: set[str] = set()
        self._guard = threading.Lock()

    def load(self) -> Hints:
        """Return the places of known chunks by their mark; those of blobs that were kept since the last call too."""
        with self._guard, suppress(OSError):
            files = [file for file in self.folder.iterdir() if file.name not in self._read]
            for file in sorted(files, key=lambda file: file.stat().st_mtime_ns, reverse=True):
                if len(self._hints) >= REMEMBERED:
                    break
                data = file.read_bytes()
                whole = data[: len(data) - len(data) % _RECORD.size]
                for mark, offset in _RECORD.iter_unpack(whole):
                    self._hints[mark] = (f"sha256:{file.name}", offset)
                self._read.add(file.name)
        return self._hints

    def save(self, blob: str, marks: list[tuple[bytes, int]], temporary: Path) -> None:
        """Record where a blob's chunks begin; without syncing, since it is only a hint. Raises OSError."""
        self.folder.mkdir(exist_ok=True)
        temporary.write_bytes(b"".join(_RECORD.pack(*mark) for mark in marks))
        temporary.replace(self._file(blob))

    def met(self, blobs: Iterable[str]) -> None:
        """Note that a new file has something of these blobs: the last ones met are looked into first."""
        for blob in blobs:
            with suppress(OSError):
                os.utime(self._file(blob))

    def forget(self, blob: str) -> None:
        """Drop what is known of a blob that is gone. Raises OSError."""
        self._file(blob).unlink(missing_ok=True)

    def _file(self, blob: str) -> Path:
        return self.folder / blob.removeprefix("sha256:")


class Sorter:
    """Takes a file's bytes in their order and sorts them: ranges that blobs here hold, and new ones, handed to `write`.

    Afterwards `parts` are the ranges in order, those in no blob yet under the name "".
    """

    def __init__(self, hints: Mapping[bytes, Place], blobs: Path, write: Callable[[Buffer], object]) -> None:
        from pyfastcdc import FastCDC

        self._cutter = FastCDC(AVERAGE)
        self._hints = hints
        self._blobs = blobs
        self._write = write
        self._open: dict[str, int | None] = {}
        self._rest = b""
        self._following: Place | None = None
        self._position = 0
        self.new = 0
        """How many bytes are new."""
        self.parts: list[Part] = []
        self.marks: list[tuple[bytes, int]] = []
        self.marks_in_file: list[tuple[bytes, int]] = []
        """Where the new chunks begin: among the new bytes, and in the file."""

    @property
    def shared(self) -> int:
        """How many bytes are here already."""
        return sum(part.length for part in self.parts if part.blob)

    def feed(self, block: bytes) -> None:
        """Sort another block of the file."""
        self._sort(self._rest + block if self._rest else block, final=False)

    def finish(self) -> None:
        """Sort what is left."""
        self._sort(self._rest, final=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for fd in self._open.values():
            if fd is not None:
                os.close(fd)
        self._open.clear()

    def named(self, new: str) -> Parts:
        """Return the parts, the new bytes being blob `new`."""
        return tuple(part if part.blob else part._replace(blob=new) for part in self.parts)

    def _sort(self, data: bytes, final: bool) -> None:
        view = memoryview(data)
        done = self._follow(data, 0)
        while done < len(data):
            known = self._unknown(data, done, final)
            if known > done:
                self._note("", self.new, known - done)
                self.new += known - done
                self._write(view[done:known])
            if self._following is None:
                self._rest = data[known:]  # where a last chunk ends, only the next block can tell
                return
            done = self._follow(data, known)
        self._rest = b""

    def _unknown(self, data: bytes, start: int, final: bool) -> int:
        """Mark new chunks from `start` on; return where they end: at one that is known, or not there as a whole."""
        done = start
        for chunk in self._cutter.cut_buf(memoryview(data)[start:]):
            end = start + chunk.offset + chunk.length
            if end == len(data) and not final:
                break
            mark = _mark(data[done : min(end, done + _HEAD)])
            self._following = self._known(mark, data, done, end)
            if self._following is not None:
                break
            self.marks.append((mark, self.new + done - start))
            self.marks_in_file.append((mark, self._position + done - start))
            done = end
        return done

    def _known(self, mark: bytes, data: bytes, start: int, end: int) -> Place | None:
        """Return where a chunk is, or enough of its beginning to be worth a part."""
        place = self._hints.get(mark)
        if place is None:
            return None
        agreed = _agreeing(data[start:end], self._stored(*place, end - start))
        return place if agreed >= min(self._cutter.min_size, end - start) else None

    def _follow(self, data: bytes, start: int) -> int:
        """Go on as far as `data` from `start` on agrees with the blob that was last met; return where that ends."""
        if self._following is None or start == len(data):
            return start
        blob, offset = self._following
        stored = self._stored(blob, offset, len(data) - start)
        agreed = _agreeing(data[start:] if start else data, stored)
        if agreed:
            self._note(blob, offset, agreed)
        self._following = (blob, offset + agreed) if start + agreed == len(data) else None
        return start + agreed

    def _note(self, blob: str, offset: int, length: int) -> None:
        self._position += length
        last = self.parts[-1] if self.parts else None
        if last is not None and last.blob == blob and last.offset + last.length == offset:
            self.parts[-1] = last._replace(length=last.length + length)
        else:
            self.parts.append(Part(blob, offset, length))

    def _stored(self, blob: str, offset: int, length: int) -> bytes:
        """Return bytes of a blob, fewer or none where it has not that many."""
        if blob not in self._open:
            self._open[blob] = None
            with suppress(OSError):
                self._open[blob] = os.open(self._blobs / blob.removeprefix("sha256:"), os.O_RDONLY | os.O_CLOEXEC)
        fd = self._open[blob]
        try:
            return b"" if fd is None else os.pread(fd, length, offset)
        except OSError:
            return b""


def _mark(head: bytes) -> bytes:
    """Return what a chunk is looked up by: its beginning. How far two agree that share it is told by comparing."""
    return hashlib.blake2b(head, digest_size=16).digest()


def _agreeing(one: bytes, other: bytes) -> int:
    """Return how many bytes two strings share from their beginning."""
    low, high = 0, min(len(one), len(other))
    if one[:high] == other[:high]:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle
    return low
