"""`poetry.lock` in the form of PEP 751. Since 2.1 it says of every package which groups and markers want it.

The format is Poetry's own (https://python-poetry.org/docs/libraries/#lock-file); it names files and their
hashes, not where they lie: that is the index's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replay.environment.selection import Selection, known, refusal

if TYPE_CHECKING:
    from packaging.pylock import Package, Pylock
    from packaging.specifiers import SpecifierSet

Node = dict[str, Any]
MAIN = "main"


def convert(path: Path, document: Node, markers: Mapping[str, str], selection: Selection) -> Pylock:
    """Return the lock as a `Pylock` that holds for this target alone. Raises LockError."""
    from packaging.pylock import Pylock
    from packaging.version import Version

    metadata = document["metadata"]
    written = str(metadata.get("lock-version", "1.0"))
    if not Version("2.1") <= Version(written) < Version("3"):
        raise refusal(
            path,
            f"it is of version {written}; Replay reads 2.1, which says what each package is for",
            "write it anew with Poetry 2: `poetry lock`",
        )
    groups = {MAIN, *(selection.groups or ())}
    nodes: list[Node] = document.get("package", [])
    known(path, "extra", selection.extras, document.get("extras", {}))
    known(path, "group", selection.groups or (), {MAIN, *(g for node in nodes for g in node["groups"])})
    wanted = [node for node in nodes if _wanted(node, groups, markers, selection.extras)]
    _fits(path, metadata.get("python-versions", "*"), markers["python_full_version"])
    return Pylock(lock_version=Version("1.0"), created_by="poetry", packages=[_package(path, node) for node in wanted])


def _wanted(node: Node, groups: set[str], markers: Mapping[str, str], extras: tuple[str, ...]) -> bool:
    """Whether one of the groups wants the package; `markers` is one text for all groups, or a text for each."""
    from packaging.markers import Marker

    asked = node.get("markers", "")
    for group in groups & set(node["groups"]):
        text = asked.get(group, "") if isinstance(asked, dict) else asked
        environments = [{**markers, "extra": extra} for extra in ("", *extras)]
        if not text or any(Marker(text).evaluate(environment) for environment in environments):
            return True
    return False


def _package(path: Path, node: Node) -> Package:
    from packaging.pylock import Package, PackageArchive, PackageDirectory, PackageSdist, PackageVcs, PackageWheel
    from packaging.utils import canonicalize_name
    from packaging.version import Version

    source = node.get("source", {})
    common: dict[str, Any] = {"name": canonicalize_name(node["name"]), "version": Version(node["version"])}
    below = source.get("subdirectory")
    kind, url = source.get("type", "legacy"), source.get("url")
    if kind == "git":
        vcs = PackageVcs(type="git", url=url, commit_id=source["resolved_reference"], subdirectory=below)
        return Package(**common, vcs=vcs)
    if kind == "directory":
        return Package(**common, directory=PackageDirectory(path=url, subdirectory=below))
    files = {file["file"]: _hash(path, node["name"], file) for file in node.get("files", ())}
    if kind in ("url", "file"):
        (hashes,) = files.values()
        return Package(**common, archive=PackageArchive(**{"url" if kind == "url" else "path": url}, hashes=hashes))
    wheels = [PackageWheel(name=name, hashes=hashes) for name, hashes in files.items() if name.endswith(".whl")]
    sdists = [PackageSdist(name=name, hashes=hashes) for name, hashes in files.items() if not name.endswith(".whl")]
    if not files:
        raise refusal(path, f"{node['name']} has no file in it", "write it anew: `poetry lock --regenerate`")
    return Package(**common, index=url, wheels=wheels, sdist=next(iter(sdists), None))


def _hash(path: Path, name: str, file: Node) -> dict[str, str]:
    algorithm, _, digits = str(file.get("hash", "")).partition(":")
    if not digits:
        raise refusal(path, f"a file of {name} has no hash in it", "write it anew: `poetry lock --regenerate`")
    return {algorithm: digits}


def _fits(path: Path, written: str, python: str) -> None:
    if not any(part.contains(python, prereleases=True) for part in _specifiers(written)):
        raise refusal(
            path,
            f"it is for Python {written}, and the target has {python}",
            "choose another base, or widen `python` in pyproject.toml and lock again",
        )


def _specifiers(written: str) -> list[SpecifierSet]:
    """Return Poetry's version constraint as alternatives of PEP 440: it knows `^`, `~`, `*` and `||` besides."""
    from packaging.specifiers import SpecifierSet

    found = []
    for alternative in re.split(r"\|\|?", written):
        parts = [part for part in re.split(r"[,\s]+(?=[<>=!~^*\d])", alternative.strip()) if part]
        found.append(SpecifierSet(",".join(_specifier(part) for part in parts if part != "*")))
    return found


def _specifier(part: str) -> str:
    sign, numbers = re.match(r"(\^|~(?!=))?\s*(.*)", part).groups()  # type: ignore[union-attr]
    if sign is None:
        return f"=={numbers}" if numbers[:1].isdigit() else numbers
    release = [int(number) for number in numbers.split(".")]
    kept = next((i for i, number in enumerate(release) if number), 0) if sign == "^" else min(1, len(release) - 1)
    upper = [*release[:kept], release[kept] + 1]
    return f">={numbers},<{'.'.join(map(str, upper))}"
