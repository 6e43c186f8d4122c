"""Wheels unpacked once each, into folders named by what they are made of; trees are linked from them."""

from __future__ import annotations

import configparser
import csv
import io
import json
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from replay.digest import canonical, of_bytes, of_file
from replay.environment import archive, launchers
from replay.environment.base import Interpreter
from replay.environment.bytecode import Tool, compile_all
from replay.environment.packages import PackageSet, Wheel
from replay.errors import CorruptBlob, EngineError, NotFound, WheelError
from replay.store.base import Store
from replay.store.files import remove_tree, storing

FORMAT = 2
"""Raised when the same wheel would be unpacked to other bytes, or its files be noted otherwise."""

EPOCH = 315532800
"""1980-01-01: the time of every file, as in a zip archive that carries none."""

FILES = "files.json"
PREFIX = "prefix"

_MALFORMED = (
    *(AssertionError, LookupError, TypeError, ValueError, configparser.Error, csv.Error),
    *(FileExistsError, NotADirectoryError, IsADirectoryError),
)
"""What `installer` raises for a malformed wheel, besides its own errors."""


FileMark = tuple[int, int, str]
"""A file's size, inode and digest as it was unpacked."""


@dataclass(frozen=True)
class Unpacked:
    """A wheel as files: `prefix` is laid out like an environment; `files` are the paths in it, sorted."""

    prefix: Path
    files: Mapping[str, FileMark]


def short_version(interpreter: Interpreter) -> str:
    """Return X.Y, checked because paths are made of it and an image says what it likes. Raises EngineError."""
    version = interpreter.markers.get("python_version", "")
    if not re.fullmatch(r"\d{1,3}\.\d{1,3}", version):
        raise EngineError(
            f"the base's interpreter gives its version as {version!r}",
            cause="it is not a Python that Replay knows, or the image lies",
            do="choose a base with CPython 3.8 or newer",
        )
    return version


def site_packages(interpreter: Interpreter) -> str:
    """Return the path of site-packages in an environment of this interpreter. Raises EngineError."""
    return f"lib/python{short_version(interpreter)}/site-packages"


def unpack(packages: PackageSet, interpreter: Interpreter, store: Store, tool: Tool) -> dict[str, Unpacked]:
    """Return every wheel of the closure unpacked, with bytecode of this interpreter; only new ones are work.

    Files are read-only (0444, or 0555 where executable) with a fixed time. Raises WheelError where a wheel
    is not in the store, damaged or unsafe, StoreError where it cannot be written, and what `tool` raises.
    """
    cache = store.cache("unpacked")
    homes = {name: cache / _key(wheel, interpreter) for name, wheel in packages.wheels.items()}
    new = {name: packages.wheels[name] for name, home in homes.items() if not home.is_dir()}
    if new:
        _make(new, homes, interpreter, store, tool)
    return {name: _read(home) for name, home in homes.items()}


def _key(wheel: Wheel, interpreter: Interpreter) -> str:
    python = interpreter.model_dump(include={"version", "abi", "cache_tag", "magic"})
    made_of = {"format": FORMAT, "wheel": wheel.blob, "filename": wheel.filename, "python": python}
    return of_bytes(canonical(made_of)).removeprefix("sha256:")


def _read(home: Path) -> Unpacked:
    noted = json.loads((home / FILES).read_bytes())
    return Unpacked(home / PREFIX, {path: tuple(mark) for path, mark in noted.items()})


def _make(new: dict[str, Wheel], homes: dict[str, Path], interpreter: Interpreter, store: Store, tool: Tool) -> None:
    """Unpack in parallel, compile in one call of `tool`, move each wheel to its home."""
    folder = store.scratch("unpack")
    # Numbered, not named: a wheel's name must not reach its bytecode, and is not always a file name.
    scratch = {name: folder / str(number) for number, name in enumerate(new)}
    try:
        with storing("unpack wheels"):
            _unpack_all(new, scratch, interpreter, store)
            sites = {name: path / PREFIX / site_packages(interpreter) for name, path in scratch.items()}
            compile_all(folder, {str(site.relative_to(folder)): _modules(site) for site in sites.values()}, tool)
        with storing("keep unpacked wheels"):
            with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
                list(pool.map(_finish, scratch.values(), sites.values()))
            for name, path in scratch.items():
                move(path, homes[name])
    finally:
        remove_tree(folder)


def _unpack_all(new: dict[str, Wheel], scratch: dict[str, Path], interpreter: Interpreter, store: Store) -> None:
    with warnings.catch_warnings(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        warnings.simplefilter("ignore", RuntimeWarning)  # installer's, for each __pycache__ that it leaves out
        largest_first = sorted(new.items(), key=lambda item: -item[1].size)
        jobs = [pool.submit(_unpack, wheel, scratch[name], interpreter, store) for name, wheel in largest_first]
        for job in jobs:
            job.result()


def _unpack(wheel: Wheel, home: Path, interpreter: Interpreter, store: Store) -> None:
    """Write one wheel's files, as `installer` lays them out, with a RECORD of what was written."""
    from installer import install
    from installer.exceptions import InstallerError
    from installer.sources import WheelFile

    blob = verified(wheel, store)
    destination = _destination(home / PREFIX, interpreter, archive.identity(wheel.filename)[0])
    with archive.opened(blob, wheel.filename) as opened, _refusing(wheel.filename, (InstallerError, *_MALFORMED)):
        opened.filename = wheel.filename  # WheelFile reads the name there; the blob's own is its hash
        install(WheelFile(opened), destination, {"INSTALLER": b"replay\n"})


@contextmanager
def _refusing(filename: str, errors: tuple[type[Exception], ...]) -> Iterator[None]:
    """Make of what `installer` raises for a malformed wheel the error that says so."""
    try:
        yield
    except errors as error:
        raise archive.unsafe(filename, f"it is not a valid wheel: {error or type(error).__name__}") from error


def verified(wheel: Wheel, store: Store) -> Path:
    """Return a wheel's file, read and hashed again. Raises WheelError."""
    try:
        return store.path(wheel.blob)
    except (NotFound, CorruptBlob) as error:
        raise WheelError(
            f"the wheel {wheel.filename!r} is not in the store as it was locked: {error.what}",
            cause=error.cause,
            do="pull the state from where it is whole, or lock its requirements again",
        ) from error


def _destination(prefix: Path, interpreter: Interpreter, name: str) -> Any:
    from installer.destinations import SchemeDictionaryDestination
    from installer.records import RecordEntry
    from installer.utils import Scheme

    class Prefix(SchemeDictionaryDestination):
        """Writes below `prefix`, and scripts that can be moved."""

        def write_script(self, name: str, module: str, attr: str, section: str) -> RecordEntry:  # noqa: ARG002
            data = launchers.of_entry_point(name, module, attr)
            return self.write_to_fs(Scheme("scripts"), name, io.BytesIO(data), is_executable=True)

        def write_file(self, scheme: Any, path: Any, stream: BinaryIO, is_executable: bool) -> RecordEntry:
            if scheme == "scripts":
                stream, is_executable = io.BytesIO(launchers.of_script(stream.read())), True
            return self.write_to_fs(scheme, os.fspath(path), stream, is_executable)

    site = str(prefix / site_packages(interpreter))
    headers = prefix / f"include/site/python{short_version(interpreter)}" / name
    schemes = {"purelib": site, "platlib": site, "scripts": str(prefix / "bin")}
    schemes |= {"headers": str(headers), "data": str(prefix)}
    return Prefix(schemes, interpreter="python", script_kind="posix")


def _modules(site: Path) -> list[str]:
    return sorted(path.relative_to(site).as_posix() for path in site.rglob("*.py") if path.is_file())


def _finish(home: Path, site: Path) -> None:
    """Enter the bytecode in RECORD, make everything read-only with a fixed time, note the files."""
    _record_bytecode(site)
    files: dict[str, FileMark] = {}
    prefix = home / PREFIX
    for folder, _, names in os.walk(prefix):
        for path in (os.path.join(folder, name) for name in names):  # noqa: PTH118 (hot: every file of every wheel)
            status = os.stat(path)  # noqa: PTH116
            os.chmod(path, 0o555 if status.st_mode & 0o100 else 0o444)  # noqa: PTH101
            os.utime(path, (EPOCH, EPOCH))
            files[os.path.relpath(path, prefix)] = (status.st_size, status.st_ino, of_file(Path(path)))
    (home / FILES).write_text(json.dumps(files, sort_keys=True), encoding="utf-8")


def _record_bytecode(site: Path) -> None:
    (record,) = site.glob("*.dist-info/RECORD")
    rows = list(csv.reader(io.StringIO(record.read_text(encoding="utf-8"))))
    rows += [[path.relative_to(site).as_posix(), "", ""] for path in site.rglob("__pycache__/*.pyc")]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(sorted(rows))
    record.write_text(text.getvalue(), encoding="utf-8")


def move(made: Path, home: Path) -> None:
    """Rename a finished folder to its home; where another process was faster, its result is the same and stays.

    Raises OSError.
    """
    made.chmod(0o755)
    try:
        made.rename(home)
    except OSError:
        if not home.is_dir():
            raise
