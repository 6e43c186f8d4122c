"""The data layer: a snapshot of every input, by content."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, cast

from pydantic import Field

from replay.compare.text import count
from replay.layers.access import AccessLayer
from replay.layers.base import Context, Layer, Workspace
from replay.layers.files import file_blobs, keep, walk
from replay.references.base import TABLES, Reference
from replay.state import Change, Document, FileEntry
from replay.store.base import BlobRef
from replay.store.refs import shown


class Snapshot(Document):
    """An input as it was: its files by path in the project."""

    path: str
    key: tuple[str, ...]
    kind: Literal["file", "folder"]
    files: dict[str, FileEntry]
    reference: Reference | None = Field(None, description="what it was read from, where that is versioned")


class DataLayer(Document):
    """Every declared source; None for one that gave nothing to observe (denied, missing, empty)."""

    sources: dict[str, Snapshot | None]


class Data(Layer[DataLayer]):
    """What the job read."""

    name = "data"
    document = DataLayer

    def capture(self, context: Context) -> DataLayer:
        """Keep every source that the access layer found readable."""
        answers = cast("AccessLayer", context.done["access"]).sources
        sources: dict[str, Snapshot | None] = {}
        for name, source in sorted(context.config.data.items()):
            answer = answers[name]
            sources[name] = None
            if answer.answer in {"granted", "partial"}:
                if name in context.referred:
                    pinned = context.referred[name]
                    sources[name] = Snapshot(
                        path=source.path,
                        key=source.keys,
                        kind=answer.kind,
                        files=pinned.files,
                        reference=pinned.reference,
                    )
                    continue
                if name in context.asked:
                    entries = {source.path: context.asked[name]}
                    sources[name] = Snapshot(path=source.path, key=source.keys, kind="file", files=entries)
                    continue
                files = [path for path in walk(context.root, source.path) if path not in answer.withheld]
                entries = keep(context.root, files, context.store)
                sources[name] = Snapshot(path=source.path, key=source.keys, kind=answer.kind, files=entries)
        return DataLayer(sources=sources)

    def materialise(self, layer: DataLayer, workspace: Workspace) -> None:
        """Put every snapshot's files where the job looks for them."""
        for snapshot in layer.sources.values():
            if snapshot is None:
                continue
            if snapshot.kind == "folder":
                workspace.folders.add(snapshot.path)
            for path, entry in snapshot.files.items():
                workspace.place(path, entry.blob)

    def blobs(self, layer: DataLayer) -> Iterator[BlobRef]:
        """Yield the snapshots' files."""
        for snapshot in layer.sources.values():
            if snapshot is not None:
                yield from file_blobs(snapshot.files)


def swapped(name: str, good: DataLayer, bad: DataLayer) -> list[Change]:
    """Return the change of a source that is swapped whole, none where its content is the same."""
    before, after = good.sources.get(name), bad.sources.get(name)
    one_unseen = name in good.sources and name in bad.sources and (before is None or after is None)
    if one_unseen or content(before) == content(after):
        return []
    return [Change(name=f"data/{name}", before=_brief(before, after), after=_brief(after, before, before))]


def content(snapshot: Snapshot | None) -> object:
    """Return what a snapshot holds, wherever it stands in the project's records.

    A table of versions is its version and its data files: its log may be kept in other pieces.
    """
    if snapshot is None:
        return None
    reference = snapshot.reference
    if reference is not None and reference.kind in TABLES:
        return reference.identity, {path: snapshot.files[path].blob for path in reference.parts}
    return {path: entry.blob for path, entry in snapshot.files.items()}


def referring(layer: DataLayer) -> Iterator[tuple[str, Reference, dict[str, FileEntry]]]:
    """Yield every source that refers to a version: its name, the reference, its files."""
    for name, snapshot in layer.sources.items():
        if snapshot is not None and snapshot.reference is not None:
            yield name, snapshot.reference, snapshot.files


def _brief(snapshot: Snapshot | None, other: Snapshot | None, before: Snapshot | None = None) -> str | None:
    """Say what a snapshot is, and of a folder which files the other has not; `before` is the older one, if any."""
    if snapshot is None:
        return None
    if snapshot.reference is not None:
        earlier = before.reference if before is not None else None
        return snapshot.reference.described() + snapshot.reference.anew_since(earlier)
    size = sum(entry.size for entry in snapshot.files.values())
    own = sorted(snapshot.files.keys() - other.files.keys()) if other and snapshot.kind == "folder" else []
    more = f" and {len(own) - 1} more" if len(own) > 1 else ""
    alone = f", {shown(own[0].removeprefix(f'{snapshot.path}/'))}{more} among them" if own else ""
    many = f"{count(len(snapshot.files), 'file')}, " if snapshot.kind == "folder" else ""
    return f"{many}{size:,} bytes, {snapshot.digest.removeprefix('sha256:')[:12]}{alone}"
