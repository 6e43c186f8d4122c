"""Fetching a state: all of it is a stranger's word until its documents are read and every blob is hashed.

Documents come first and decide what is fetched. What no document refers to is never stored; what one refers to
is stored only with the digest and size that it says. References (state, run log, tag) are written last.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from replay.environment import kept
from replay.errors import RegistryError, ReplayError, StoreError
from replay.layers.release import REGISTRY, Release, blobs, workspace
from replay.layers.runtime import RuntimeLayer
from replay.record import RunRecord
from replay.registry.client import Repository
from replay.registry.http import AT_ONCE
from replay.registry.parcel import RUN_TYPE, fed
from replay.state import LAYERS, Document
from replay.store import refs
from replay.store.base import Resolved, Store
from replay.store.documents import Need, needs_of_run, read_run, read_state
from replay.store.files import remove_tree, storing
from replay.store.oci import EMPTY_TYPE, STATE_TYPE, Manifest
from replay.store.refs import shown
from replay.workspace import inside

MOST_BLOBS = 50_000
MOST_DOCUMENT = 64 << 20
"""Bytes of one document: it is read in memory."""

KNOWN_TYPES = re.compile(
    r"application/(octet-stream|vnd\.pypa\.wheel|vnd\.replay\.[a-z.-]{1,40}v1(\+json)?"
    r"|vnd\.oci\.(image\.config\.v1\+json|image\.layer\.v1\.tar))"
)


@dataclass(frozen=True)
class Pulled:
    """What came of a pull. `missing` are the inputs' contents that neither the registry nor this store has."""

    state: str
    run: str | None
    tag: str | None
    fetched: int
    fetched_bytes: int
    known: int
    missing: tuple[str, ...]


@dataclass(frozen=True)
class _Parcel:
    """What a manifest holds, read and checked: nothing of it is stored yet."""

    release: Release
    record: RunRecord | None
    sizes: dict[str, int]
    missing: tuple[str, ...]

    @property
    def target(self) -> Resolved:
        return Resolved(self.release.state.id, self.record.id if self.record else None)


class Puller:
    """Fetches from a repository into a store; `most` is how many bytes a state may have."""

    def __init__(self, repository: Repository, store: Store, most: int, progress: Callable[[str], None]) -> None:
        self._repository = repository
        self._store = store
        self._most = most
        self._progress = progress
        self._documents: dict[str, bytes] = {}

    def pull(self, tag: str | None, force: bool) -> Pulled:
        """Fetch what the reference names, and point `tag` at it. Raises RegistryError, StoreError.

        A tag that points at something else is moved only with `force`.
        """
        where = self._repository.where
        if tag is not None:
            refs.check_tag(tag)
        parcel = self._open(self._repository.manifest())
        if tag is not None:
            _free(tag, parcel.target, self._store, force)
        lacking = {digest: size for digest, size in parcel.sizes.items() if not self._store.has(digest)}
        self._fetch({digest: size for digest, size in lacking.items() if digest not in self._documents})
        for data in self._documents.values():
            self._store.put(data)
        here = [ref for ref in blobs(parcel.release, self._store) if self._store.has(ref.digest)]
        self._store.add_state(parcel.release.state, here)
        if parcel.record is not None:
            self._store.add_run(parcel.record, origin=str(where))
        if tag is not None:
            self._store.tag(tag, parcel.target)
        return Pulled(
            state=parcel.target.state,
            run=parcel.target.run,
            tag=tag,
            fetched=len(lacking),
            fetched_bytes=sum(lacking.values()),
            known=len(parcel.sizes) - len(lacking),
            missing=parcel.missing,
        )

    def _open(self, data: bytes) -> _Parcel:
        manifest = _manifest(data)
        sizes = self._sizes(manifest)
        try:
            state = read_state(manifest.config.digest, self._document(manifest.config.digest, sizes))
            layers: dict[str, Document] = {}
            if set(state.layers) != set(LAYERS):
                raise _hostile("its state has not the six layers")
            for name in LAYERS:
                layers[name] = REGISTRY[name].document.decode(self._document(state.layers[name], sizes))
            release = Release(job=state.job, outputs=state.outputs, layers=layers)
            record = self._record(manifest, release, sizes)
            _stays_inside(release, record)
            needs = self._needs(release, record, sizes)
        except ValidationError as error:
            raise _hostile(
                f"a document in it is not what it says it is ({error.error_count()} things do not fit)"
            ) from None
        wanted, missing = self._settled(release, needs, sizes)
        foreign = sizes.keys() - wanted.keys()
        if foreign:
            raise _hostile(f"it holds {len(foreign)} blobs that no document in it refers to ({sorted(foreign)[0]})")
        return _Parcel(release, record, wanted, missing)

    def _sizes(self, manifest: Manifest) -> dict[str, int]:
        """Return what a manifest holds by digest, within all limits."""
        if len(manifest.layers) > MOST_BLOBS:
            raise _hostile(f"it holds {len(manifest.layers)} blobs; {MOST_BLOBS} are the most")
        if manifest.config.media_type != STATE_TYPE:
            raise _hostile(f"its config is of the type '{shown(manifest.config.media_type)}', not that of a state")
        sizes: dict[str, int] = {}
        for part in (manifest.config, *manifest.layers):
            if part is not manifest.config and not KNOWN_TYPES.fullmatch(part.media_type):
                raise _hostile(f"it holds something of the type '{shown(part.media_type)}'")
            if sizes.setdefault(part.digest, part.size) != part.size:
                raise _hostile(f"it gives the blob {part.digest} two sizes")
        total = sum(sizes.values())
        if total > self._most:
            raise RegistryError(
                f"{self._repository.where} says that it has {total} bytes, {self._most} are allowed",
                cause="it holds much data, or it is meant to fill this machine's disk",
                do="if you trust it, allow more with --max-size",
            )
        return sizes

    def _document(self, digest: str, sizes: dict[str, int]) -> bytes:
        """Return a document's bytes: out of the store, or fetched and not yet stored."""
        if digest not in sizes:
            raise _hostile(f"a document that it refers to is not in it ({digest})")
        if sizes[digest] > MOST_DOCUMENT:
            raise _hostile(f"a document in it has {sizes[digest]} bytes; {MOST_DOCUMENT} are the most")
        if self._store.has(digest):
            data = self._store.get(digest)
            if len(data) != sizes[digest]:
                raise _hostile(f"it gives the blob {digest} a wrong size")
            return data
        if digest not in self._documents:
            self._documents[digest] = self._repository.read(digest, sizes[digest])
        return self._documents[digest]

    def _record(self, manifest: Manifest, release: Release, sizes: dict[str, int]) -> RunRecord | None:
        named = [part.digest for part in manifest.layers if part.media_type == RUN_TYPE]
        if not named:
            return None
        record = read_run(named[0], self._document(named[0], sizes))
        if len(named) > 1 or record.state != release.state.id or record.job != release.job:
            raise _hostile("it holds a run of another state, or several runs")
        return record

    def _needs(self, release: Release, record: RunRecord | None, sizes: dict[str, int]) -> list[Need]:
        """Return all that the documents refer to, themselves included."""
        found = [Need(release.state.id, "the state"), *(Need(one, "a layer") for one in release.state.layers.values())]
        for name in LAYERS:
            found += [Need(ref.digest, ref.title, ref.size) for ref in REGISTRY[name].blobs(release.layers[name])]
        runtime = release.layers["runtime"]
        base = runtime.base.image if isinstance(runtime, RuntimeLayer) else None
        if base is not None and base in sizes:
            layers = kept.read(base, self._document(base, sizes)).layers
            found += [Need(base, "the base"), *(Need(layer, "a layer of the base") for layer in layers)]
        if record is not None:
            found += [Need(record.id, "the run"), *needs_of_run(record)]
        return found

    def _settled(
        self, release: Release, needs: list[Need], sizes: dict[str, int]
    ) -> tuple[dict[str, int], tuple[str, ...]]:
        """Return what is needed and sent, and the titles of inputs that are neither sent nor here."""
        wanted: dict[str, int] = {}
        missing: list[str] = []
        spared = fed(release)
        for need in needs:
            size = sizes.get(need.digest)
            if size is None:
                if self._store.has(need.digest):
                    continue
                if need.digest not in spared:
                    raise _hostile(f"it lacks {shown(need.purpose)} ({need.digest})")
                missing.append(need.purpose)
            elif need.size not in (None, size):
                raise _hostile(f"it gives {shown(need.purpose)} {size} bytes, its documents {need.size}")
            else:
                wanted[need.digest] = size
        return wanted, tuple(dict.fromkeys(missing))

    def _fetch(self, blobs_: dict[str, int]) -> None:
        """Fetch blobs into the store, each whole or not at all. Raises RegistryError, StoreError."""
        if not blobs_:
            return
        folder = self._store.scratch("pull")
        try:
            with storing("fetch a state"):
                room(folder, sum(blobs_.values()), "the state")
            self._progress(f"fetching {len(blobs_)} blobs, {sum(blobs_.values())} bytes")
            with ThreadPoolExecutor(AT_ONCE) as pool:
                try:
                    list(pool.map(lambda digest: self._fetch_one(digest, blobs_[digest], folder), blobs_))
                finally:
                    pool.shutdown(cancel_futures=True)
        finally:
            remove_tree(folder)

    def _fetch_one(self, digest: str, size: int, folder: Path) -> None:
        file = folder / digest.removeprefix("sha256:")
        with storing("fetch a blob"):
            self._repository.download(digest, size, file)
            self._store.put_file(file)
            file.unlink()


def _manifest(data: bytes) -> Manifest:
    try:
        manifest = Manifest.decode(data)
    except ValidationError:
        raise _hostile("its manifest is that of something else, an image perhaps") from None
    layers = tuple(part for part in manifest.layers if part.media_type != EMPTY_TYPE)
    return manifest.model_copy(update={"layers": layers})


def _stays_inside(release: Release, record: RunRecord | None) -> None:
    """Raise StoreError where a document names a path outside a project."""
    root = Path("project")
    view = workspace(release)
    paths = [*view.folders, *view.files, *release.outputs.values()]
    if record is not None:
        for output in record.outputs.values():
            paths += [output.spec.path, *output.files]
    for path in paths:
        inside(root, path)


def _free(tag: str, target: Resolved, store: Store, force: bool) -> None:
    found = store.tags().get(tag)
    if force or found in (None, target):
        return
    raise StoreError(
        f"the tag '{tag}' is in use here: it points at something else",
        cause="what is pulled would take the name of what you have",
        do="pull it under another name (--tag NAME), or move the tag with --force",
    )


def room(folder: Path, size: int, what: str) -> None:
    """Raise StoreError where `size` bytes do not fit where a folder is; `what` is what people call it."""
    free = shutil.disk_usage(folder).free
    if size > free:
        raise StoreError(
            f"{what} has {size} bytes, and {free} are free where the store is",
            cause="the disk is too full for it",
            do="free some space (`replay gc`), or name another store with --store",
        )


def _hostile(what: str) -> ReplayError:
    return RegistryError(
        f"what was pulled is not a sound Release State: {what}",
        cause="it was not pushed by Replay, a newer version wrote it, or somebody tampered with it",
        do="nothing was kept; check the name, update Replay, or ask whoever pushed it",
    )
