"""Collecting what nothing needs any more: every reference is followed, and what none leads to is removed.

References go first (the run log whole, by rename), then what they alone referred to: a store in which this was
killed is sound, and the next collection goes on from there.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from replay.errors import StoreError
from replay.store import oci
from replay.store.base import Collected, RunEntry
from replay.store.blobs import Blobs
from replay.store.catalogue import Catalogue
from replay.store.documents import (
    needs_of_manifest,
    needs_of_run,
    needs_of_state,
    read_manifest,
    read_run,
    read_state,
)
from replay.store.files import remove_tree, sync_folder
from replay.store.runlog import RunLog
from replay.store.work import Work


class Collector:
    """What a collection looks at, in one store."""

    def __init__(self, blobs: Blobs, catalogue: Catalogue, log: RunLog, work: Work, cache: Path) -> None:
        self._blobs = blobs
        self._catalogue = catalogue
        self._log = log
        self._work = work
        self._cache = cache

    def collect(self, drop: Collection[str] | None, *, dry_run: bool, caches: bool) -> Collected:
        """See `Store.collect`; nobody else may be using the store. Raises OSError, StoreError."""
        entries, tags = self._log.entries(), self._catalogue.tags()
        tagged = {descriptor.annotation(oci.RUN) for descriptor in tags.values()}
        gone = {entry.run for entry in entries} & set(drop or ()) - tagged
        left = [entry for entry in entries if entry.run not in gone]
        lost = self._unused(left, tags.values()) if drop is not None else []
        states = set(self._catalogue.ids()) - set(lost)
        try:
            needed = set(self._needed(left, states, tags.values()))
            files = frozenset[str]().union(*map(self._blobs.files_of, needed))
        except StoreError as error:
            raise _unsound(error) from error
        garbage = {digest: size for digest, size in self._blobs.files() if digest not in files}
        cached = _size(self._cache) if caches else 0
        if not dry_run:
            if gone:
                self._log.rewrite(left, self._work.temporary())
            self._catalogue.remove(lost)
            self._blobs.retain(needed)
            self._remove(garbage)
            if caches:
                self._empty_cache()
        return Collected(tuple(sorted(gone)), tuple(lost), len(garbage), sum(garbage.values()), cached)

    def _unused(self, left: Iterable[RunEntry], tags: Iterable[oci.Descriptor]) -> list[str]:
        """Return the states that no run and no tag is left of."""
        used = {entry.state for entry in left} | {self._manifest(tag).config.digest for tag in tags}
        return sorted(set(self._catalogue.ids()) - used)

    def _needed(self, runs: Iterable[RunEntry], states: Iterable[str], tags: Iterable[oci.Descriptor]) -> Iterator[str]:
        """Yield the digest of every blob that something needs. Raises StoreError where that cannot be told."""
        for descriptor in [*tags, *map(self._catalogue.manifest, states)]:
            manifest = self._manifest(descriptor)
            state = read_state(manifest.config.digest, self._blobs.get(manifest.config.digest))
            yield descriptor.digest
            yield from (need.digest for need in (*needs_of_manifest(manifest), *needs_of_state(state)))
        for entry in runs:
            yield entry.run
            yield from (need.digest for need in needs_of_run(read_run(entry.run, self._blobs.get(entry.run))))

    def _manifest(self, descriptor: oci.Descriptor) -> oci.Manifest:
        return read_manifest(descriptor.digest, self._blobs.get(descriptor.digest))

    def _remove(self, garbage: Collection[str]) -> None:
        for digest in garbage:
            self._blobs.remove(digest)
            # A cache may hold a blob by a link of its name: its bytes would stay.
            for link in self._cache.glob(f"*/{digest.removeprefix('sha256:')}"):
                if link.is_file():
                    link.unlink()
        sync_folder(self._blobs.folder)

    def _empty_cache(self) -> None:
        """Take everything away at once, so that nothing is found there by halves."""
        folder = self._work.scratch("caches")
        for kind in list(self._cache.iterdir()):
            kind.rename(folder / kind.name)
        remove_tree(folder)


def _size(folder: Path) -> int:
    """Return the bytes that go with a folder: files that something outside links to stay."""
    links: dict[int, list[int]] = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            info = Path(parent, name).lstat()
            links.setdefault(info.st_ino, [0, info.st_nlink, info.st_size])[0] += 1
    return sum(size for seen, all_, size in links.values() if seen == all_)


def _unsound(error: StoreError) -> StoreError:
    return StoreError(
        f"nothing was removed: {error.what}",
        cause="a document that says what is needed is lost or damaged, so what is not needed cannot be told",
        do="`replay fsck` lists what is wrong; mend that first",
    )
