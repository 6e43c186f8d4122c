"""Files kept by git-LFS: a pointer in the working tree stands for an object in the repository's LFS storage.

The pointer: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from replay.git import git
from replay.references.base import Found, Gone, Reference
from replay.references.local import hashed

_VERSION = b"version https://git-lfs.github.com/spec/v1\n"
_OID = re.compile(r"^oid sha256:([0-9a-f]{64})$", re.MULTILINE)
_SIZE = re.compile(r"^size (\d{1,18})$", re.MULTILINE)
_LARGEST = 1024


def pointer(file: Path) -> tuple[str, int] | None:
    """Return object id and size that a file points at, None where it is no pointer."""
    try:
        if not file.is_file() or file.stat().st_size >= _LARGEST:
            return None
        return _parsed(file.read_bytes())
    except OSError:
        return None


def tracked(file: Path) -> tuple[str, int] | None:
    """Return the pointer that git's index holds for a file that is checked out and unchanged, None for any other."""
    if not file.is_file():
        return None
    done = _git(file.parent, "cat-file", "-p", f":./{file.name}", longest=_LARGEST)
    found = None if done is None else _parsed(done)
    return found if found and file.stat().st_size == found[1] and hashed(file, "sha256") == found[0] else None


def _parsed(data: bytes) -> tuple[str, int] | None:
    if not data.startswith(_VERSION):
        return None
    text = data.decode("utf-8", "replace")
    oid, size = _OID.search(text), _SIZE.search(text)
    return (oid[1], int(size[1])) if oid and size else None


@dataclass(frozen=True)
class GitLfs:
    """The file that the project has at `at`, a pointer or checked out."""

    file: Path
    at: str
    oid: str
    size: int

    def find(self, path: str) -> Found:
        """See Origin."""
        return Found("git-lfs", {"oid": self.oid}, {path: self.oid}, self.size, folder=False)

    def fetch(self, address: str, reference: Reference | None, scratch: Path) -> Path:
        """See Origin."""
        for place in self._places(address):
            if place.is_file() and hashed(place, "sha256") == address:
                return place
        raise Gone(f"its object {address[:12]} is not in this repository's LFS storage (`git lfs fetch --all` gets it)")

    def lost(self, reference: Reference) -> str | None:
        """See Origin."""
        oid = reference.identity.get("oid", "")
        if any(place.is_file() for place in self._places(oid)[1:]) or hashed(self.file, "sha256") == oid:
            return None
        return f"its object {oid[:12]} is not in this repository's LFS storage (`git lfs fetch --all` gets it)"

    def _places(self, oid: str) -> list[Path]:
        """Return where an object may lie: checked out, or in the LFS storage."""
        if not re.fullmatch(r"[0-9a-f]{64}", oid):
            raise Gone(f"{oid[:80]!r} is no object id")
        folder = _git(self.file.parent, "rev-parse", "--path-format=absolute", "--git-common-dir")
        own = _git(self.file.parent, "config", "--path", "lfs.storage")
        found = [self.file]
        if folder:
            common = Path(folder.decode("utf-8", "surrogateescape").strip())
            storage = common / (own.decode("utf-8", "surrogateescape").strip() if own else "lfs")
            found.append(storage / "objects" / oid[:2] / oid[2:4] / oid)
        return found


def _git(folder: Path, *words: str, longest: int = 4096) -> bytes | None:
    said = git(folder, *words, timeout=30)
    return said if said is not None and len(said) <= longest else None
