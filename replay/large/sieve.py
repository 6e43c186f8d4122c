"""Which rows of two large tables belong together, and which of them may differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from replay.compare.rows import SHOWN, label, repeated
from replay.compare.values import steady
from replay.large.source import Source, identifier, typed_as

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

CROWDED = 0.9
"""Share of different keys below which keys are looked at one by one before any join: it could multiply rows."""

SAMPLED = 1000
"""One row of as many is looked at for keys that are there very often."""

HOT = 50
"""Times that a key may come up among these before keys are looked at one by one."""


@dataclass(frozen=True)
class Sides:
    """Two large tables, and how their columns are brought to types that compare."""

    good: Source
    bad: Source

    def common(self) -> list[str]:
        """Return the columns of both sides, in the good one's order."""
        others = set(self.bad.schema.names)
        return [name for name in self.good.schema.names if name in others]

    def steady(self, name: str) -> bool:
        """Return whether two parts of a column compare as the whole column does."""
        return steady(self.good.schema.field(name).type, self.bad.schema.field(name).type)

    def expressions(self, name: str) -> tuple[str, str] | None:
        """Return SQL for a column on either side: equal results mean equal values. None where there is none."""
        import pyarrow.types as t

        good, bad = (plain(side.schema.field(name).type) for side in (self.good, self.bad))
        column = identifier(name)
        if t.is_nested(good) or t.is_nested(bad):  # DuckDB hashes an empty list as it hashes a null
            return None
        if good == bad or (t.is_timestamp(good) and t.is_timestamp(bad) and _same_instant(good, bad)):
            return column, column
        for test, target in ((t.is_integer, "hugeint"), (t.is_floating, "double")):
            if test(good) and test(bad):
                return f"{column}::{target}", f"{column}::{target}"
        if {str(good), str(bad)} <= {"string", "large_string"}:
            return column, column
        return None

    def joined(self, aliases: Sequence[str], key: Sequence[str]) -> str:
        """Return the condition that rows g and b belong together; a null equals a null, which costs where it can be."""
        never_null = self.good.filled & self.bad.filled
        tests = [
            f"g.{alias} = b.{alias}" if column in never_null else f"g.{alias} is not distinct from b.{alias}"
            for alias, column in zip(aliases, key, strict=True)
        ]
        return " and ".join(tests) or "g.rn = b.rn"

    def key_expressions(self, name: str) -> tuple[str, str] | None:
        """Return the same for a column of the key: there whole numbers also equal their digits as text."""
        import pyarrow.types as t

        kinds = [plain(side.schema.field(name).type) for side in (self.good, self.bad)]
        texts = [t.is_string(kind) or t.is_large_string(kind) for kind in kinds]
        if any(texts) and all(text or t.is_integer(kind) for text, kind in zip(texts, kinds, strict=True)):
            return f"{identifier(name)}::varchar", f"{identifier(name)}::varchar"
        return self.expressions(name)


@dataclass(frozen=True)
class Sieved:
    """What the sieve found. `pairs` is how many rows with a partner may differ; `common` all that have one."""

    common: int
    pairs: int
    removed: int
    added: int
    in_order: bool


def plain(kind: pa.DataType) -> pa.DataType:
    """Return the type of a column's values, without a dictionary around them."""
    import pyarrow.types as t

    return kind.value_type if t.is_dictionary(kind) else kind


def sieve(connection: duckdb.DuckDBPyConnection, name: str, sides: Sides, key: Sequence[str]) -> Sieved:
    """Align by `key` (by position without one) and keep in the table `pairs` (g, b) what may differ.

    g and b are row numbers; one is null for a row without a partner. Raises CompareError where a key is repeated.
    """
    keys = {f"k{place}": _both(sides.key_expressions(column)) for place, column in enumerate(key)}
    compared = [e for column in sides.common() if column not in key and (e := sides.expressions(column))]
    hashes = [f"hash({', '.join(e[side] for e in compared)})" if compared else "0::ubigint" for side in (0, 1)]
    relations = [
        source.relation({alias: both[side] for alias, both in keys.items()} | {"h": hashes[side]})
        for side, source in enumerate((sides.good, sides.bad))
    ]
    if key:
        for side in _crowded(connection, relations, list(keys)):
            refuse_repeated(connection, name, (sides.good, sides.bad)[side], key, side)
    on = sides.joined(list(keys), key)
    alone = [f"hash({', '.join(f'{side}.{alias}' for alias in keys)})" if key else "null" for side in "gb"]
    connection.execute(
        "create or replace temp table pairs as select case when g.h = b.h then null else g.rn end as g, "
        "case when g.h = b.h then null else b.rn end as b, count(*) as n, "
        "max(abs(g.rn::bigint - b.rn::bigint)) as gap, g.h is not null and b.h is not null as paired, "
        f"case when b.h is null then {alone[0]} when g.h is null then {alone[1]} end as lone "
        f"from {relations[0]} g full join {relations[1]} b on {on} group by all"
    )
    common, moved, removed, added, gap, *different = connection.execute(
        "select coalesce(sum(n) filter (paired), 0), count(*) filter (paired and g is not null), "
        "count(*) filter (b is null and not paired), count(*) filter (g is null and not paired), "
        "coalesce(max(gap), 0), count(distinct lone) filter (b is null), count(distinct lone) filter (g is null) "
        "from pairs"
    ).fetchall()[0]
    if key:
        # As many pairs as the bad side has rows with a partner: no key of these is twice on the good side.
        met = (common == sides.bad.total - added, common == sides.good.total - removed)
        for side, source in enumerate((sides.good, sides.bad)):
            if not met[side] or different[side] < (removed, added)[side]:  # or two lone keys have one hash
                refuse_repeated(connection, name, source, key, side)
    in_order = gap == 0 or (gap <= max(removed, added) and _in_order(connection, relations, on))
    return Sieved(int(common), moved, removed, added, in_order)


def refuse_repeated(
    connection: duckdb.DuckDBPyConnection, name: str, source: Source, key: Sequence[str], side: int
) -> None:
    """Raise CompareError with the keys that are there more than once; return where none is."""
    columns = {f"k{place}": identifier(column) for place, column in enumerate(key)}
    grouped = (
        f"select min(rn) as first, {', '.join(columns)} from {source.relation(columns)} "
        f"group by {', '.join(columns)} having count(*) > 1"
    )
    (number,) = connection.execute(f"select count(*) from ({grouped})").fetchall()[0]
    if number:
        rows = connection.sql(f"select * from ({grouped}) order by first limit {SHOWN}").to_arrow_table()
        table = renamed(rows.drop_columns(["first"]), key, source)
        raise repeated(name, ("good", "bad")[side], number, [label(table, key, row) for row in range(len(table))])


def renamed(table: pa.Table, names: Sequence[str], source: Source) -> pa.Table:
    """Return a result of the database with its columns named and typed as their file has them."""
    import pyarrow as pa

    kinds = [plain(source.schema.field(name).type) for name in names]
    columns = [typed_as(table.column(place), kind) for place, kind in enumerate(kinds)]
    return pa.table(columns, names=list(names))


def _crowded(connection: duckdb.DuckDBPyConnection, relations: Sequence[str], keys: Sequence[str]) -> list[int]:
    """Return the sides with keys that may be there many times: by an estimate of the different ones, and a sample."""
    looks = f"select count(*), approx_count_distinct(h), list(h) filter (rn % {SAMPLED} = 0)"
    both = ", ".join(
        f"({looks} from (select hash({', '.join(keys)}) as h, rn from {relation}))" for relation in relations
    )
    found = connection.execute(f"select * from {both}").fetchall()[0]
    return [
        side
        for side, (rows, different, sample) in enumerate((found[:3], found[3:]))
        if different < CROWDED * rows or max(Counter(sample or [0]).values()) > HOT
    ]


def _in_order(connection: duckdb.DuckDBPyConnection, relations: list[str], on: str) -> bool:
    """Return whether the partners of the good rows, in their order, are in order too."""
    joined = f"select g.rn as g, b.rn as b from {relations[0]} g join {relations[1]} b on {on}"
    turned = f"select b < lag(b) over (order by g) as back from ({joined})"
    return not connection.execute(f"select coalesce(bool_or(back), false) from ({turned})").fetchall()[0][0]


def _same_instant(good: pa.DataType, bad: pa.DataType) -> bool:
    return good.unit == bad.unit and (good.tz is None) == (bad.tz is None)


def _both(expressions: tuple[str, str] | None) -> tuple[str, str]:
    if expressions is None:
        raise AssertionError("keys that the database cannot hold against each other are compared in memory")
    return expressions
