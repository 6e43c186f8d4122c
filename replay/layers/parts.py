"""What a file taken apart is: its parts, and how a mix of them is written. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from replay.layers.hunks import Versions


@dataclass(frozen=True)
class Part:
    """A part of a file. `suffix` completes the file's name: `#3`, `/model.depth`, nothing for the whole file.

    `before` and `after` are the lines or the value, None where a side has none; `hunks` are the numbers of the
    hunks it consists of, where it is made of hunks.
    """

    suffix: str
    before: str | None
    after: str | None
    hunks: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Split:
    """A file taken apart: its parts in order, and how a mix of them is written."""

    parts: tuple[Part, ...]
    write: Callable[[Collection[Part]], bytes]
    lines: Versions | None = None

    def mixed(self, taken: Collection[str]) -> bytes:
        """Return the file with the parts of these suffixes from BAD."""
        return self.write([part for part in self.parts if part.suffix in taken])


def hunked(found: Versions) -> Split:
    """Return the parts `#1` to `#n` of a text; a single hunk has no number, because it is all that differs."""
    count = len(found.hunks)
    parts = (
        Part(f"#{number + 1}" if count > 1 else "", *found.sides(number), frozenset({number}))
        for number in range(count)
    )
    return Split(tuple(parts), lambda taken: found.mixed(hunks_of(taken)), found)


def hunks_of(parts: Collection[Part]) -> frozenset[int]:
    """Return the numbers of all hunks that these parts consist of."""
    return frozenset().union(*(part.hunks for part in parts))
