"""Locks that other tools wrote, taken as they are: which files a target installs, each with its hash.

`pylock.toml` is read and selected from by `packaging.pylock` (PEP 751,
https://packaging.python.org/en/latest/specifications/pylock-toml/); `uv.lock` and `poetry.lock` are first
brought into its form. Nothing here asks an index.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote, urlsplit

from replay.environment import poetrylock, uvlock
from replay.environment.base import Interpreter
from replay.environment.selection import Selection, known, refusal
from replay.errors import LockError

if TYPE_CHECKING:
    from packaging.pylock import Package, Pylock
    from packaging.tags import Tag

MOST_BYTES = 64 << 20
"""A lock larger than this is refused; the largest real ones have some 10 MB."""

_KINDS = re.compile(r"^(pylock(\.[^.]+)?\.toml|uv\.lock|poetry\.lock)$")
_PLAIN = re.compile(r"^[^/\\\x00-\x1f]{1,255}$")


@dataclass(frozen=True)
class Pick:
    """One distribution that a lock chooses for a target.

    A `wheel`, `sdist` or `archive` is a file: at `url` (a path is a file URL) or, where that is None, the
    file called `filename` on `index`, or on pip's own; `hashes` maps algorithm to hex digits. `vcs` is the
    repository at `url` at `commit`, `folder` the folder at `url`; `subdirectory` is where the project lies in it.
    """

    kind: Literal["wheel", "sdist", "archive", "vcs", "folder"]
    name: str
    version: str | None
    url: str | None = None
    filename: str = ""
    hashes: Mapping[str, str] | None = None
    commit: str = ""
    subdirectory: str = ""
    index: str | None = None


def is_lock(path: Path) -> bool:
    """Whether `path` is called as a lock that is read here."""
    return _KINDS.match(path.name) is not None


def select(path: Path, interpreter: Interpreter, selection: Selection) -> list[Pick]:
    """Return what the lock at `path` installs on the target, by name.

    The project in the lock's own folder is left out: its code is the job's, and that is another layer.
    Raises LockError where it is no lock, is for another Python or platform, names a package twice, lacks a
    hash, or has no such extra or group.
    """
    from packaging.pylock import PylockSelectError, PylockValidationError

    document = read(path)
    try:
        lock = _pylock(path, document, interpreter, selection)
        chosen = lock.select(
            environment=_environment(interpreter),
            tags=tags(interpreter),
            extras=selection.extras,
            dependency_groups=selection.groups,
        )
        picks = [_pick(path, package, source) for package, source in chosen]
    except PylockSelectError as error:
        raise _for_another(path, interpreter, str(error)) from error
    except (PylockValidationError, KeyError, TypeError, AttributeError, ValueError) as error:
        detail = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise refusal(path, f"it is not a valid lock: {detail}", "write it anew with the tool that made it") from error
    own = path.absolute().parent.resolve().as_uri()
    return sorted((pick for pick in picks if pick.url != own), key=lambda pick: pick.name)


def read(path: Path) -> dict[str, Any]:
    """Return the TOML document at `path`. Raises LockError."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise refusal(path, f"it is larger than {MOST_BYTES >> 20} MiB", "name a lock")
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise LockError(
            f"the lock {str(path)!r} cannot be read",
            cause=error.strerror or str(error),
            do="correct [runtime] requirements in replay.toml",
        ) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise refusal(path, f"it is not TOML: {error}", "write it anew with the tool that made it") from error


def tags(interpreter: Interpreter) -> list[Tag]:
    """Return the wheel tags that the target takes, best first (PEP 425)."""
    from packaging.tags import compatible_tags, cpython_tags, generic_tags

    major, minor = (int(part) for part in interpreter.markers["python_version"].split("."))
    platforms = interpreter.platforms
    if interpreter.abi.startswith("cp"):
        own = list(cpython_tags((major, minor), [interpreter.abi], platforms))
    else:
        own = list(generic_tags(f"{interpreter.abi[:2]}{major}{minor}", [interpreter.abi], platforms))
    return own + list(compatible_tags((major, minor), f"{interpreter.abi[:2]}{major}{minor}", platforms))


def _environment(interpreter: Interpreter) -> Any:
    return dict(interpreter.markers)


def _pylock(path: Path, document: dict[str, Any], interpreter: Interpreter, selection: Selection) -> Pylock:
    from packaging.pylock import Pylock

    if path.name == "uv.lock":
        return uvlock.convert(path, document, interpreter.markers, selection)
    if path.name == "poetry.lock":
        return poetrylock.convert(path, document, interpreter.markers, selection)
    lock = Pylock.from_dict(document)
    known(path, "extra", selection.extras, lock.extras or ())
    known(path, "group", selection.groups or (), lock.dependency_groups or ())
    return lock


def _pick(path: Path, package: Package, source: Any) -> Pick:
    from packaging.pylock import PackageArchive, PackageDirectory, PackageVcs, PackageWheel

    version = None if package.version is None else str(package.version)
    url = _url(path, source)
    if isinstance(source, PackageVcs):
        location = f"{source.type}+{url}"
        return Pick(
            "vcs", package.name, version, location, commit=source.commit_id, subdirectory=source.subdirectory or ""
        )
    if isinstance(source, PackageDirectory):
        return Pick("folder", package.name, version, url, subdirectory=source.subdirectory or "")
    hashes = _usable(path, package.name, source.hashes)
    if isinstance(source, PackageArchive):
        filename = _plain(path, unquote(urlsplit(url or "").path.rpartition("/")[2]))
        kind: Literal["wheel", "archive"] = "wheel" if filename.endswith(".whl") else "archive"
        return Pick(kind, package.name, version, url, filename, hashes, subdirectory=source.subdirectory or "")
    filename = _plain(path, source.filename)
    what: Literal["wheel", "sdist"] = "wheel" if isinstance(source, PackageWheel) else "sdist"
    return Pick(what, package.name, version, url, filename, hashes, index=package.index)


def _url(path: Path, source: Any) -> str | None:
    """Return where a source lies: its path, as a file URL, comes before its URL (PEP 751)."""
    local: str | None = getattr(source, "path", None)
    if local is not None:
        return (path.absolute().parent / local).resolve().as_uri()
    url = getattr(source, "url", None)
    return None if url is None else str(url)


def _usable(path: Path, name: str, hashes: Mapping[str, str]) -> dict[str, str]:
    strong = {
        algorithm: digits.lower()
        for algorithm, digits in hashes.items()
        if (algorithm, len(digits)) in {("sha256", 64), ("sha384", 96), ("sha512", 128)}
    }
    if not strong:
        raise refusal(
            path,
            f"{name} has no hash in it that proves its file (sha256, sha384 or sha512)",
            "write it anew with hashes; without them nobody can tell which file was meant",
        )
    return strong


def _plain(path: Path, filename: str) -> str:
    if not _PLAIN.match(filename) or filename in (".", ".."):
        raise refusal(path, f"{filename!r} is no file name", "write it anew with the tool that made it")
    return filename


def _for_another(path: Path, interpreter: Interpreter, said: str) -> LockError:
    target = f"Python {interpreter.version} on {interpreter.platforms[0]}"
    if said.startswith("Multiple packages"):
        return refusal(path, f"it is in conflict with itself: {said}", "resolve it anew with the tool that made it")
    return refusal(
        path,
        f"it is not for {target}: {said}",
        "lock again for this Python and platform too, or choose a base that it is for",
    )
