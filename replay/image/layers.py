"""The layers of an environment, each measured once: its digest is known without writing it again."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replay.digest import canonical, of_bytes
from replay.environment.packages import PackageSet
from replay.environment.tree import Content
from replay.environment.wheels import FORMAT as UNPACKED
from replay.environment.wheels import Unpacked
from replay.image.plan import Stack
from replay.image.tarstream import FILE, PROGRAM, Entry, Listing, measured, stream, with_folders
from replay.store.base import Store
from replay.store.files import storing

FORMAT = 1
"""Raised when the same files would make another layer."""

PREFIX = "opt/replay/env"
_MODES = {"opt": 0o755, "opt/replay": 0o755}


@dataclass(frozen=True)
class Layer:
    """A layer: `diff_id` is the digest of its tar archive, `size` that archive's bytes, `listing` the blob in
    the store that lists its files (see `tarstream.Listing`), `write` makes the archive."""

    title: str
    diff_id: str
    size: int
    listing: str
    write: Callable[[], Iterator[bytes]]


def wheel_layers(stack: Stack, wheels: Mapping[str, Unpacked], packages: PackageSet, store: Store) -> list[Layer]:
    """Return the layers of unpacked wheels; those never measured are, side by side. Raises StoreError."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(lambda names: _wheel_layer(names, wheels, packages, store), stack))


def own_layer(stack: Stack, wheels: Mapping[str, Unpacked], content: Content, store: Store) -> Layer:
    """Return the layer on top: the environment's own files, and whatever the wheels' layers leave otherwise than a tree.

    Where several wheels hold a path, the highest layer shows through; the tree's choice is put over it, and what
    the tree leaves out is taken away (https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts).
    """
    entries = [_own(f"{PREFIX}/{path}", text) for path, text in content.own.items()]
    showing = {path: name for names in stack for name in names for path in wheels[name].files}
    for path, name in showing.items():
        owner = content.owners.get(path)
        if owner is not None and owner != name:
            entries.append(_file(wheels[owner], path))
        elif owner is None and path not in content.own:
            folder, _, base = f"{PREFIX}/{path}".rpartition("/")
            entries.append(Entry(f"{folder}/.wh.{base}", FILE, b""))
    return layer("environment", entries, store)


def layer(title: str, files: Iterable[Entry], store: Store, modes: Mapping[str, int] = _MODES) -> Layer:
    """Return the layer of some files, measured now. Raises StoreError."""
    entries = with_folders(files, modes)
    listing: Listing = {}
    with storing("measure a layer"):
        diff_id, size = measured(stream(entries, listing))
    kept = store.put(canonical(listing))
    return Layer(title, diff_id, size, kept.blob, lambda: stream(entries))


def home(unpacked: Unpacked) -> Path:
    """Return the folder in the store's cache that holds an unpacked wheel."""
    return unpacked.prefix.parent


def forget(names: tuple[str, ...], wheels: Mapping[str, Unpacked], store: Store) -> None:
    """Measure this layer again when it is next asked for."""
    _record(names, wheels, store).unlink(missing_ok=True)


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


def _wheel_layer(
    names: tuple[str, ...], wheels: Mapping[str, Unpacked], packages: PackageSet, store: Store
) -> Layer:
    title = ", ".join(f"{name} {packages.wheels[name].version}" for name in names)
    entries = [entry for name in names for entry in map(lambda path: _file(wheels[name], path), wheels[name].files)]
    record = _record(names, wheels, store)
    known = read_record(record)
    if known and store.has(known["listing"]):
        write = lambda: stream(with_folders(entries, _MODES))  # noqa: E731
        return Layer(title, known["diff_id"], known["size"], known["listing"], write)
    made = layer(title, entries, store)
    write_record(record, {"diff_id": made.diff_id, "size": made.size, "listing": made.listing})
    return made


def _record(names: tuple[str, ...], wheels: Mapping[str, Unpacked], store: Store) -> Path:
    made_of = {"format": [FORMAT, UNPACKED], "wheels": [home(wheels[name]).name for name in names]}
    return store.cache("layers") / f"{of_bytes(canonical(made_of)).removeprefix('sha256:')}.json"


def _file(wheel: Unpacked, path: str) -> Entry:
    source = wheel.prefix / path
    return Entry(f"{PREFIX}/{path}", PROGRAM if os.access(source, os.X_OK) else FILE, source)


def _own(path: str, text: str) -> Entry:
    return Entry(path, link=text[2:]) if text.startswith("->") else Entry(path, FILE, text.encode())
