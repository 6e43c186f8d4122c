"""The access layer: for each source, what the job was answered when it asked. Never a secret.

Files and folders are asked here. A database asks in a file of its own and answers in the same words.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from replay.digest import of_bytes
from replay.layers.base import Context, Layer, Workspace
from replay.layers.files import readable, walk
from replay.layers.service import service_blobs, service_changes
from replay.sources.tape import Service
from replay.sources.upstream import find
from replay.state import Change, Document
from replay.store.base import BlobRef, Store

Word = Literal["granted", "partial", "denied", "missing", "empty"]


class Answer(Document):
    """What a source answered.

    `answer`: everything could be read; some of it (`withheld` lists the rest); nothing, because it was
    denied; nothing, because it is not there; nothing, because it holds nothing.
    """

    path: str
    kind: Literal["file", "folder"]
    answer: Word
    withheld: tuple[str, ...] = ()

    def words(self) -> str:
        """Return the answer as reports print it."""
        return f"partial ({len(self.withheld)} files withheld)" if self.withheld else self.answer


class AccessLayer(Document):
    """The answer of every declared source; the services the job asked by itself, with what they answered."""

    sources: dict[str, Answer]
    services: dict[str, Service] = {}


class Access(Layer[AccessLayer]):
    """Who may read what."""

    name = "access"
    document = AccessLayer

    def capture(self, context: Context) -> AccessLayer:
        """Ask every declared source."""
        declared = context.config.data
        # The empty file is what an empty source is rebuilt from, also in a mix with a full one.
        context.store.put(b"")
        return AccessLayer(
            sources={name: ask(context.root, declared[name].path) for name in sorted(declared)},
            services={name: service for name, (service, _) in find(context.config, context.environ).items()},
        )

    def changes(self, good: AccessLayer, bad: AccessLayer, store: Store) -> list[Change]:
        """List the sources whose answer changed."""
        found = []
        for name in sorted(good.sources.keys() | bad.sources.keys()):
            before, after = good.sources.get(name), bad.sources.get(name)
            if (before and (before.answer, before.withheld)) != (after and (after.answer, after.withheld)):
                found.append(
                    Change(
                        name=f"access/{name}",
                        before=before.words() if before else None,
                        after=after.words() if after else None,
                    )
                )
        for name in sorted(good.services.keys() | bad.services.keys()):
            found.extend(service_changes(name, good.services.get(name), bad.services.get(name)))
        return found

    def mix(self, good: AccessLayer, bad: AccessLayer, taken: frozenset[str], store: Store) -> AccessLayer:
        """Return good's answers, those of the taken sources from bad."""
        served = {
            name: bad if any(change.name in taken for change in service_changes(name, *both)) else good
            for name in good.services.keys() | bad.services.keys()
            if (both := (good.services.get(name), bad.services.get(name)))
        }
        side = {name: bad if f"access/{name}" in taken else good for name in good.sources.keys() | bad.sources.keys()}
        return AccessLayer(
            sources={name: side[name].sources[name] for name in sorted(side) if name in side[name].sources},
            services={name: served[name].services[name] for name in sorted(served) if name in served[name].services},
        )

    def materialise(self, layer: AccessLayer, workspace: Workspace) -> None:
        """Take away again what a source did not give, whatever its snapshot holds."""
        for answer in layer.sources.values():
            if answer.answer in {"denied", "missing", "empty"}:
                workspace.withdraw(answer.path)
            if answer.answer == "empty":
                if answer.kind == "file":
                    workspace.place(answer.path, of_bytes(b""))
                else:
                    workspace.folders.add(answer.path)
            if answer.answer == "denied":
                workspace.seal(answer.path, folder=answer.kind == "folder")
            for path in answer.withheld:
                workspace.seal(path)
        workspace.services.update(layer.services)
        for service in layer.services.values():
            workspace.env.update(service.env)

    def blobs(self, layer: AccessLayer) -> Iterator[BlobRef]:
        """Yield what the services answered."""
        for service in layer.services.values():
            yield from service_blobs(service)


def ask(root: Path, path: str) -> Answer:
    """Return what a file or folder of the project answers to the job. Raises InputError (see `walk`)."""
    place = root / path
    kind: Literal["file", "folder"] = "folder"
    try:
        if not place.exists():
            return Answer(path=path, kind="file", answer="missing")
        if place.is_file():
            kind = "file"
        if not readable(place):
            return Answer(path=path, kind=kind, answer="denied")
        if kind == "file":
            return Answer(path=path, kind=kind, answer="granted" if place.stat().st_size else "empty")
        files = list(walk(root, path))
        withheld = tuple(file for file in files if not readable(root / file))
    except PermissionError:
        # A folder above it may not be entered: then not even its kind can be seen.
        return Answer(path=path, kind=kind, answer="denied")
    if not files:
        return Answer(path=path, kind=kind, answer="empty")
    return Answer(path=path, kind=kind, answer="partial" if withheld else "granted", withheld=withheld)
