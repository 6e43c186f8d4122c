"""From a declared source to a pinned reference, and back from a state's reference to its content."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl

from replay.declared import VERSIONED, Source
from replay.digest import canonical, of_bytes
from replay.errors import InputError, ReplayError
from replay.references import dvc, gitlfs
from replay.references.base import Found, Gone, Ground, Origin, Pinned, Reference
from replay.references.delta import LOG, Delta
from replay.references.huggingface import HuggingFace
from replay.references.iceberg import METADATA, Iceberg
from replay.references.s3 import S3
from replay.sources.upstream import expanded, shown_uri
from replay.state import FileEntry
from replay.store.base import Store

SMALL = 256 << 20
"""What is referred to is copied as well up to this many bytes, where `copy` does not say otherwise."""

LOCAL = {"delta": "version", "iceberg": "snapshot"}
"""Schemes of tables on our own disks, with the parameter that names a version."""

REMOTE: dict[str, type[S3] | type[HuggingFace]] = {"s3": S3, "hf": HuggingFace}
"""Schemes of what is fetched."""


def is_reference(uri: str) -> bool:
    """Whether a declared uri names a versioned source rather than one that is asked a query."""
    return uri.startswith(VERSIONED)


def origin_of(name: str, source: Source, ground: Ground) -> Origin | None:
    """Return the versioned source that is declared, or found at the declared path; None for plain files."""
    if source.uri is not None:
        return _opened(source.uri, name, ground) if is_reference(source.uri) else None
    file = ground.root / source.path
    if (file / LOG).is_dir():
        return Delta(file, source.path)
    if any((file / METADATA).glob("*.metadata.json")):
        return Iceberg(file, source.path)
    if out := dvc.recorded(file):
        kept = dvc.Dvc(file, source.path, out)
        return kept if kept.untouched() else None
    found = gitlfs.pointer(file) or gitlfs.tracked(file)
    return gitlfs.GitLfs(file, source.path, *found) if found else None


def pin(name: str, source: Source, origin: Origin, store: Store) -> Pinned:
    """Return a source's version as it is now, read and hashed; copied into the store where it is to be.

    Raises Refused, and InputError where the version cannot be read.
    """
    try:
        found = origin.find(source.path)
        copied = _is_copied(name, source, found)
        files = {path: store.put_file(file) for path, file in found.kept.items()}
        files |= _read(found.parts, None, origin, store, copied)
    except Gone as error:
        raise InputError(
            f"the source {name} cannot be read: {error}",
            cause="what it refers to is not complete here",
            do="get its content, then bind again",
        ) from None
    return Pinned(_reference(origin.at, found, files), files, found.folder, found.principal)


def _is_copied(name: str, source: Source, found: Found) -> bool:
    if source.copied is False and not found.versioned:
        raise InputError(
            f"[data.{name}] says copy = false, and its source keeps no versions",
            cause="tomorrow nothing could tell what was read today",
            do="leave `copy` out, or let the source keep versions (S3: enable versioning of the bucket)",
        )
    return not found.versioned or (found.size <= SMALL if source.copied is None else source.copied)


def ready(sources: Iterable[tuple[str, Reference, dict[str, FileEntry]]], ground: Ground, store: Store) -> None:
    """Make the content of references that were not copied readable in `store` for as long as this process runs.

    Every file is hashed against what was pinned. Raises InputError where a reference no longer resolves, or
    resolves to other content.
    """
    for name, reference, files in sources:
        wanted = {path: address for path, address in reference.parts.items() if not store.holds(files[path].blob)}
        if not wanted:
            continue
        try:
            found = _read(wanted, reference, reopened(reference, ground), store, copied=False)
        except Gone as error:
            raise InputError(
                f"the input {name} ({reference.version()}) no longer resolves: {error}",
                cause="only a reference was kept, and its source has dropped that version",
                do="restore that version where it was, or bind with `copy = true` from now on",
            ) from None
        other = [path for path in wanted if found[path].blob != files[path].blob]
        if other:
            raise InputError(
                f"the input {name} ({reference.version()}) is not what was pinned: {other[0]} has other content",
                cause="its source changed that version in place",
                do="restore the content, or bind with `copy = true` from now on",
            )


@dataclass(frozen=True)
class Standing:
    """Whether a reference still resolves (None: that could not be found out), else why not; whether a copy is here."""

    version: str
    resolves: bool | None
    why: str | None
    copied: bool

    def words(self) -> str:
        """Return it as one line for people."""
        heads = {True: "resolves", False: "no longer resolves", None: "could not be asked"}
        why = f": {self.why}" if self.why else ""
        return f"{self.version}: {heads[self.resolves]}{why}{'; a copy is in the store' if self.copied else ''}"


def standing(reference: Reference, files: dict[str, FileEntry], ground: Ground, store: Store) -> Standing:
    """Return whether a reference still resolves. What it refers to is looked for and not read."""
    copied = all(store.has(files[path].blob) for path in reference.parts)
    try:
        why = reopened(reference, ground).lost(reference)
        resolves: bool | None = why is None
    except Gone as error:
        resolves, why = False, str(error)
    except ReplayError as error:
        resolves, why = None, error.what
    return Standing(reference.version(), resolves, why, copied)


def reopened(reference: Reference, ground: Ground) -> Origin:
    """Return the source a reference points into. Raises Gone."""
    file = ground.root / reference.at
    if reference.kind in LOCAL and not is_reference(reference.at):
        return Delta(file, reference.at) if reference.kind == "delta" else Iceberg(file, reference.at)
    if reference.kind == "git-lfs":
        return gitlfs.GitLfs(file, reference.at, reference.identity.get("oid", ""), 0)
    if reference.kind == "dvc":
        return dvc.Dvc(file, reference.at, {"md5": reference.identity.get("md5", "")})
    if reference.kind in ("s3", "huggingface"):
        return (S3 if reference.kind == "s3" else HuggingFace)(reference.at, ground.environ)
    return _opened(reference.at, "of this state", ground)


def _opened(uri: str, name: str, ground: Ground) -> Origin:
    """Return the source of a declared uri. Of one in the network a state holds the uri filled in: a variable that a
    stranger's state names is never sent anywhere."""
    scheme, _, rest = expanded(uri, ground.environ, name).partition(":")
    if scheme in REMOTE:
        return REMOTE[scheme](f"{scheme}:{rest}", ground.environ)
    place, _, query = rest.partition("?")
    wanted = dict(parse_qsl(query)).get(LOCAL[scheme], "")
    folder = ground.root / re.sub(r"^//(?=/)", "", place)
    if wanted and not wanted.isdecimal():
        raise InputError(
            f"the source {name} names the {LOCAL[scheme]} {wanted[:40]!r}",
            cause="versions of a table are numbers",
            do=f"write {scheme}:FOLDER?{LOCAL[scheme]}=3, or leave it out for the newest",
        )
    table = Delta if scheme == "delta" else Iceberg
    return table(folder, shown_uri(uri), int(wanted) if wanted else None)


def _read(
    parts: dict[str, str], reference: Reference | None, origin: Origin, store: Store, copied: bool
) -> dict[str, FileEntry]:
    scratch = store.scratch("fetch")
    files = {}
    for path, address in parts.items():
        at_hand = origin.fetch(address, reference, scratch)
        files[path] = (store.put_file if copied else store.lend)(at_hand).model_copy(update={"executable": False})
        if at_hand.is_relative_to(scratch):
            at_hand.unlink()
    scratch.rmdir()
    return files


def _reference(at: str, found: Found, files: dict[str, FileEntry]) -> Reference:
    content = {path: files[path].blob for path in found.parts}
    return Reference(
        kind=found.kind,
        at=at,
        identity=found.identity,
        content=of_bytes(canonical(content)),
        rows=found.rows,
        columns=found.columns,
        parts=found.parts,
    )
