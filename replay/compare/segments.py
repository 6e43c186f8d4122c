"""Where a change sits: the column and value that best tell the changed rows from the others. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from replay.compare.rows import row_ids
from replay.compare.text import clean, percent

if TYPE_CHECKING:
    import pyarrow as pa

VALUES = 50
"""Different values up to which a column can name a segment."""

FEWEST = 20
"""Changed rows from which a segment is looked for: fewer lie in one by chance."""

MOST_OF = 0.8
"""Share of the changed rows that a segment must hold."""

LIFT = 1.5
"""How much more frequent the segment must be among the changed rows than among all."""

MANY = 1_000_000
"""Changed rows up to which their numbers are kept."""


@dataclass(frozen=True)
class Segment:
    """Where `column` is `value` lie the share `held` of the changed rows, and the share `of_all` of all rows.

    `source` is the input that has the column, None for the output itself.
    """

    column: str
    value: str
    held: float
    of_all: float
    source: str | None = None

    @property
    def words(self) -> str:
        """Return it as the end of a sentence."""
        held = "all" if self.held == 1 else f"{percent(round(self.held * 1000), 1000)}"
        place = f"{clean(self.source)}/{clean(self.column)}" if self.source else clean(self.column)
        where = f"{place} = {clean(self.value)}"
        return f"{held} of them where {where} ({100 * self.of_all:.2g} % of the rows)"

    def as_json(self) -> dict[str, str | float]:
        """Return the figures; `Segment(**figures)` is the segment again."""
        return {name: value for name, value in asdict(self).items() if value is not None}


Explain = Callable[["pa.Array"], "Segment | None"]
"""Finds the segment of changed rows, given by their numbers in the good table."""

Inputs = Callable[[Sequence[str]], "Iterable[tuple[str, pa.Table]]"]
"""Yields the inputs of the good run that have all columns of a key, each with its name."""


def best(changed: Mapping[str, pa.ChunkedArray], everything: Callable[[str], pa.ChunkedArray]) -> Segment | None:
    """Return the segment that agrees best with the changed rows, by how much of them it holds and how little else it
    holds; None where none holds most of them, or all rows are as often in it.

    `changed` are the columns on the changed rows; `everything` returns one on all rows, or on a sample of them, and is
    asked only where one value holds most of the changed rows.
    """
    found: list[tuple[float, Segment]] = []
    for column, values in changed.items():
        top = max(counted(values).items(), key=lambda each: each[1])
        held = top[1] / len(values)
        if held < MOST_OF:
            continue
        among = counted(everything(column))
        of_all = among.get(top[0], 0) / sum(among.values())
        if len(among) <= VALUES and held >= LIFT * of_all:
            found.append((held - of_all, Segment(column, clean(top[0]), held, of_all)))
    return max(found, key=lambda each: each[0])[1] if found else None


def names_segments(kind: pa.DataType) -> bool:
    """Return whether a column of this type can name a segment."""
    import pyarrow.types as t

    kind = kind.value_type if t.is_dictionary(kind) else kind
    return any(test(kind) for test in (t.is_string, t.is_large_string, t.is_boolean, t.is_integer))


def counted(column: pa.ChunkedArray) -> dict[object, int]:
    """Return how many rows have each value; null is one."""
    import pyarrow as pa

    column = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
    values = column.value_counts()
    return dict(zip(values.field("values").to_pylist(), values.field("counts").to_pylist(), strict=True))


def explain_in(table: pa.Table, without: Iterable[str]) -> Explain:
    """Return what finds a segment among the columns of a table held in memory."""
    names = [f.name for f in table.schema if f.name not in without and names_segments(f.type)]

    def explain(rows: pa.Array) -> Segment | None:
        return best({name: table[name].take(rows) for name in names}, lambda name: table[name])

    return explain


def explain_with(own: Explain, keys: Callable[[pa.Array], pa.Table], inputs: Inputs) -> Explain:
    """Return what looks for a segment in the inputs too, whose rows are found by the changed rows' `keys`.

    A column of the output itself wins over one of an input that tells as much.
    """

    def explain(rows: pa.Array) -> Segment | None:
        changed = keys(rows)
        found = [own(rows), *(_in_input(name, table, changed) for name, table in inputs(changed.column_names))]
        return max((each for each in found if each is not None), key=lambda each: each.held - each.of_all, default=None)

    return explain


def _in_input(name: str, table: pa.Table, changed: pa.Table) -> Segment | None:
    """Return the segment of an input's rows that belong to changed ones."""
    import pyarrow.compute as pc

    key = changed.column_names
    names = [f.name for f in table.schema if f.name not in key and names_segments(f.type)]
    ids, theirs = row_ids(changed, table, key)
    there = table.select(names).filter(pc.is_in(theirs, value_set=ids, skip_nulls=False))
    if not there.num_rows:
        return None
    found = best({column: there[column] for column in names}, lambda column: table[column])
    return found and replace(found, source=name)
