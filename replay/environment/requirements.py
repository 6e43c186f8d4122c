"""What the user asked for: a requirements file with all that it includes. Nothing here asks an index.

The format is pip's (https://pip.pypa.io/en/stable/reference/requirements-file-format/).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from replay.digest import of_bytes, of_file
from replay.environment.fingerprint import fingerprint
from replay.environment.sources import Place, Sourced, sourced
from replay.errors import LockError

MOST_BYTES = 16 << 20
"""A requirements file larger than this is refused; the largest real ones have some 2 MB."""

_OTHER_LOCKS = re.compile(r"^(Pipfile\.lock|pdm\.lock)$")
_PROJECTS = {"pyproject.toml", "setup.py", "setup.cfg"}
_INCLUDE = re.compile(r"^(?:-r|--requirement|-c|--constraint)(?:\s+|=|(?<=-[rc]))\s*(?P<path>\S.*)$")
_CONSTRAINT = re.compile(r"^(?:-c|--constraint)")
_FIND_LINKS = re.compile(r"^(?:-f|--find-links)(?:\s+|=)\s*(?P<path>[^\s:]+)$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_CREDENTIALS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^/\s'\"]*@")
_QUERY = re.compile(r"(?P<url>[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"?#]*)\?[^\s'\"#]*")


@dataclass(frozen=True)
class Line:
    """A line for pip, its paths absolute, its ${VARIABLES} as they stand.

    `source` where it names source instead of a version; `asks` where it asks for a package at all.
    """

    text: str
    asks: bool = False
    source: Sourced | None = None


@dataclass(frozen=True)
class Requirements:
    """A requirements file as it was read.

    `key` is a digest of every line it and its includes hold, without credentials, and of the local files
    it names; `empty` where it asks for nothing; `hashed` where it carries hashes. `lines` are those of the
    file and all it includes, in one.
    """

    path: Path
    key: str
    empty: bool
    hashed: bool
    lines: tuple[Line, ...] = ()

    @property
    def sources(self) -> list[Sourced]:
        """What must be built before pip can be asked."""
        return [line.source for line in self.lines if line.source is not None]


def without_credentials(text: str) -> str:
    """Return `text` with user, password and query of every URL in it replaced by `***`."""
    return _QUERY.sub(r"\g<url>?***", _CREDENTIALS.sub(r"\g<scheme>***@", text))


def read(path: Path) -> Requirements:
    """Return what `path` asks for. Raises LockError where it cannot be read or is of another kind."""
    _refuse_other_kinds(path)
    reader = _Reader(Path(os.path.abspath(path)).parent)  # noqa: PTH100 - resolve() fails on hostile names
    reader.collect(path, constraint=False)
    text = without_credentials("\n".join(reader.key))
    asks = [line for line in reader.lines if line.asks]
    hashed = any("--hash" in line.text for line in asks)
    return Requirements(path, of_bytes(text.encode()), not asks, hashed, tuple(reader.lines))


class _Reader:
    """Reads a file and its includes; pip takes paths of packages from `root`, those of options from the file."""

    def __init__(self, root: Path) -> None:
        self.key: list[str] = []
        self.lines: list[Line] = []
        self._root = root
        self._seen: set[Path] = set()

    def collect(self, path: Path, *, constraint: bool) -> None:
        text = _text(path)
        if path.resolve() in self._seen:
            return
        self._seen.add(path.resolve())
        for raw in _logical_lines(text):
            line = _expanded(raw)
            self.key.append(line)
            include = _INCLUDE.match(line)
            if include:
                self._include(path, line, include["path"].strip("\"'"), constraint)
            elif not constraint:
                self._add(path, raw, line)

    def _include(self, path: Path, line: str, target: str, constraint: bool) -> None:
        if "://" in target:
            raise _refusal(path, f"{line!r} includes a file from the network", "keep a copy and include that")
        only = _CONSTRAINT.match(line) is not None
        if only and not constraint:
            self.lines.append(Line(f"-c {(path.parent / target).resolve()}"))
        self.collect(path.parent / target, constraint=constraint or only)

    def _add(self, path: Path, raw: str, line: str) -> None:
        source = sourced(line, self._root)
        found = _FIND_LINKS.match(line)
        if source is not None:
            self.key += _content(source.place)
            self.lines.append(Line(raw, asks=True, source=source))
        elif line.startswith(("-e", "--editable")):
            raise _refusal(
                path,
                f"{line!r} is editable and there is no such project",
                "correct its path or URL: only folders and git repositories can be editable",
            )
        elif found and (path.parent / found["path"]).exists():
            self.lines.append(Line(f"--find-links {(path.parent / found['path']).resolve()}"))
        elif line.startswith("-"):
            self.lines.append(Line(raw))
        else:
            self._add_package(raw, line)

    def _add_package(self, raw: str, line: str) -> None:
        """A wheel named by path can change under its name: its digest is part of the key."""
        named = line.partition(" @ ")[2].strip() or line
        place = re.split(r"\s|;", named.removeprefix("file://"), maxsplit=1)[0].partition("#")[0]
        file = self._root / place
        try:
            local = file.is_file()
            self.key += [of_file(file)] if local else []
        except OSError:
            local = False
        absolute = local and " @ " not in line and "://" not in line
        self.lines.append(Line(raw.replace(place, str(file), 1) if absolute else raw, asks=True))


def _content(place: Place) -> list[str]:
    """Return what a place holds now; a repository stays as it was locked until `upgrade` asks."""
    if place.kind == "folder":
        return [fingerprint(Path(place.url))]
    return [of_file(Path(place.url))] if place.kind == "archive" and "://" not in place.url else []


def _logical_lines(text: str) -> list[str]:
    """Return the lines as pip joins and strips them: continuations, comments."""
    joined = re.sub(r"\\\r?\n", "", text)
    stripped = (re.sub(r"(^|\s+)#.*$", "", line).strip() for line in joined.splitlines())
    return [line for line in stripped if line]


def _expanded(line: str) -> str:
    return _VARIABLE.sub(lambda found: os.environ.get(found[1]) or found[0], line)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise _refusal(path, f"it is larger than {MOST_BYTES >> 20} MiB", "name a requirements file")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LockError(
            f"the requirements {str(path)!r} cannot be read",
            cause=reason,
            do="correct [runtime] requirements in replay.toml, or the -r or -c line that names it",
        ) from error
    try:
        return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refusal(path, f"it is not UTF-8 ({error.reason} at byte {error.start})", "save it as UTF-8") from error


def _refuse_other_kinds(path: Path) -> None:
    if _OTHER_LOCKS.match(path.name):
        raise _refusal(
            path,
            "Replay does not read this kind of lock",
            "export it: `pdm export --format pylock -o pylock.toml`, "
            "or `pipenv requirements --hash > requirements.txt`, and name that",
        )
    if path.name in _PROJECTS:
        raise _refusal(
            path,
            "it describes a project to build, not a list of packages",
            f"write a requirements.txt, or make one: `pip-compile --generate-hashes {path.name}`",
        )


def _refusal(path: Path, cause: str, do: str) -> LockError:
    return LockError(f"the requirements {str(path)!r} cannot be locked", cause=without_credentials(cause), do=do)
