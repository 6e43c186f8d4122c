"""A base's one layer: the members that the recipe wants, sorted, by number, all of one time."""

from __future__ import annotations

import fnmatch
import io
import re
import tarfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import IO

from images.recipe import BuildError, Recipe

# What differs from machine to machine or from build to build, and what the engine lays over the image anyway.
EMPTIED = ("/dev", "/proc", "/run", "/sys", "/tmp", "/var/cache", "/var/lib/apt/lists", "/var/log", "/var/tmp")
DROPPED = (
    "/etc/.pwd.lock",
    "/etc/apt/apt.conf.d/99mmdebstrap",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/machine-id",
    "/etc/resolv.conf",
    "/var/lib/dbus/machine-id",
)


def write_layer(source: tarfile.TarFile, output: Path, recipe: Recipe, epoch: int) -> None:
    """Write the members of `source` that the recipe wants; `epoch` is their time. Raises BuildError."""
    members = {_path(member): member for member in source}
    wanted = _wanted(members, recipe, _purged(source, members, recipe.purge))
    kept = {path: members[path] for path in wanted if path in members}
    with tarfile.open(output, "w", format=tarfile.PAX_FORMAT) as layer:
        for path, member in kept.items():
            content: IO[bytes] | None = None
            if member.isreg() or (member.islnk() and "/" + member.linkname.removeprefix("./") not in kept):
                content = opened(source, member)
            if path == "/var/lib/dpkg/status" and recipe.purge:
                content = io.BytesIO(_without(content.read() if content else b"", recipe.purge))
            layer.addfile(_clean(member, path, content, epoch), content)


def _path(member: tarfile.TarInfo) -> str:
    return "/" + member.name.removeprefix(".").strip("/")


def _clean(member: tarfile.TarInfo, path: str, content: IO[bytes] | None, epoch: int) -> tarfile.TarInfo:
    clean = tarfile.TarInfo(path.lstrip("/") or ".")
    clean.mode, clean.uid, clean.gid, clean.mtime = member.mode, member.uid, member.gid, epoch
    clean.type, clean.linkname = member.type, member.linkname
    if member.islnk():
        clean.linkname = member.linkname.removeprefix("./")
    if content:
        clean.type, clean.linkname = tarfile.REGTYPE, ""
        clean.size = content.seek(0, io.SEEK_END)
        content.seek(0)
    return clean


def _wanted(paths: Iterable[str], recipe: Recipe, purged: set[str]) -> list[str]:
    """Return the paths to keep and the folders above them, sorted."""
    gone = {*DROPPED, *recipe.exclude} | purged
    beneath = tuple(f"{path}/" for path in (*EMPTIED, *recipe.exclude))
    wanted = {"/"}
    for path in paths:
        excepted = any(fnmatch.fnmatchcase(path, pattern) for pattern in recipe.keep)
        if excepted:
            wanted.update(str(parent) for parent in PurePosixPath(path).parents)
        if excepted or not (path in gone or path.startswith(beneath)):
            wanted.add(path)
    return sorted(wanted)


def _purged(source: tarfile.TarFile, members: dict[str, tarfile.TarInfo], packages: tuple[str, ...]) -> set[str]:
    """Return the files that dpkg says belong to `packages`, and dpkg's own about them. Folders stay."""
    gone: set[str] = set()
    for package in packages:
        owned = re.compile(rf"/var/lib/dpkg/info/{re.escape(package)}(:\w+)?\.\w+")
        about = [path for path in members if owned.fullmatch(path)]
        if not about:
            raise BuildError(f"cannot take {package} out", "it is not in the base", "mend `purge` in the recipe")
        gone.update(about)
        for path in about:
            if path.endswith(".list"):
                gone.update(opened(source, members[path]).read().decode().splitlines())
    return {path for path in gone if path in members and not members[path].isdir()}


def _without(status: bytes, packages: tuple[str, ...]) -> bytes:
    """Return dpkg's status without the stanzas of `packages`."""
    heads = tuple(f"Package: {package}\n" for package in packages)
    return "".join(f"{s}\n\n" for s in status.decode().strip().split("\n\n") if not s.startswith(heads)).encode()


def opened(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    """Return a member's content. Raises BuildError where it has none."""
    content = tar.extractfile(member)
    if content is None:
        raise BuildError(
            f"{member.name} has no content",
            "a damaged archive",
            "empty REPLAY_IMAGE_CACHE (~/.cache/replay/images) and build again",
        )
    return content
