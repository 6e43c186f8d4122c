"""How far a large table moved, as the figures that a bisect asks for: nothing is held in memory as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from replay.compare.distribution import SHIFTED, Shift
from replay.compare.divergence import moved_cells
from replay.compare.rows import check_columns
from replay.compare.values import logical
from replay.large.compare import Work, comparable
from replay.large.engine import database
from replay.large.sieve import Sides, sieve
from replay.large.source import Source, damage, identifier
from replay.record import OutputSpec

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


def measurable(good: Source, bad: Source, spec: OutputSpec) -> bool:
    """Return whether these tables can be measured here: by key, and each column a batch at a time."""
    sides = Sides(good, bad)
    return bool(spec.key) and comparable(good, bad, spec) and all(sides.steady(name) for name in sides.common())


def overlap_large(name: str, good: Source, bad: Source, spec: OutputSpec) -> int:
    """Return how many keys both of two `measurable` tables have. Raises CompareError as `compare_large` does."""
    _check(name, good, bad, spec)
    with database(lambda: damage(good, "good") or damage(bad, "bad")) as connection:
        return sieve(connection, name, Sides(good, bad), spec.key).common


def shifts_large(
    name: str, good: Source, bad: Source, names: Sequence[str], least: float = SHIFTED
) -> Mapping[str, Shift]:
    """Return the shifts of some columns of two tables, from a sample where there are very many rows."""
    with database(lambda: damage(good, "good") or damage(bad, "bad")) as connection:
        return Work(connection, name, Sides(good, bad), (), False).shifts(names, least)


def divergence_large(name: str, good: Source, bad: Source, spec: OutputSpec) -> float:
    """Return what `divergence` returns, for two `measurable` tables. Raises CompareError as `compare_large` does."""
    _check(name, good, bad, spec)
    sides = Sides(good, bad)
    names = [n for n in dict.fromkeys([*good.schema.names, *bad.schema.names]) if n not in spec.key]
    both = [n for n in names if n in sides.common()]
    with database(lambda: damage(good, "good") or damage(bad, "bad")) as connection:
        found = sieve(connection, name, sides, spec.key)
        lone, width = found.removed + found.added, max(1, len(names))
        moved = float(lone * width + found.common * (len(names) - len(both)))
        if both and found.common:
            units = {column: _unit(connection, good, column) for column in both}
            for batch in Work(connection, name, sides, spec.key, False).differing(both, found):
                moved += sum(moved_cells(batch.good[n], batch.bad[n], units[n]) for n in both)
    rows = found.common + lone
    return min(1.0, moved / (width * rows)) if rows else 0.0


def _check(name: str, good: Source, bad: Source, spec: OutputSpec) -> None:
    check_columns(name, good.schema.names, spec.key, "good")
    check_columns(name, bad.schema.names, spec.key, "bad")


def _unit(connection: duckdb.DuckDBPyConnection, source: Source, column: str) -> float:
    """Return the standard deviation of a number or instant column (seconds for instants), 1 where it is 0."""
    kind = source.schema.field(column).type
    number = _as_double(kind, identifier(column))
    if number is None:
        return 1.0
    relation = source.relation({"v": number})
    query = f"select stddev_pop(v) from (select v from {relation} where isfinite(v))"
    (deviation,) = connection.execute(query).fetchall()[0]
    return float(deviation or 1.0)


def _as_double(kind: pa.DataType, column: str) -> str | None:
    import pyarrow.types as t

    if t.is_integer(kind) or t.is_floating(kind) or t.is_decimal(kind):
        return f"{column}::double"
    return f"epoch({column})" if (logical(kind) or "").startswith(("date", "timestamp")) else None
