"""From requirements to a closure with hashes, its wheels kept in the store."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from replay.digest import canonical, of_bytes
from replay.environment import index, taken
from replay.environment.base import Interpreter
from replay.environment.closure import TARGET, closure, keep, recall, remember
from replay.environment.lockfiles import is_lock
from replay.environment.packages import PackageSet, Wheel
from replay.environment.requirements import Requirements, read
from replay.environment.selection import DEFAULT, Selection
from replay.errors import CorruptBlob, LockError, NotFound, WheelError
from replay.store.base import Store

Progress = Callable[[str], None]


def quiet(_line: str) -> None:
    """A `Progress` that says nothing."""


def lock(
    requirements: Path | None,
    interpreter: Interpreter,
    store: Store,
    *,
    selection: Selection = DEFAULT,
    upgrade: bool = False,
    offline: bool = False,
    progress: Progress = quiet,
) -> PackageSet:
    """Return the closure of `requirements` (None: of nothing) for `interpreter`; its wheels are in the store.

    A closure once resolved is returned again until the requirements, the interpreter or pip's index
    configuration change, or `upgrade` asks for a new one; while its wheels are in the store no index is asked.
    With `offline` none is asked in any case. A hash-locked file, `pylock.toml`, `uv.lock` or `poetry.lock` is
    taken as it is, its hashes verified; `selection` says which of its extras and groups.
    Raises LockError where there is no closure, WheelError where a locked wheel can no longer be had.
    """
    if requirements is not None and is_lock(requirements):
        return taken.take(requirements, interpreter, store, selection, offline=offline, progress=progress)
    asked = read(requirements) if requirements is not None else None
    if asked is None or asked.empty:
        return closure(interpreter, {})
    key = _key(asked, interpreter)
    known = recall(key, store)
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
        remember(key, packages, store, folder)
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


def _key(asked: Requirements, interpreter: Interpreter) -> str:
    target = interpreter.model_dump(mode="json", include=TARGET)
    document = {"format": 1, "asked": asked.key, "target": target, "index": index.configuration()}
    return of_bytes(canonical(document))


def _resolve(
    asked: Requirements, interpreter: Interpreter, store: Store, folder: Path, progress: Progress
) -> PackageSet:
    pins = None
    if not asked.hashed:
        progress(f"resolving {asked.path.name} for Python {interpreter.version} on {interpreter.platforms[0]}")
        pins = index.choose(asked, interpreter, folder)
    progress("fetching the wheels")
    files = index.fetch(asked, pins, interpreter, folder)
    packages = closure(interpreter, dict(keep(file, file.name, store) for file in files))
    progress(f"locked {len(packages.wheels)} packages")
    return packages


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
        found = dict(keep(file, file.name, store) for file in files)
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
