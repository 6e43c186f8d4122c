"""Two snapshots of one input, and everything between them: any set of their differences, cell by cell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from replay.layers.alignment import inverse
from replay.layers.sheet import Sheet

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Pairing:
    """A column that both sides have: its place in either, its changes, and the cells each of them stands for.

    `masks` are over all rows of good. `renamed` and `stored` (the stored type) name the change that decides them.
    """

    good: int
    bad: int
    masks: Mapping[str, pa.Array]
    renamed: str | None = None
    stored: str | None = None


@dataclass(frozen=True)
class RowsOf:
    """The rows of one segment that came or went, by the change that takes them: masks over good's and bad's rows.

    `step` is the segment's column as a step of a change's name.
    """

    name: str
    step: str
    removed: pa.Array
    added: pa.Array


@dataclass(frozen=True)
class Hybrid:
    """Two aligned sheets of one source.

    `partner` is, for every row of good, its row in bad. `added` and `removed` map a change's name to the
    column's place in bad, in good. `rows`, `order` and `format` name the changes that decide them, None where
    there is none. `segment` are rows that are taken apart from all other `rows`.
    """

    good: Sheet
    bad: Sheet
    partner: pa.Array
    pairs: Sequence[Pairing]
    added: Mapping[str, int]
    removed: Mapping[str, int]
    rows: str | None = None
    segment: RowsOf | None = None
    order: str | None = None
    format: str | None = None

    @property
    def row_changes(self) -> frozenset[str]:
        """The names of the changes that decide which rows there are."""
        names = (self.rows, self.segment.name if self.segment else None)
        return frozenset(name for name in names if name is not None)

    def mix(self, taken: frozenset[str]) -> Sheet:
        """Return the table with the changes named in `taken` from bad.

        A row that only one side has keeps its cells, with nothing in a column that its side lacks. Raises
        pyarrow.ArrowInvalid where the cells of both sides do not fit one stored type.
        """
        here, there = self._chosen_rows(taken)
        columns: dict[tuple[str, int], tuple[str, pa.Array, pa.DataType | None]] = {}
        for pair in self.pairs:
            columns["good", pair.good] = self._paired(pair, (here, there), taken)
        for name, place in self.added.items():
            if name in taken:
                columns["bad", place] = _column(self.bad, place, there)
        for name, place in self.removed.items():
            if name not in taken:
                columns["good", place] = _column(self.good, place, here)
        chosen = [columns[place] for place in self._ordered(columns, taken)]
        frame = self.bad if self.format in taken else self.good
        types = tuple(kind for _, _, kind in chosen if kind is not None)
        return replace(
            frame,
            names=tuple(name for name, _, _ in chosen),
            columns=tuple(column for _, column, _ in chosen),
            types=types,
            parts=(self.bad if self.rows in taken else self.good).parts,
        )

    def _chosen_rows(self, taken: frozenset[str]) -> tuple[pa.Array, pa.Array]:
        """Return the rows of the mix, each by its place in good and in bad (null where it is not).

        They stand as on the side whose rows are taken; those of a segment that come from the other stand at the end.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        of_bad = self.rows in taken
        if of_bad:
            here, there = inverse(self.partner, self.bad.rows), pa.array(range(self.bad.rows), pa.int64())
        else:
            here, there = pa.array(range(self.good.rows), pa.int64()), self.partner
        if self.segment is None or (self.segment.name in taken) == of_bad:
            return here, there
        own, others = (self.segment.added, self.segment.removed)[:: 1 if of_bad else -1]
        keep, more = pc.invert(own), pc.indices_nonzero(others).cast(pa.int64())
        nothing = pa.nulls(len(more), pa.int64())
        here, there = (
            pa.concat_arrays([rows.filter(keep), end])
            for rows, end in ((here, more if of_bad else nothing), (there, nothing if of_bad else more))
        )
        return here, there

    def _paired(
        self, pair: Pairing, rows: tuple[pa.Array, pa.Array], taken: frozenset[str]
    ) -> tuple[str, pa.Array, pa.DataType | None]:
        import pyarrow as pa
        import pyarrow.compute as pc

        here, there = rows
        from_bad = pc.is_null(here)
        for name, mask in pair.masks.items():
            if name in taken:
                from_bad = pc.or_(from_bad, pc.fill_null(mask.take(here), False))
        holds_none = pa.types.is_null(self.good.columns[pair.good].type) and pc.any(from_bad).as_py()
        from_side = pair.stored in taken or holds_none  # a column of nothing has no room for what is taken
        side, place = (self.bad, pair.bad) if from_side else (self.good, pair.good)
        good, bad = self.good.columns[pair.good].take(here), self.bad.columns[pair.bad].take(there)
        if not good.type.equals(bad.type):
            kind = side.columns[place].type
            good, bad = (pa.nulls(len(cells)) if pa.types.is_null(kind) else cells.cast(kind) for cells in (good, bad))
        ours, theirs = self.good.names[pair.good], self.bad.names[pair.bad]
        name = theirs if pair.renamed in taken or (self.format in taken and not ours) else ours
        return name, pc.if_else(from_bad, bad, good), side.types[place] if side.types else None

    def _ordered(self, columns: Iterable[tuple[str, int]], taken: frozenset[str]) -> list[tuple[str, int]]:
        """Return the columns in the order of the side that decides it; the other's own stand after their neighbours."""
        partner = {("bad", pair.bad): ("good", pair.good) for pair in self.pairs}
        ours = [("good", place) for place in range(len(self.good.names))]
        theirs = [partner.get(("bad", place), ("bad", place)) for place in range(len(self.bad.names))]
        first, second = (theirs, ours) if self.order in taken else (ours, theirs)
        found = list(first)
        for number, column in enumerate(second):
            if column not in found:
                before = second[number - 1] if number else None
                found.insert(found.index(before) + 1 if before is not None else 0, column)
        present = set(columns)
        return [column for column in found if column in present]


def _column(sheet: Sheet, place: int, rows: pa.Array) -> tuple[str, pa.Array, pa.DataType | None]:
    return sheet.names[place], sheet.columns[place].take(rows), sheet.types[place] if sheet.types else None
