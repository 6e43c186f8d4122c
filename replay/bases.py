"""The base that a project declares: an image the engine knows, one in an archive or a registry, or a recipe's."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from replay import recipe
from replay.digest import of_bytes, short
from replay.engines.warehouse import Carrier, Refused, Warehouse
from replay.environment.base import Base
from replay.environment.kept import is_kept
from replay.errors import RegistryError, StoreError
from replay.execute import Workbench
from replay.image import kept
from replay.image.build import archived
from replay.layers.release import load
from replay.layers.runtime import RuntimeLayer
from replay.registry.client import Repository
from replay.registry.http import Http
from replay.registry.image import KINDS, RemoteImage, fetch, look
from replay.registry.reference import Reference, parse
from replay.store.files import remove_tree

_HOST = re.compile(r"[^/]*[.:][^/]*/|localhost:")
"""How a name begins that says its registry. `localhost/` without a port is how Podman calls its own images."""

MOST_RUNS = 200
"""So many of the last runs are looked through for what a name stood for."""


@dataclass(frozen=True)
class Declared:
    """A declared base, and what people should know of how it was found."""

    base: Base
    findings: tuple[str, ...] = ()


def declared(bench: Workbench, root: Path, name: str, python: str | None, *, plain: bool = False) -> Declared:
    """Return the base of a name, in the engine; `plain` asks a registry without TLS. Its `reference` says the name.

    Raises BaseMissing, RegistryError, EngineError, StoreError.
    """
    engine = bench.engine
    if not isinstance(engine, Carrier):
        return Declared(engine.base(name, python))
    if name.startswith(recipe.PREFIX):
        bench.progress(f"the base {name}, from its recipe")
        return Declared(engine.base(recipe.load(name), python).model_copy(update={"reference": name}))
    if name.endswith(".tar"):
        return Declared(archived(engine, root / name, python, name, bench.store))
    if _HOST.match(name):
        where = parse(name)
        where = where if where.tag or where.digest else replace(where, tag="latest")
        found = _Registry(engine.warehouse, bench, plain).base(where)
        base = engine.base(found.image, python).model_copy(update={"reference": str(found.where)})
        return Declared(base, found.findings)
    return Declared(engine.base(name, python))


@dataclass(frozen=True)
class _Found:
    """An image that is in the engine, by id, and where it is from: with its digest where that is known."""

    image: str
    where: Reference
    findings: tuple[str, ...] = ()


class _Registry:
    """Bases of registries, brought into an engine that lacks them. What was bound before stands in the run log."""

    def __init__(self, warehouse: Warehouse, bench: Workbench, plain: bool) -> None:
        self._warehouse = warehouse
        self._store = bench.store
        self._progress = bench.progress
        self._plain = plain

    def base(self, where: Reference) -> _Found:
        """Return the image of a digest or, asking the registry, that which a tag stands for now.

        Where the registry cannot say, a tag is what it stood for the last time, or what the engine knows by that name:
        then a finding tells so, and another tells of a tag that was moved.
        """
        if where.digest is not None:
            return _Found(self._pinned(where), where)
        before = self._bound(lambda named: named.startswith(f"{where}@"))
        try:
            self._progress(f"asking {where.host} what {where} stands for")
            digest = of_bytes(self._repository(where).manifest(kinds=KINDS))
        except RegistryError as error:
            return self._unasked(where, before, error)
        found = _Found(self._pinned(replace(where, digest=digest)), replace(where, digest=digest))
        was = before.where.digest if before else None
        if was in (None, digest):
            return found
        moved = f"the tag of the base {where} was moved: it stands for {short(digest)}, and stood for {short(was)}"
        return replace(found, findings=(f"{moved} when it was last bound here",))

    def _unasked(self, where: Reference, before: _Found | None, error: RegistryError) -> _Found:
        """Return what a tag is taken for where its registry does not say. Raises `error` where nothing is known."""
        if before is not None and before.where.digest and (image := self._here(before.where)):
            said = f"the base {where} is what it was when it was last bound here ({short(before.where.digest)})"
            return _Found(image, before.where, (f"{said}: {error.what}",))
        if image := self._warehouse.known(str(where)):
            return _Found(image, where, (f"the base {where} is what the engine knows by that name: {error.what}",))
        raise error

    def _pinned(self, where: Reference) -> str:
        """Return the id of the image of a digest, fetched unless it is in the engine or kept in the store."""
        if image := self._here(where):
            return image
        repository = self._repository(where)
        remote = look(repository, self._warehouse.architecture())
        if not self._given(remote.id):
            self._fetch(remote, repository)
        return remote.id

    def _here(self, where: Reference) -> str | None:
        """Return the id of the image of a digest where no registry is needed for it, in the engine."""
        names = (f"{where.host}/{where.name}@{where.digest}", _name(where))
        if image := next(filter(None, map(self._warehouse.known, names)), None):
            return image
        before = self._bound(lambda named: named.endswith(f"@{where.digest}"))
        return before.image if before and self._given(before.image) else None

    def _given(self, image: str) -> bool:
        """Whether the engine has an image, given back where the store keeps it."""
        if is_kept(image, self._store):
            kept.give_back(image, self._warehouse, self._store)
        return self._warehouse.has(image)

    def _fetch(self, remote: RemoteImage, repository: Repository) -> None:
        where = repository.where
        folder = self._store.scratch("base")
        try:
            files = fetch(remote, repository, folder, self._progress)
            config = folder / "config"
            config.write_bytes(remote.config)
            kept.send(remote.id, config, remote.told.layers, files, _name(where), self._warehouse)
        except Refused as error:
            do = f"let the engine get it itself: `docker pull {where}`"
            raise Refused(error.what, cause=error.cause, do=do) from error
        finally:
            remove_tree(folder)

    def _repository(self, where: Reference) -> Repository:
        return Repository(where, Http(where, self._plain))

    def _bound(self, wanted: Callable[[str], bool]) -> _Found | None:
        """Return the base of the last run of this store whose name for it fits; a run that was pulled says nothing."""
        mine = [entry for entry in self._store.runs() if entry.reason == "run" and not entry.origin]
        for entry in reversed(mine[-MOST_RUNS:]):
            try:
                named = self._store.run(entry.run).provenance.base
                runtime = load(self._store, entry.state).layers["runtime"] if wanted(named) else None
            except StoreError:
                continue
            if isinstance(runtime, RuntimeLayer) and runtime.base.image:
                return _Found(runtime.base.image, parse(named))
        return None


def _name(where: Reference) -> str:
    """Return the name under which an engine is given the image of a digest: it knows it again without a registry."""
    return f"replay-fetched:{(where.digest or '').removeprefix('sha256:')}"
