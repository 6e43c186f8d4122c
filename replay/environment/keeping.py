"""Installed packages kept as wheels; what has not changed on this host since it was last read is not read again."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import ValidationError

from replay.digest import canonical, of_bytes
from replay.environment.base import Interpreter
from replay.environment.distributions import Distribution, Found
from replay.environment.original import Originals
from replay.environment.packages import PackageSet, Wheel
from replay.environment.repack import repack, requirements
from replay.environment.rootfs import Files
from replay.progress import Progress
from replay.record import PackageFinding
from replay.state import Document
from replay.store.base import Store
from replay.store.files import storing, write_whole

FORMAT = 1
"""Raised when the same installed files would become another wheel."""

MOST_BYTES = 2 << 30
"""A package of this host that is larger is described and not kept."""


class Package(Document):
    """One installed package: as a wheel, and what is odd about it."""

    wheel: Wheel
    findings: tuple[PackageFinding, ...] = ()


def keep(
    found: Found, files: Files, sites: tuple[str, ...], interpreter: Interpreter, store: Store, progress: Progress
) -> tuple[PackageSet, tuple[PackageFinding, ...]]:
    """Return distributions as a closure of wheels in the store, and all that was odd about them. Raises StoreError."""
    progress(f"reading {len(found.distributions)} installed packages")
    originals = Originals(interpreter, store)
    wheels: dict[str, Wheel] = {}
    findings = list(found.findings)
    for name, one in sorted(found.distributions.items()):
        key = _key(one, files, interpreter)
        place = store.cache("repacked") / f"{key}.json" if key else None
        package = _known(place, store)
        if package is None:
            package = _made(one, files, sites, interpreter, store, originals)
            if place is not None:
                with storing("keep what a package holds"):
                    write_whole(place, package.encode(), place.with_suffix(f".{os.getpid()}"))
        wheels[name] = package.wheel
        findings += package.findings
    python = interpreter.markers["python_version"]
    return PackageSet(python=python, platform=interpreter.platforms[0], wheels=wheels), tuple(findings)


def _made(
    one: Distribution,
    files: Files,
    sites: tuple[str, ...],
    interpreter: Interpreter,
    store: Store,
    originals: Originals,
) -> Package:
    if _key(one, files, interpreter) and sum(_size(files, path) for path in one.files) > MOST_BYTES:
        record = canonical({path: [one.files[path], files.mark(path)] for path in sorted(one.files)})
        entry = store.put(record)
        described = Wheel(
            version=one.version, filename="", blob=entry.blob, size=entry.size, requires=requirements(one)
        )
        return Package(wheel=described)
    wheel, odd = repack(one, files, sites, interpreter, store)
    return Package(wheel=wheel, findings=tuple(originals.explain(finding, one, files) for finding in odd))


def _key(one: Distribution, files: Files, interpreter: Interpreter) -> str | None:
    """Return a name for a distribution whose files are all as they are now; None where nothing says so cheaply."""
    marks = {ascii(path): [recorded, files.mark(path)] for path, recorded in one.files.items()}
    if any(mark is None for _, mark in marks.values()):
        return None
    made_of = {"format": FORMAT, "name": one.name, "site": one.site, "files": marks, "abi": interpreter.abi}
    return of_bytes(canonical(made_of)).removeprefix("sha256:")


def _known(place: Path | None, store: Store) -> Package | None:
    try:
        package = Package.decode(place.read_bytes()) if place is not None else None
    except (OSError, ValidationError):
        return None
    return package if package is not None and store.has(package.wheel.blob) else None


def _size(files: Files, path: str) -> int:
    try:
        return files.size(path)
    except LookupError:
        return 0
