"""From requirements to a closure with hashes, its wheels kept in the store."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from replay.digest import canonical, of_bytes
from replay.environment import index, taken
from replay.environment.base import Interpreter
from replay.environment.build import Builder, Workshop
from replay.environment.closure import TARGET, closure, recall, remember
from replay.environment.lockfiles import is_lock
from replay.environment.packages import PackageSet, Wheel
from replay.environment.pinned import Pinned, fitting
from replay.environment.pinned import read as read_pins
from replay.environment.pinned import write as write_pins
from replay.environment.requirements import Requirements, read
from replay.environment.resolution import How, Resolution, index_lines
from replay.environment.selection import DEFAULT, Selection
from replay.errors import CorruptBlob, LockError, NotFound, WheelError
from replay.progress import Progress, silent
from replay.store.base import Store

DEEPEST = 8
"""How deep a build may need a build that needs a build."""


def lock(
    requirements: Path | None,
    interpreter: Interpreter,
    store: Store,
    *,
    selection: Selection = DEFAULT,
    pins: Path | None = None,
    upgrade: bool = False,
    offline: bool = False,
    progress: Progress = silent,
    workshop: Workshop | None = None,
) -> PackageSet:
    """Return the closure of `requirements` (None: of nothing) for `interpreter`; its wheels are in the store.

    A closure once resolved is returned again until the requirements, the interpreter or pip's index
    configuration change, or `upgrade` asks for a new one; while its wheels are in the store no index is asked.
    With `offline` none is asked in any case. A hash-locked file, `pylock.toml`, `uv.lock` or `poetry.lock` is
    taken as it is, its hashes verified; `selection` says which of its extras and groups. What exists as source
    only is built in the `workshop`; without one it is refused. `pins` is a `replay.lock` that decides; what it no
    longer fits is an error.
    Raises LockError where there is no closure, WheelError where a locked wheel can no longer be had.
    """
    locker = _Locker(interpreter, store, selection, upgrade, offline, progress, workshop)
    return locker.lock(requirements, pins)


def relock(
    requirements: Path,
    pins: Path,
    interpreter: Interpreter,
    store: Store,
    *,
    selection: Selection = DEFAULT,
    upgrade: bool = False,
    progress: Progress = silent,
    workshop: Workshop | None = None,
) -> tuple[PackageSet | None, PackageSet]:
    """Write the closure of `requirements` to the file `pins`; return what it held before, and what it holds now.

    Versions stay where the requirements still allow them, unless `upgrade` asks for the newest. Raises LockError,
    WheelError, StoreError; then the file stays as it was.
    """
    if is_lock(requirements):
        raise LockError(
            f"{str(requirements)!r} is a lock already",
            cause="it is taken as it is; nothing is resolved that could be pinned",
            do="update it with the tool that wrote it",
        )
    asked = read(requirements)
    before = _pinned(pins)
    locker = _Locker(interpreter, store, selection, upgrade, False, progress, workshop)
    if before is not None and before.requirements == asked.key and not upgrade and _fits(pins, asked, interpreter):
        return before.packages, locker.lock(requirements, pins)
    packages = locker.anew(asked, None if upgrade or before is None else before.packages)
    write_pins(pins, asked, packages)
    return before.packages if before else None, packages


def _pinned(path: Path) -> Pinned | None:
    """Return what the file pins; one that cannot be read is written over."""
    try:
        return read_pins(path) if path.exists() else None
    except LockError:
        return None


def _fits(pins: Path, asked: Requirements, interpreter: Interpreter) -> bool:
    try:
        fitting(pins, asked, interpreter)
    except LockError:
        return False
    return True


@dataclass(frozen=True)
class _Locker:
    """What stays the same for requirements and for what their builds require."""

    interpreter: Interpreter
    store: Store
    selection: Selection
    upgrade: bool
    offline: bool
    progress: Progress
    workshop: Workshop | None
    depth: int = 0

    def lock(self, requirements: Path | None, pins: Path | None = None) -> PackageSet:
        """See `lock`."""
        if requirements is not None and is_lock(requirements):
            builder = self._builder(())
            return taken.take(requirements, self.selection, builder, offline=self.offline)
        asked = read(requirements) if requirements is not None else None
        if asked is None or asked.empty:
            return closure(self.interpreter, {})
        if pins is not None:
            return self._complete(fitting(pins, asked, self.interpreter), asked)
        known = recall(self._key(asked), self.store)
        if known is not None and not (self.upgrade and not self.offline):
            return self._complete(known, asked)
        return self.anew(asked)

    def anew(self, asked: Requirements, prefer: PackageSet | None = None) -> PackageSet:
        """Resolve, with the versions of `prefer` where they are still allowed."""
        if self.offline:
            raise LockError(
                f"the requirements {str(asked.path)!r} are not locked for Python {self.interpreter.version}",
                cause="they, the interpreter or pip's configuration are new to this store, and no index may be asked",
                do="lock them once with the network on: `replay lock`",
            )
        target = f"Python {self.interpreter.version} on {self.interpreter.platforms[0]}"
        self.progress(f"resolving {asked.path.name} for {target}")
        with self._scratch() as folder:
            versions = {name: wheel.version for name, wheel in prefer.wheels.items()} if prefer else {}
            packages = closure(self.interpreter, self._resolution(asked, folder, versions).wheels())
            remember(self._key(asked), packages, self.store, folder)
        self.progress(f"locked {len(packages.wheels)} packages")
        return packages

    def _key(self, asked: Requirements) -> str:
        target = self.interpreter.model_dump(mode="json", include=TARGET)
        document = {"format": 1, "asked": asked.key, "target": target, "index": index.configuration()}
        return of_bytes(canonical({**document, "locker": self.selection.locker}))

    def _resolution(self, asked: Requirements, folder: Path, prefer: Mapping[str, str] | None = None) -> Resolution:
        builder = self._builder(index_lines(asked))
        how = How(self.selection.locker, prefer or {})
        return Resolution(asked, self.interpreter, self.store, folder, builder, self.progress, how)

    def _builder(self, indexes: Sequence[str]) -> Builder:
        """Return what builds source; what that needs is looked for where the requirements are."""

        def resolve(lines: Sequence[str]) -> PackageSet:
            with self._scratch() as folder:
                file = folder / "build-requirements.txt"
                file.touch(mode=0o600)
                file.write_text("".join(f"{line}\n" for line in [*indexes, *lines]), encoding="utf-8")
                return replace(self, depth=self.depth + 1).lock(file)

        workshop = self.workshop if self.depth < DEEPEST else None
        return Builder(self.interpreter, self.store, workshop, resolve, self.progress)

    def _complete(self, known: PackageSet, asked: Requirements) -> PackageSet:
        """Return `known` once all its wheels are in the store, fetching again those that are not."""
        missing = {name: wheel for name, wheel in known.wheels.items() if not self.store.has(wheel.blob)}
        if not missing:
            return known
        if self.offline:
            ensure(known, self.store)
        self.progress(f"fetching {len(missing)} wheels again that the store no longer has")
        try:
            with self._scratch() as folder:
                pins = folder / "pins.txt"
                pins.write_text("".join(f"{name}=={wheel.version}\n" for name, wheel in known.wheels.items()))
                found = self._resolution(asked, folder).wheels(None if asked.hashed else pins)
        except LockError as error:
            raise _gone(list(missing.values()), error.cause) from error
        changed = [wheel for name, wheel in missing.items() if name not in found or found[name].blob != wheel.blob]
        if changed:
            raise _gone(changed, "the index now offers other files under these versions")
        return known

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        folder = self.store.scratch("lock")
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


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


def _gone(wheels: list[Wheel], cause: str) -> WheelError:
    return WheelError(
        f"locked wheels are in neither the store nor the index: {', '.join(wheel.filename for wheel in wheels)}",
        cause=cause,
        do="get the files from where they still are (`--find-links FOLDER` in the requirements), "
        "or resolve anew: `replay lock --upgrade`",
    )
