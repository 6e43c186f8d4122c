"""The schema layer: the contract of every input, read from the data layer's snapshot."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import cast
from urllib.parse import unquote

from pydantic import ValidationError

from replay.digest import of_bytes
from replay.layers.base import Context, Layer, Workspace
from replay.layers.contract import Contract, concluded
from replay.layers.data import DataLayer, Snapshot
from replay.layers.profile import Profile, constant, merged
from replay.layers.tabular import TABLES, format_of, profile_file
from replay.state import Document, FileEntry
from replay.store.base import Store
from replay.store.files import storing, write_whole
from replay.store.refs import shown

INFERENCE = 3
"""Raise this with every change to what a profile holds: profiles are cached by file and by this number."""


class SchemaLayer(Document):
    """The contract of every declared source; None for one that could not be observed."""

    sources: dict[str, Contract | None]


class Schema(Layer[SchemaLayer]):
    """What the job may rely on when it reads."""

    name = "schema"
    document = SchemaLayer

    def capture(self, context: Context) -> SchemaLayer:
        """Read the contract of every snapshot. A broken input gets a contract that says so, never an error."""
        data = cast("DataLayer", context.done["data"])
        sources = {name: snapshot and contract_of(snapshot, context.store) for name, snapshot in data.sources.items()}
        return SchemaLayer(sources=sources)

    def materialise(self, layer: SchemaLayer, workspace: Workspace) -> None:
        """Add nothing: a contract describes the files that the data layer places."""


def contract_of(snapshot: Snapshot, store: Store) -> Contract:
    """Return what a job may rely on when it reads a snapshot. A broken one gets a contract that says so."""
    if snapshot.kind == "file":
        ((path, entry),) = snapshot.files.items()
        return concluded(_profile(path, entry, store))
    parts = table_parts(snapshot)
    formats = {format_of(path)[0] for path in parts}
    if len(formats) != 1 or not formats <= TABLES:
        return Contract(format="folder")
    profiles = []
    for path, entry in parts.items():
        profile = _profile(path, entry, store)
        if profile.columns is None:
            inside = PurePosixPath(path).relative_to(snapshot.path)
            return Contract(format="opaque", problem=f"{inside}: {profile.problem}")
        profiles.append(profile)
    says = [partitions(path, snapshot.path) for path in parts]
    own = {column.name for profile in profiles for column in profile.columns or ()}
    names = [name for name in dict.fromkeys(name for said in says for name in said) if name not in own]
    parted = [_with_partitions(*pair, names) for pair in zip(profiles, says, strict=True)]
    return _of_partitions(concluded(merged(parted)), names)


def table_parts(snapshot: Snapshot) -> dict[str, FileEntry]:
    """Return the files of a snapshot that hold its rows: not the log of a table, nor markers such as `_SUCCESS`."""
    if snapshot.kind == "file":
        return snapshot.files
    own = snapshot.files if snapshot.reference is None else snapshot.reference.parts
    return {path: snapshot.files[path] for path in own if PurePosixPath(path).name[0] not in "._"}


def partitions(path: str, folder: str) -> dict[str, str]:
    """Return what the folders between say of every row of a part: `plan=basic/part-0.parquet` is {"plan": "basic"}.

    So Hive, Spark and pyarrow write partitions, percent-encoded.
    """
    steps = PurePosixPath(path).relative_to(folder).parent.parts
    return {unquote(name): unquote(value) for name, found, value in (step.partition("=") for step in steps) if found}


def _with_partitions(profile: Profile, said: dict[str, str], names: list[str]) -> Profile:
    """Return a part's profile with the columns its folders stand for, after its own."""
    more = [constant(name, said[name], profile.rows) for name in names if name in said]
    return profile.model_copy(update={"columns": (*(profile.columns or ()), *more)})


def _of_partitions(contract: Contract, names: list[str]) -> Contract:
    """Return a contract that holds of its partitions what must stay: their words, where there is more than one.

    Numbers and dates (`month=09`, `day=2026-10-01`), and a single word (`batch=a1b2`), are others in every delivery.
    """
    kept = []
    for column in contract.columns or ():
        if column.name in names:
            if column.type != "text":
                continue
            column = column.model_copy(update={"categories": column.categories if (column.distinct or 0) > 1 else None})
        kept.append(column)
    return contract.model_copy(update={"columns": tuple(kept)})


def _profile(path: str, entry: FileEntry, store: Store) -> Profile:
    """Return a file's profile: from the cache, or by reading the file and keeping what was found."""
    how = ".".join(filter(None, format_of(path)))
    if how == "opaque":
        return Profile(format="opaque")
    name = of_bytes(f"{INFERENCE} {how} {entry.blob}".encode()).removeprefix("sha256:")
    kept = store.cache("contracts") / f"{name}.json"
    try:
        return Profile.decode(kept.read_bytes())
    except (OSError, ValidationError):
        profile = profile_file(store.path(entry.blob), path)
    scratch = store.scratch("contract")
    with storing(f"keep the contract of {shown(path)}"):
        write_whole(kept, profile.encode(), scratch / kept.name)
        scratch.rmdir()
    return profile
