"""The files of an existing environment: of an image, out of its exported archive, or of this host. Nothing is run."""

from __future__ import annotations

import os
import posixpath
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol

_MOST_LINKS = 40
"""Links followed for one path, as in Linux."""


class Files(Protocol):
    """Files by absolute POSIX path."""

    def inside(self, folder: str) -> list[str]:
        """Return every plain file at or below `folder`, links followed, sorted; none where there is no folder."""
        ...

    def open(self, path: str) -> IO[bytes] | None:
        """Return the content of a plain file (links followed), or None where there is none to be read."""
        ...

    def size(self, path: str) -> int:
        """Return a file's size in bytes. Raises LookupError where `open` would return None."""
        ...

    def executable(self, path: str) -> bool:
        """Whether a file's owner may execute it."""
        ...

    def mark(self, path: str) -> str | None:
        """Return what tells cheaply whether a file is still the same; None where that is not the question."""
        ...


def read(files: Files, path: str) -> bytes | None:
    """Return a file's bytes, None where it is not there."""
    opened = files.open(path)
    if opened is None:
        return None
    with opened:
        return opened.read()


class ImageFiles:
    """The files of an image, out of the archive that an engine exports. Links lead nowhere but into the archive."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self.members = {posixpath.join("/", member.name): member for member in archive.getmembers()}
        self._names: dict[str, list[str]] = {}
        for path in sorted(self.members):
            self._names.setdefault(posixpath.dirname(path), []).append(posixpath.basename(path))

    def real(self, path: str) -> str | None:
        """Return where a path leads once all links are followed, None where that is nowhere."""
        todo, here, links = [part for part in reversed(path.split("/")) if part], "/", 0
        while todo:
            part = todo.pop()
            if part in (".", ".."):
                here = posixpath.dirname(here) if part == ".." else here
                continue
            step = posixpath.join(here, part)
            member = self.members.get(step)
            if member is None and step not in self._names:
                return None
            if member is not None and member.issym():
                links += 1
                if links > _MOST_LINKS:
                    return None
                todo += [part for part in reversed(member.linkname.split("/")) if part]
                here = "/" if member.linkname.startswith("/") else here
            else:
                here = step
        return here

    def inside(self, folder: str) -> list[str]:
        """See `Files`."""
        return sorted(self._below(folder, frozenset()))

    def open(self, path: str) -> IO[bytes] | None:
        """See `Files`."""
        member = self._file(path)
        return None if member is None else self._archive.extractfile(member)

    def size(self, path: str) -> int:
        """See `Files`."""
        member = self._file(path)
        if member is None:
            raise LookupError(path)
        return member.size

    def executable(self, path: str) -> bool:
        """See `Files`."""
        member = self._file(path)
        return member is not None and bool(member.mode & 0o100)

    def mark(self, path: str) -> None:
        """Say nothing: an image never changes."""
        del path

    def _file(self, path: str) -> tarfile.TarInfo | None:
        real = self.real(path)
        member = self.members.get(real) if real else None
        if member is not None and member.islnk():
            member = self.members.get(posixpath.join("/", member.linkname))
        return member if member is not None and member.isreg() else None

    def _below(self, folder: str, above: frozenset[str]) -> Iterator[str]:
        real = self.real(folder)
        if real is None or real in above:
            return
        for name in self._names.get(real, []):
            path = posixpath.join(folder, name)
            if self._file(path) is not None:
                yield path
            else:
                yield from self._below(path, above | {real})


class HostFiles:
    """The files of this host, as the caller may see them."""

    def inside(self, folder: str) -> list[str]:
        """See `Files`."""
        found: list[str] = []
        seen: set[str] = set()
        for here, folders, names in os.walk(folder, followlinks=True):
            real = os.path.realpath(here)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            places = (posixpath.join(here, name) for name in names)
            found += [path for path in places if os.path.isfile(path)]  # noqa: PTH113 - tens of thousands of files
        return sorted(found)

    def open(self, path: str) -> IO[bytes] | None:
        """See `Files`."""
        try:
            return Path(path).open("rb") if Path(path).is_file() else None
        except OSError:
            return None

    def size(self, path: str) -> int:
        """See `Files`."""
        try:
            return Path(path).stat().st_size
        except OSError:
            raise LookupError(path) from None

    def executable(self, path: str) -> bool:
        """See `Files`."""
        return os.access(path, os.X_OK)

    def mark(self, path: str) -> str | None:
        """See `Files`."""
        try:
            stat = os.stat(path)  # noqa: PTH116 - asked for every file of an environment: a Path costs more than the call
        except OSError:
            return "gone"
        return f"{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}"
