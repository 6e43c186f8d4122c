"""The interface of a store. Its contract suite is `tests/store/contract.py`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from replay.record import RunRecord
from replay.state import FileEntry, ReleaseState


@dataclass(frozen=True)
class RunEntry:
    """A line of the run log: enough to list runs without opening their records."""

    run: str
    state: str
    job: str
    reason: str
    started: str
    exit_code: int | None
    engine: str
    origin: str = ""
    """Where it was pulled from; empty for a run of this store's own."""


@dataclass(frozen=True)
class Resolved:
    """What a REF stands for: a state, and the run where the REF named a run (or a tag of one)."""

    state: str
    run: str | None


@dataclass(frozen=True)
class Finding:
    """One thing `fsck` found wrong; `fatal` where something recorded was lost."""

    what: str
    fatal: bool


@dataclass(frozen=True)
class Collected:
    """What a collection removed, or would: runs and states by id, files of blobs and caches by number and bytes."""

    runs: tuple[str, ...]
    states: tuple[str, ...]
    blobs: int
    blob_bytes: int
    cache_bytes: int


@dataclass(frozen=True)
class BlobRef:
    """A blob that a state refers to, with the media type and title its OCI manifest gives it."""

    digest: str
    size: int
    media_type: str
    title: str


class Store(Protocol):
    """Content-addressed blobs, states as OCI artifacts, a run log and tags.

    Every write is atomic and durable; every read is hashed again (CorruptBlob where it does not match);
    two processes may share a store; references are written last.
    """

    def put(self, data: bytes) -> FileEntry:
        """Keep `data`; return its entry. Keeping it twice costs nothing."""
        ...

    def put_file(self, path: Path) -> FileEntry:
        """Keep a file's content (streamed); `executable` is its owner's execute bit."""
        ...

    def put_files(self, paths: Sequence[Path]) -> list[FileEntry]:
        """Keep several files, read side by side; return their entries in the same order."""
        ...

    def lend(self, path: Path) -> FileEntry:
        """Hold a file's content as long as this process needs it: `get` and `path` find it, no state may rest on it.

        For content that is only referred to: `has` does not count it, and nothing of it stays.
        """
        ...

    def holds(self, digest: str) -> bool:
        """Whether a blob is here or lent."""
        ...

    def get(self, digest: str) -> bytes:
        """Return a blob's bytes. Raises NotFound or CorruptBlob."""
        ...

    def path(self, digest: str) -> Path:
        """Return a read-only file (mode 0444, fixed mtime) with a blob's verified bytes, for links and mounts.

        Raises NotFound or CorruptBlob.
        """
        ...

    def has(self, digest: str) -> bool:
        """Whether a blob is here (not whether it is sound)."""
        ...

    def add_state(self, state: ReleaseState, blobs: Iterable[BlobRef]) -> str:
        """Keep a state as an OCI artifact that refers to `blobs` (all present already); return its id."""
        ...

    def state(self, state_id: str) -> ReleaseState:
        """Return a state by its full id. Raises NotFound or CorruptBlob."""
        ...

    def add_run(self, record: RunRecord, origin: str = "") -> str:
        """Keep a record and append it to the run log; return the run's id. Its state is here already.

        `origin` says where a run that was not made here comes from.
        """
        ...

    def run(self, run_id: str) -> RunRecord:
        """Return a run record by its full id. Raises NotFound or CorruptBlob."""
        ...

    def runs(self) -> list[RunEntry]:
        """Return the run log, oldest first."""
        ...

    def tag(self, name: str, target: Resolved) -> None:
        """Point tag `name` (OCI reference grammar) at a run or a state, replacing what it pointed at."""
        ...

    def tags(self) -> dict[str, Resolved]:
        """Return every tag and what it points at."""
        ...

    def resolve(self, ref: str) -> Resolved:
        """Return what a REF stands for: a tag, `last`, `last~N`, an id or a unique prefix (4+ hex digits).

        `last` counts this store's own runs whose reason is `run`. Raises NotFound: nothing fits, or several do (named).
        """
        ...

    def scratch(self, purpose: str) -> Path:
        """Return a new private folder under the store's file system, for work in progress.

        Folders left by a process that is gone are removed when a store is opened.
        """
        ...

    def cache(self, kind: str) -> Path:
        """Return the folder for derived things of one kind (`trees`, `unpacked`, `locks`); safe to delete."""
        ...

    def fsck(self) -> list[Finding]:
        """Check everything: blobs, manifests, log, tags. An empty list means sound."""
        ...

    def collect(self, drop: Collection[str] | None = None, *, dry_run: bool = False, caches: bool = False) -> Collected:
        """Remove every blob that no tag, run or state needs; with `caches` all that `cache` handed out as well.

        `drop` names runs to forget first; those that a tag points at stay. With them goes, if only an empty `drop`
        is given, each state that no run and no tag is left of. Nothing is removed with `dry_run`, nor where another
        process uses the store or a reference cannot be followed (StoreError).
        """
        ...
