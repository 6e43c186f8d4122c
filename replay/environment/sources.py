"""Requirements that name source instead of a version: folders, source archives, repositories. Pure but for `stat`.

The forms are pip's (https://pip.pypa.io/en/stable/reference/requirements-file-format/, .../topics/vcs-support/) and
PEP 508's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

Kind = Literal["folder", "archive", "vcs"]

ARCHIVES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar", ".zip")
_EDITABLE = re.compile(r"^(?:-e|--editable)(?:\s+|=|(?<=-e))\s*(?P<rest>\S.*)$")
_OPTION = re.compile(r"\s+--[a-z].*$")
_NAMED = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?P<extras>\[[^\]]*\])?\s*@\s*(?P<place>\S.*)$")
_MARKER = re.compile(r"\s*;\s(?P<marker>.+)$|\s+;(?P<other>.+)$")
_EXTRAS = re.compile(r"^(?P<place>[^\[\]]+)(?P<extras>\[[^\]]*\])$")
_HASH = re.compile(r"--hash[= ]([a-z0-9]+):([0-9A-Fa-f]+)")


@dataclass(frozen=True)
class Place:
    """Where source lies: a `folder`, an `archive` (a path or URL), or a repository (`vcs`) at a `revision`.

    `within` is the folder in it that holds the project.
    """

    kind: Kind
    url: str
    revision: str | None = None
    within: str = ""


@dataclass(frozen=True)
class Sourced:
    """A line of requirements that names source: `line` as it stands, what is wanted of it, and when."""

    line: str
    place: Place
    extras: str = ""
    marker: str = ""
    hashes: tuple[tuple[str, str], ...] = ()


def sourced(line: str, folder: Path) -> Sourced | None:
    """Return what a logical line asks for where it names source (relative to `folder`), else None."""
    editable = _EDITABLE.match(line)
    asked = editable["rest"] if editable else line
    hashes = tuple((algorithm, digits.lower()) for algorithm, digits in _HASH.findall(asked))
    asked = _OPTION.sub("", asked)
    marked = _MARKER.search(asked)
    marker = (marked["marker"] or marked["other"]).strip() if marked else ""
    asked = asked[: marked.start()] if marked else asked
    named = _NAMED.match(asked)
    extras, location = (named["extras"] or "", named["place"]) if named else ("", asked)
    if not named and (suffixed := _EXTRAS.match(asked)):
        extras, location = suffixed["extras"], suffixed["place"]
    place = placed(location.strip(), folder)
    if place is None:
        return None
    egg = re.search(r"[#&]egg=[^&\[]*(\[[^\]]*\])", line)
    return Sourced(line, place, extras or (egg[1] if egg else ""), marker, hashes)


def placed(location: str, folder: Path) -> Place | None:
    """Return the place that a location (URL or path) means, None where it is a wheel or no place at all."""
    parts = urlsplit(location)
    fragment = parse_qs(parts.fragment)
    within = fragment.get("subdirectory", [""])[0]
    plain = location.partition("#")[0]
    if "+" in parts.scheme or parts.scheme == "git":
        return _repository(plain, within)
    if parts.scheme in ("http", "https"):
        return Place("archive", plain, within=within) if _is_archive(parts.path) else None
    path = Path(unquote(parts.path)) if parts.scheme == "file" else folder / plain
    if path.is_dir() and (parts.scheme == "file" or plain.startswith((".", "/")) or "/" in plain):
        return Place("folder", str(path), within=within)
    return Place("archive", str(path), within=within) if _is_archive(plain) and path.is_file() else None


def _repository(url: str, within: str) -> Place:
    """Split `git+https://host/path@revision`; an `@` before the path is part of the host."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    path, at, revision = path.rpartition("@") if "@" in path else (path, "", "")
    return Place("vcs", f"{scheme}://{host}{slash}{path}", revision if at else None, within)


def _is_archive(path: str) -> bool:
    return path.lower().endswith(ARCHIVES)
