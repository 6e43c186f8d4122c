"""Keeping many files at once: large ones side by side, small ones together in files that they share."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from replay.digest import of_bytes
from replay.state import FileEntry
from replay.store.blobs import Blobs, entry
from replay.store.files import storing
from replay.store.intake import blocks, source
from replay.store.pieces import Part

SMALL = 64 << 10
"""Files below this size may share a file, in bytes."""

MANY = 64
"""How many small blobs have to be new at once to share a file; fewer get one each."""

PACK = 64 << 20
"""How large a shared file grows, in bytes: what is held in memory until it is written."""

_BATCH = 256
_READERS = min(4, os.cpu_count() or 1)


def put_files(blobs: Blobs, paths: Sequence[Path]) -> list[FileEntry]:
    """Keep files; return their entries in the same order. Raises InputError, StoreError as `Blobs.put_file` does."""
    small = [path for path in paths if _is_small(path)]
    if len(small) < MANY:
        small = []
    found: dict[Path, FileEntry] = {}
    apart = set(small)
    with ThreadPoolExecutor(_READERS) as readers:
        others = [path for path in dict.fromkeys(paths) if path not in apart]
        kept = readers.map(blobs.put_file, others)
        packer = _Packer(blobs)
        # The small ones on this thread: several would wait for each other at every file.
        for start in range(0, len(small), _BATCH):
            batch = _read(small[start : start + _BATCH])
            packer.add({own.blob: content for _, content, own in batch})
            found.update((path, own) for path, _, own in batch)
        packer.flush()
        found.update(zip(others, kept, strict=True))
    return [found[path] for path in paths]


class _Packer:
    """Collects small blobs that are not here yet."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._waiting: dict[str, bytes] = {}
        self._size = 0

    def add(self, contents: Mapping[str, bytes]) -> None:
        """Keep blobs, now or at the next `flush`."""
        others = {digest: len(content) for digest, content in contents.items() if digest not in self._waiting}
        for digest in self._blobs.lacking(others):
            self._waiting[digest] = contents[digest]
            self._size += others[digest]
        if self._size >= PACK:
            self.flush()

    def flush(self) -> None:
        """Write what waits: together, or where it is not much each for itself. Raises StoreError."""
        if len(self._waiting) < MANY:
            for content in self._waiting.values():
                self._blobs.put(content)
        else:
            pack = self._blobs.put(b"".join(self._waiting.values())).blob
            with storing("record which blobs share a file"):
                self._blobs.pieces.add(_laid_out(pack, self._waiting.items()))
        self._waiting, self._size = {}, 0


def _laid_out(pack: str, contents: Iterable[tuple[str, bytes]]) -> dict[str, list[Part]]:
    parts, offset = {}, 0
    for digest, content in contents:
        parts[digest] = [Part(pack, offset, len(content))]
        offset += len(content)
    return parts


def _is_small(path: Path) -> bool:
    try:
        return path.stat().st_size < SMALL
    except (OSError, ValueError):
        return False  # keeping it says what is wrong with it


def _read(paths: Sequence[Path]) -> list[tuple[Path, bytes, FileEntry]]:
    found = []
    for path in paths:
        with source(path) as (fd, info):
            content = b"".join(blocks(path, fd, info))
        found.append((path, content, entry(of_bytes(content), info)))
    return found
