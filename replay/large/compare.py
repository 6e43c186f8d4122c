"""Two large tables compared: the sieve finds what may differ, the rules of `replay.compare` judge it in batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from replay.compare.difference import Difference
from replay.compare.distribution import SHIFTED, Shift, shifted_from, table_shifts
from replay.compare.rows import SHOWN, check_columns, label
from replay.compare.segments import Inputs, Segment, best, explain_with, names_segments
from replay.compare.tables import OTHER_ORDER, SHUFFLED, Lone, Matched, report, tallies_of
from replay.compare.tally import Column, Tally
from replay.large.engine import database
from replay.large.sieve import Sides, Sieved, renamed, sieve
from replay.large.source import Source, damage, identifier
from replay.record import OutputSpec

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

BATCH = 200_000
"""Rows judged at once."""

MOST = 0.25
"""Share of the common rows from which all of them are looked at, instead of finding each that may differ again."""

SAMPLE = 1_000_000
"""Rows of a side that a distribution is taken from."""


def comparable(good: Source, bad: Source, spec: OutputSpec) -> bool:
    """Return whether these tables can be compared here: every type is one that the database reads exactly.

    Without a key the rows themselves are told apart by hashes, so every column must have the same type on both sides.
    """
    sides = Sides(good, bad)
    if spec.key and spec.on_duplicates != "error":
        return False
    if not good.usable or not bad.usable:
        return False
    if spec.key:
        keys = [name for name in spec.key if name in sides.common()]
        return all(sides.key_expressions(name) for name in keys)
    return bool(sides.common()) and all(sides.expressions(name) for name in sides.common())


def compare_large(
    name: str,
    good: Source,
    bad: Source,
    spec: OutputSpec,
    noise: Mapping[str, float] | None = None,
    *,
    common_rows: bool = False,
    inputs: Inputs | None = None,
) -> Difference | None:
    """Return what `compare_tables` returns, for `comparable` tables of any size.

    Distributions of more than `SAMPLE` rows are taken from as many. Raises CompareError as `compare_tables` does,
    and where the memory limit and the disk together do not suffice.
    """
    check_columns(name, good.schema.names, spec.key, "good")
    check_columns(name, bad.schema.names, spec.key, "bad")
    tallies = tallies_of(good.schema, bad.schema, spec, noise)
    with database(lambda: damage(good, "good") or damage(bad, "bad")) as connection:
        work = Work(connection, name, Sides(good, bad), spec.key, common_rows)
        by_row = bool(spec.key) or good.total == bad.total
        matched = work.matched(tallies) if by_row else work.multisets()
        if inputs is not None and spec.key and matched.explain is not None:
            keys = partial(work.rows_of, spec.key)
            matched = replace(matched, explain=explain_with(matched.explain, keys, inputs))
        least = shifted_from(spec)
        matched = replace(matched, shifts=partial(work.shifts, least=least), least=least)
        if common_rows:
            matched = replace(matched, removed=Lone(), added=Lone(), rows=(matched.common, matched.common))
        return report(name, matched, spec.key)


@dataclass(frozen=True)
class Work:
    """One comparison under way."""

    connection: duckdb.DuckDBPyConnection
    name: str
    sides: Sides
    key: tuple[str, ...]
    common_rows: bool

    def matched(self, tallies: Sequence[Tally]) -> Matched:
        """Hold the tables against each other by key, or by position."""
        found = sieve(self.connection, self.name, self.sides, self.key)
        batched = [tally for tally in tallies if self.sides.steady(tally.name)]
        for batch in self.differing([tally.name for tally in batched], found):
            _judge(batched, batch, self.key)
        for tally in tallies:
            if tally not in batched:  # the whole column at once decides how it is read
                whole = list(self._batches([tally.name], found, every=True, whole=True))
                _judge([tally], whole[0], self.key)
        matched = Matched(
            good=self.sides.good.schema,
            bad=self.sides.bad.schema,
            rows=(self.sides.good.total, self.sides.bad.total),
            common=found.common,
            removed=self._lone("g", found.removed),
            added=self._lone("b", found.added),
            tallies=tallies,
            shifts=self.shifts,
            explain=partial(self._explain, {*self.key, *(tally.name for tally in tallies if tally.decision)}),
            order=None if found.in_order else OTHER_ORDER,
        )
        if not self.key and any(tally.differs for tally in tallies) and self._same_rows():
            return replace(matched, tallies=(), order=SHUFFLED)
        return matched

    def differing(self, names: Sequence[str], found: Sieved) -> Iterator[_Batch]:
        """Yield the rows with a partner that may differ in these columns; all of them where those are many."""
        hashed = [name for name in names if self.sides.expressions(name)]
        every = found.pairs > MOST * found.common or len(hashed) < len(names)
        if names and (found.pairs or every):
            yield from self._batches(names, found, every=every)

    def multisets(self) -> Matched:
        """Compare rows without key or position: which are there more often on one side."""
        counts = []
        for side, source in (("g", self.sides.good), ("b", self.sides.bad)):
            hashed = source.relation({"h": self._row_hash(side)})
            counts.append(f"(select h, count(*) as n from {hashed} group by h)")
        self.connection.execute(
            "create or replace temp table surplus as select h, coalesce(g.n, 0) - coalesce(b.n, 0) as more "
            f"from {counts[0]} g full join {counts[1]} b using (h) where g.n is distinct from b.n"
        )
        removed, added = self._surplus("g", "more"), self._surplus("b", "-more")
        return Matched(
            good=self.sides.good.schema,
            bad=self.sides.bad.schema,
            rows=(self.sides.good.total, self.sides.bad.total),
            common=self.sides.good.total - removed.count,
            removed=removed,
            added=added,
            tallies=(),
            shifts=self.shifts,
        )

    def _surplus(self, side: str, more: str) -> Lone:
        """Return the rows that one side has more often: of equal ones the last."""
        relation = self._source(side).relation({"h": self._row_hash(side)})
        self.connection.execute(
            "create or replace temp table lone as select rn from (select rn, row_number() over (partition by h "
            f"order by rn desc) as turn, {more} as more from {relation} join surplus using (h)) where turn <= more"
        )
        (number,) = self.connection.execute("select count(*) from lone").fetchall()[0]
        return Lone(number, self._labels(side, "select rn from lone", self.sides.common()[:SHOWN]))

    def _lone(self, side: str, number: int) -> Lone:
        if not number:
            return Lone()
        rows = f"select {side} from pairs where {side} is not null and not paired"
        return Lone(number, self._labels(side, rows, self.key or self.sides.common()[:SHOWN]))

    def _labels(self, side: str, rows: str, shown: Sequence[str]) -> list[str]:
        """Return the names of the first few of some rows."""
        source = self._source(side)
        columns = {f"c{place}": identifier(column) for place, column in enumerate(shown)}
        first = f"select min(rn, {SHOWN}) as found from ({rows}) as t(rn)"
        numbers: list[int] = self.connection.execute(first).fetchall()[0][0] or []
        if not numbers:
            return []
        listed = ", ".join(map(str, numbers))
        table = self.connection.sql(
            f"select * exclude (rn) from {source.relation(columns)} where rn in ({listed}) order by rn"
        ).to_arrow_table()
        table = renamed(table, shown, source)
        return [label(table, shown, row) for row in range(len(table))]

    def _same_rows(self) -> bool:
        """Return whether both sides have the same rows in any order, by sums over hashes of whole rows."""
        sums = [
            self.connection.execute(
                "select sum(h::hugeint), bit_xor(h), sum((h % 4294967291)::hugeint * (h % 4294967291)::hugeint) from "
                + self._source(side).relation({"h": self._row_hash(side)})
            ).fetchall()
            for side in "gb"
        ]
        return bool(sums[0] == sums[1])

    def _row_hash(self, side: str) -> str:
        both = [self.sides.expressions(column) for column in self.sides.common()]
        return f"hash({', '.join(pair['gb'.index(side)] for pair in both if pair)})"

    def _source(self, side: str) -> Source:
        return self.sides.good if side == "g" else self.sides.bad

    def _batches(self, names: Sequence[str], found: Sieved, *, every: bool, whole: bool = False) -> Iterator[_Batch]:
        """Yield the rows that have a partner, or only those that may differ, both sides' columns beside each other."""
        picked = {f"c{place}": identifier(column) for place, column in enumerate(names)}
        labels = {f"k{place}": identifier(column) for place, column in enumerate(self.key)}
        good, bad = self.sides.good, self.sides.bad
        columns = [f"g.{alias}" for alias in (*labels, *picked)] + [f"b.{alias}" for alias in picked]
        listed = "select g.rn, " + ", ".join(columns)
        if not every:
            query = (
                f"{listed} from pairs p join {good.relation(labels | picked)} g on p.g = g.rn "
                f"join {bad.relation(picked)} b on p.b = b.rn where p.paired"
            )
        else:
            both = [self.sides.key_expressions(column) for column in self.key]
            joins = [{f"j{place}": pair[side] for place, pair in enumerate(both) if pair} for side in (0, 1)]
            on = self.sides.joined(list(joins[0]), self.key)
            query = (
                f"{listed} from {good.relation(labels | picked | joins[0])} g "
                f"join {bad.relation(picked | joins[1])} b on {on}"
            )
        for table in self._tables(query, whole=whole or (found.pairs <= BATCH and not every)):
            yield _Batch.of(table, names, self.key, self.sides)

    def _tables(self, query: str, *, whole: bool) -> Iterator[pa.Table]:
        import pyarrow as pa

        if whole:
            yield self.connection.sql(f"select * from ({query}) order by rn").to_arrow_table()
            return
        for batch in self.connection.sql(query).to_arrow_reader(BATCH):
            yield pa.Table.from_batches([batch])

    def shifts(self, names: Sequence[str], least: float = SHIFTED) -> Mapping[str, Shift]:
        """Return the shifts of some columns, one after the other, from a sample where there are very many rows."""
        shifts: dict[str, Shift] = {}
        for name in names:
            sides = [self._sample(side, name) for side in "gb"]
            shifts |= table_shifts(sides[0], sides[1], [name], least)
        rows = (self.sides.good.total, self.sides.bad.total)
        if max(rows) <= SAMPLE:
            return shifts
        said = f" (of a sample: about {SAMPLE:,} rows of {' and '.join(f'{side:,}' for side in rows)})"
        return {name: replace(found, sentence=found.sentence + said) for name, found in shifts.items()}

    def _explain(self, without: set[str], rows: pa.Array) -> Segment | None:
        """Find where changed rows lie, among the columns of few values; how frequent each is comes from a sample."""
        names = [f.name for f in self.sides.good.schema if f.name not in without and names_segments(f.type)]
        if not names:
            return None
        there = self.rows_of(names, rows)
        return best({name: there[name] for name in names}, lambda name: self._sample("g", name)[name])

    def rows_of(self, names: Sequence[str], rows: pa.Array) -> pa.Table:
        """Return some columns of some rows of the good table, in any order."""
        import pyarrow as pa

        good = self.sides.good
        self.connection.register("changed", pa.table({"rn": rows}))
        columns = {f"c{place}": identifier(name) for place, name in enumerate(names)}
        query = f"select * exclude (rn) from {good.relation(columns)} where rn in (select rn from changed)"
        return renamed(self.connection.sql(query).to_arrow_table(), names, good)

    def _sample(self, side: str, name: str) -> pa.Table:
        source = self._source(side)
        every = -(-source.total // SAMPLE)
        chosen = ["true"] if every <= 1 else [f"hash(rn) % {every} = 0"]
        if self.common_rows:
            chosen.append(f"rn not in (select {side} from pairs where {side} is not null and not paired)")
        query = f"select c0 from {source.relation({'c0': identifier(name)})} where {' and '.join(chosen)}"
        return renamed(self.connection.sql(query).to_arrow_table(), [name], source)


@dataclass(frozen=True)
class _Batch:
    """Common rows: both sides' columns, the good side's key, and the rows' numbers in the good table."""

    good: pa.Table
    bad: pa.Table
    keys: pa.Table
    places: pa.Array

    @classmethod
    def of(cls, table: pa.Table, names: Sequence[str], key: Sequence[str], sides: Sides) -> _Batch:
        """Take a result of the query apart."""
        first = 1 + len(key)
        columns = table.column_names
        return cls(
            renamed(table.select(range(first, first + len(names))), names, sides.good),
            renamed(table.select(range(first + len(names), len(columns))), names, sides.bad),
            renamed(table.select(range(1, first)), key, sides.good),
            table.column(0).combine_chunks(),
        )

    def row_name(self, key: Sequence[str], row: int) -> str:
        """Return how a sentence names a row of the batch."""
        return label(self.keys, key, row if key else self.places[row].as_py())


def _judge(tallies: Sequence[Tally], batch: _Batch, key: tuple[str, ...]) -> None:
    """Show every tally its column of the batch, side by side."""

    def show(tally: Tally) -> None:
        names = partial(batch.row_name, key)
        tally.add(Column(tally.name, batch.good[tally.name], batch.bad[tally.name], names, batch.places))

    with ThreadPoolExecutor() as threads:
        list(threads.map(show, tallies))
