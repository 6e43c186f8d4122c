"""`replay.lock`: a closure beside replay.toml, for review and for other machines.

It holds no place and no credential: files are known by their hashes.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from replay.digest import Digest
from replay.environment.base import Interpreter
from replay.environment.lockfiles import MOST_BYTES, tags
from replay.environment.packages import PackageSet, Wheel
from replay.environment.requirements import Requirements
from replay.environment.selection import refusal
from replay.state import Change, Document
from replay.store.files import storing, write_whole

FILE = "replay.lock"
FORMAT = "replay.lock/1"


class Pinned(Document):
    """The closure that was locked for `requirements` (the digest of what they ask for)."""

    format: str = FORMAT
    requirements: Digest
    packages: PackageSet


def read(path: Path) -> Pinned:
    """Return what the file holds. Raises LockError."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise refusal(path, f"it is larger than {MOST_BYTES >> 20} MiB", "write it anew: `replay lock`")
        pinned = Pinned.decode(path.read_bytes())
    except OSError as error:
        raise refusal(
            path, error.strerror or str(error), "make it readable, or write it anew: `replay lock`"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        cause = f"it is not what `replay lock` writes: {where}: {first['msg']}"
        raise refusal(path, cause, "take it from version control, or write it anew: `replay lock`") from error
    if pinned.format != FORMAT:
        raise refusal(
            path, f"its format is {pinned.format!r}, and {FORMAT!r} is read here", "use that Replay's version"
        )
    return pinned


def write(path: Path, asked: Requirements, packages: PackageSet) -> None:
    """Write the file whole or not at all, one value a line. Raises StoreError."""
    pinned = Pinned(requirements=asked.key, packages=packages)
    text = json.dumps(pinned.model_dump(mode="json"), indent=1, ensure_ascii=False, sort_keys=True)
    with storing(f"write {path.name}"):
        write_whole(path, f"{text}\n".encode(), path.with_name(f".{path.name}.new"))


def fitting(path: Path, asked: Requirements, interpreter: Interpreter) -> PackageSet:
    """Return the closure that the file pins for these requirements and this target. Raises LockError."""
    pinned = read(path)
    if pinned.requirements != asked.key:
        cause = f"{asked.path.name}, or a file that it names, changed since"
        raise refusal(path, cause, "bring it up to date and read what changed: `replay lock`")
    short, known = interpreter.markers["python_version"], {str(tag) for tag in tags(interpreter)}
    packages = pinned.packages
    unfit = [wheel.filename for wheel in packages.wheels.values() if not known & _tags(path, wheel)]
    if packages.python != short or unfit:
        cause = (
            f"it is for Python {packages.python} on {packages.platform}, and the target has {interpreter.version} on "
        )
        cause += interpreter.platforms[0] + (f" ({unfit[0]} does not fit)" if unfit else "")
        raise refusal(path, cause, "lock for this base: `replay lock`; or choose the base that it is for")
    return packages


def changes(before: PackageSet | None, after: PackageSet) -> list[Change]:
    """Return how two closures differ, by package."""
    old, new = before.wheels if before else {}, after.wheels
    return [
        Change(name=f"runtime/packages/{name}", before=_said(old.get(name)), after=_said(new.get(name)))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def _said(wheel: Wheel | None) -> str | None:
    return None if wheel is None else f"{wheel.version} ({wheel.blob.removeprefix('sha256:')[:12]})"


def _tags(path: Path, wheel: Wheel) -> set[str]:
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        return {str(tag) for tag in parse_wheel_filename(wheel.filename)[3]}
    except InvalidWheelFilename as error:
        raise refusal(path, str(error), "write it anew: `replay lock`") from error
