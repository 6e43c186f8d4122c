"""All of an image but its packages, as a list of files by content: images built from one base are equal here."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
from collections.abc import Collection

from replay.digest import canonical
from replay.environment.distributions import is_bytecode
from replay.environment.rootfs import ImageFiles

_ENGINES_OWN = (
    "/dev",
    "/proc",
    "/run",
    "/sys",
    "/.dockerenv",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/mtab",
    "/etc/resolv.conf",
)
_TRACES = ("/tmp", "/var/cache", "/var/lib/apt/lists", "/var/lib/dpkg/status-old", "/var/log", "/var/tmp")  # noqa: S108
"""What an installation leaves behind and no job reads."""


def listing(files: ImageFiles, packages: Collection[str], claimed: Collection[str]) -> bytes:
    """Return the list: path to mode, owner and content of every file and link outside the packages.

    `packages` are the folders of packages, `claimed` files of theirs elsewhere. Left out: what the engine lays
    over every container, caches, logs and bytecode, folders (they hold nothing but names) and all times.
    """
    aside = (*_ENGINES_OWN, *_TRACES, *packages)
    listed: dict[str, list[str]] = {}
    for path, member in files.members.items():
        if member.isdir() or is_bytecode(path) or "/.cache/" in path or path in claimed or _below(path, aside):
            continue
        content = f"-> {member.linkname}" if member.issym() else member.type.decode("ascii", "replace")
        source = files.open(path) if member.isreg() or member.islnk() else None
        if source is not None:
            with source:
                content = "sha256:" + hashlib.file_digest(source, "sha256").hexdigest()  # type: ignore[arg-type]
        listed[_text(path)] = [f"{member.mode & 0o7777:o}", f"{member.uid}:{member.gid}", _text(content)]
    return canonical({"format": 1, "files": listed})


def differing(one: bytes, other: bytes) -> list[str]:
    """Return the paths that two lists do not agree on, sorted."""
    good, bad = json.loads(one)["files"], json.loads(other)["files"]
    return sorted(path for path in good.keys() | bad.keys() if good.get(path) != bad.get(path))


def _below(path: str, folders: Collection[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def _text(name: str) -> str:
    return os.fsencode(posixpath.normpath(name)).decode("utf-8", "backslashreplace")
