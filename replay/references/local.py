"""Files on this machine's own disks, as references name them: nothing outside the folder they belong to."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath

from replay.references.base import Gone


def inside(folder: Path, address: str) -> Path:
    """Return a part below `folder`. Raises Gone for an address that leads out of it: a state may name anything."""
    pure = PurePosixPath(address)
    if not address or pure.is_absolute() or ".." in pure.parts or "\0" in address or "://" in address:
        raise Gone(f"its part {address[:80]!r} lies outside of it, which is not followed")
    return folder / pure


def hashed(file: Path, algorithm: str) -> str | None:
    """Return the hex digest of a file's content, None where there is no such file to read."""
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, algorithm).hexdigest()
    except OSError:
        return None
