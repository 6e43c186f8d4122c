"""Blobs that have no file of their own: which ranges of which blobs they are made of. See decision 0023.

A file of `pieces/` is the canonical JSON of the blobs that were kept at one time, named by its own digest. A part
always lies in a blob that has a file, never in one that is made of parts itself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from replay.digest import canonical, of_bytes
from replay.errors import CorruptBlob, StoreError
from replay.store.files import storing, write_whole
from replay.store.refs import DIGEST, shown
from replay.store.work import Work

FORMAT = "replay.pieces/1"
BLOCK = 4 << 20


class Part(NamedTuple):
    """A range of a blob that has a file; offset and length in bytes."""

    blob: str
    offset: int
    length: int


Parts = tuple[Part, ...]


class Pieces:
    """The folder `pieces`, read when a blob is asked for that has no file, and again when a file came or went."""

    def __init__(self, folder: Path, blobs: Path, work: Work) -> None:
        self.folder = folder
        self._blobs = blobs
        self._work = work
        self._known: dict[str, dict[str, Parts]] = {}

    def find(self, digest: str) -> Parts | None:
        """Return the parts of a blob, None where it is not kept in parts that are all here. Raises StoreError."""
        parts = self._look_up(digest)
        if parts is None:
            self._refresh()
            parts = self._look_up(digest)
        return parts

    def find_all(self, digests: Iterable[str]) -> dict[str, Parts]:
        """Return the parts of those blobs that `find` would find, looking once for what is new. Raises StoreError."""
        self._refresh()
        found = {digest: self._look_up(digest) for digest in digests}
        return {digest: parts for digest, parts in found.items() if parts is not None}

    def _look_up(self, digest: str) -> Parts | None:
        for table in self._known.values():
            parts = table.get(digest)
            if parts is not None and self._are_here(parts):
                return parts
        return None

    def add(self, blobs: Mapping[str, Sequence[Part]]) -> None:
        """Record what blobs are made of, durably. Raises OSError."""
        sources = sorted({part.blob for parts in blobs.values() for part in parts})
        place = {blob: number for number, blob in enumerate(sources)}
        rows = {digest: [[place[p.blob], p.offset, p.length] for p in parts] for digest, parts in blobs.items()}
        data = canonical({"format": FORMAT, "sources": sources, "blobs": rows})
        self.folder.mkdir(exist_ok=True)
        write_whole(self.folder / of_bytes(data).removeprefix("sha256:"), data, self._work.temporary())

    def retain(self, needed: Collection[str]) -> None:
        """Forget the blobs that are not among `needed`, table by table. Raises OSError, StoreError."""
        self._refresh()
        for name, table in list(self._known.items()):
            left = {digest: parts for digest, parts in table.items() if digest in needed}
            if len(left) < len(table):
                if left:
                    self.add(left)
                (self.folder / name).unlink()

    def read(self, digest: str, parts: Parts) -> Iterator[bytes]:
        """Yield a blob's bytes, block by block, not verified. Raises CorruptBlob (cut short), OSError."""
        for part in parts:
            length = 0
            for block in read_part(self._file(part.blob), part):
                length += len(block)
                yield block
            if length < part.length:
                raise cut_short(digest, part.blob)

    def all(self) -> frozenset[str]:
        """Return every blob that is kept in parts, whether or not these are here. Raises StoreError."""
        self._refresh()
        return frozenset().union(*self._known.values())

    def sources(self, digest: str) -> frozenset[str]:
        """Return the blobs that must stay as long as this one is wanted; nothing for one with a file of its own."""
        return frozenset(part.blob for part in self.find(digest) or ())

    def _refresh(self) -> None:
        try:
            names = {file.name for file in self.folder.iterdir()}
        except FileNotFoundError:
            names = set()
        if names != self._known.keys():
            known = {name: self._known.get(name) or _table(self.folder / name) for name in sorted(names)}
            self._known = known

    def _are_here(self, parts: Parts) -> bool:
        ends: dict[str, int] = {}
        for part in parts:
            ends[part.blob] = max(ends.get(part.blob, 0), part.offset + part.length)
        try:
            return all(os.lstat(self._file(blob)).st_size >= end for blob, end in ends.items())
        except OSError:
            return False

    def _file(self, digest: str) -> str:
        return f"{self._blobs}/{digest.removeprefix('sha256:')}"


def read_part(file: Path | str, part: Part) -> Iterator[bytes]:
    """Yield a range of a file block by block, less of it where the file is cut short. Raises OSError."""
    fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        offset, end = part.offset, part.offset + part.length
        while block := os.pread(fd, min(BLOCK, end - offset), offset):
            offset += len(block)
            yield block
    finally:
        os.close(fd)


def cut_short(digest: str, source: str) -> CorruptBlob:
    """Return the error for a blob one of whose sources ends too early."""
    return CorruptBlob(
        f"blob {digest} is corrupt: blob {source}, which holds a part of it, is cut short",
        cause="the disk damaged that file, or something else wrote into the store",
        do="`replay fsck` lists what is affected; remove the damaged file and repeat the run that made it",
    )


def _table(file: Path) -> dict[str, Parts]:
    with storing("read what blobs are made of"):
        data = file.read_bytes()
    try:
        if of_bytes(data).removeprefix("sha256:") != file.name:
            raise ValueError("its bytes do not hash to its name")
        document = json.loads(data)
        sources = [_digest(name) for name in document["sources"]]
        if document["format"] != FORMAT:
            raise ValueError(f"its format is {document['format']}")
        return {
            _digest(blob): tuple(Part(sources[number], int(offset), int(length)) for number, offset, length in rows)
            for blob, rows in document["blobs"].items()
        }
    except (ValueError, TypeError, KeyError, LookupError, AttributeError) as error:
        raise StoreError(
            f"{shown(file, 400)} cannot be read: {shown(str(error))}",
            cause="the disk damaged it, something else wrote into the store, or a newer version of Replay did",
            do="restore it from a copy of the store; or remove it and repeat the runs that `replay fsck` then names",
        ) from error


def _digest(name: str) -> str:
    if not DIGEST.fullmatch(name):
        raise ValueError("it names something that is no digest")
    return name
