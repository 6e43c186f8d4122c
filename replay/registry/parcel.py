"""What travels: a state, and a run of it, as one OCI manifest that any registry, skopeo or oras carries whole.

The config is the state. The layers are all that the state refers to and, where a run goes with it, its record, its
log, its outputs and the listings of its image. Nothing but documents decides what is in a parcel: `contents` says
it of one's own and of a stranger's alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from replay.digest import of_bytes
from replay.layers.release import REGISTRY, Release, blobs
from replay.record import RunRecord
from replay.store import oci
from replay.store.base import BlobRef, Store
from replay.store.documents import needs_of_run

RUN_TYPE = "application/vnd.replay.run.v1+json"
PART_TYPE = "application/vnd.replay.run.part.v1"
"""What belongs to a run: its log, a file of its outputs, a listing of its image."""

GUARDED = ("data", "access")
"""The layers whose contents are what the job was fed: `--without-data` leaves them out."""


@dataclass(frozen=True)
class Parcel:
    """A manifest to send, and what was left out of it."""

    manifest: oci.Manifest
    state: str
    run: str | None
    left_out: tuple[BlobRef, ...]


def pack(release: Release, record: RunRecord | None, store: Store, *, data: bool = True) -> Parcel:
    """Return what carries a state and a run. Raises NotFound, CorruptBlob where the store lacks some of it.

    Without `data` the inputs' contents stay behind, and the run with them: its log and its outputs tell of the data.
    """
    refs = blobs(release, store)
    guarded = frozenset() if data else fed(release)
    left_out = tuple(ref for ref in refs if ref.digest in guarded)
    going = [ref for ref in refs if ref.digest not in guarded]
    if data and record is not None:
        going += of_run(record, lambda digest: store.path(digest).stat().st_size)
    manifest = oci.manifest(release.state.encode(), going)
    return Parcel(manifest, release.state.id, record.id if data and record else None, left_out)


def fed(release: Release) -> frozenset[str]:
    """Return the digests of what the job was fed, but for what its code and model hold as well."""
    inside = {name: {ref.digest for ref in REGISTRY[name].blobs(layer)} for name, layer in release.layers.items()}
    others = frozenset[str]().union(*(inside[name] for name in inside if name not in GUARDED))
    return frozenset[str]().union(*(inside[name] for name in GUARDED)) - others


def of_run(record: RunRecord, size_of: Callable[[str], int]) -> list[BlobRef]:
    """Return what carries a run; `size_of` gives the size of what its record does not measure."""
    data = record.encode()
    found = [BlobRef(of_bytes(data), len(data), RUN_TYPE, "run/record")]
    for need in needs_of_run(record):
        size = size_of(need.digest) if need.size is None else need.size
        found.append(BlobRef(need.digest, size, PART_TYPE, f"run/{need.purpose}"))
    return found


def by_digest(parts: Iterable[oci.Descriptor]) -> dict[str, oci.Descriptor]:
    """Return descriptors, each blob once."""
    return {part.digest: part for part in parts}
