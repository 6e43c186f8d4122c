"""From requirements to a closure with hashes, its wheels kept in the store."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from replay.digest import canonical, of_bytes
from replay.environment import archive, index
from replay.environment.base import Interpreter
from replay.environment.packages import PackageSet, Wheel
from replay.environment.requirements import Requirements, read
from replay.errors import CorruptBlob, LockError, NotFound, WheelError
from replay.store.base import Store
from replay.store.files import storing, write_whole

Progress = Callable[[str], None]


def quiet(_line: str) -> None:
    """A `Progress` that says nothing."""


def lock(
    requirements: Path | None,
    interpreter: Interpreter,
    store: Store,
    *,
    upgrade: bool = False,
    offline: bool = False,
    progress: Progress = quiet,
) -> PackageSet:
    """Return the closure of `requirements` (None: of nothing) for `interpreter`; its wheels are in the store.

    A closure once resolved is returned again until the requirements, the interpreter or pip's index
    configuration change, or `upgrade` asks for a new one; while its wheels are in the store no index is asked.
    With `offline` none is asked in any case. A hash-locked file is taken as it is, its hashes verified.
    Raises LockError where there is no closure, WheelError where a locked wheel can no longer be had.
    """
    asked = read(requirements) if requirements is not None else None
    if asked is None or asked.empty:
        return _closure(interpreter, {})
    kept = store.cache("locks") / f"{_key(asked, interpreter).removeprefix('sha256:')}.json"
    known = _read(kept)
    if known is not None and not (upgrade and not offline):
        return _complete(known, asked, interpreter, store, offline, progress)
    if offline:
        raise LockError(
            f"the requirements {str(asked.path)!r} are not locked for Python {interpreter.version}",
            cause="they, the interpreter or pip's configuration are new to this store, and no index may be asked",
            do="lock them once with the network on: `replay lock`",
        )
    folder = store.scratch("lock")
    try:
        packages = _resolve(asked, interpreter, store, folder, progress)
        with storing("keep the lock"):
            write_whole(kept, packages.encode(), folder / "lock.json")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return packages


def ensure(packages: PackageSet, store: Store) -> None:
    """Verify that every wheel of the closure is in the store and sound. Raises WheelError naming those that are not."""
    missing: list[str] = []
    damaged: list[str] = []
    for wheel in packages.wheels.values():
        try:
            store.path(wheel.blob)
        except NotFound:
            missing.append(wheel.filename)
        except CorruptBlob:
            damaged.append(wheel.filename)
    if missing or damaged:
        lost = [f"{name} is missing" for name in missing] + [f"{name} is damaged" for name in damaged]
        raise WheelError(
            f"the store lacks wheels of this state: {', '.join(lost)}",
            cause="they were removed, or the state came here without its blobs",
            do="pull the state from where it is whole, or lock its requirements again while an index has the files",
        )


def _closure(interpreter: Interpreter, wheels: dict[str, Wheel]) -> PackageSet:
    ordered = dict(sorted(wheels.items()))
    return PackageSet(python=interpreter.markers["python_version"], platform=interpreter.platforms[0], wheels=ordered)


def _key(asked: Requirements, interpreter: Interpreter) -> str:
    target = interpreter.model_dump(mode="json", include={"version", "abi", "platforms", "markers"})
    document = {"format": 1, "asked": asked.key, "target": target, "index": index.configuration()}
    return of_bytes(canonical(document))


def _read(path: Path) -> PackageSet | None:
    """Return the closure kept at `path`; what cannot be read there is as good as nothing."""
    try:
        return PackageSet.decode(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _resolve(
    asked: Requirements, interpreter: Interpreter, store: Store, folder: Path, progress: Progress
) -> PackageSet:
    pins = None
    if not asked.hashed:
        progress(f"resolving {asked.path.name} for Python {interpreter.version} on {interpreter.platforms[0]}")
        pins = index.choose(asked, interpreter, folder)
    progress("fetching the wheels")
    files = index.fetch(asked, pins, interpreter, folder)
    closure = _closure(interpreter, dict(_keep(file, store) for file in files))
    progress(f"locked {len(closure.wheels)} packages")
    return closure


def _complete(
    known: PackageSet, asked: Requirements, interpreter: Interpreter, store: Store, offline: bool, progress: Progress
) -> PackageSet:
    """Return `known` once all its wheels are in the store, fetching again those that are not."""
    missing = {name: wheel for name, wheel in known.wheels.items() if not store.has(wheel.blob)}
    if not missing:
        return known
    if offline:
        ensure(known, store)
    progress(f"fetching {len(missing)} wheels again that the store no longer has")
    folder = store.scratch("lock")
    try:
        pins = folder / "pins.txt"
        pins.write_text("".join(f"{name}=={wheel.version}\n" for name, wheel in known.wheels.items()))
        files = index.fetch(asked, None if asked.hashed else pins, interpreter, folder)
        found = dict(_keep(file, store) for file in files)
    except LockError as error:
        raise _gone(list(missing.values()), error.cause) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    changed = [wheel for name, wheel in missing.items() if name not in found or found[name].blob != wheel.blob]
    if changed:
        raise _gone(changed, "the index now offers other files under these versions")
    return known


def _gone(wheels: list[Wheel], cause: str) -> WheelError:
    return WheelError(
        f"locked wheels are in neither the store nor the index: {', '.join(wheel.filename for wheel in wheels)}",
        cause=cause,
        do="get the files from where they still are (`--find-links FOLDER` in the requirements), "
        "or resolve anew: `replay lock --upgrade`",
    )


def _keep(file: Path, store: Store) -> tuple[str, Wheel]:
    """Put a downloaded wheel into the store; return its name and what the lock says of it."""
    name, version = archive.identity(file.name)
    with archive.opened(file, file.name) as wheel:
        needs = archive.requires(wheel, file.name)
    entry = store.put_file(file)
    return name, Wheel(version=version, filename=file.name, blob=entry.blob, size=entry.size, requires=needs)
