"""Real parts for the tests of the environment: wheels made here, interpreters of this host and of others."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path

from replay.engines import facts
from replay.environment import archive
from replay.environment.base import Base, Interpreter
from replay.environment.packages import PackageSet, Wheel
from replay.store.base import Store

Entry = tuple[str | zipfile.ZipInfo, bytes]

BASE = Base(kind="host", reference="host", python="3.11.2", os="Debian 12", machine="x86_64")
"""A host to bind on, where nothing of it matters."""

HERE = ("--no-index", "--find-links wheels")
"""Lines of requirements: the folder `wheels` beside them stands in for an index."""


@cache
def interpreter(executable: str = sys.executable) -> Interpreter:
    """The facts of an interpreter on this host."""
    command = [executable, *facts.FLAGS, facts.SCRIPT]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return facts.read(printed).interpreter


def target(python: str, glibc: tuple[int, int] = (2, 36)) -> Interpreter:
    """A CPython that this host need not have: enough to lock for it."""
    short = ".".join(python.split(".")[:2])
    here = interpreter()
    markers = {**here.markers, "python_version": short, "python_full_version": python, "implementation_version": python}
    platforms = facts.platform_tags("glibc", glibc, here.markers["platform_machine"])
    abi = "cp" + short.replace(".", "")
    return Interpreter(
        executable=f"/usr/bin/python{short}",
        version=python,
        abi=abi,
        cache_tag=abi.replace("cp", "cpython-"),
        magic="00000000",
        platforms=platforms,
        markers=markers,
    )


def tool(script: str, folder: Path) -> str:
    """Run a script with this host's interpreter, as the local engine does."""
    command = [interpreter().executable, "-c", script]
    return subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout


def wheel(
    folder: Path,
    name: str,
    version: str = "1.0",
    files: dict[str, str] | None = None,
    *,
    requires: tuple[str, ...] = (),
    tag: str = "py3-none-any",
    extra: tuple[Entry, ...] = (),
    metadata: str = "",
) -> Path:
    """Write a wheel: `files` with hashes in RECORD, `extra` zip entries as they are (for hostile ones)."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-{tag}.whl"
    info = f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {line}\n" for line in requires)
    held = dict(files or {})
    held[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}{needs}"
    held[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n"
    record = "".join(f"{inner},sha256={_hash(text)},{len(text)}\n" for inner, text in held.items())
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for inner, text in held.items():
            made.writestr(zipfile.ZipInfo(inner), text)
        for entry, data in extra:
            made.writestr(entry, data)
        made.writestr(zipfile.ZipInfo(f"{info}/RECORD"), record + f"{info}/RECORD,,\n")
    return path


def requirements(folder: Path, *lines: str, name: str = "requirements.txt") -> Path:
    """Write a requirements file."""
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def closure(store: Store, *files: Path) -> PackageSet:
    """Return the closure of these wheels, for this host's interpreter, as `lock` would have kept them."""
    wheels = {}
    for file in files:
        name, version = archive.identity(file.name)
        entry = store.put_file(file)
        wheels[name] = Wheel(version=version, filename=file.name, blob=entry.blob, size=entry.size)
    return PackageSet(python=interpreter().markers["python_version"], platform="any", wheels=wheels)


def versions(packages: PackageSet) -> dict[str, str]:
    """Return a closure's packages with their versions."""
    return {name: wheel.version for name, wheel in packages.wheels.items()}


def _hash(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
