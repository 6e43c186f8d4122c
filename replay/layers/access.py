"""The access layer: for each source, what the job was answered when it asked. Never a secret.

Files and folders are asked here. A database asks in a file of its own and answers in the same words.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from replay.declared import Source
from replay.digest import of_bytes
from replay.errors import ConfigError, InputError
from replay.layers.base import Context, Mixable, Workspace
from replay.layers.files import readable, walk
from replay.layers.service import relation_changes, service_blobs, service_changes
from replay.references.base import Ground, Origin, Refused
from replay.references.pin import is_reference, origin_of, pin
from replay.sources.asking import Question
from replay.sources.tape import Relation, Service
from replay.sources.upstream import find, shown_uri, variables_in
from replay.state import Change, Document
from replay.store.base import BlobRef, Store

Word = Literal["granted", "partial", "denied", "missing", "empty"]


class Answer(Document):
    """What a source answered.

    `answer`: everything could be read; some of it (`withheld` lists the rest); nothing, because it was
    denied; nothing, because it is not there; nothing, because it holds nothing. Of a source that was asked
    at its `uri` (as declared): the `principal` that asked, what was `said` to refuse it, and what the principal
    may see of the `relations` behind the query.
    """

    path: str
    kind: Literal["file", "folder"]
    answer: Word
    withheld: tuple[str, ...] = ()
    uri: str | None = None
    principal: str = ""
    said: str = ""
    relations: dict[str, Relation] = {}

    def words(self) -> str:
        """Return the answer as reports print it."""
        who = f"{self.principal}: " if self.principal else ""
        said = f" ({self.said})" if self.said else ""
        return f"partial ({len(self.withheld)} files withheld)" if self.withheld else f"{who}{self.answer}{said}"


class AccessLayer(Document):
    """The answer of every declared source; the services the job asked by itself, with what they answered."""

    sources: dict[str, Answer]
    services: dict[str, Service] = {}


class Access(Mixable[AccessLayer]):
    """Who may read what."""

    name = "access"
    document = AccessLayer

    def capture(self, context: Context) -> AccessLayer:
        """Ask every declared source."""
        declared = context.config.data
        # The empty file is what an empty source is rebuilt from, also in a mix with a full one.
        context.store.put(b"")
        return AccessLayer(
            sources={name: answered(name, source, context) for name, source in sorted(declared.items())},
            services={name: service for name, (service, _) in find(context.config, context.environ).items()},
        )

    def changes(self, good: AccessLayer, bad: AccessLayer, store: Store) -> list[Change]:
        """List the sources whose answer changed."""
        found = []
        for name in sorted(good.sources.keys() | bad.sources.keys()):
            found.extend(source_changes(name, good.sources.get(name), bad.sources.get(name)))
        for name in sorted(good.services.keys() | bad.services.keys()):
            found.extend(service_changes(name, good.services.get(name), bad.services.get(name), store))
        return found

    def mix(self, good: AccessLayer, bad: AccessLayer, taken: frozenset[str], store: Store) -> AccessLayer:
        """Return good's answers, those of the taken sources from bad."""
        touched = {tuple(change.split("/")[:2]) for change in taken}
        served = {
            name: bad if touched & {("access", name), ("data", name)} else good
            for name in good.services.keys() | bad.services.keys()
        }
        side = {name: bad if ("access", name) in touched else good for name in good.sources.keys() | bad.sources.keys()}
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


def source_changes(name: str, good: Answer | None, bad: Answer | None) -> list[Change]:
    """List how the access to a source differs: to all of it, to a column, by a row policy."""
    if good is None or bad is None:
        words = (side and side.words() for side in (good, bad))
        return [Change(name=f"access/{name}", before=next(words), after=next(words))] if good != bad else []
    found = relation_changes(f"access/{name}", good.relations, bad.relations)
    sides = [
        (side.principal, side.withheld, side.answer if side.answer in {"denied", "missing", "empty"} else "")
        for side in (good, bad)
    ]
    if sides[0] != sides[1] and not (found and sides[0][:2] == sides[1][:2]):
        found.insert(0, Change(name=f"access/{name}", before=good.words(), after=bad.words()))
    return found


def answered(name: str, source: Source, context: Context) -> Answer:
    """Return what a source answers; the content of one that is asked goes into `context.asked`.

    Raises InputError (see `walk`, `Question.ask` and `pin`), ConfigError.
    """
    for variable in variables_in(source.uri or ""):
        if is_reference(source.uri or "") and variable in context.config.runtime.secrets:
            raise ConfigError(
                f"{variable} is a secret and part of the uri of [data.{name}], which every state names",
                cause="a versioned source is read with the credentials of the environment, not with its uri",
                do=f"take {variable} out of the uri, or out of [runtime] secrets",
            )
    plain = ask(context.root, source.path) if source.uri is None else None
    if plain is not None and plain.answer in {"denied", "partial"}:
        return plain  # a table of which some is withheld is the files that can be read
    ground = Ground(context.root, context.environ)
    if origin := origin_of(name, source, ground):
        return _referred(name, source, origin, context)
    if source.copied is False:
        raise InputError(
            f"[data.{name}] says copy = false, and {source.path} is nothing versioned",
            cause="no version of it is known, or it was changed since it was recorded (dvc, git-LFS)",
            do="leave `copy` out, or record the change first (`dvc add`, `git add`)",
        )
    if plain is not None:
        return plain
    secrets = {name: context.environ[name] for name in context.config.runtime.secrets if context.environ.get(name)}
    told = Question(name, source, context.root, context.environ, secrets, context.store).ask()
    if told.content is not None:
        context.asked[name] = told.content
    return Answer(
        path=source.path,
        kind="file",
        answer=told.answer,
        uri=shown_uri(source.uri or ""),
        principal=told.principal,
        said=told.words,
        relations=told.relations,
    )


def _referred(name: str, source: Source, origin: Origin, context: Context) -> Answer:
    """Return what a versioned source answers; its version goes into `context.referred`."""
    uri = shown_uri(source.uri) if source.uri else None
    try:
        pinned = pin(name, source, origin, context.store)
    except Refused as refusal:
        said, who = str(refusal), refusal.principal
        return Answer(path=source.path, kind="file", answer=refusal.word, uri=uri, principal=who, said=said)
    context.referred[name] = pinned
    kind: Literal["file", "folder"] = "folder" if pinned.folder else "file"
    return Answer(path=source.path, kind=kind, answer="granted", uri=uri, principal=pinned.principal)


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
