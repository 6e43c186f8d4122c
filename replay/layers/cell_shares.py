"""Which cells each change of an input stands for. Pure rules on Arrow arrays.

A column's cells that differ between two rows of one key are shared out among the changes that its contract lists:
what became null or stopped being so, what is no known category, what has another type or is the same number
written otherwise. What no change of the contract explains is a change of values.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from replay.layers.cells import NULL_TEXTS
from replay.layers.contract import Column

if TYPE_CHECKING:
    import pyarrow as pa

NUMBER = r"^\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\s*$"
_WHOLE = r"^\s*[-+]?\d+\s*$"
_DATED = r"^\s*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}"

VALUES = "values"
"""The part of a column that no change of its contract explains."""


@dataclass(frozen=True)
class Cells:
    """Both sides of a column on the rows that both have, in the same order."""

    good: pa.Array
    bad: pa.Array

    def differing(self) -> pa.Array:
        """Return where the two differ; NaN is like NaN, null like null."""
        import pyarrow as pa
        import pyarrow.compute as pc

        good, bad = self.good, self.bad
        if pa.types.is_nested(good.type) or pa.types.is_nested(bad.type):  # Arrow compares no lists
            pairs = zip(good.to_pylist(), bad.to_pylist(), strict=True)
            return pa.array([repr(one) != repr(other) for one, other in pairs], pa.bool_())
        if pa.types.is_null(good.type) and pa.types.is_null(bad.type):
            return pa.repeat(False, len(good))
        if not good.type.equals(bad.type):
            good, bad = good.cast(pa.large_string(), safe=False), bad.cast(pa.large_string(), safe=False)
        unequal = pc.fill_null(pc.not_equal(good, bad), False)
        if pa.types.is_floating(good.type):
            unequal = pc.and_not(unequal, pc.fill_null(pc.and_(pc.is_nan(good), pc.is_nan(bad)), False))
        return pc.or_(unequal, pc.xor(pc.is_null(good), pc.is_null(bad)))


def shared_out(
    cells: Cells, listed: Collection[str], good: Column, bad: Column, there: pa.Array
) -> dict[str, pa.Array]:
    """Return the differing cells of a column as one mask for each property of `listed` and for `VALUES`.

    `there` says which rows both sides have.

    `listed` are the properties of this column that the contract says changed: `nulls`, `categories`, `type`,
    `style` (how a date is written). Empty masks are left out.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    rest = pc.and_(cells.differing(), there)
    found: dict[str, pa.Array] = {}

    def take(name: str, mask: pa.Array) -> None:
        nonlocal rest
        own = pc.and_(rest, pc.fill_null(mask, False))
        if pc.any(own).as_py():
            found[name] = own
            rest = pc.and_not(rest, own)

    if "nulls" in listed:
        take("nulls", pc.or_(void(cells.good), void(cells.bad)))
    if not pa.types.is_large_string(cells.good.type) or not pa.types.is_large_string(cells.bad.type):
        if {"type", "categories"} & set(listed):
            take("type" if "type" in listed else "categories", rest)
    elif "type" in listed:
        take("type", _of_type(cells))
    elif "style" in listed:
        take("style", rest)
    if "categories" in listed:
        take("categories", pc.or_(_unknown(cells.bad, good), _unknown(cells.good, bad)))
    if pc.any(rest).as_py():
        found[VALUES] = rest
    return found


def void(cells: pa.Array) -> pa.Array:
    """Return where there is nothing, or what readers take for nothing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_large_string(cells.type):
        return pc.is_null(cells, nan_is_null=True)
    return pc.or_(pc.is_null(cells), pc.is_in(cells, pa.array(NULL_TEXTS, pa.large_string())))


def _unknown(cells: pa.Array, column: Column) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    known = pa.array(sorted(column.categories or {}), pa.large_string())
    return pc.and_not(pc.invert(pc.is_in(cells, known)), void(cells))


def _of_type(cells: Cells) -> pa.Array:
    """Return where the two cells are not of one type, or one number written in two ways."""
    import pyarrow as pa
    import pyarrow.compute as pc

    number, number2 = _like(cells.good, NUMBER), _like(cells.bad, NUMBER)
    both = pc.and_(number, number2)
    values = [
        pc.if_else(both, pc.utf8_trim_whitespace(side), None).cast(pa.float64()) for side in (cells.good, cells.bad)
    ]
    same = pc.fill_null(pc.equal(*values), False)
    other_kind = pc.and_(both, pc.xor(_like(cells.good, _WHOLE), _like(cells.bad, _WHOLE)))
    dates = pc.and_(_like(cells.good, _DATED), _like(cells.bad, _DATED))
    neither = pc.and_not(pc.invert(pc.or_(number, number2)), dates)
    return pc.or_(pc.or_(pc.xor(number, number2), same), pc.or_(other_kind, neither))


def _like(cells: pa.Array, pattern: str) -> pa.Array:
    import pyarrow.compute as pc

    return pc.fill_null(pc.match_substring_regex(cells, pattern), False)
