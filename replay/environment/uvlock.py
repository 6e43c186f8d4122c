"""`uv.lock` in the form of PEP 751: the packages that the target reaches from the project, in versions it needs.

The format is uv's own (https://docs.astral.sh/uv/concepts/projects/layout/#the-lockfile): a graph whose edges
carry markers; each package says where it comes from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

from replay.environment.selection import Selection, known, refusal

if TYPE_CHECKING:
    from packaging.pylock import Package, Pylock

Node = dict[str, Any]


def convert(path: Path, document: Node, markers: Mapping[str, str], selection: Selection) -> Pylock:
    """Return the lock as a `Pylock` that holds for this target alone. Raises LockError."""
    from packaging.markers import Marker
    from packaging.pylock import Pylock
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    if document.get("version") != 1:
        raise refusal(
            path,
            f"it is of version {document.get('version')!r}, and Replay reads version 1",
            "export it: `uv export --format pylock.toml -o pylock.toml`, and name that",
        )
    if document.get("conflicts"):
        raise refusal(
            path,
            "it declares extras or groups that exclude each other",
            "export the ones you want: `uv export --extra … --format pylock.toml -o pylock.toml`, and name that",
        )
    environments = document.get("supported-markers") or []
    return Pylock(
        lock_version=Version("1.0"),
        created_by="uv",
        requires_python=SpecifierSet(document.get("requires-python", "")),
        environments=[Marker(text) for text in environments] or None,
        packages=[_package(path, node) for node in _reached(path, document, markers, selection)],
    )


def _reached(path: Path, document: Node, markers: Mapping[str, str], selection: Selection) -> list[Node]:
    """Return the packages that the project's own dependencies lead to, for this target."""
    nodes: list[Node] = document.get("package", [])
    roots = _roots(document, nodes)
    waiting: list[tuple[Node, tuple[str, ...]]] = []
    reached: dict[int, Node] = {id(root): root for root in roots if "virtual" not in root["source"]}
    edges = [edge for root in roots for edge in _asked(root, selection.extras, selection.groups or ())]
    shared = document.get("manifest", {}).get("dependency-groups", {})
    edges += [edge for group in selection.groups or () for edge in shared.get(group, [])]
    _known(path, roots, shared, selection)
    done: set[tuple[int, tuple[str, ...]]] = set()
    while edges or waiting:
        for edge in edges:
            if _holds(edge, markers):
                waiting.append((_target(path, edge, nodes), tuple(edge.get("extra", ()))))
        edges = []
        while waiting and not edges:
            node, extras = waiting.pop()
            if (id(node), extras) not in done:
                done.add((id(node), extras))
                reached[id(node)] = node
                edges = list(_asked(node, extras, ()))
    return [node for node in reached.values() if "virtual" not in node["source"]]


def _roots(document: Node, nodes: list[Node]) -> list[Node]:
    """Return the project of the lock's own folder, or every member of a workspace that has none there."""
    own = [node for node in nodes if "." in (node["source"].get("virtual"), node["source"].get("editable"))]
    members = document.get("manifest", {}).get("members", [])
    return own or [node for node in nodes if node["name"] in members]


def _known(path: Path, roots: list[Node], shared: Node, selection: Selection) -> None:
    extras = {extra for root in roots for extra in root.get("optional-dependencies", {})}
    extras |= {extra for root in roots for extra in root.get("metadata", {}).get("provides-extras", [])}
    groups = {group for root in roots for group in root.get("dev-dependencies", {})} | set(shared)
    groups |= {group for root in roots for group in root.get("metadata", {}).get("requires-dev", {})}
    known(path, "extra", selection.extras, extras)
    known(path, "group", selection.groups or (), groups)


def _asked(node: Node, extras: tuple[str, ...], groups: tuple[str, ...]) -> Iterator[Node]:
    yield from node.get("dependencies", ())
    for extra in extras:
        yield from node.get("optional-dependencies", {}).get(extra, ())
    for group in groups:
        yield from node.get("dev-dependencies", {}).get(group, ())


def _holds(edge: Node, markers: Mapping[str, str]) -> bool:
    from packaging.markers import Marker

    return "marker" not in edge or Marker(edge["marker"]).evaluate({**markers, "extra": ""})


def _target(path: Path, edge: Node, nodes: list[Node]) -> Node:
    """Return the one package that an edge means; version and source are written where the name alone is not enough."""
    found = [
        node
        for node in nodes
        if node["name"] == edge["name"]
        and edge.get("version", node.get("version")) == node.get("version")
        and edge.get("source", node["source"]) == node["source"]
    ]
    if len(found) != 1:
        raise refusal(
            path,
            f"it is not valid: {edge['name']} {edge.get('version', '')} occurs {len(found)} times",
            "write it anew: `uv lock`",
        )
    return found[0]


def _package(path: Path, node: Node) -> Package:
    from packaging.pylock import Package, PackageSdist, PackageWheel
    from packaging.version import Version

    version = Version(node["version"]) if "version" in node else None
    common: dict[str, Any] = {"name": node["name"], "version": version}
    source = node["source"]
    for kind in ("git", "directory", "editable"):
        if kind in source:
            return Package(**common, **_project(kind, source[kind], source.get("subdirectory")))
    place = _place(source)
    wheels = [PackageWheel(**_file(path, node["name"], wheel, place)) for wheel in node.get("wheels", ())]
    sdist = PackageSdist(**_file(path, node["name"], node["sdist"], place)) if "sdist" in node else None
    if not wheels and sdist is None:
        raise refusal(path, f"{node['name']} has no file in it", "write it anew: `uv lock`")
    return Package(**common, wheels=wheels, sdist=sdist)


def _place(source: Node) -> Node:
    """Return what files of this source have in common: the one URL or path, or the folder of a flat index."""
    for kind in ("url", "path"):
        if kind in source:
            return {kind: source[kind]}
    registry = source.get("registry", "")
    return {} if "://" in registry else {"folder": registry}


def _file(path: Path, name: str, file: Node, place: Node) -> dict[str, Any]:
    algorithm, _, digits = str(file.get("hash", "")).partition(":")
    if not digits:
        raise refusal(path, f"a file of {name} has no hash in it", "write it anew; or have the index publish hashes")
    located: Node = {key: file[key] for key in ("url", "path") if key in file}
    if "path" in located and "folder" in place:
        located["path"] = f"{place['folder']}/{located['path']}"
    located = located or {key: value for key, value in place.items() if key != "folder"}
    if not located:
        raise refusal(path, f"it does not say where a file of {name} lies", "write it anew: `uv lock`")
    return {"name": file.get("filename"), "hashes": {algorithm: digits}, **located}


def _project(kind: str, location: str, subdirectory: str | None) -> dict[str, Any]:
    from packaging.pylock import PackageDirectory, PackageVcs

    if kind != "git":
        return {"directory": PackageDirectory(path=location, editable=kind == "editable")}
    parts = urlsplit(location)
    asked = parse_qs(parts.query)
    below = asked.get("subdirectory", [subdirectory])[0]
    revision = next((asked[word][0] for word in ("rev", "tag", "branch") if word in asked), None)
    return {
        "vcs": PackageVcs(
            type="git",
            url=urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")),
            commit_id=parts.fragment,
            requested_revision=revision,
            subdirectory=unquote(below) if below else None,
        )
    }
