"""A store in a folder: an OCI image layout with a run log beside it. See docs/decisions/0002-store.md."""

from __future__ import annotations

import json
import re
import threading
import weakref
from collections.abc import Collection, Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path

from replay.digest import canonical
from replay.errors import NotFound, StoreError
from replay.record import RunRecord
from replay.state import FileEntry, ReleaseState
from replay.store import fsck, oci, refs, usage
from replay.store.base import BlobRef, Collected, Finding, Resolved, RunEntry
from replay.store.blobs import Blobs
from replay.store.catalogue import Catalogue
from replay.store.collect import Collector
from replay.store.documents import (
    check_run_of,
    line_of,
    needs_of_run,
    needs_of_state,
    read_manifest,
    read_run,
    read_state,
    require,
)
from replay.store.files import locked, remove_tree, storing, write_whole
from replay.store.packs import put_files
from replay.store.refs import shown
from replay.store.runlog import RunLog
from replay.store.work import Work

FORMAT = "replay.store/1"
MARKER = "store.json"
LOCK = "lock"
FOLDERS = ("blobs/sha256", "states", "tmp", "cache")
PARTS = ("pieces", "chunks")
FILES = {
    "oci-layout": oci.LAYOUT,
    "index.json": oci.Index().encode(),
    "runs.jsonl": b"",
    ".gitignore": b"*\n",
    MARKER: canonical({"format": FORMAT}),
}
"""What a new store holds; the marker is written last, so that a store that has it is complete."""


class FolderStore:
    """`replay.store.base.Store` on a folder, usually `.replay/`. Get one with `open`."""

    def __init__(self, root: Path) -> None:
        lock = root / LOCK
        self.root = root
        with storing("open the store"):
            self._usage = usage.Usage.of(root)
        self._work = Work(root / "tmp", lock)
        self._blobs = Blobs(root / "blobs/sha256", self._work, root)
        self._catalogue = Catalogue(root, lock, self._work)
        self._log = RunLog(root / "runs.jsonl", lock)
        self._lent: Blobs | None = None
        self._guard = threading.Lock()

    @classmethod
    def open(cls, path: Path, create: bool = True) -> FolderStore:
        """Open the store in folder `path`, made where there is none (an empty folder is none) and `create` says so.

        What killed processes left behind is removed. Raises NotFound where there is no store to open, StoreError
        where the folder is something else, or a store of a newer format, or cannot be written.
        """
        root = path.absolute()
        with storing("open the store"):
            if not (root / MARKER).is_file():
                _create(root, create)
        _check_format(root / MARKER)
        store = cls(root)
        store._work.sweep()
        store._log.mend()
        return store

    def put(self, data: bytes) -> FileEntry:
        """See Store."""
        return self._blobs.put(data)

    def put_file(self, path: Path) -> FileEntry:
        """See Store. Raises InputError where `path` cannot be read or changes meanwhile."""
        return self._blobs.put_file(path)

    def put_files(self, paths: Sequence[Path]) -> list[FileEntry]:
        """See Store. Raises InputError where one cannot be read or changes meanwhile."""
        return put_files(self._blobs, paths)

    def lend(self, path: Path) -> FileEntry:
        """See Store. Raises InputError where `path` cannot be read or changes meanwhile."""
        with self._guard:
            if self._lent is None:
                self._lent = Blobs(self.scratch("lent"), self._work)
                weakref.finalize(self, remove_tree, self._lent.folder)
        return self._lent.put_file(path)

    def holds(self, digest: str) -> bool:
        """See Store."""
        return self._where(digest).size(digest) is not None

    def get(self, digest: str) -> bytes:
        """See Store."""
        return self._where(digest).get(digest)

    def path(self, digest: str) -> Path:
        """See Store."""
        return self._where(digest).path(digest)

    def has(self, digest: str) -> bool:
        """See Store."""
        return self._blobs.size(digest) is not None

    def add_state(self, state: ReleaseState, blobs: Iterable[BlobRef]) -> str:
        """See Store. Raises NotFound where a layer or one of `blobs` is not kept yet."""
        blobs = tuple(blobs)
        require(f"the state of job {state.job}", needs_of_state(state, blobs), self._blobs.size)
        kept = self.put(state.encode())
        manifest = oci.manifest(state.encode(), blobs)
        if not blobs:
            self.put(oci.EMPTY)
        self.put(manifest.encode())
        self._catalogue.add(kept.blob, manifest.descriptor())
        return kept.blob

    def state(self, state_id: str) -> ReleaseState:
        """See Store."""
        self._catalogue.manifest(state_id)
        return read_state(state_id, self.get(state_id))

    def add_run(self, record: RunRecord, origin: str = "") -> str:
        """See Store. Raises NotFound where its state, its log or an output is not kept yet."""
        self._catalogue.manifest(record.state)
        require(f"the run of job {record.job}", needs_of_run(record), self._blobs.size)
        known = self.has(record.id)
        self.put(record.encode())
        if not (known and any(line.run == record.id for line in self._log.newest())):
            self._log.append(line_of(record, origin))
        return record.id

    def run(self, run_id: str) -> RunRecord:
        """See Store."""
        return read_run(run_id, self.get(run_id))

    def runs(self) -> list[RunEntry]:
        """See Store."""
        return self._log.entries()

    def tag(self, name: str, target: Resolved) -> None:
        """See Store. Raises StoreError on a bad name or a run of another state, NotFound on a missing target."""
        refs.check_tag(name)
        manifest = self._catalogue.manifest(target.state)
        if target.run is not None:
            check_run_of(target.state, target.run, self.run(target.run))
        self._catalogue.point(name, manifest, target.run)

    def tags(self) -> dict[str, Resolved]:
        """See Store."""
        return {name: self._target(descriptor) for name, descriptor in self._catalogue.tags().items()}

    def resolve(self, ref: str) -> Resolved:
        """See Store."""
        return refs.resolve(
            ref,
            tags=lambda: self._catalogue.tags().keys(),
            tagged=lambda name: self._target(self._catalogue.tags()[name]),
            newest=self._log.newest,
            states=self._catalogue.ids,
        )

    def scratch(self, purpose: str) -> Path:
        """See Store. The folder outlives this object and goes once the process is gone."""
        with storing("make a scratch folder"):
            return self._work.scratch(refs.check_folder(purpose))

    def cache(self, kind: str) -> Path:
        """See Store."""
        folder = self.root / "cache" / refs.check_folder(kind)
        with storing("make a cache folder"):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def fsck(self) -> list[Finding]:
        """See Store."""
        return fsck.check(self._blobs, self._catalogue, self._log, self._work)

    def collect(self, drop: Collection[str] | None = None, *, dry_run: bool = False, caches: bool = False) -> Collected:
        """See Store."""
        collector = Collector(self._blobs, self._catalogue, self._log, self._work, self.root / "cache")
        with storing("collect what is not needed"), nullcontext() if dry_run else self._usage.alone():
            _check_known(self.root)
            return collector.collect(drop, dry_run=dry_run, caches=caches)

    def _where(self, digest: str) -> Blobs:
        lent = self._lent
        return lent if lent and self._blobs.size(digest) is None and lent.size(digest) is not None else self._blobs

    def _target(self, descriptor: oci.Descriptor) -> Resolved:
        manifest = read_manifest(descriptor.digest, self.get(descriptor.digest))
        return Resolved(state=manifest.config.digest, run=descriptor.annotation(oci.RUN))


def _check_known(root: Path) -> None:
    """Raise StoreError where a store holds what this version does not know: it may refer to blobs."""
    known = {*(name.partition("/")[0] for name in FOLDERS), *FILES, LOCK, usage.FILE, *PARTS}
    if strange := sorted(path.name for path in root.iterdir() if path.name not in known):
        raise StoreError(
            f"nothing was removed: the store holds '{shown(strange[0])}', which this version does not know",
            cause="a newer version of Replay wrote it, or somebody put it there",
            do="update Replay, or move it elsewhere",
        )


def _create(root: Path, create: bool) -> None:
    """Make the store, or finish one whose making was cut short. Raises OSError, StoreError."""
    names = {path.name for path in root.iterdir()} if root.exists() else set()
    if names and LOCK not in names:
        raise StoreError(
            f"{shown(root, 400)} is not a store: it holds other things and no {MARKER}",
            cause="the path is another folder's, or the store lost its marker",
            do="name an empty or a new folder with --store, or in REPLAY_STORE",
        )
    if not names and not create:
        raise NotFound(
            f"there is no store in {shown(root, 400)}",
            cause="nothing was bound here yet, or the store is elsewhere",
            do="`replay run` makes one; --store or REPLAY_STORE names another",
        )
    root.mkdir(parents=True, exist_ok=True)
    (root / LOCK).touch()
    with locked(root / LOCK):
        for folder in FOLDERS:
            (root / folder).mkdir(parents=True, exist_ok=True)
        for name, content in FILES.items():
            if not (root / name).exists():
                write_whole(root / name, content, root / "tmp" / "create")


def _check_format(marker: Path) -> None:
    with storing("open the store"):
        data = marker.read_bytes()
    try:
        found = str(json.loads(data)["format"])
    except (ValueError, TypeError, KeyError):
        found = ""
    if found == FORMAT:
        return
    newer = re.fullmatch(r"replay\.store/[0-9]+", found) is not None
    raise StoreError(
        f"the store in {shown(marker.parent, 400)} has the format '{shown(found or data[:40])}'; "
        f"this version reads {FORMAT!r}",
        cause="a newer version of Replay wrote it" if newer else f"{MARKER} is damaged",
        do="update Replay, or name another store with --store" if newer else f"restore {MARKER} from a copy",
    )
