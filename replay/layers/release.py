"""A Release State with its six layers in hand: captured, kept, loaded, compared and mixed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError

from replay.digest import of_bytes
from replay.environment import kept
from replay.errors import StoreError
from replay.layers.access import Access
from replay.layers.base import Context, Layer, Mixable, Workspace
from replay.layers.data import Data, DataLayer, referring
from replay.layers.follow import folded, following
from replay.layers.model import Model
from replay.layers.pipeline import Pipeline
from replay.layers.runtime import Runtime, RuntimeLayer
from replay.layers.schema import Schema, SchemaLayer
from replay.references.base import Ground
from replay.references.pin import Standing, ready, standing
from replay.state import INPUTS, LAYERS, Change, Document, ReleaseState
from replay.store.base import BlobRef, Store

if TYPE_CHECKING:
    from replay.layers.inputs import Views

MIXED: dict[str, Mixable[Any]] = {layer.name: layer for layer in (Pipeline(), Model(), Runtime(), Access())}
"""The layers that are mixed one by one; the others are the inputs."""

REGISTRY: dict[str, Layer[Any]] = {"schema": Schema(), "data": Data(), **MIXED}
CAPTURE_ORDER = ("access", "data", "schema", "pipeline", "model", "runtime")
"""Access is asked first, data reads what access granted, schema describes what data kept."""


@dataclass(frozen=True)
class Release:
    """A state and the documents of its layers."""

    job: str
    outputs: dict[str, str]
    layers: dict[str, Document]

    @property
    def state(self) -> ReleaseState:
        """The state that names these layers."""
        digests = {name: self.layers[name].digest for name in LAYERS}
        return ReleaseState(job=self.job, outputs=self.outputs, layers=digests)


def capture(context: Context) -> Release:
    """Return the release as it is now; contents go into the store. Raises InputError."""
    done: dict[str, Document] = {}
    for name in CAPTURE_ORDER:
        done[name] = REGISTRY[name].capture(replace(context, done=done))
    outputs = {name: output.path for name, output in context.config.outputs.items()}
    return Release(job=context.config.job.name, outputs=outputs, layers=done)


def keep(release: Release, store: Store) -> str:
    """Put a release into the store as one artifact; return the state's id."""
    for document in release.layers.values():
        store.put(document.encode())
    return store.add_state(release.state, blobs(release, store))


def blobs(release: Release, store: Store) -> list[BlobRef]:
    """Return all that a state refers to: its layers, their contents, and its base where the store keeps that.

    Inputs that are only referred to, and not here, are left out.
    """
    found: list[BlobRef] = []
    data = cast("DataLayer", release.layers["data"])
    left = {files[path].blob for _, reference, files in referring(data) for path in reference.parts}
    for name in LAYERS:
        document = release.layers[name]
        encoded = document.encode()
        kind = f"application/vnd.replay.layer.{name}.v1+json"
        found.append(BlobRef(of_bytes(encoded), len(encoded), kind, name))
        found.extend(ref for ref in REGISTRY[name].blobs(document) if ref.digest not in left or store.has(ref.digest))
        if isinstance(document, RuntimeLayer) and document.base.image:
            found.extend(kept.refs(document.base.image, store))
    return found


def load(store: Store, state_id: str) -> Release:
    """Return the release of a state in the store. Raises NotFound, CorruptBlob, StoreError."""
    state = store.state(state_id)
    layers: dict[str, Document] = {}
    for name in LAYERS:
        try:
            layers[name] = REGISTRY[name].document.decode(store.get(state.layers[name]))
        except (ValidationError, KeyError) as error:
            raise StoreError(
                f"the {name} layer of state {state_id[7:19]} is not one this version of Replay can read",
                cause="it was written by another version, or by something that is not Replay",
                do=f"use the version of Replay that wrote it ({type(error).__name__})",
            ) from None
    return Release(job=state.job, outputs=state.outputs, layers=layers)


def changes(good: Release, bad: Release, store: Store) -> list[Change]:
    """Return everything that differs between two releases, in the order of the layers."""
    return _between(good, bad, store)[0]


def _between(good: Release, bad: Release, store: Store) -> tuple[list[Change], dict[str, str]]:
    """Return what differs, and which changes of inputs follow which change of access and are not told."""
    found: list[Change] = []
    if any(good.layers[name] != bad.layers[name] for name in INPUTS):
        from replay.layers import inputs  # how tables are held against each other: 20 ms that one release never needs

        found.extend(inputs.changes(_views(good), _views(bad), store))
    for name in MIXED:
        if name != "access" and good.layers[name] != bad.layers[name]:
            found.extend(MIXED[name].changes(good.layers[name], bad.layers[name], store))
    access = MIXED["access"].changes(good.layers["access"], bad.layers["access"], store)
    told = [change for change in access if change.layer == "access"]
    follows = following(told, [change for change in found if change.layer in INPUTS])
    # What a service answered is told as data by the access layer, which keeps it.
    found.extend(change for change in access if change.layer != "access")
    return folded(told, found, follows), follows


def _called(release: Release, name: str) -> Release:
    """Return a release whose base bears a name, to speak of it: never one to keep."""
    runtime = release.layers["runtime"]
    if not name or not isinstance(runtime, RuntimeLayer):
        return release
    base = runtime.base.model_copy(update={"reference": name})
    return replace(release, layers={**release.layers, "runtime": runtime.model_copy(update={"base": base})})


def _views(release: Release) -> Views:
    from replay.layers.inputs import Views

    return Views(cast("SchemaLayer", release.layers["schema"]), cast("DataLayer", release.layers["data"]))


@dataclass(frozen=True)
class Pair:
    """Two releases and what lies between them.

    `origins` maps changes to the commits that brought them, in the order in which these were made. `called` are the
    names that the two bases were asked for by, where they are known.
    """

    good: Release
    bad: Release
    store: Store
    origins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    called: tuple[str, str] = ("", "")

    @cached_property
    def changes(self) -> list[Change]:
        """Everything that differs; within a layer, what commits brought comes last, in their order."""
        found = [change.model_copy(update={"commits": self.origins.get(change.name, ())}) for change in self._found[0]]
        order = {name: number for number, name in enumerate(self.origins)}
        return sorted(found, key=lambda change: (LAYERS.index(change.layer), order.get(change.name, -1)))

    @cached_property
    def _found(self) -> tuple[list[Change], dict[str, str]]:
        good, bad = (_called(side, name) for side, name in zip((self.good, self.bad), self.called, strict=True))
        return _between(good, bad, self.store)

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of everything that differs."""
        return frozenset(change.name for change in self.changes)

    def mix(self, taken: frozenset[str]) -> Release:
        """Return `good` with the changes named in `taken` from `bad`.

        Schema and data are two views of one snapshot and are mixed together.
        """
        from replay.layers import inputs

        if not taken & self.names:
            return self.good
        if self.names <= taken:
            return self.bad
        taken |= {name for name, cause in self._found[1].items() if cause in taken}
        views = inputs.mix(_views(self.good), _views(self.bad), taken, self.store)
        layers: dict[str, Document] = {"schema": views.schema, "data": views.data}
        for name, layer in MIXED.items():
            # What a service answered is told as data where access did not change; the access layer keeps it.
            together = ("access", "data") if name == "access" else (name,)
            own = frozenset(change for change in taken if Change(name=change).layer in together)
            layers[name] = layer.mix(self.good.layers[name], self.bad.layers[name], own, self.store)
        return Release(job=self.good.job, outputs=self.good.outputs, layers=layers)


def fetch(release: Release, ground: Ground, store: Store) -> None:
    """Fetch the inputs that are only referred to, hashed against what was pinned; `store` lends them.

    Raises InputError where a reference no longer resolves.
    """
    ready(referring(cast("DataLayer", release.layers["data"])), ground, store)


def standings(release: Release, ground: Ground, store: Store) -> dict[str, Standing]:
    """Return of every input that refers to a version whether that still resolves."""
    found = referring(cast("DataLayer", release.layers["data"]))
    return {name: standing(reference, files, ground, store) for name, reference, files in found}


def workspace(release: Release) -> Workspace:
    """Return what a run of this release must see."""
    result = Workspace()
    for name in LAYERS:
        REGISTRY[name].materialise(release.layers[name], result)
    return result
