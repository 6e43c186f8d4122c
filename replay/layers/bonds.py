"""Which changes of the code need which others: a call its function, an import its module, code its config key.

Read from the text, so that mixes run: what is missed costs a probe that cannot run, never a wrong verdict.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from replay.layers.files import Differing
from replay.layers.names import Key, Marks, Names, names_in
from replay.layers.parts import Part
from replay.layers.split import LARGEST, parsed
from replay.store.base import Store

Keys = frozenset[Key]
NONE: Keys = frozenset()

SCATTERED = {"name", "file"}
"""Kinds of which every giver is needed; a common word (an attribute, a column) says nothing where several give it."""


@dataclass(frozen=True)
class Piece:
    """A change and what it has to do with others.

    `gives`: bound by its lines in BAD and nowhere in GOOD; `needs`: used by its lines in BAD. `drops`: bound by
    its lines in GOOD and nowhere in BAD; `frees`: used by its lines in GOOD.
    """

    name: str
    gives: Keys = NONE
    needs: Keys = NONE
    drops: Keys = NONE
    frees: Keys = NONE


def bonds(pieces: Iterable[Piece]) -> dict[str, tuple[str, ...]]:
    """Return what each change requires: what gives it its names, and the last uses of names it drops."""
    found: dict[str, set[str]] = defaultdict(set)
    givers: dict[Key, list[str]] = defaultdict(list)
    users: dict[Key, list[str]] = defaultdict(list)
    pieces = list(pieces)
    for piece in pieces:
        for key in piece.gives:
            givers[key].append(piece.name)
        for key in piece.frees:
            users[key].append(piece.name)
    for piece in pieces:
        for key in piece.needs:
            if key[0] in SCATTERED or len(givers[key]) == 1:
                found[piece.name].update(givers[key])
        for key in piece.drops:
            found[piece.name].update(users[key])
    return {name: tuple(sorted(others - {name})) for name, others in found.items() if others - {name}}


def pieces(files: Sequence[Differing], known: Collection[str], store: Store) -> list[Piece]:
    """Return what each change of these files gives and needs; `known` are the paths of all files."""
    sides = {
        file.path: (_read(file, known, store, after=False), _read(file, known, store, after=True)) for file in files
    }
    before = frozenset(key for good, _ in sides.values() for key, _ in good.binds)
    after = frozenset(key for _, bad in sides.values() for key, _ in bad.binds)
    return [piece for file in files for piece in _pieces(file, *sides[file.path], before, after)]


def _pieces(file: Differing, good: Names, bad: Names, before: Keys, after: Keys) -> Iterator[Piece]:
    for part in file.split.parts if file.split else (Part("", None, None),):
        old, new = _lines(file, part, after=False), _lines(file, part, after=True)
        gives, drops = _on(bad.binds, new) - before, _on(good.binds, old) - after
        if part.suffix.startswith("/"):
            key = frozenset([("text", part.suffix.rpartition(".")[2].removeprefix("/"))])
            gives, drops = (key if part.before is None else NONE), (key if part.after is None else NONE)
        yield Piece(file.name + part.suffix, gives, _on(bad.uses, new), drops, _on(good.uses, old))


def _read(file: Differing, known: Collection[str], store: Store, *, after: bool) -> Names:
    """Return what a side of a file binds and uses; a file is bound by being there."""
    entry = file.after if after else file.before
    other = file.before if after else file.after
    found = Names()
    if entry is None:
        return found
    if file.path.endswith(".py") and entry.size <= LARGEST and (tree := parsed(store.get(entry.blob))):
        found = names_in(file.path, tree, known)
    if other is None:
        names = {file.path, file.path.rpartition("/")[2]}
        found.binds.extend((("file", name), 1) for name in names)
    return found


def _lines(file: Differing, part: Part, *, after: bool) -> Collection[int] | None:
    """Return the lines (from 1) of a part on one side; None for all of them."""
    if file.split is None or file.split.lines is None:
        return None
    hunks = (file.split.lines.hunks[number] for number in part.hunks)
    ranges = (range(h.there, h.there_end) if after else range(h.start, h.end) for h in hunks)
    return frozenset(line + 1 for lines in ranges for line in lines)


def _on(marks: Marks, lines: Collection[int] | None) -> Keys:
    return frozenset(key for key, line in marks if lines is None or line in lines)
