"""Whether two wheels hold the same files, however packed: one from an index, one made of what is installed."""

from __future__ import annotations

import hashlib
import re
import zipfile
from pathlib import Path

from replay.environment.distributions import INSTALLERS_OWN
from replay.environment.packages import Wheel
from replay.errors import CorruptBlob, NotFound
from replay.store.base import Store

_OWN = {*INSTALLERS_OWN, "WHEEL"}


def differing(one: Wheel, other: Wheel, store: Store) -> list[str] | None:
    """Return the files that two wheels do not have in common, sorted; None where one of them cannot be read."""
    try:
        good, bad = (_contents(store.path(wheel.blob)) for wheel in (one, other))
    except (NotFound, CorruptBlob, OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError):
        return None
    return sorted(name for name in good.keys() | bad.keys() if good.get(name) != bad.get(name))


def _contents(path: Path) -> dict[str, str]:
    """Return the SHA-256 of every file; metadata and data folders go by names without the package's spelling."""
    found: dict[str, str] = {}
    with zipfile.ZipFile(path) as wheel:
        for entry in wheel.infolist():
            name = re.sub(r"^[^/]+\.(dist-info|data)/", r"\1/", entry.filename)
            if not entry.is_dir() and not (name.startswith("dist-info/") and name.removeprefix("dist-info/") in _OWN):
                with wheel.open(entry) as source:
                    found[name] = hashlib.file_digest(source, "sha256").hexdigest()  # type: ignore[arg-type]
    return found
