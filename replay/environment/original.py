"""What a patched file was when it was published: out of a wheel that the store or the index has."""

from __future__ import annotations

import base64
import difflib
import hashlib
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

from replay.environment import archive, index
from replay.environment.base import Interpreter
from replay.environment.distributions import Distribution, prefix
from replay.environment.packages import PackageSet
from replay.environment.rootfs import Files, read
from replay.errors import CorruptBlob, LockError, NotFound, WheelError
from replay.record import PackageFinding
from replay.store.base import Store

MOST_LINES = 40
"""Lines of a diff that a finding carries."""

_MOST_BYTES = 4 << 20


class Originals:
    """Finds published files. Each distribution's wheel is looked for once: in the store, then on the index."""

    def __init__(self, interpreter: Interpreter, store: Store) -> None:
        self._interpreter = interpreter
        self._store = store
        self._wheels: dict[tuple[str, str], list[Path]] = {}

    def explain(self, finding: PackageFinding, one: Distribution, files: Files) -> PackageFinding:
        """Return the finding with its diff, where it is of a patched text whose original can be had."""
        if finding.kind != "patched" or files.size(finding.path) > _MOST_BYTES:
            return finding
        before = self._original(finding, one)
        if before is None:
            return finding
        diff = _diff(before, read(files, finding.path) or b"", entry_name(finding.path, one))
        return finding.model_copy(update={"diff": diff})

    def _original(self, finding: PackageFinding, one: Distribution) -> bytes | None:
        key = (one.name, one.version)
        if key not in self._wheels:
            self._wheels[key] = [*self._kept(one), *self._published(one)]
        inner = entry_name(finding.path, one)
        for wheel in self._wheels[key]:
            data = _entry(wheel, inner)
            if data is not None and _encoded(data) == finding.recorded:
                return data
        return None

    def _kept(self, one: Distribution) -> Iterator[Path]:
        """Yield the wheels of that name and version that locks in this store name."""
        for lock in sorted(self._store.cache("locks").glob("*.json")):
            try:
                wheel = PackageSet.decode(lock.read_bytes()).wheels.get(one.name)
                if wheel is not None and wheel.version == one.version:
                    yield self._store.path(wheel.blob)
            except (OSError, ValueError, NotFound, CorruptBlob):
                continue

    def _published(self, one: Distribution) -> Iterator[Path]:
        folder = self._store.scratch("original")
        try:
            asked = folder / "requirements.txt"
            asked.write_text(f"{one.name}=={one.version}\n", encoding="utf-8")
            question = index.Question(asked, asked, self._interpreter, folder)
            for file in index.fetch(question, None, alone=True):
                yield self._store.path(self._store.put_file(file).blob)
        except (LockError, WheelError):
            return
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def entry_name(path: str, one: Distribution) -> str:
    """Return where a wheel of this distribution has the file."""
    below = one.site if path.startswith(f"{one.site}/") else prefix(one.site)
    return path[len(below) + 1 :]


def _entry(wheel: Path, inner: str) -> bytes | None:
    try:
        with archive.opened(wheel, wheel.name) as opened:
            return opened.read(inner)
    except (KeyError, WheelError, zipfile.BadZipFile):
        return None


def _diff(before: bytes, after: bytes, name: str) -> str | None:
    if b"\0" in before + after:
        return None
    old, new = (data.decode("utf-8", "replace").splitlines() for data in (before, after))
    lines = list(difflib.unified_diff(old, new, f"{name} (published)", f"{name} (found)", lineterm="", n=2))
    more = [f"… {len(lines) - MOST_LINES} more lines"] if len(lines) > MOST_LINES else []
    return "\n".join([*lines[:MOST_LINES], *more])


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
