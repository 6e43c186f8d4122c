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

Counts = Mapping[str, tuple[Mapping[str, int], Mapping[str, int]]]
"""A column's values with how many changed rows have each, and how many rows in all."""


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


def best(counts: Counts) -> Segment | None:
    """Return the segment that agrees best with the changed rows, by the harmonic mean of how much of them it holds
    and how much of it they are (F1); None where none holds most of them, or all rows are as often in it."""
    found: list[tuple[float, Segment]] = []
    for column, (changed, everything) in counts.items():
        moved, rows = sum(changed.values()), sum(everything.values())
        for value, number in changed.items():
            held, of_all = number / moved, max(everything.get(value, 0), number) / max(rows, moved)
            if held >= MOST_OF and held >= LIFT * of_all:
                agreement = 2 * number / (moved + of_all * rows)
                found.append((agreement, Segment(column, value, held, of_all)))
    return max(found, key=lambda each: each[0])[1] if found else None


def names_segments(kind: pa.DataType) -> bool:
    """Return whether a column of this type can name a segment."""
    import pyarrow.types as t

    kind = kind.value_type if t.is_dictionary(kind) else kind
    return any(test(kind) for test in (t.is_string, t.is_large_string, t.is_boolean, t.is_integer))


def counted(column: pa.ChunkedArray) -> dict[str, int] | None:
    """Return how many rows have each value (null is one), None for more than `VALUES` different ones."""
    import pyarrow as pa

    column = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
    values = column.value_counts()
    if len(values) > VALUES:
        return None
    pairs = zip(values.field("values").to_pylist(), values.field("counts").to_pylist(), strict=True)
    return {clean(value): number for value, number in pairs}


def explain_in(table: pa.Table, without: Iterable[str]) -> Explain:
    """Return what finds a segment among the columns of a table held in memory."""

    def explain(rows: pa.Array) -> Segment | None:
        counts = {}
        for name in table.column_names:
            if name not in without and names_segments(table.schema.field(name).type):
                everything = counted(table[name])
                changed = counted(table[name].take(rows)) if everything else None
                if everything and changed:
                    counts[name] = (changed, everything)
        return best(counts)

    return explain
