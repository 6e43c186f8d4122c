"""Sending a state: what the registry has is not sent again, and the tag is pointed at it last."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from replay.digest import canonical, of_bytes
from replay.errors import RegistryError
from replay.registry.client import MOST_MANIFEST, Repository
from replay.registry.http import AT_ONCE
from replay.registry.parcel import Parcel, by_digest
from replay.registry.reference import Reference
from replay.store.base import Store
from replay.store.files import storing
from replay.store.oci import TITLE, Descriptor


@dataclass(frozen=True)
class Pushed:
    """What came of a push: where it is now, the titles of what was sent, and how many blobs and bytes of each kind.

    `replaced` is the manifest that the tag pointed at before, None where it is new or the same.
    """

    where: Reference
    replaced: str | None
    sent: tuple[str, ...]
    sent_bytes: int
    known: int
    mounted: int


def push(parcel: Parcel, repository: Repository, tag: str, store: Store, progress: Callable[[str], None]) -> Pushed:
    """Send a parcel and point `tag` at it. Raises RegistryError, CorruptBlob, StoreError.

    Interrupted, it leaves blobs that the next push finds there, and the tag as it was.
    """
    data = parcel.manifest.encode()
    if len(data) > MOST_MANIFEST:
        raise RegistryError(
            f"the state refers to {len(parcel.manifest.layers)} files: its manifest is larger than a registry takes",
            cause="registries take manifests of up to 4 MiB, that is some 15000 files",
            do="pack its inputs into fewer files; or copy the store itself",
        )
    before = repository.tagged(tag)
    memory = _Memory(store, repository.where)
    parts = list(by_digest((*parcel.manifest.layers, parcel.manifest.config)).values())
    progress(f"asking {repository.where.host} for {len(parts)} blobs")

    def carry(part: Descriptor) -> str:
        if repository.has(part.digest):
            return "known"
        title = part.annotation(TITLE) or "state"
        progress(f"sending {title} ({part.size} bytes)")
        return "mounted" if repository.upload(part.digest, store.path(part.digest), memory.of(part.digest)) else "sent"

    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            ended = list(pool.map(carry, parts))
        finally:
            pool.shutdown(cancel_futures=True)
    repository.put_manifest(data, tag)
    memory.keep([part.digest for part in parts])
    sent = [part for part, how in zip(parts, ended, strict=True) if how == "sent"]
    digest = of_bytes(data)
    return Pushed(
        where=replace(repository.where, tag=tag, digest=digest),
        replaced=before if before not in (None, digest) else None,
        sent=tuple(sorted(part.annotation(TITLE) or "state" for part in sent)),
        sent_bytes=sum(part.size for part in sent),
        known=ended.count("known"),
        mounted=ended.count("mounted"),
    )


class _Memory:
    """Which repository of a registry was last given a blob: it may be taken over from there. Safe to forget."""

    def __init__(self, store: Store, where: Reference) -> None:
        name = of_bytes(canonical(where.host)).removeprefix("sha256:")
        self._file = store.cache("pushed") / f"{name}.json"
        self._repository = where.name
        self._known = _read(self._file)

    def of(self, digest: str) -> str | None:
        """Return another repository that should have a blob, None where none is known."""
        found = self._known.get(digest)
        return found if found != self._repository else None

    def keep(self, digests: list[str]) -> None:
        """Remember that the repository has these blobs now."""
        known = _read(self._file) | dict.fromkeys(digests, self._repository)
        temporary = self._file.with_suffix(".new")
        with storing("remember what was pushed"):
            temporary.write_text(json.dumps(known), encoding="utf-8")
            temporary.replace(self._file)


def _read(file: Path) -> dict[str, str]:
    with suppress(OSError, ValueError):
        known = json.loads(file.read_bytes())
        if isinstance(known, dict):
            return {str(digest): str(name) for digest, name in known.items()}
    return {}
