"""A store in memory: the readable double of the folder store. It passes the same contract suite."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from replay.digest import of_bytes
from replay.errors import CorruptBlob, InputError
from replay.record import RunRecord
from replay.state import FileEntry, ReleaseState
from replay.store import documents, refs
from replay.store.assembly import MODE, MTIME
from replay.store.base import BlobRef, Collected, Finding, Resolved, RunEntry
from replay.store.files import remove_tree


class MemoryStore:
    """`replay.store.base.Store` for the life of this object; the files and folders it hands out go with it."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self._lent: dict[str, bytes] = {}
        self._states: dict[str, tuple[BlobRef, ...]] = {}
        self._log: list[RunEntry] = []
        self._tags: dict[str, Resolved] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="replay-memory-")

    def put(self, data: bytes) -> FileEntry:
        """See Store."""
        digest = of_bytes(data)
        self.blobs.setdefault(digest, bytes(data))
        return FileEntry(blob=digest, size=len(data))

    def put_file(self, path: Path) -> FileEntry:
        """See Store. Raises InputError where `path` cannot be read."""
        try:
            entry = self.put(path.read_bytes())
            executable = bool(path.stat().st_mode & stat.S_IXUSR)
        except OSError as error:
            raise InputError(f"cannot read {path}", cause=str(error), do="check the path") from error
        return entry.model_copy(update={"executable": executable})

    def put_files(self, paths: Sequence[Path]) -> list[FileEntry]:
        """See Store. Raises InputError where one cannot be read."""
        return [self.put_file(path) for path in paths]

    def lend(self, path: Path) -> FileEntry:
        """See Store. Raises InputError where `path` cannot be read."""
        here = dict(self.blobs)
        entry = self.put_file(path)
        if entry.blob not in here:
            self._lent[entry.blob] = self.blobs.pop(entry.blob)
        return entry

    def holds(self, digest: str) -> bool:
        """See Store."""
        return digest in self.blobs or digest in self._lent

    def get(self, digest: str) -> bytes:
        """See Store."""
        data = self.blobs.get(digest, self._lent.get(digest))
        if data is None:
            raise documents.no_blob(digest)
        if of_bytes(data) != digest:
            raise CorruptBlob(
                f"blob {digest} is corrupt", cause="something wrote into it", do="remove and keep it again"
            )
        return data

    def path(self, digest: str) -> Path:
        """See Store."""
        data = self.get(digest)
        file = self._subfolder("blobs") / digest.removeprefix("sha256:")
        if not file.exists():
            file.write_bytes(data)
            file.chmod(MODE)
            os.utime(file, (MTIME, MTIME))
        return file

    def has(self, digest: str) -> bool:
        """See Store."""
        return digest in self.blobs

    def add_state(self, state: ReleaseState, blobs: Iterable[BlobRef]) -> str:
        """See Store. Raises NotFound where a layer or one of `blobs` is not kept yet."""
        blobs = tuple(blobs)
        documents.require(f"the state of job {state.job}", documents.needs_of_state(state, blobs), self._size)
        self._states[self.put(state.encode()).blob] = blobs
        return state.id

    def state(self, state_id: str) -> ReleaseState:
        """See Store."""
        self._blobs_of(state_id)
        return documents.read_state(state_id, self.get(state_id))

    def add_run(self, record: RunRecord, origin: str = "") -> str:
        """See Store. Raises NotFound where its state, its log or an output is not kept yet."""
        self._blobs_of(record.state)
        documents.require(f"the run of job {record.job}", documents.needs_of_run(record), self._size)
        self.put(record.encode())
        if all(line.run != record.id for line in self._log):
            self._log.append(documents.line_of(record, origin))
        return record.id

    def run(self, run_id: str) -> RunRecord:
        """See Store."""
        return documents.read_run(run_id, self.get(run_id))

    def runs(self) -> list[RunEntry]:
        """See Store."""
        return list(self._log)

    def tag(self, name: str, target: Resolved) -> None:
        """See Store. Raises StoreError on a bad name or a run of another state, NotFound on a missing target."""
        refs.check_tag(name)
        self._blobs_of(target.state)
        if target.run is not None:
            documents.check_run_of(target.state, target.run, self.run(target.run))
        self._tags[name] = target

    def tags(self) -> dict[str, Resolved]:
        """See Store."""
        return dict(sorted(self._tags.items()))

    def resolve(self, ref: str) -> Resolved:
        """See Store."""
        return refs.resolve(
            ref,
            tags=self._tags.keys,
            tagged=self._tags.__getitem__,
            newest=lambda: reversed(self._log),
            states=lambda: self._states,
        )

    def scratch(self, purpose: str) -> Path:
        """See Store."""
        return Path(tempfile.mkdtemp(prefix=f"{refs.check_folder(purpose)}-", dir=self._subfolder("tmp")))

    def cache(self, kind: str) -> Path:
        """See Store."""
        return self._subfolder(f"cache/{refs.check_folder(kind)}")

    def fsck(self) -> list[Finding]:
        """See Store."""
        return [Finding(problem, fatal=True) for problem in self._problems()]

    def collect(self, drop: Collection[str] | None = None, *, dry_run: bool = False, caches: bool = False) -> Collected:
        """See Store."""
        gone = {line.run for line in self._log} & set(drop or ()) - {target.run for target in self._tags.values()}
        left = [line for line in self._log if line.run not in gone]
        used = {line.state for line in left} | {target.state for target in self._tags.values()}
        lost = sorted(self._states.keys() - used) if drop is not None else []
        needed = set[str]()
        for state_id in self._states.keys() - set(lost):
            needs = documents.needs_of_state(self.state(state_id), self._states[state_id])
            needed |= {state_id, *(need.digest for need in needs)}
        for line in left:
            needed |= {line.run, *(need.digest for need in documents.needs_of_run(self.run(line.run)))}
        garbage = {digest: len(data) for digest, data in self.blobs.items() if digest not in needed}
        folder = self._subfolder("cache")
        cached = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if caches else 0
        if not dry_run:
            self._log = left
            self._states = {name: refs for name, refs in self._states.items() if name not in lost}
            self.blobs = {digest: data for digest, data in self.blobs.items() if digest in needed}
            if caches:
                remove_tree(folder)
        return Collected(tuple(sorted(gone)), tuple(lost), len(garbage), sum(garbage.values()), cached)

    def _problems(self) -> Iterator[str]:
        needs: list[documents.Need] = []
        for digest in self.blobs:
            try:
                self.get(digest)
            except CorruptBlob as error:
                yield error.what
        for state_id, blobs in self._states.items():
            needs += [documents.Need(state_id, "a state"), *(documents.Need(b.digest, b.title, b.size) for b in blobs)]
        for line in self._log:
            needs += [documents.Need(line.run, "a run"), documents.Need(line.state, "a run's state")]
        yield from documents.lacking(needs, self._size)

    def _size(self, digest: str) -> int | None:
        return len(self.blobs[digest]) if digest in self.blobs else None

    def _blobs_of(self, state_id: str) -> tuple[BlobRef, ...]:
        if state_id not in self._states:
            raise documents.no_state(state_id)
        return self._states[state_id]

    def _subfolder(self, name: str) -> Path:
        folder = Path(self._folder.name, name)
        folder.mkdir(parents=True, exist_ok=True)
        return folder
