"""The environment of a job: a folder of links to unpacked wheels that any Python of the base's kind can run from.

Laid out as a virtual environment (PEP 405): `bin/python` points into the base, `pyvenv.cfg` hides the base's own
packages. It can be mounted anywhere.
"""

from __future__ import annotations

import errno
import filecmp
import importlib.util
import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from replay.digest import canonical, of_bytes
from replay.environment.base import Interpreter
from replay.environment.bytecode import Tool
from replay.environment.packages import PackageSet
from replay.environment.proof import NOBODY, changed, refusal, set_aside
from replay.environment.wheels import EPOCH, FORMAT, Unpacked, short_version, site_packages, unpack, verified
from replay.environment.wheels import move as move_into_place
from replay.errors import WheelError
from replay.progress import Progress, silent
from replay.store.base import Store
from replay.store.files import remove_tree, storing

FINDINGS = "findings.json"
_LINKERS = 2
"""How many threads link: two take half the time of one, more wait for one another in the file system."""

_NO_LINK = {errno.EXDEV, errno.EMLINK, errno.EPERM, errno.ENOTSUP}


@dataclass(frozen=True)
class Tree:
    """An assembled environment: its folder, and what was found wrong with the packages in it."""

    path: Path
    findings: tuple[str, ...]


@dataclass(frozen=True)
class Content:
    """What stands in an environment: which wheel's file at each path, and the environment's own files.

    An own file is its text, or `->` and the target of a symbolic link.
    """

    owners: dict[str, str]
    own: dict[str, str]


def assemble(
    packages: PackageSet,
    interpreter: Interpreter,
    store: Store,
    tool: Tool,
    progress: Progress = silent,
    *,
    thorough: bool = False,
) -> Tree:
    """Return the tree of a closure, made of links where it is new, reused where it is there.

    Named by the digest of the interpreter and the wheels: the same on every machine, byte for byte. Where two
    wheels hold the same path with different content, that of the later name stands and a finding says so.
    Whether it still holds what was unpacked is proved each time; with `thorough` every file of it, and every wheel, is
    read for that.
    Raises WheelError (missing, damaged, unsafe, a file of one is a folder of another, or the tree is not what was
    unpacked), StoreError, and what `tool` raises (see `unpack`).
    """
    home = store.cache("trees") / digest(packages, interpreter).removeprefix("sha256:")
    if not home.is_dir():
        progress(f"assembling an environment of {len(packages.wheels)} packages")
    wheels = unpack(packages, interpreter, store, tool)
    content = settle(wheels, packages, interpreter)
    if not home.is_dir():
        made = store.scratch("tree")
        try:
            with storing("assemble an environment"):
                _fill(made, wheels, content, interpreter)
                move_into_place(made, home)
        finally:
            remove_tree(made)
    _prove(home, content, wheels, packages, store, thorough=thorough)
    return Tree(home, tuple(json.loads(content.own[FINDINGS])))


def _prove(
    home: Path, content: Content, wheels: dict[str, Unpacked], packages: PackageSet, store: Store, *, thorough: bool
) -> None:
    """Raise WheelError, and move what is damaged out of the way, unless a tree is what was unpacked."""
    for wheel in packages.wheels.values() if thorough else ():
        verified(wheel, store)
    with storing("prove an environment"):
        found = changed(home, content.owners, content.own, wheels, thorough=thorough)
    if found:
        damaged = [wheels[name].prefix.parent for name in sorted(set(found.values()) - {NOBODY})]
        place = set_aside(store, home, *damaged)
        raise refusal(found, {name: wheel.version for name, wheel in packages.wheels.items()}, place)


def digest(packages: PackageSet, interpreter: Interpreter) -> str:
    """Return the digest of what a tree is made of."""
    python = interpreter.model_dump(include={"executable", "version", "abi", "cache_tag", "magic"})
    wheels = {name: [wheel.blob, wheel.filename] for name, wheel in packages.wheels.items()}
    return of_bytes(canonical({"format": FORMAT, "python": python, "wheels": wheels}))


def settle(wheels: dict[str, Unpacked], packages: PackageSet, interpreter: Interpreter) -> Content:
    """Return what stands at every path of an environment. Raises WheelError (see `assemble`)."""
    own = _own_files(interpreter)
    owners, findings = _merge(wheels, packages, set(own))
    return Content(owners, own | {FINDINGS: json.dumps(findings)})


def _fill(tree: Path, wheels: dict[str, Unpacked], content: Content, interpreter: Interpreter) -> None:
    # Hot, and once a probe: thousands of files and folders, so no Path for each.
    inside = sorted(folders_of([*content.own, *content.owners, f"{site_packages(interpreter)}/."]))
    folders = [str(tree), *(f"{tree}/{folder}" for folder in inside)]
    for folder in folders[1:]:
        os.mkdir(folder)  # noqa: PTH102
    owned = defaultdict[str, list[str]](list)
    for path, name in content.owners.items():
        owned[name].append(path)
    with ThreadPoolExecutor(_LINKERS) as pool:
        jobs = [pool.submit(_link_all, str(wheels[name].prefix), str(tree), paths) for name, paths in owned.items()]
        for job in jobs:
            job.result()
    for name, text in content.own.items():
        _write_own(tree / name, text)
    for folder in reversed(folders):
        # A job that writes into its packages fails here as it does under a container's read-only mount.
        os.chmod(folder, 0o555)  # noqa: PTH101, S103
        os.utime(folder, (EPOCH, EPOCH))


def _own_files(interpreter: Interpreter) -> dict[str, str]:
    """Return the environment's own files but for the findings; see `Content`."""
    executable = PurePosixPath(interpreter.executable)
    settings = f"home = {executable.parent}\ninclude-system-site-packages = false\nversion = {interpreter.version}\n"
    links = {"bin/python3": "->python", f"bin/python{short_version(interpreter)}": "->python"}
    return {"bin/python": f"->{executable}", **links, "pyvenv.cfg": settings, FINDINGS: ""}


def _write_own(path: Path, content: str) -> None:
    if content.startswith("->"):
        path.symlink_to(content[2:])
    else:
        path.write_text(content, encoding="utf-8")
        path.chmod(0o444)
    os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)


def _merge(wheels: dict[str, Unpacked], packages: PackageSet, reserved: set[str]) -> tuple[dict[str, str], list[str]]:
    """Return whose file stands at each path, and the findings. Names in sorted order: the later wins."""
    owners: dict[str, str] = {}
    findings: list[str] = []
    for name in sorted(wheels):
        for path in wheels[name].files:
            if path in reserved:
                findings.append(f"{packages.wheels[name].filename} holds {path!r}, which is the environment's own")
                continue
            earlier = owners.get(path)
            if earlier is not None and not path.endswith(".pyc") and _differ(wheels, earlier, name, path):
                findings.append(f"{earlier} and {name} both hold {path!r} with different content: {name}'s stands")
            owners[path] = name
    _refuse_file_as_folder(owners)
    _drop_orphaned_bytecode(owners)
    return owners, findings


def _differ(wheels: dict[str, Unpacked], one: str, other: str, path: str) -> bool:
    return not filecmp.cmp(wheels[one].prefix / path, wheels[other].prefix / path, shallow=False)


def folders_of(paths: Iterable[str]) -> dict[str, str]:
    """Return every folder above `paths`, each with one path below it."""
    folders: dict[str, str] = {}
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in folders:
            folders[folder] = path
            folder = folder.rpartition("/")[0]
    return folders


def _refuse_file_as_folder(owners: dict[str, str]) -> None:
    folders = folders_of(owners)
    for path in sorted(owners.keys() & folders.keys()):
        raise WheelError(
            f"the packages {owners[path]} and {owners[folders[path]]} cannot be installed together",
            cause=f"{path!r} is a file of the one and a folder of the other",
            do="require another version of one of them, or leave it out",
        )


def _drop_orphaned_bytecode(owners: dict[str, str]) -> None:
    """Unchecked bytecode must be that of the very source beside it: drop what another wheel's source left."""
    for path in [path for path in owners if path.endswith(".pyc")]:
        if "/__pycache__/" in path and owners.get(importlib.util.source_from_cache(path)) != owners[path]:
            del owners[path]


def _link_all(prefix: str, tree: str, paths: list[str]) -> None:
    for path in paths:
        _link(f"{prefix}/{path}", f"{tree}/{path}")


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        shutil.copy2(source, target)
