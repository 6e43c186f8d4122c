"""Closures in the store: their wheels kept by hash, what was found kept by what was asked."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from replay.environment import archive
from replay.environment.base import Interpreter
from replay.environment.packages import PackageSet, Wheel
from replay.store.base import Store
from replay.store.files import storing, write_whole

TARGET = {"version", "abi", "platforms", "markers"}
"""What of an interpreter decides which files fit it."""


def closure(interpreter: Interpreter, wheels: dict[str, Wheel]) -> PackageSet:
    """Return the closure of `wheels` for an interpreter."""
    ordered = dict(sorted(wheels.items()))
    return PackageSet(python=interpreter.markers["python_version"], platform=interpreter.platforms[0], wheels=ordered)


def keep(file: Path, filename: str, store: Store) -> tuple[str, Wheel]:
    """Put a wheel into the store; return its name and what the lock says of it. Raises WheelError."""
    name, version = archive.identity(filename)
    with archive.opened(file, filename) as wheel:
        needs = archive.requires(wheel, filename)
    entry = store.put_file(file)
    _lay_out(entry.blob, store)
    return name, Wheel(version=version, filename=filename, blob=entry.blob, size=entry.size, requires=needs)


def known(store: Store) -> Path:
    """Return the folder in which kept wheels lie by their sha256, for pip not to download them again."""
    return store.cache("wheels")


def _lay_out(blob: str, store: Store) -> None:
    place = known(store) / blob.removeprefix("sha256:")
    with suppress(OSError):  # a copy would cost more than it saves
        if not place.exists():
            os.link(store.path(blob), place)


def recall(key: str, store: Store) -> PackageSet | None:
    """Return the closure kept under the digest `key`; what cannot be read is as good as nothing."""
    try:
        return PackageSet.decode(_place(key, store).read_bytes())
    except (OSError, ValidationError):
        return None


def remember(key: str, packages: PackageSet, store: Store, folder: Path) -> None:
    """Keep a closure under the digest `key`, by way of the scratch `folder`. Raises StoreError."""
    with storing("keep the lock"):
        write_whole(_place(key, store), packages.encode(), folder / "lock.json")


def _place(key: str, store: Store) -> Path:
    return store.cache("locks") / f"{key.removeprefix('sha256:')}.json"
