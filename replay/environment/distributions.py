"""Which installed distribution each file of an existing site-packages belongs to. Metadata is read, no code is run.

Sources: RECORD (https://packaging.python.org/en/latest/specifications/recording-installed-packages/), the
`installed-files.txt` of older installers, and the file lists of dpkg for what Debian installed.
"""

from __future__ import annotations

import csv
import io
import posixpath
import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from email.parser import BytesHeaderParser

from replay.environment.rootfs import Files, read
from replay.record import PackageFinding

UNOWNED = "files-of-no-package"
"""The package that stands for files in site-packages which no distribution lists."""

INSTALLERS_OWN = {"RECORD", "RECORD.jws", "RECORD.p7s", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"}
"""What an installer notes about itself in a distribution's folder: no part of the package."""

_METADATA = ("METADATA", "PKG-INFO")
_DPKG = "/var/lib/dpkg/info"


@dataclass
class Distribution:
    """An installed distribution: `info` is its metadata folder (or file), `site` the folder it is installed into.

    `files` maps each of its files to the SHA-256 that RECORD gives it (URL-safe base 64 without padding), None
    where it gives none. `metadata` is the text of its METADATA, `scripts` the names of its entry points.
    """

    name: str
    version: str
    site: str
    info: str = ""
    files: dict[str, str | None] = field(default_factory=dict)
    metadata: bytes = b""
    scripts: frozenset[str] = frozenset()


@dataclass
class Found:
    """What the folders of a Python's packages hold, every file in exactly the distribution it belongs to."""

    distributions: dict[str, Distribution] = field(default_factory=dict)
    findings: list[PackageFinding] = field(default_factory=list)

    @property
    def claimed(self) -> set[str]:
        """Every path that belongs to a distribution."""
        return {path for one in self.distributions.values() for path in one.files}


def find(files: Files, sites: Sequence[str]) -> Found:
    """Return the distributions in `sites` (in the order of Python's path: of two with one name the first counts).

    A file that no distribution lists belongs to the one whose folder it lies in, with a finding, else to UNOWNED.
    """
    found, debian = Found(), _Debian(files)
    for site in sites:
        paths = [path for path in files.inside(site) if not is_bytecode(path)]
        infos = sorted(
            {_first(site, path) for path in paths if _first(site, path).endswith((".dist-info", ".egg-info"))}
        )
        for info in infos:
            _add(found, files, debian, posixpath.join(site, info), paths)
        _share_out_the_rest(found, site, paths, {posixpath.join(site, info) for info in infos})
    return found


def is_bytecode(path: str) -> bool:
    """Whether a file is bytecode that Python makes by itself from the source beside it."""
    return "/__pycache__/" in path


def _add(found: Found, files: Files, debian: _Debian, info: str, paths: Sequence[str]) -> None:
    site = posixpath.dirname(info)
    metadata = next((text for text in (read(files, f"{info}/{name}") for name in _METADATA) if text is not None), None)
    metadata = read(files, info) if metadata is None else metadata
    headers = BytesHeaderParser().parsebytes(metadata or b"")
    name, version = _text(headers["Name"]), _text(headers["Version"])
    label = posixpath.basename(info)
    if not name or not version or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        found.findings.append(PackageFinding(package=label, kind="unreadable", path=info))
        return
    one = Distribution(_normal(name), version, site, info, metadata=metadata or b"")
    one.files = _listed(files, one) or debian.beside(info, paths)
    own = paths[bisect_left(paths, f"{info}/") : bisect_left(paths, f"{info}0")]  # "0" is what comes after "/"
    one.files |= {path: one.files.get(path) for path in ([info] if info in paths else own)}
    one.scripts = frozenset(_entry_points(read(files, f"{info}/entry_points.txt") or b""))
    known = found.distributions.get(one.name)
    if known is not None:
        found.findings.append(PackageFinding(package=one.name, kind="shadowed", path=info, found=version))
        known.files |= {path: None for path in one.files if known.site == site and not path.startswith(info)}
        return
    if b'"editable": true' in (read(files, f"{info}/direct_url.json") or b""):
        found.findings.append(PackageFinding(package=one.name, kind="editable", path=info))
    found.distributions[one.name] = one


def _listed(files: Files, one: Distribution) -> dict[str, str | None]:
    """Return the files that the distribution's own list names and that lie below its prefix, bytecode aside."""
    record = read(files, f"{one.info}/RECORD")
    if record is not None:
        rows = csv.reader(io.StringIO(record.decode("utf-8", "replace")))
        named = [(posixpath.join(one.site, row[0]), row[1] if len(row) > 1 else "") for row in rows if row]
    else:
        older = (read(files, f"{one.info}/installed-files.txt") or b"").decode("utf-8", "replace").splitlines()
        named = [(posixpath.join(one.info, line), "") for line in older if line]
    above = prefix(one.site) + "/"
    plain = ((posixpath.normpath(path), hashed) for path, hashed in named)
    return {
        path: hashed.removeprefix("sha256=") if hashed.startswith("sha256=") else None
        for path, hashed in plain
        if path.startswith(above) and not is_bytecode(path)
    }


class _Debian:
    """dpkg's lists of files, read once and only where a distribution has no list of its own."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._lists: dict[str, list[str]] | None = None

    def beside(self, info: str, paths: Sequence[str]) -> dict[str, str | None]:
        """Return those of `paths` that came with the same Debian package as the metadata `info`."""
        if self._lists is None:
            self._lists = {}
            for path in self._files.inside(_DPKG):
                if path.endswith(".list"):
                    listed = (read(self._files, path) or b"").decode("utf-8", "replace").splitlines()
                    self._lists |= {line: listed for line in listed if line.endswith((".egg-info", ".dist-info"))}
        return dict.fromkeys(sorted({*self._lists.get(info, [])} & {*paths}))


def _share_out_the_rest(found: Found, site: str, paths: Sequence[str], infos: set[str]) -> None:
    claimed = found.claimed
    folders: dict[str, set[str]] = {}
    for one in found.distributions.values():
        for path in one.files:
            for folder in _above(path, site):
                folders.setdefault(folder, set()).add(one.name)
    for path in paths:
        if path in claimed or any(path == info or path.startswith(f"{info}/") for info in infos):
            continue
        owners = next((folders[folder] for folder in _above(path, site) if folder in folders), set())
        if len(owners) == 1:
            (owner,) = owners
            found.findings.append(PackageFinding(package=owner, kind="added", path=path))
        else:
            owner = UNOWNED
            found.distributions.setdefault(owner, Distribution(owner, "0", site))
        found.distributions[owner].files[path] = None


def prefix(site: str) -> str:
    """Return the prefix of `PREFIX/lib/pythonX.Y/site-packages`."""
    return posixpath.dirname(posixpath.dirname(posixpath.dirname(site)))


def _above(path: str, site: str) -> Iterable[str]:
    """Yield the folders above `path` that lie below `site`, the nearest first."""
    folder = posixpath.dirname(path)
    while folder.startswith(f"{site}/"):
        yield folder
        folder = posixpath.dirname(folder)


def _entry_points(text: bytes) -> Iterable[str]:
    section = ""
    for line in text.decode("utf-8", "replace").splitlines():
        if heading := re.match(r"\s*\[(.+?)\]", line):
            section = heading[1].strip()
        elif section in ("console_scripts", "gui_scripts") and "=" in line:
            yield line.partition("=")[0].strip()


def _first(site: str, path: str) -> str:
    return path[len(site) + 1 :].split("/", 1)[0]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _text(value: object) -> str:
    return str(value or "").strip()
