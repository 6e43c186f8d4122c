"""An installed distribution made into a wheel again: the same bytes wherever the same files are installed.

Entries are stored, not compressed (compressors differ), sorted, without times. What the installer noted about itself
and bytecode are left out; scripts of entry points are made anew wherever the wheel is unpacked.
Format: https://packaging.python.org/en/latest/specifications/binary-distribution-format/
"""

from __future__ import annotations

import base64
import hashlib
import posixpath
import re
import zipfile
from typing import IO

from replay.environment.base import Interpreter
from replay.environment.distributions import INSTALLERS_OWN, Distribution, prefix
from replay.environment.packages import Wheel
from replay.environment.rootfs import Files, read
from replay.record import PackageFinding
from replay.store.base import Store

BUILD = "0repacked"
"""The build tag in the file name of a wheel that was made here."""

_CHUNK = 1 << 20
_SHEBANG = re.compile(rb"#![^\n]*python[0-9.]*[ \t]*\r?\n")


def repack(
    one: Distribution, files: Files, sites: tuple[str, ...], interpreter: Interpreter, store: Store
) -> tuple[Wheel, list[PackageFinding]]:
    """Return a distribution as a wheel in the store, and which of its files are not what its RECORD says."""
    version = _version(one.version)
    stem = f"{one.name.replace('-', '_')}-{version}"
    filename = f"{stem}-{BUILD}-{_tag(one, files, interpreter)}.whl"
    folder = store.scratch("repack")
    made = folder / "made.whl"
    try:
        with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
            findings = _fill(archive, one, files, sites, stem)
        entry = store.put_file(made)
    finally:
        made.unlink(missing_ok=True)
        folder.rmdir()
    return Wheel(
        version=version, filename=filename, blob=entry.blob, size=entry.size, requires=requirements(one)
    ), findings


def requirements(one: Distribution) -> tuple[str, ...]:
    """Return the Requires-Dist lines of a distribution's metadata."""
    from email.parser import BytesHeaderParser

    headers = BytesHeaderParser().parsebytes(one.metadata)
    return tuple(" ".join(str(line).split()) for line in headers.get_all("Requires-Dist", []))


def _fill(
    archive: zipfile.ZipFile, one: Distribution, files: Files, sites: tuple[str, ...], stem: str
) -> list[PackageFinding]:
    findings: list[PackageFinding] = []
    record: dict[str, str] = {}
    named = {_place(path, one, sites, stem): path for path in one.files}
    for inner, path in sorted((inner, path) for inner, path in named.items() if inner is not None):
        if not inner.isprintable() or "\\" in inner:  # no wheel may hold such a name
            findings.append(PackageFinding(package=one.name, kind="unreadable", path=ascii(path)))
            continue
        source = files.open(path)
        recorded = one.files[path]
        if source is None:
            if posixpath.basename(inner) not in INSTALLERS_OWN:
                findings.append(PackageFinding(package=one.name, kind="missing", path=path, recorded=recorded))
            continue
        with source:
            found, record[inner] = _write(archive, inner, source, files.size(path), files.executable(path))
        if recorded is not None and recorded != found:
            findings.append(PackageFinding(package=one.name, kind="patched", path=path, recorded=recorded, found=found))
    info = f"{stem}.dist-info"
    own = {f"{info}/METADATA": one.metadata or f"Metadata-Version: 2.1\nName: {one.name}\nVersion: 0\n".encode()}
    own[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: replay\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    for inner, text in own.items():
        if inner not in record:
            record[inner] = _store(archive, inner, text)
    lines = [f"{_quoted(inner)},{said}\n" for inner, said in sorted(record.items())]
    _store(archive, f"{info}/RECORD", "".join([*lines, f"{info}/RECORD,,\n"]).encode("utf-8", "backslashreplace"))
    return findings


def _place(path: str, one: Distribution, sites: tuple[str, ...], stem: str) -> str | None:
    """Return where in the wheel a file belongs; None where every installer makes it anew."""
    if one.info and (path == one.info or path.startswith(f"{one.info}/")):
        inner = path[len(one.info) + 1 :] or "METADATA"
        if inner in INSTALLERS_OWN or inner == "WHEEL":
            return None
        return f"{stem}.dist-info/{'METADATA' if inner == 'PKG-INFO' else inner}"
    for site in (one.site, *sites):
        if path.startswith(f"{site}/"):
            return path[len(site) + 1 :]
    relative = path[len(prefix(one.site)) + 1 :]
    if relative.startswith("bin/"):
        name = relative.removeprefix("bin/")
        return None if name in one.scripts else f"{stem}.data/scripts/{name}"
    return f"{stem}.data/data/{relative}"


def _write(archive: zipfile.ZipFile, inner: str, source: IO[bytes], size: int, executable: bool) -> tuple[str, str]:
    """Copy one file; return the SHA-256 of the source and what RECORD says of the entry."""
    entry = _entry(inner, executable)
    begin = b""
    if ".data/scripts/" in inner:
        line = source.readline()
        begin, size = (b"#!python\n", size - len(line) + 9) if _SHEBANG.fullmatch(line) else (line, size)
        hashed = hashlib.sha256(line)
    else:
        hashed = hashlib.sha256()
    kept = hashlib.sha256(begin)
    entry.file_size = size
    with archive.open(entry, "w") as target:
        target.write(begin)
        while chunk := source.read(_CHUNK):
            hashed.update(chunk)
            kept.update(chunk)
            target.write(chunk)
    return _encoded(hashed.digest()), f"sha256={_encoded(kept.digest())},{entry.file_size}"


def _store(archive: zipfile.ZipFile, inner: str, data: bytes) -> str:
    archive.writestr(_entry(inner, False), data)
    return f"sha256={_encoded(hashlib.sha256(data).digest())},{len(data)}"


def _entry(inner: str, executable: bool) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(inner)
    entry.external_attr = (0o100755 if executable else 0o100644) << 16
    return entry


def _tag(one: Distribution, files: Files, interpreter: Interpreter) -> str:
    """Return the compatibility tag: the first that the distribution's own WHEEL names, else by what it holds."""
    said = (read(files, f"{one.info}/WHEEL") if one.info else None) or b""
    tags = re.findall(
        r"^Tag: *([A-Za-z0-9_.]+-[A-Za-z0-9_.]+-[A-Za-z0-9_.]+) *$", said.decode("utf-8", "replace"), re.M
    )
    if tags:
        return str(tags[0])
    compiled = any(path.endswith(".so") for path in one.files)
    return f"{interpreter.abi}-{interpreter.abi}-{interpreter.platforms[-1]}" if compiled else "py3-none-any"


def _version(text: str) -> str:
    """Return a version as PEP 440 writes it; what is none becomes a local label of 0."""
    from packaging.version import InvalidVersion, Version

    try:
        return str(Version(text))
    except InvalidVersion:
        return "0+" + (re.sub(r"[^a-z0-9]+", ".", text.lower()).strip(".") or "unknown")


def _encoded(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if any(letter in name for letter in ',"\n') else name
