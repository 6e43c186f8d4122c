"""The keys of a JSON, TOML or YAML file that differ between two states, and files with some of them taken. Pure."""

from __future__ import annotations

import copy
import json
import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import PurePosixPath
from typing import Any

from replay.compare.documents import ABSENT, Path, changed_leaves, path_text
from replay.errors import CompareError
from replay.layers.hunks import Versions, versions
from replay.layers.parts import Part, Split, hunks_of

FORMAT = "/format"
"""What the part is called that holds all that changes no value: comments, order, spacing."""

Parse = Callable[[bytes], dict[str, Any] | None]
Leaf = tuple[Path, Any, Any]


def by_key(path: str, good: bytes, bad: bytes, most: int) -> Split | None:
    """Take a config file apart by its keys; None for another kind of file, and where keys do not tell.

    Where more than `most` keys differ, they are taken together by the objects that hold them.
    The lines of a file decide where each changed key has lines of its own. Otherwise JSON is written anew with
    the values chosen; TOML and YAML never are, because that would lose comments.
    """
    suffix = PurePosixPath(path).suffix.lower()
    if suffix in {".yaml", ".yml"}:
        found = _yaml(good, bad)
        return found if found and len(found.parts) <= most else None
    parse = {".json": _json, ".toml": _toml}.get(suffix)
    one, other = (parse(good), parse(bad)) if parse else (None, None)
    if parse is None or one is None or other is None:
        return None
    try:
        leaves = list(_leaves(one, other, most))
        if not leaves:
            return _whole(FORMAT, good, bad)
        if len(leaves) > most:
            return None
        by_lines = _by_lines(good, bad, parse, leaves, several=suffix == ".toml")
    except (CompareError, RecursionError):
        return None
    return by_lines or (_by_values(good, bad, one, other, leaves) if suffix == ".json" else None)


def _leaves(good: Any, bad: Any, most: int) -> Iterator[Leaf]:
    """Yield the paths at which two documents differ; a list of another length is one value."""
    paths = {_cut(good, bad, path): None for path, _, _ in changed_leaves("", good, bad)}
    depth = max((len(path) for path in paths), default=0)
    while len(paths) > most and depth > 1:
        depth -= 1
        paths = {path[:depth]: None for path in paths}
    for path in paths:
        if path:
            yield path, _at(good, path), _at(bad, path)


def _cut(good: Any, bad: Any, path: Path) -> Path:
    for length in range(len(path)):
        one, other = _at(good, path[:length]), _at(bad, path[:length])
        if isinstance(one, list) and (not isinstance(other, list) or len(one) != len(other)):
            return path[:length]
    return path


def _at(document: Any, path: Path) -> Any:
    for step in path:
        try:
            document = document[step]
        except (KeyError, IndexError, TypeError):
            return ABSENT
    return document


def _by_lines(good: bytes, bad: bytes, parse: Parse, leaves: Sequence[Leaf], *, several: bool) -> Split | None:
    """Give each key the hunks that change it and nothing else; None where that cannot be.

    `several`: a hunk may hold more than one key, and is then called by what these share.
    """
    found = versions(good, bad, _token).merged(lambda data: parse(data) is not None)
    start, end = parse(good), parse(bad)
    hunks: dict[tuple[Path, ...], set[int]] = {}
    for number in range(len(found.hunks)):
        one = parse(found.mixed({number}))
        touched = tuple(path for path, before, _ in leaves if _value(_at(one, path)) != _value(before))
        if _text(one) != _text(_taken(start, end, touched)):
            return None
        hunks.setdefault(touched, set()).add(number)
    paths = [path for touched in hunks for path in touched]
    if len(paths) != len(leaves) or len(set(paths)) != len(paths):
        return None
    if not several and any(len(touched) > 1 for touched in hunks):
        return None
    sides = {path: (before, after) for path, before, after in leaves}
    parts = []
    for touched, numbers in hunks.items():
        shown = (
            (_value(sides[touched[0]][0]), _value(sides[touched[0]][1]))
            if len(touched) == 1
            else _sides(found, numbers)
        )
        parts.append(Part(_suffix(touched), *shown, frozenset(numbers)))
    return _distinct(found, parts)


def _suffix(touched: Sequence[Path]) -> str:
    if not touched:
        return FORMAT
    shared = takewhile(lambda steps: len(set(steps)) == 1, zip(*touched, strict=False))
    return "/" + path_text(tuple(steps[0] for steps in shared))


def _distinct(found: Versions, parts: Sequence[Part]) -> Split | None:
    """Return parts made of hunks, if each has a name of its own."""
    if len({part.suffix for part in parts}) < len(parts) or any(part.suffix == "/(document)" for part in parts):
        return None
    return Split(tuple(parts), lambda taken: found.mixed(hunks_of(taken)), found)


def _sides(found: Versions, numbers: Collection[int]) -> tuple[str | None, str | None]:
    sides = [found.sides(number) for number in sorted(numbers)]
    before, after = ([side[which] for side in sides if side[which] is not None] for which in (0, 1))
    return "\n".join(map(str, before)) if before else None, "\n".join(map(str, after)) if after else None


def _whole(suffix: str, good: bytes, bad: bytes) -> Split:
    found = versions(good, bad)
    part = Part(suffix, *_sides(found, range(len(found.hunks))), frozenset(range(len(found.hunks))))
    return Split((part,), lambda taken: bad if taken else good, found)


def _by_values(good: bytes, bad: bytes, one: dict[str, Any], other: dict[str, Any], leaves: Sequence[Leaf]) -> Split:
    """Write JSON anew with the values chosen, indented as GOOD is; all of one side is that side's own bytes."""
    parts = {Part(f"/{path_text(path)}", _value(before), _value(after)): path for path, before, after in leaves}
    style = _style(good)

    def write(taken: Collection[Part]) -> bytes:
        if not taken or len(taken) == len(parts):
            return bad if taken else good
        document = _taken(one, other, [parts[part] for part in taken])
        return json.dumps(document, **style).encode() + (b"\n" if good.endswith(b"\n") else b"")

    return Split(tuple(parts), write)


def _taken(good: Any, bad: Any, paths: Collection[Path]) -> Any:
    """Return `good` with what `bad` holds at these paths; what it does not hold is removed."""
    found = copy.deepcopy(good)
    for path in paths:
        place, value = found, _at(bad, path)
        for step in path[:-1]:
            place = place[step]
        if value is ABSENT:
            place.pop(path[-1], None)
        else:
            place[path[-1]] = copy.deepcopy(value)
    return found


def _style(data: bytes) -> Mapping[str, Any]:
    indent = re.search(rb"\n([ \t]+)", data)
    tight = not indent and b'": ' not in data
    return {
        "indent": indent[1].decode() if indent else None,
        "separators": (",", ":") if tight else None,
        "ensure_ascii": data.isascii(),
    }


def _json(data: bytes) -> dict[str, Any] | None:
    """Return a JSON object whose keys are each there once; None for anything else."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a key is there twice")
        return dict(pairs)

    try:
        document = json.loads(data.decode("utf-8"), object_pairs_hook=once)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _toml(data: bytes) -> dict[str, Any] | None:
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        return None


def _text(document: Any) -> str:
    return json.dumps(document, sort_keys=True, default=repr)


def _value(value: Any) -> str | None:
    return None if value is ABSENT else json.dumps(value, ensure_ascii=False, default=str)


KEY = re.compile(rb"\s*[^\s=:#,{}\[\]][^=:#,{}\[\]]*[=:]")


def _token(line: bytes) -> bytes:
    """Return by what a line of a config file is recognised: its key, where it has one."""
    key = KEY.match(line)
    return key[0] if key else line


YAML_KEY = re.compile(r"""( *)("[^"]*"|'[^']*'|[^\s#'"\-\[\]{},&*!|>%@`?:][^\s:]*(?: [^\s:]+)*)[ ]*:(?:[ ]+(.*))?$""")


def _yaml(good: bytes, bad: bytes) -> Split | None:
    """Take YAML apart by its lines, and call each hunk by the key it lies in; None where keys do not tell.

    The keys are names and nothing more: a mix consists of the lines as they stand, comments and all.
    """
    found = versions(good, bad, _token)
    before, after = _yaml_owners(found.good), _yaml_owners(found.bad)

    def owners(number: int) -> list[Path]:
        hunk = found.hunks[number]
        lines = [*before[hunk.start : hunk.end], *after[hunk.there : hunk.there_end]]
        return [line for line in lines if line is not None]

    def goes_on(number: int) -> bool:
        """Whether a hunk is more of the value, or of the comment, that the hunk before it belongs to."""
        hunk, last = found.hunks[number], found.hunks[number - 1]
        mine, others = owners(number), owners(number - 1)
        touches = hunk.start == last.end or hunk.there == last.there_end
        return touches and (not mine or not others or mine[0][: len(others[0])] == others[0])

    found = found.joined(goes_on)
    parts = []
    for number in range(len(found.hunks)):
        named = owners(number)
        if not all(named):
            return None
        parts.append(Part(_suffix(named), *found.sides(number), frozenset({number})))
    return _distinct(found, parts)


def _yaml_owners(lines: Sequence[bytes]) -> list[Path | None]:
    """Return the path of the key that each line belongs to; None for blank lines and comments.

    Reads block mappings. What stands in a list or in a text block belongs to the key that holds it.
    """
    found: list[Path | None] = []
    stack: list[tuple[int, str, bool]] = []
    for line in lines:
        text = line.decode("utf-8", "replace").rstrip()
        bare = text.lstrip(" ")
        if not bare or bare.startswith("#"):
            found.append(None)
            continue
        indent = len(text) - len(bare)
        item = bare == "-" or bare.startswith("- ")
        while stack and (stack[-1][0] > indent or (stack[-1][0] == indent and not item)):
            stack.pop()
        key = YAML_KEY.match(text)
        if item and stack:
            stack[-1] = (*stack[-1][:2], True)
        elif key and not (stack and stack[-1][2]):
            stack.append((indent, key[2].strip("\"'"), (key[3] or "").startswith(("|", ">", "&", "{", "["))))
        found.append(tuple(name for _, name, _ in stack))
    return found
