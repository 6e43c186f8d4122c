"""Where two versions of a text part: hunks of whole lines, any of which can be taken. Bytes in, bytes out. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import takewhile

MOST_HUNKS = 64
"""Hunks of one file; where there would be more, those that lie closest together become one."""

MOST_LINES = 4000
"""Differing lines up to which two versions are aligned; beyond it all that differs is one hunk."""

Lines = Sequence[bytes]
Token = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Hunk:
    """Lines of GOOD from `start` to `end` stand in BAD as those from `there` to `there_end` (from 0, end excluded)."""

    start: int
    end: int
    there: int
    there_end: int


@dataclass(frozen=True)
class Versions:
    """The lines of a text on both sides, and the hunks in which they differ, in order."""

    good: tuple[bytes, ...]
    bad: tuple[bytes, ...]
    hunks: tuple[Hunk, ...]

    def mixed(self, taken: Collection[int]) -> bytes:
        """Return GOOD's text with the hunks of these numbers (from 0) as they are in BAD."""
        found: list[bytes] = []
        done = 0
        for number, hunk in enumerate(self.hunks):
            found.extend(self.good[done : hunk.start])
            found.extend(self.bad[hunk.there : hunk.there_end] if number in taken else self.good[hunk.start : hunk.end])
            done = hunk.end
        return b"".join([*found, *self.good[done:]])

    def sides(self, number: int) -> tuple[str | None, str | None]:
        """Return a hunk's lines in GOOD and in BAD as text, None where there are none."""
        hunk = self.hunks[number]
        return _text(self.good[hunk.start : hunk.end]), _text(self.bad[hunk.there : hunk.there_end])

    def joined(self, goes_on: Callable[[int], bool]) -> Versions:
        """Return the same with each hunk that `goes_on` made one with the hunk before it."""
        groups = [[hunk] for hunk in self.hunks[:1]]
        for number in range(1, len(self.hunks)):
            if not goes_on(number):
                groups.append([])
            groups[-1].append(self.hunks[number])
        return Versions(self.good, self.bad, tuple(_one(group[0], group[-1]) for group in groups))

    def merged(self, sound: Callable[[bytes], bool]) -> Versions:
        """Return the same with neighbouring hunks made one where the text is not `sound` with only one of them.

        Two neighbours stay apart where GOOD's text up to there goes on with BAD's, and the other way round.
        """
        count = len(self.hunks)

        def apart(number: int) -> bool:
            return all(sound(self.mixed(side)) for side in (range(number), range(number, count)))

        return self.joined(lambda number: not apart(number))


def versions(good: bytes, bad: bytes, token: Token | None = None) -> Versions:
    """Return where two texts differ.

    `token` says by what a line is recognised (its key); then every hunk is one line, changed, removed or added.
    Line ends are part of their lines; nothing is decoded. Aligned by difflib (Ratcliff and Obershelp 1988).
    """
    one, other = tuple(good.splitlines(keepends=True)), tuple(bad.splitlines(keepends=True))
    head = _common(one, other)
    tail = _common(one[head:][::-1], other[head:][::-1])
    differing, there = one[head : len(one) - tail], other[head : len(other) - tail]
    found = _by_token(differing, there, token) if token else _aligned(differing, there)
    moved = (Hunk(head + h.start, head + h.end, head + h.there, head + h.there_end) for h in found)
    return Versions(one, other, tuple(_few(list(moved))))


def _aligned(good: Lines, bad: Lines) -> Iterator[Hunk]:
    if max(len(good), len(bad)) > MOST_LINES:
        yield Hunk(0, len(good), 0, len(bad))
        return
    for tag, start, end, there, there_end in SequenceMatcher(None, good, bad, autojunk=False).get_opcodes():
        if tag != "equal":
            yield Hunk(start, end, there, there_end)


def _by_token(good: Lines, bad: Lines, token: Token) -> Iterator[Hunk]:
    done = there = 0
    ends = Hunk(len(good), len(good), len(bad), len(bad))
    for hunk in (*_aligned([token(line) for line in good], [token(line) for line in bad]), ends):
        for number in range(hunk.start - done):
            if good[done + number] != bad[there + number]:
                yield Hunk(done + number, done + number + 1, there + number, there + number + 1)
        for place in range(hunk.start, hunk.end):
            yield Hunk(place, place + 1, hunk.there, hunk.there)
        for place in range(hunk.there, hunk.there_end):
            yield Hunk(hunk.end, hunk.end, place, place + 1)
        done, there = hunk.end, hunk.there_end


def _common(good: Lines, bad: Lines) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(good, bad, strict=False)))


def _few(hunks: list[Hunk]) -> list[Hunk]:
    apart = 1
    while len(hunks) > MOST_HUNKS:
        found = hunks[:1]
        for hunk in hunks[1:]:
            if hunk.start - found[-1].end < apart:
                found[-1] = _one(found[-1], hunk)
            else:
                found.append(hunk)
        hunks, apart = found, apart * 2
    return hunks


def _one(first: Hunk, last: Hunk) -> Hunk:
    return Hunk(first.start, last.end, first.there, last.there_end)


def _text(lines: Lines) -> str | None:
    return b"".join(lines).decode("utf-8", "replace").rstrip("\r\n") if lines else None
