"""Every value of a column in order, and how often either side has it: what all figures of a shift follow from. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

from replay.compare.values import Pair

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

MANY = 100_000
"""Values of both sides from which DuckDB counts them: below, opening it costs more than it saves."""


@dataclass(frozen=True)
class Counted:
    """Different values in order, without nulls and NaN, and how often the `good` and the `bad` side have each.

    `missing` are the nulls and NaN of the two sides. The sides may have any numbers of values.
    """

    values: pa.Array
    good: pa.Array
    bad: pa.Array
    missing: tuple[int, int]

    @cached_property
    def below(self) -> tuple[pa.Array, pa.Array]:
        """For both sides, how many of its values are at most each value."""
        import pyarrow.compute as pc

        return pc.cumulative_sum(self.good), pc.cumulative_sum(self.bad)

    @cached_property
    def sizes(self) -> tuple[int, int]:
        """How many values either side has."""
        return tuple(side[-1].as_py() if len(side) else 0 for side in self.below)  # type: ignore[return-value]

    @cached_property
    def apart(self) -> pa.Array:
        """n * m * |F_good - F_bad| after each value: in whole numbers and so exact, ties included (Hodges 1958)."""
        import pyarrow.compute as pc

        n, m = self.sizes
        return pc.abs(pc.subtract(pc.multiply(self.below[0], m), pc.multiply(self.below[1], n)))

    @cached_property
    def ks(self) -> float:
        """The two-sample Kolmogorov-Smirnov statistic, sup |F_good - F_bad|. Neither side may be empty."""
        import pyarrow.compute as pc

        n, m = self.sizes
        return float(pc.max(self.apart).as_py() / (n * m))

    @property
    def p(self) -> float:
        """How likely a KS as large is under no change: Kolmogorov's limit with Stephens' correction (1970)."""
        n, m = self.sizes
        root = math.sqrt(n * m / (n + m))
        reach = (root + 0.12 + 0.11 / root) * self.ks
        if reach < 0.2:
            return 1.0
        terms = ((1.0 if k % 2 else -1.0) * math.exp(-2 * (k * reach) ** 2) for k in range(1, 101))
        return min(1.0, max(0.0, 2 * sum(terms)))

    @property
    def wasserstein(self) -> float:
        """The Wasserstein distance of order 1, the integral of |F_good - F_bad|; infinities take no part."""
        import pyarrow.compute as pc

        n, m = self.sizes
        steps = pc.subtract(self.values[1:], self.values[:-1])
        area = pc.multiply(steps, self.apart[:-1].cast("float64"))
        return float(pc.sum(area.filter(pc.is_finite(area))).as_py() or 0.0) / (n * m)

    def tenths(self) -> list[float]:
        """Return the deciles of the good side, linear between two neighbours; none of none."""
        found = []
        for tenth in range(1, 10) if self.sizes[0] else ():
            place, rest = divmod(tenth * (self.sizes[0] - 1), 10)
            low, high = self._at(place), self._at(min(place + 1, self.sizes[0] - 1))
            found.append(low if not rest or low == high else low + (high - low) * rest / 10)
        return [edge for edge in found if not math.isnan(edge)]

    def under(self, edge: float, *, strict: bool) -> tuple[int, int]:
        """Return how many values of either side are below `edge`, those equal to it counted unless `strict`."""
        end = (bisect_left if strict else bisect_right)(self.values, edge, key=lambda value: value.as_py())
        good, bad = (side[end - 1].as_py() if end else 0 for side in self.below)
        return good, bad

    def _at(self, place: int) -> float:
        """Return the value of the good side with this number in its order."""
        return float(self.values[bisect_right(self.below[0], place, key=lambda count: count.as_py())].as_py())


def counted(pair: Pair) -> Counted:
    """Count two columns of one type, numbers as float64 or texts (these in any order); the lengths may differ."""
    import pyarrow as pa
    import pyarrow.compute as pc

    count = _by_database if len(pair.good) + len(pair.bad) > MANY else _in_memory
    table = count(pair)
    columns = [pa.concat_arrays([*column.chunks, pa.array([], column.type)]) for column in table.columns]
    there = pc.is_valid(columns[0])
    if pair.kind != "other":
        there = pc.and_(there, pc.invert(pc.fill_null(pc.is_nan(columns[0]), True)))
    values, good, both = columns if pc.all(there).as_py() else (column.filter(there) for column in columns)
    sizes = [pc.sum(counts).as_py() or 0 for counts in (good, both)]
    missing = (len(pair.good) - sizes[0], len(pair.bad) - (sizes[1] - sizes[0]))
    return Counted(values, good, pc.subtract(both, good), missing)


def _by_database(pair: Pair) -> pa.Table:
    """Return the table of values, how often the good side has each, and how often both do."""
    import pyarrow as pa

    cursor = _database().cursor()
    try:
        for name, side in (("good", pair.good), ("bad", pair.bad)):
            cursor.register(name, pa.table({"v": side}))
        counts = "select v, count(x), count(*) from (select v, true as x from good union all select v, null from bad)"
        return cursor.sql(f"{counts} group by v {'' if pair.kind == 'other' else 'order by v'}").to_arrow_table()
    finally:
        cursor.close()


@cache
def _database() -> duckdb.DuckDBPyConnection:
    """Return the one database of this process that counts: it holds no table and writes no file."""
    import duckdb

    return duckdb.connect(config={"temp_directory": "", "autoinstall_known_extensions": "false"})


def _in_memory(pair: Pair) -> pa.Table:
    """Return what `_by_database` does."""
    import pyarrow as pa

    sides = [
        pa.table({"v": side, "x": pa.repeat(pa.scalar(number, pa.int64()), len(side))})
        for side, number in ((pair.good, 1), (pair.bad, 0))
    ]
    found = pa.concat_tables(sides).group_by("v").aggregate([("x", "sum"), ([], "count_all")])
    found = found.select(["v", "x_sum", "count_all"])
    return found if pair.kind == "other" else found.sort_by("v")
