"""The run log: one line of canonical JSON a run, only ever appended to.

A line counts once its newline is there. What follows the last newline is what a killed process left; readers
pass over it and the next append removes it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from replay.digest import canonical
from replay.errors import StoreError
from replay.store.base import Finding, RunEntry
from replay.store.files import locked, storing, write_whole
from replay.store.refs import shown

BLOCK = 1 << 16

_ENTRY = TypeAdapter(RunEntry)


class RunLog:
    """The file `runs.jsonl`; `lock` is the store's lock."""

    def __init__(self, file: Path, lock: Path) -> None:
        self.file = file
        self._lock = lock

    def append(self, entry: RunEntry) -> None:
        """Add a line, durably: all of it or nothing. Raises StoreError."""
        line = encoded(entry)
        with storing("append to the run log"), locked(self._lock):
            fd = os.open(self.file, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
            try:
                _append(fd, line)
            finally:
                os.close(fd)

    def rewrite(self, entries: Iterable[RunEntry], temporary: Path) -> None:
        """Put these entries in place of all, at once, by way of a temporary file. Raises OSError."""
        with locked(self._lock):
            write_whole(self.file, b"".join(map(encoded, entries)), temporary)

    def entries(self) -> list[RunEntry]:
        """Return all entries, oldest first. Raises StoreError on a line that cannot be read."""
        lines = self._bytes().split(b"\n")[:-1]
        return [self._parse(line) for line in lines]

    def newest(self) -> Iterator[RunEntry]:
        """Yield the entries from the end, reading only as much of the file as is asked for. Raises StoreError."""
        with storing("read the run log"), self.file.open("rb") as file:
            end = _finished(file.fileno())
            position, rest = max(end - 1, 0), b""
            while position:
                step = min(BLOCK, position)
                position -= step
                rest, *lines = (os.pread(file.fileno(), step, position) + rest).split(b"\n")
                yield from map(self._parse, reversed(lines))
            if end:
                yield self._parse(rest)

    def scan(self) -> tuple[list[RunEntry], list[Finding]]:
        """Return the entries that can be read, and what is wrong with the rest. Raises StoreError."""
        entries, findings = [], []
        with storing("read the run log"), locked(self._lock):
            *lines, torn = self._bytes().split(b"\n")
        for number, line in enumerate(lines, 1):
            try:
                entries.append(self._parse(line))
            except StoreError:
                findings.append(Finding(f"line {number} of the run log cannot be read: {_excerpt(line)}", fatal=True))
        if torn:
            findings.append(Finding(f"the run log's last line was not finished: {_excerpt(torn)}", fatal=False))
        return entries, findings

    def mend(self) -> None:
        """Remove what a killed process left of its line, as far as this user may."""
        with suppress(OSError), self.file.open("rb") as file:
            if _finished(file.fileno()) < os.fstat(file.fileno()).st_size:
                with locked(self._lock), self.file.open("r+b") as writable:
                    writable.truncate(_finished(writable.fileno()))

    def _bytes(self) -> bytes:
        with storing("read the run log"):
            return self.file.read_bytes()

    def _parse(self, line: bytes) -> RunEntry:
        try:
            return _ENTRY.validate_json(line)
        except ValidationError as error:
            raise StoreError(
                f"a line of {shown(self.file)} cannot be read: {_excerpt(line)}",
                cause="something else wrote into the run log, or the disk damaged it",
                do="remove that line with an editor (the run's record stays in the store); `replay fsck` says which",
            ) from error


def encoded(entry: RunEntry) -> bytes:
    """Return an entry's line; where a run came from is written only where it came from elsewhere."""
    fields = asdict(entry)
    if not entry.origin:
        del fields["origin"]
    return canonical(fields) + b"\n"


def _finished(fd: int) -> int:
    """Return the offset behind the last newline, 0 where there is none. Raises OSError."""
    position = os.fstat(fd).st_size
    while position:
        step = min(BLOCK, position)
        position -= step
        found = os.pread(fd, step, position).rfind(b"\n")
        if found >= 0:
            return position + found + 1
    return 0


def _append(fd: int, line: bytes) -> None:
    """Write `line` behind the last finished one, or leave the file ending there. Raises OSError."""
    end = _finished(fd)
    os.ftruncate(fd, end)
    try:
        written = 0
        while written < len(line):
            written += os.write(fd, line[written:])
        os.fsync(fd)
    except BaseException:
        os.ftruncate(fd, end)
        raise


def _excerpt(line: bytes) -> str:
    return shown(line[:60].decode("utf-8", "backslashreplace"))
