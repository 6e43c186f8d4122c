"""A wheel from source, built once: by the base's own Python, in an environment of locked build requirements.

The interface between Replay and a build backend is PEP 517, the requirements are PEP 518's. The project's code runs
only where a job's would: in the engine, without network.
"""

from __future__ import annotations

import json
import tomllib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from replay.digest import canonical, of_bytes
from replay.environment import archive, closure
from replay.environment.base import Interpreter
from replay.environment.packages import PackageSet, Source, Wheel
from replay.errors import LockError
from replay.store.base import Store
from replay.store.files import remove_tree, storing, write_whole

FORMAT = 1
"""Raised when the same source would be built to other bytes."""

VARIABLES = {
    "SOURCE_DATE_EPOCH": "315532800",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PIP_NO_INDEX": "1",
    "TZ": "UTC",
    "LC_ALL": "C.UTF-8",
    "CFLAGS": "-g0",
    "CXXFLAGS": "-g0",
}
"""What makes two builds alike: 1980 is the first year a zip archive knows; debug information holds paths."""

LOG_LINES = 12

_LEGACY = {"build-backend": "setuptools.build_meta:__legacy__", "requires": ["setuptools>=40.8.0"]}
"""What PEP 517 says of a project that says nothing."""

_SCRIPT = """
import importlib, json, os, sys
with open("asked.json", encoding="utf-8") as file:
    asked = json.load(file)
here = os.getcwd()
os.chdir(asked["project"])
sys.path[:] = [os.path.join(os.getcwd(), path) for path in asked["path"]] + [path for path in sys.path if path]
name, _, attributes = asked["backend"].partition(":")
backend = importlib.import_module(name)
for attribute in attributes.split(".") if attributes else ():
    backend = getattr(backend, attribute)
if asked["step"] == "requires":
    hook = getattr(backend, "get_requires_for_build_wheel", None)
    answer = hook({}) if hook else []
else:
    os.mkdir(os.path.join(here, "made"))
    answer = backend.build_wheel(os.path.join(here, "made"), {})
with open(os.path.join(here, "answer.json"), "w", encoding="utf-8") as file:
    json.dump(answer, file)
"""


@dataclass(frozen=True)
class Ended:
    """How a script ended: exit code 0 is success; what it printed."""

    code: int | None
    log: str


class Workshop(Protocol):
    """Runs a Python script with the base's interpreter over a writable folder, as a job would run."""

    def __call__(self, packages: PackageSet, script: str, folder: Path, variables: Mapping[str, str]) -> Ended:
        """Run `script` in `folder`, with `packages` installed, without network. Raises EngineError."""
        ...


Resolve = Callable[[Sequence[str]], PackageSet]
"""Locks build requirements for the interpreter; raises LockError."""


@dataclass(frozen=True)
class Builder:
    """Builds wheels for one interpreter and keeps them in the store."""

    interpreter: Interpreter
    store: Store
    workshop: Workshop | None
    resolve: Resolve
    progress: Callable[[str], None]

    def build(self, origin: str, content: str | None, bring: Callable[[Path], Path], *, key: str) -> tuple[str, Wheel]:
        """Return name and wheel of a source; built where it was not built before in this store.

        `bring` puts the source into a new folder and returns the project's folder in it; `origin` and
        `content` are what the closure says of it (see `Source`); `key` tells one source from another. Raises
        LockError with the last lines of the log where it does not build.
        """
        kept = self.store.cache("built") / f"{self._key(key)}.json"
        known = _recall(kept)
        if known is not None and self.store.has(known.blob):
            return archive.identity(known.filename)[0], known
        if self.workshop is None:
            raise LockError(
                f"{origin} is not a wheel",
                cause="it would have to be built, and building runs its code on this machine",
                do="lock where an engine can build it, or ask for a version that has a wheel",
            )
        self.progress(f"building {origin}")
        folder = self.store.scratch("build")
        try:
            project = bring(folder / "source")
            needs, made = self._make(self.workshop, origin, project, folder)
            packed = folder / "packed.whl"
            with storing("keep a wheel that was built"):
                _repack(made, packed)
            name, wheel = closure.keep(packed, made.name, self.store)
            bought = {package: one.blob for package, one in needs.wheels.items()}
            wheel = wheel.model_copy(update={"source": Source(origin=origin, content=content, build=bought)})
            with storing("keep a wheel that was built"):
                write_whole(kept, wheel.encode(), folder / "built.json")
        finally:
            remove_tree(folder)
        return name, wheel

    def _key(self, key: str) -> str:
        target = self.interpreter.model_dump(mode="json", include=closure.TARGET)
        return of_bytes(canonical({"format": FORMAT, "source": key, "target": target})).removeprefix("sha256:")

    def _needs(self, origin: str, lines: Sequence[str]) -> PackageSet:
        try:
            return self.resolve(lines)
        except LockError as error:
            raise LockError(
                f"the source {origin!r} does not build: what its build requires cannot be had ({', '.join(lines)})",
                cause=f"{error.what}: {error.cause}",
                do=error.do,
            ) from error

    def _make(self, workshop: Workshop, origin: str, project: Path, folder: Path) -> tuple[PackageSet, Path]:
        """Ask the backend what it needs besides, then build; return the environment it had, and the wheel."""
        system = _system(origin, project)
        asked = {
            "project": str(project.relative_to(folder)),
            "path": system.get("backend-path", []),
            "backend": system.get("build-backend", _LEGACY["build-backend"]),
        }
        needs = self._needs(origin, system["requires"])
        more = _ask(workshop, origin, {**asked, "step": "requires"}, needs, folder)
        if more:
            needs = self._needs(origin, [*system["requires"], *more])
        filename = _ask(workshop, origin, {**asked, "step": "build"}, needs, folder)
        made = folder / "made" / str(filename)
        if made.parent != folder / "made" or not made.is_file() or made.is_symlink():
            raise _failed(origin, f"the build backend says it made {filename!r}, and there is no such file")
        return needs, made


def _ask(workshop: Workshop, origin: str, asked: dict[str, Any], packages: PackageSet, folder: Path) -> Any:
    (folder / "asked.json").write_text(json.dumps(asked), encoding="utf-8")
    answer = folder / "answer.json"
    answer.unlink(missing_ok=True)
    ended = workshop(packages, _SCRIPT, folder, VARIABLES)
    try:
        if ended.code == 0:
            return json.loads(answer.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        pass
    lines = [line.strip() for line in ended.log.splitlines() if line.strip()]
    raise _failed(origin, " | ".join(lines[-LOG_LINES:])[-1500:] or f"it ended with {ended.code}, without a word")


def _system(origin: str, project: Path) -> dict[str, Any]:
    """Return the project's [build-system] table, or what stands for one. Raises LockError."""
    file = project / "pyproject.toml"
    if not file.is_file():
        if not (project / "setup.py").is_file():
            raise _failed(origin, "it has neither pyproject.toml nor setup.py: it is no Python project")
        return dict(_LEGACY)
    try:
        table = tomllib.loads(file.read_bytes().decode("utf-8")).get("build-system", _LEGACY)
        wrong = [line for line in [*table["requires"], *table.get("backend-path", [])] if not isinstance(line, str)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _failed(origin, f"its pyproject.toml cannot be used: {error}") from error
    if wrong or any(Path(path).is_absolute() or ".." in Path(path).parts for path in table.get("backend-path", [])):
        raise _failed(origin, "its pyproject.toml has a [build-system] that is none")
    return dict(table)


def _failed(origin: str, cause: str) -> LockError:
    return LockError(
        f"the source {origin!r} does not build",
        cause=cause,
        do="read the last lines of its log above; a base with what it needs (a compiler, headers) may help, "
        "or ask for a version that has a wheel",
    )


def _recall(path: Path) -> Wheel | None:
    try:
        return Wheel.decode(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _repack(made: Path, packed: Path) -> None:
    """Write the wheel anew so that its bytes depend on its content alone: sorted, one time, plain modes, stored.

    Compressed bytes depend on the version of zlib.
    """
    with archive.opened(made, made.name) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as new:
        for entry in sorted(old.infolist(), key=lambda entry: (".dist-info/" in entry.filename, entry.filename)):
            if entry.is_dir():
                continue
            plain = zipfile.ZipInfo(entry.filename, (1980, 1, 1, 0, 0, 0))
            executable = entry.external_attr >> 16 & 0o111
            plain.create_system = 3
            plain.external_attr = (0o100755 if executable else 0o100644) << 16
            new.writestr(plain, old.read(entry))
