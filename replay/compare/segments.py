"""Where a change sits: the column and value that best tell the changed rows from the others. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    """Where `column` is `value` lie the share `held` of the changed rows, and the share `of_all` of all rows."""

    column: str
    value: str
    held: float
    of_all: float

    @property
    def words(self) -> str:
        """Return it as the end of a sentence."""
        held = "all" if self.held == 1 else f"{percent(round(self.held * 1000), 1000)}"
        where = f"{clean(self.column)} = {clean(self.value)}"
        return f"{held} of them where {where} ({100 * self.of_all:.2g} % of the rows)"

    def as_json(self) -> dict[str, str | float]:
        """Return the figures."""
        return {"column": self.column, "value": clean(self.value), "held": self.held, "of_all": self.of_all}


Explain = Callable[["pa.Array"], "Segment | None"]
"""Finds the segment of changed rows, given by their numbers in the good table."""


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
