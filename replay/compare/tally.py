"""What is counted about one column while rows that belong together pass by, a batch at a time. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from replay.compare.rows import SHOWN
from replay.compare.segments import FEWEST, MANY
from replay.compare.text import clean
from replay.compare.tolerance import Tolerance
from replay.compare.values import Kind, Pair, as_float, as_text, differing, distance, ulps, unify

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Column:
    """One column of both tables on a batch of their common rows, in the same order on both sides.

    `row_name` names the batch's row with a number; `places` are the rows' numbers in the good table, None where
    the batch is all of it and in its order: then examples are the first ones.
    """

    name: str
    good: pa.ChunkedArray
    bad: pa.ChunkedArray
    row_name: Callable[[int], str]
    places: pa.Array | None = None

    def example(self, row: int) -> Example:
        """Return one row of the batch with both values as texts."""
        good, bad = (clean(side[row].as_py()) for side in (self.good, self.bad))
        return Example(row if self.places is None else self.places[row].as_py(), self.row_name(row), good, bad)

    def first(self, rows: pa.Array) -> list[Example]:
        """Return the first few of `rows`."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if self.places is not None:
            table = pa.table({"row": rows, "place": self.places.take(rows)})
            rows = table["row"].take(pc.select_k_unstable(table, SHOWN, [("place", "ascending")]))
        return [self.example(row.as_py()) for row in rows[:SHOWN]]


@dataclass(frozen=True, order=True)
class Example:
    """A cell that changed. `place` is its row's number in the good table (only its order counts)."""

    place: int
    row: str
    good: str
    bad: str

    def as_json(self) -> dict[str, str]:
        """Return what a report shows."""
        return {"row": self.row, "good": self.good, "bad": self.bad}


@dataclass
class Seen:
    """Cells of one kind: how many, and the first few."""

    count: int = 0
    first: list[Example] = field(default_factory=list)

    def add(self, column: Column, rows: pa.Array) -> None:
        """Count the batch's `rows`."""
        if len(rows):
            self.count += len(rows)
            self.first = sorted([*self.first, *column.first(rows)])[:SHOWN]


@dataclass
class Moved(Seen):
    """Changed numbers: how far they moved. `not_finite` went to or from NaN or infinity and have no distance."""

    not_finite: int = 0
    absolute: tuple[float, Example] | None = None
    relative: tuple[float, Example] | None = None
    ulps: int | None = None

    def measure(self, column: Column, rows: pa.Array, moved: pa.ChunkedArray, size: pa.ChunkedArray) -> None:
        """Count `rows`, whose numbers moved by `moved` = |bad - good| from `size` = |good|."""
        import pyarrow.compute as pc

        if not len(rows):
            return
        self.add(column, rows)
        finite = pc.is_finite(moved)
        self.not_finite += len(rows) - pc.sum(finite).as_py()
        relative = pc.if_else(pc.and_(finite, pc.greater(size, 0.0)), pc.divide(moved, size), None)
        self.absolute = _larger(self.absolute, column, rows, pc.if_else(finite, moved, None))
        self.relative = _larger(self.relative, column, rows, relative)
        found = ulps(column.good.take(rows), column.bad.take(rows))
        if found is not None:
            self.ulps = max(self.ulps or 0, found)


class Tally:
    """What changed in one column, over all the batches it was shown."""

    def __init__(self, name: str, tolerance: Tolerance, *, decision: bool = False) -> None:
        self.name = name
        self.tolerance = tolerance
        self.decision = decision
        self.kind: Kind = "other"
        self.became, self.stopped, self.changed = Seen(), Seen(), Seen()
        self.ways: Counter[tuple[str, str]] = Counter()
        self.seconds: float | None = None
        self.beyond, self.within = Moved(), Moved()
        self.by_declared = self.by_floor = False
        self._rows: list[pa.Array] = []

    def rows(self) -> pa.Array | None:
        """Return the numbers, in the good table, of the rows with a changed cell beyond every tolerance.

        None for fewer or more than a segment is looked for.
        """
        import pyarrow as pa

        number = sum(len(rows) for rows in self._rows)
        return pa.concat_arrays(self._rows) if FEWEST <= number <= MANY else None

    def _remember(self, column: Column, rows: pa.Array) -> None:
        import pyarrow as pa

        if sum(len(kept) for kept in self._rows) <= MANY:
            self._rows.append((rows if column.places is None else column.places.take(rows)).cast(pa.int64()))

    @property
    def changes(self) -> int:
        """How many cells differ, within a tolerance or beyond."""
        return sum(s.count for s in (self.became, self.stopped, self.changed, self.beyond, self.within))

    @property
    def differs(self) -> bool:
        """Whether any cell differs."""
        return self.changes > 0

    def add(self, column: Column) -> None:
        """Count one batch."""
        import pyarrow.compute as pc

        if column.good.type == column.bad.type and column.good.equals(column.bad):
            return
        pair = unify(column.good, column.bad)
        self.kind = pair.kind
        good, bad = (pc.is_null(side).combine_chunks() for side in (column.good, column.bad))
        self.became.add(column, pc.indices_nonzero(pc.and_not(bad, good)))
        self.stopped.add(column, pc.indices_nonzero(pc.and_not(good, bad)))
        changed = pc.indices_nonzero(differing(pair).combine_chunks())
        if not len(changed):
            return
        if pair.kind == "number" and not self.decision:
            self._numbers(column, pair, changed)
            return
        self.changed.add(column, changed)
        self._remember(column, changed)
        if self.decision:
            self._flips(column, changed)
        elif pair.kind == "instant":
            moved = distance(Pair(pair.good.take(changed), pair.bad.take(changed), pair.kind, pair.tick))
            self.seconds = max(self.seconds or 0.0, pc.max(moved).as_py())

    def _flips(self, column: Column, changed: pa.Array) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        sides = [as_text(side.take(changed)).combine_chunks() for side in (column.good, column.bad)]
        good, bad = (side.dictionary_encode(null_encoding="encode") for side in sides)
        ways = pc.add(pc.multiply(good.indices.cast(pa.int64()), len(bad.dictionary)), bad.indices)
        for way in ways.value_counts().to_pylist():
            before, after = divmod(way["values"], len(bad.dictionary))
            self.ways[good.dictionary[before].as_py(), bad.dictionary[after].as_py()] += way["counts"]

    def _numbers(self, column: Column, pair: Pair, changed: pa.Array) -> None:
        """Tell the changed numbers that a tolerance forgives from those beyond every one."""
        import pyarrow as pa
        import pyarrow.compute as pc

        there = Pair(pair.good.take(changed), pair.bad.take(changed), pair.kind)
        size, moved = pc.abs(as_float(there.good)), distance(there)
        never = pa.chunked_array([pa.repeat(pa.scalar(False), len(changed))])
        declared, measured = never, never
        tolerance = self.tolerance
        if tolerance.declared:
            allowed = pc.add(pc.multiply(size, tolerance.relative), tolerance.absolute)
            declared = pc.and_(pc.is_finite(moved), pc.less_equal(moved, allowed))
        if tolerance.floor:
            measured = pc.less_equal(moved, tolerance.floor)
        within = pc.or_(declared, measured)
        self.by_declared |= pc.any(declared).as_py()
        self.by_floor |= pc.any(pc.and_not(measured, declared)).as_py()
        for mask, side in ((within, self.within), (pc.invert(within), self.beyond)):
            side.measure(column, changed.filter(mask.combine_chunks()), moved.filter(mask), size.filter(mask))
        self._remember(column, changed.filter(pc.invert(within).combine_chunks()))


def _larger(
    known: tuple[float, Example] | None, column: Column, rows: pa.Array, figures: pa.ChunkedArray
) -> tuple[float, Example] | None:
    """Return the largest figure and its cell, the first of equals, of what is known and these."""
    import pyarrow.compute as pc

    top = pc.max(figures).as_py()
    if top is None or (known is not None and top < known[0]):
        return known
    at = column.first(rows.filter(pc.fill_null(pc.equal(figures, top), False).combine_chunks()))[0]
    return (top, at) if known is None or top > known[0] or at < known[1] else known
