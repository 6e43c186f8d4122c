"""Whether an assembled environment still is what was unpacked: a fact for each of its files.

Every file of an environment is of one time and has the size and inode that were noted when its wheel was unpacked,
together with its digest. A file whose marks still fit was not written to; one whose marks do not is read and hashed.
Marks can be forged by whoever may write here, so a proof on request reads every file.
"""

from __future__ import annotations

import os
import secrets
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from replay.digest import of_file
from replay.environment.wheels import EPOCH, FileMark, Unpacked
from replay.environment.wheels import move as move_into_place
from replay.errors import WheelError
from replay.store.base import Store
from replay.store.files import storing

_TIME = EPOCH * 10**9
NOBODY = ""
"""The package of a file that no package brought."""


def changed(
    tree: Path, owners: Mapping[str, str], own: Mapping[str, str], wheels: Mapping[str, Unpacked], *, thorough: bool
) -> dict[str, str]:
    """Return the files of a tree that are not as they were unpacked, added or missing ones too, with their packages.

    `owners` and `own` say what must stand in it (see `replay.environment.tree.Content`). `thorough` reads every
    file; else only those whose marks do not fit. Raises OSError.
    """
    root = str(tree)
    found = {
        path: name
        for path, name in owners.items()
        if not _whole(f"{root}/{path}", wheels[name].files[path], thorough=thorough)
    }
    found |= {path: NOBODY for path, text in own.items() if _own(f"{root}/{path}") != text}
    return found | dict.fromkeys(_added(root, [*owners, *own], thorough=thorough), NOBODY)


def set_aside(store: Store, *folders: Path) -> Path:
    """Move damaged folders out of the cache, so that they are made anew; return where they can be looked at.

    Raises StoreError.
    """
    place = store.cache("damaged") / secrets.token_hex(4)
    with storing("set a damaged environment aside"):
        place.mkdir()
        for folder in folders:
            if folder.is_dir():
                move_into_place(folder, place / folder.name)
    return place


def refusal(found: Mapping[str, str], versions: Mapping[str, str], place: Path) -> WheelError:
    """Return the error that names the packages and files that are not as they were unpacked."""
    shown = [f"{_package(name, versions)}: {path!r}" for path, name in sorted(found.items())[:3]]
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return WheelError(
        f"the environment is not what was unpacked; other than it was is {'; '.join(shown)}{more}",
        cause="somebody or some job wrote into the store's cache, or the disk lost what was written",
        do=f"look at it in {place}, then repeat: it is unpacked anew from its wheels",
    )


def _package(name: str, versions: Mapping[str, str]) -> str:
    return f"{name} {versions[name]}" if name else "of no package"


def _whole(path: str, mark: FileMark, *, thorough: bool) -> bool:
    size, inode, digest = mark
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return False
    if not thorough and (status.st_mtime_ns, status.st_size, status.st_ino) == (_TIME, size, inode):
        return True
    return not os.path.islink(path) and os.path.isfile(path) and of_file(Path(path)) == digest  # noqa: PTH113, PTH114


def _own(path: str) -> str | None:
    """Return one of the environment's own files in the form of `Content.own`, None where there is none."""
    place = Path(path)
    if place.is_symlink():
        return f"->{place.readlink()}"
    return place.read_text(encoding="utf-8", errors="replace") if place.is_file() else None


def _added(root: str, expected: Iterable[str], *, thorough: bool) -> Iterator[str]:
    """Yield what stands in folders and does not belong there. A folder that nothing was put into has its old time."""
    held: dict[str, set[str]] = defaultdict(set)
    for path in expected:
        folder, _, name = path.rpartition("/")
        while name not in held[folder]:
            held[folder].add(name)
            if not folder:
                break
            folder, _, name = folder.rpartition("/")
    for folder, names in held.items():
        place = f"{root}/{folder}" if folder else root
        if not os.path.isdir(place):  # noqa: PTH112 - a file in a folder's place: its files are missing, and named
            continue
        if thorough or os.lstat(place).st_mtime_ns != _TIME:
            yield from (f"{folder}/{name}".lstrip("/") for name in os.listdir(place) if name not in names)  # noqa: PTH208
