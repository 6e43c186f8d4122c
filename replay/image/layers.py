"""The layers of an environment, each measured once: its digest is known without writing it again."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replay.digest import canonical, of_bytes
from replay.environment.packages import PackageSet
from replay.environment.tree import Content, folders_of
from replay.environment.wheels import FORMAT as UNPACKED
from replay.environment.wheels import Unpacked
from replay.errors import StoreError
from replay.image.plan import Stack
from replay.image.tarstream import FILE, FOLDER, Entry, Listing, measured, stream, with_folders
from replay.store.base import Store
from replay.store.files import storing

FORMAT = 1
"""Raised when the same files would make another layer."""

PREFIX = "opt/replay/env"
WORK = "work"
SHARED = 0o1777
"""The mode of a folder that anybody may write into, and nobody may take another's file from."""


Write = Callable[[Listing | None], Iterator[bytes]]
"""Yields an archive, entering what is in it in a listing where one is given."""


@dataclass(frozen=True)
class Layer:
    """A layer: `diff_id` is the digest of its tar archive, `size` that archive's bytes.

    `listing` is the blob in the store that lists its files (see `tarstream.Listing`); `write` makes the archive,
    None where only an engine has it.
    """

    title: str
    diff_id: str
    size: int
    listing: str
    write: Write | None = None


def wheel_layers(stack: Stack, wheels: Mapping[str, Unpacked], packages: PackageSet, store: Store) -> list[Layer]:
    """Return the layers of unpacked wheels; those never measured are, side by side. Raises StoreError."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(lambda names: _wheel_layer(names, wheels, packages, store), stack))


def own_layer(
    below: Sequence[Layer],
    owners: Mapping[str, Layer],
    wheels: Mapping[str, Unpacked],
    content: Content,
    store: Store,
) -> Layer:
    """Return the layer on top: the environment's own files, and what the layers below leave otherwise than a tree.

    `owners` maps a package to its layer among those below. Where several layers hold a path, the highest shows
    through: the tree's choice is put over it, and what the tree does not hold is taken away
    (https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts).
    """
    listings = {one.diff_id: listing_of(one.listing, store) for one in below}
    showing = _shown(listings[one.diff_id] for one in below)
    wanted = {f"{PREFIX}/{path}": name for path, name in content.owners.items()}
    own = [_own(f"{PREFIX}/{path}", text) for path, text in content.own.items()]
    over = [
        Entry(path, None, wheels[name].prefix / path.removeprefix(f"{PREFIX}/"))
        for path, name in wanted.items()
        if showing.get(path) != listings[owners[name].diff_id][path]
    ]
    kept = wanted.keys() | {entry.path for entry in own}
    return layer("environment", [Entry(WORK, SHARED), *own, *over, *_whiteouts(showing.keys() - kept, kept)], store)


def layer(title: str, files: Iterable[Entry], store: Store, mode: Callable[[str], int] | None = None) -> Layer:
    """Return the layer of some files, measured now. Raises StoreError."""
    entries = with_folders(files, mode or _mode)
    listing: Listing = {}
    with storing("measure a layer"):
        diff_id, size = measured(stream(entries, listing))
    kept = store.put(canonical(listing))
    return Layer(title, diff_id, size, kept.blob, lambda into: stream(entries, into))


def checked(path: str, owner: str) -> str:
    """Return a path in an image. Raises StoreError where it would take another file away instead."""
    if "/.wh." in path:
        raise StoreError(
            f"{owner} holds {path!r}, which cannot be put into an image",
            cause="in an image's layer such a name takes the file of that name away",
            do="leave it out, or run the state with REPLAY_DELIVERY=mount",
        )
    return path


def write_record(path: Path, document: Any) -> None:
    """Write a small file of a cache, whole or not at all; a cache that cannot be written is none."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with suppress(OSError):
        try:
            temporary.write_bytes(canonical(document))
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def read_record(path: Path) -> Any:
    """Return what `write_record` wrote, None where there is nothing of use."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def _wheel_layer(names: tuple[str, ...], wheels: Mapping[str, Unpacked], packages: PackageSet, store: Store) -> Layer:
    title = ", ".join(f"{name} {packages.wheels[name].version}" for name in names)

    def files() -> list[Entry]:
        found = ((wheels[name], path) for name in names for path in wheels[name].files)
        return [Entry(checked(f"{PREFIX}/{path}", title), None, wheel.prefix / path) for wheel, path in found]

    # An unpacked wheel's folder is named by what it was made of.
    made_of = {"format": [FORMAT, UNPACKED], "wheels": [wheels[name].prefix.parent.name for name in names]}
    record = store.cache("layers") / f"{of_bytes(canonical(made_of)).removeprefix('sha256:')}.json"
    known = read_record(record)
    if known and store.has(known["listing"]):
        return Layer(title=title, write=lambda into: stream(with_folders(files(), _mode), into), **known)
    made = layer(title, files(), store)
    write_record(record, {"diff_id": made.diff_id, "size": made.size, "listing": made.listing})
    return made


def listing_of(listing: str, store: Store) -> Listing:
    """Return what a layer holds, by the digest of its listing. Raises NotFound or CorruptBlob."""
    found: Listing = json.loads(store.get(listing))
    return found


def _shown(listings: Iterable[Listing]) -> Listing:
    """Return the files that show through layers, the lowest first."""
    showing: Listing = {}
    folders: dict[str, str] = {}
    for listing in listings:
        new = folders_of(listing)
        marks = {path: path.rpartition("/") for path in listing if "/.wh." in path}
        hidden = {f"{folder}/{name.removeprefix('.wh.')}" for folder, _, name in marks.values()}
        hidden |= listing.keys() & folders.keys()
        if hidden:
            showing = {path: it for path, it in showing.items() if hidden.isdisjoint(_with_parents(path))}
        showing = (
            {path: it for path, it in showing.items() if path not in new} if new.keys() & showing.keys() else showing
        )
        showing |= {path: it for path, it in listing.items() if path not in marks} if marks else listing
        folders |= new
    return showing


def _with_parents(path: str) -> Iterator[str]:
    while path:
        yield path
        path = path.rpartition("/")[0]


def _mode(path: str) -> int:
    return FOLDER if path == PREFIX or path.startswith(f"{PREFIX}/") else 0o755


def _own(path: str, text: str) -> Entry:
    return Entry(path, link=text[2:]) if text.startswith("->") else Entry(path, FILE, text.encode())


def _whiteouts(gone: Iterable[str], kept: Iterable[str]) -> list[Entry]:
    """Return the entries that take away `gone`, whole folders where nothing kept lies in them.

    A folder left empty would not be nothing: Python imports it as a namespace package.
    """
    kept = set(kept)
    folders = folders_of(kept)
    taken = {_topmost(path, folders) for path in gone if path not in folders}
    marks = (path.rpartition("/") for path in sorted(taken - kept))
    return [Entry(f"{folder}/.wh.{name}", FILE, b"") for folder, _, name in marks]


def _topmost(path: str, folders: Mapping[str, str]) -> str:
    """Return the highest folder above `path` that is not in `folders`, or the path itself."""
    while (above := path.rpartition("/")[0]) and above not in folders:
        path = above
    return path
