"""A lock that another tool wrote, taken as it is: exactly the files it names, fetched once by hash."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from replay.digest import canonical, of_bytes
from replay.environment import archive, closure, index, lockfiles
from replay.environment.base import Interpreter
from replay.environment.lockfiles import Pick
from replay.environment.packages import PackageSet, Wheel
from replay.environment.selection import Selection, refusal
from replay.errors import LockError
from replay.store.base import Store


def take(
    path: Path,
    interpreter: Interpreter,
    store: Store,
    selection: Selection,
    *,
    offline: bool = False,
    progress: Callable[[str], None],
) -> PackageSet:
    """Return the closure that the lock at `path` holds for `interpreter`; its wheels are in the store.

    Raises LockError where the lock is not for this target or a file cannot be had, WheelError where one is
    not a sound wheel. No index is asked while the store has the files.
    """
    picks = lockfiles.select(path, interpreter, selection)
    key = _key(picks, interpreter)
    known = closure.recall(key, store)
    if known is not None and all(store.has(wheel.blob) for wheel in known.wheels.values()):
        return known
    _refuse_sources(path, picks)
    folder = store.scratch("lock")
    try:
        found = _fetched(path, picks, interpreter, store, folder, offline, progress)
        packages = closure.closure(interpreter, found)
        closure.remember(key, packages, store, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return packages


def _key(picks: Sequence[Pick], interpreter: Interpreter) -> str:
    target = interpreter.model_dump(mode="json", include=closure.TARGET)
    return of_bytes(canonical({"format": 1, "picks": [asdict(pick) for pick in picks], "target": target}))


def _fetched(
    path: Path,
    picks: Sequence[Pick],
    interpreter: Interpreter,
    store: Store,
    folder: Path,
    offline: bool,
    progress: Callable[[str], None],
) -> dict[str, Wheel]:
    missing = [pick for pick in picks if not store.has(_blob(pick))]
    if missing and offline:
        raise LockError(
            f"{len(missing)} files of the lock {str(path)!r} are not in the store, among them {missing[0].filename}",
            cause="they were never fetched here, and no index may be asked",
            do="lock once with the network on: `replay lock`",
        )
    if missing:
        progress(f"fetching {len(missing)} wheels of {path.name}")
    files = {pick.name: store.path(_blob(pick)) for pick in picks if pick not in missing}
    if missing:
        indexes = sorted({pick.index for pick in missing if pick.index and not pick.url})
        options = [word for url in indexes for word in ("--extra-index-url", url)]
        wanted = [index.Wanted(pick.name, pick.filename, pick.url, dict(pick.hashes or {})) for pick in missing]
        fetched = index.obtain(wanted, path, interpreter, folder, options)
        files |= {pick.name: file for pick, file in zip(missing, fetched, strict=True)}
    return dict(_checked(path, pick, files[pick.name], store) for pick in picks)


def _blob(pick: Pick) -> str:
    """Return the digest under which the store would have the file; of a lock without sha256, one nothing has."""
    return f"sha256:{(pick.hashes or {}).get('sha256', '0' * 64)}"


def _checked(path: Path, pick: Pick, file: Path, store: Store) -> tuple[str, Wheel]:
    name, version = archive.identity(pick.filename)
    if name != pick.name or (pick.version is not None and version != pick.version):
        said = f"it says that {pick.name} {pick.version or ''} is {pick.filename}"
        raise refusal(path, said, "write it anew with the tool that made it")
    return closure.keep(file, pick.filename, store)


def _refuse_sources(path: Path, picks: Sequence[Pick]) -> None:
    for pick in picks:
        if pick.kind != "wheel":
            raise refusal(path, f"{pick.name} is in it as source only", "lock a version that has a wheel")
