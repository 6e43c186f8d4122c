"""Which row of one table is which row of the other. Pure, on pyarrow tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from replay.compare.difference import Difference, Kind
from replay.compare.text import clean, count
from replay.compare.values import hashable, unify
from replay.errors import CompareError
from replay.record import OutputSpec

if TYPE_CHECKING:
    import pyarrow as pa

SHOWN = 3
"""Examples in a sentence."""


@dataclass(frozen=True)
class Alignment:
    """Row numbers: row `good[i]` of the good table is row `bad[i]` of the bad one.

    `good` and `bad` are None where both tables have the same rows in the same order. `removed` are rows
    of the good table without a partner, `added` those of the bad one.
    """

    good: pa.Array | None
    bad: pa.Array | None
    removed: pa.Array
    added: pa.Array
    in_order: bool = True

    def pick(self, good: pa.ChunkedArray, bad: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
        """Return two columns (or tables) reduced to the common rows, in the good table's order."""
        return (
            good if self.good is None else good.take(self.good),
            bad if self.bad is None else bad.take(self.bad),
        )


def check_columns(name: str, names: Sequence[str], key: Sequence[str], side: str) -> None:
    """Raise CompareError where a column's name is there twice, or a column of the key is not there."""
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise CompareError(
            f"{clean(name)} ({side}) has the column {clean(twice[0])} {names.count(twice[0])} times",
            cause="a join or a concatenation kept the column of both sides",
            do="give every column of the output its own name",
        )
    missing = [k for k in key if k not in names]
    if missing:
        raise CompareError(
            f"{clean(name)} ({side}) has no column {', '.join(clean(m) for m in missing)} to use as the key",
            cause="the key is misspelt, or the job stopped writing that column",
            do=f"name a key among its columns: {clean(', '.join(names), 300) or '(none)'}",
        )


def by_key(name: str, good: pa.Table, bad: pa.Table, key: Sequence[str]) -> Alignment:
    """Align two tables by the columns `key`; a null equals a null. Raises CompareError where a key is repeated."""
    import pyarrow as pa
    import pyarrow.compute as pc

    good_ids, bad_ids = row_ids(good, bad, key)
    none = pa.array([], pa.int64())
    _unique(name, good_ids, good, key, "good")
    if good_ids.equals(bad_ids):
        return Alignment(None, None, none, none)
    _unique(name, bad_ids, bad, key, "bad")
    place = pc.index_in(good_ids, value_set=bad_ids, skip_nulls=False)
    found = pc.is_valid(place)
    rows = place.drop_null()
    in_order = len(rows) < 2 or bool(pc.all(pc.greater(rows[1:], rows[:-1])).as_py())
    removed = pc.indices_nonzero(pc.invert(found))
    added = none
    if len(rows) < len(bad_ids):
        known = pc.is_in(bad_ids, value_set=good_ids, skip_nulls=False)
        added = pc.indices_nonzero(pc.invert(known))
    return Alignment(pc.indices_nonzero(found), rows, removed, added, in_order)


Settled = tuple["pa.Table", "pa.Table", OutputSpec, Difference | None]


def settled(good: pa.Table, bad: pa.Table, spec: OutputSpec) -> Settled:
    """Return both tables with keys that are there once each, as `spec.on_duplicates` says, the declaration that
    identifies their rows, and the finding that names what was left out.

    `number`: a column `occurrence` (from 1) joins the key. `skip`: rows whose key either side repeats are left out.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    ids = row_ids(good, bad, spec.key)
    turns = [_occurrences(side) for side in ids]
    once = spec.model_copy(update={"on_duplicates": "error"})
    if not any(pc.any(pc.greater(side, 1)).as_py() for side in turns if len(side)):
        return good, bad, once, None
    if spec.on_duplicates == "number":
        extra = "occurrence"
        while extra in {*good.column_names, *bad.column_names}:
            extra += "_"
        good, bad = (table.append_column(extra, side) for table, side in zip((good, bad), turns, strict=True))
        return good, bad, once.model_copy(update={"key": (*spec.key, extra)}), None
    again = pa.concat_arrays([side.filter(pc.greater(turn, 1)) for side, turn in zip(ids, turns, strict=True)]).unique()
    kept = [pc.invert(pc.is_in(side, value_set=again, skip_nulls=False)) for side in ids]
    tables = [table.filter(mask) for table, mask in zip((good, bad), kept, strict=True)]
    rows = [table.num_rows - left.num_rows for table, left in zip((good, bad), tables, strict=True)]
    said = f"left out: {rows[0]:,} and {count(rows[1], 'row')} of {count(len(again), 'key')} there more than once"
    numbers = {"keys": len(again), "rows_good": rows[0], "rows_bad": rows[1]}
    kind: Kind = "order" if rows[0] == rows[1] else "rows"
    return tables[0], tables[1], once, Difference("duplicates", kind, said, {**numbers, "removed": 0, "added": 0})


def _occurrences(ids: pa.Array) -> pa.Array:
    """Return for every row the how-manieth of its key it is, from 1."""
    import pyarrow as pa

    seen: dict[object, int] = {}
    turns = []
    for place in ids.dictionary_encode(null_encoding="encode").indices.to_pylist():
        seen[place] = seen.get(place, 0) + 1
        turns.append(seen[place])
    return pa.array(turns, pa.int64())


def by_position() -> Alignment:
    """Align two tables of as many rows by position."""
    import pyarrow as pa

    none = pa.array([], pa.int64())
    return Alignment(None, None, none, none)


def as_multisets(good: pa.Table, bad: pa.Table, columns: Sequence[str]) -> tuple[pa.Array, pa.Array]:
    """Return the rows without an equal on the other side, (removed, added), counting repeats; exact values.

    A row that is there three times on one side and once on the other is named once for each that is too much.
    """
    good_ids, bad_ids = row_ids(good, bad, columns)
    return _surplus(good_ids, bad_ids), _surplus(bad_ids, good_ids)


def same_rows(good: pa.Table, bad: pa.Table, columns: Sequence[str]) -> bool:
    """Return whether both tables have the same rows, in any order, counting repeats; exact values."""
    if good.num_rows != bad.num_rows:
        return False
    one_by_one = ([column] for column in columns)  # most tables part in their first columns, and that is quick
    return all(_excess(*row_ids(good, bad, some)) is None for some in (*one_by_one, columns) if some)


def row_ids(good: pa.Table, bad: pa.Table, columns: Sequence[str]) -> tuple[pa.Array, pa.Array]:
    """Return one value a row and side, equal exactly where `columns` are equal (null equals null, NaN equals NaN)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(columns) == 1:
        pair = unify(good[columns[0]], bad[columns[0]])
        return hashable(pair.good), hashable(pair.bad)
    rows = good.num_rows
    codes = pa.repeat(pa.scalar(0, pa.int64()), rows + bad.num_rows)
    for column in columns:
        pair = unify(good[column], bad[column])
        both = pa.concat_arrays([hashable(pair.good), hashable(pair.bad)]).dictionary_encode(null_encoding="encode")
        wide = pc.multiply(codes, max(1, len(both.dictionary)))
        codes = pc.add(wide, both.indices.cast(pa.int64())).dictionary_encode().indices.cast(pa.int64())
    return codes[:rows], codes[rows:]


def label(table: pa.Table, key: Sequence[str], row: int) -> str:
    """Return how a sentence names a row: `customer_id=C12`, or `row 12` (from 1) without a key."""
    if not key:
        return f"row {row + 1}"
    return ", ".join(f"{clean(k)}={clean(table[k][row].as_py())}" for k in key)


def labels(table: pa.Table, key: Sequence[str], rows: pa.Array) -> list[str]:
    """Return the names of the first few of `rows`."""
    return [label(table, key, row.as_py()) for row in rows[:SHOWN]]


def _unique(name: str, ids: pa.Array, table: pa.Table, key: Sequence[str], side: str) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pc.count_distinct(ids, mode="all").as_py() == len(ids):
        return
    counts = ids.value_counts()
    counts = counts.filter(pc.greater(counts.field("counts"), 1))
    first = pc.index_in(counts.field("values")[:SHOWN], value_set=ids, skip_nulls=False)
    raise repeated(name, side, len(counts), labels(table, key, pa.array(first)))


def repeated(name: str, side: str, keys: int, shown: Sequence[str]) -> CompareError:
    """Return the error for `keys` keys that are there more than once, `shown` being the first."""
    return CompareError(
        f"{clean(name)} ({side}) has {count(keys, 'key')} more than once: {'; '.join(shown)}",
        cause="the key does not identify a row, or a join repeated rows",
        do="name as key all the columns that together identify a row, or none to compare by position",
    )


def _excess(ids: pa.Array, others: pa.Array) -> tuple[pa.Array, list[int]] | None:
    """Return the values that `others` holds fewer times than `ids`, and how many times fewer; None for none."""
    import pyarrow.compute as pc

    mine, theirs = ids.value_counts(), others.value_counts()
    place = pc.index_in(mine.field("values"), value_set=theirs.field("values"), skip_nulls=False)
    there = pc.fill_null(theirs.field("counts").take(place), 0)
    excess = pc.subtract(mine.field("counts"), there)
    over = pc.greater(excess, 0)
    return (mine.field("values").filter(over), excess.filter(over).to_pylist()) if pc.any(over).as_py() else None


def _surplus(ids: pa.Array, others: pa.Array) -> pa.Array:
    """Return, in order, the rows of `ids` that `others` holds fewer times."""
    import pyarrow as pa
    import pyarrow.compute as pc

    excess = _excess(ids, others)
    if excess is None:
        return pa.array([], pa.int64())
    values, left = excess
    which = pc.index_in(ids, value_set=values, skip_nulls=False)
    candidates = pc.indices_nonzero(pc.is_valid(which))
    rows = []
    for row, value in zip(reversed(candidates.to_pylist()), reversed(which.drop_null().to_pylist()), strict=True):
        if left[value]:
            left[value] -= 1
            rows.append(row)
    return pa.array(rows[::-1], pa.int64())
