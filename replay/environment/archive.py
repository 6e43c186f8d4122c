"""A wheel as an archive that nobody trusts: checked before a byte of it is written.

Format: https://packaging.python.org/en/latest/specifications/binary-distribution-format/
"""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from email.parser import BytesHeaderParser
from pathlib import Path

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from replay.errors import WheelError

MOST_FILES = 200_000
MOST_BYTES = 16 << 30
MOST_METADATA = 16 << 20
MOST_EXPANSION = 200
"""A wheel may unpack to 256 MiB, or beyond that to so many times its own size (real ones: below 20)."""
SMALL = 256 << 20

_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeError, ValueError)


@contextmanager
def opened(path: Path, filename: str) -> Iterator[zipfile.ZipFile]:
    """Open the wheel called `filename` that lies at `path`, and check the list of its entries.

    Raises WheelError where it is no zip, or an entry would leave its folder, is a link or a device, occurs
    twice, or all together are absurdly large. What fails inside the block because of the archive's content
    becomes a WheelError too.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check(archive.infolist(), path.stat().st_size, filename)
            yield archive
    except _UNREADABLE as error:
        raise unsafe(filename, f"it is not a sound zip archive: {error}") from error


def identity(filename: str) -> tuple[str, str]:
    """Return the normalised name and the version that a wheel's file name carries. Raises WheelError."""
    try:
        name, version, _, _ = parse_wheel_filename(filename)
    except InvalidWheelFilename as error:
        raise unsafe(filename, str(error)) from error
    return canonicalize_name(name), str(version)


def requires(archive: zipfile.ZipFile, filename: str) -> tuple[str, ...]:
    """Return the Requires-Dist lines of the wheel's METADATA, as they stand. Raises WheelError."""
    found = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA") and name.count("/") == 1]
    if len(found) != 1:
        raise unsafe(filename, f"it has {len(found)} METADATA files where one belongs")
    if archive.getinfo(found[0]).file_size > MOST_METADATA:
        raise unsafe(filename, f"its METADATA is larger than {MOST_METADATA >> 20} MiB")
    headers = BytesHeaderParser().parsebytes(archive.read(found[0]))
    return tuple(" ".join(str(line).split()) for line in headers.get_all("Requires-Dist", []))


def unsafe(filename: str, cause: str) -> WheelError:
    """Return the error for a wheel that is refused."""
    return WheelError(
        f"the wheel {filename!r} is refused",
        cause=cause,
        do="get the file from its publisher again, or require another version of the package",
    )


def _check(entries: list[zipfile.ZipInfo], size: int, filename: str) -> None:
    if len(entries) > MOST_FILES:
        raise unsafe(filename, f"it has {len(entries)} entries, more than {MOST_FILES}")
    total = sum(entry.file_size for entry in entries)
    if total > MOST_BYTES or total > max(SMALL, MOST_EXPANSION * size):
        raise unsafe(filename, f"its {size} bytes would unpack to {total}")
    seen: set[str] = set()
    for entry in entries:
        fault = _fault(entry, seen)
        if fault:
            raise unsafe(filename, f"its entry {entry.filename!r} {fault}")
        seen.add(entry.filename.rstrip("/"))


def _fault(entry: zipfile.ZipInfo, seen: set[str]) -> str | None:
    name = entry.filename.rstrip("/")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if entry.orig_filename != entry.filename or any(ord(letter) < 32 or letter == "\\" for letter in name):
        return "has a name that is no plain path"
    if name.startswith("/") or any(part in ("", ".", "..") for part in name.split("/")):
        return "leads out of its folder"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    if entry.flag_bits & 1:
        return "is encrypted"
    return "occurs twice" if name in seen else None
