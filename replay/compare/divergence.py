"""How far an output moved from the good one, as one number from 0 (equal) to 1 (nothing left in common). Pure.

It measures shares: what part of the whole divergence does a layer bring along. It judges nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from replay.compare.documents import changed_leaves, leaves, matters
from replay.compare.rows import Alignment, as_multisets, by_key, by_position, check_columns, same_rows
from replay.compare.values import Pair, as_float, differing, distance, unify
from replay.record import OutputSpec

if TYPE_CHECKING:
    import pyarrow as pa

NAME = "output"


def divergence(good: pa.Table, other: pa.Table, spec: OutputSpec, scale: Mapping[str, float] | None = None) -> float:
    """Return how far the table `other` moved from `good`: a mean over all columns but the key, and all rows.

    A cell of a number or instant counts |a - b| / scale, at most 1; any other cell 0 or 1, null against a
    value 1. `scale` maps a column to its unit; default: the standard deviation of the good column (1 where
    that is 0). A row or column on one side only counts 1 in every cell. Rows match as in `compare_tables`.

    Raises CompareError as `compare_tables` does.
    """
    check_columns(NAME, good.column_names, spec.key, "good")
    check_columns(NAME, other.column_names, spec.key, "bad")
    names = [n for n in dict.fromkeys([*good.column_names, *other.column_names]) if n not in spec.key]
    if not good.num_rows and not other.num_rows:
        return 0.0 if {*good.column_names} == {*other.column_names} else 1.0
    if spec.key:
        rows = by_key(NAME, good, other, spec.key)
    else:
        common_names = [n for n in names if n in good.column_names and n in other.column_names]
        if good.num_rows != other.num_rows or same_rows(good, other, common_names):
            return _of_multisets(good, other, common_names, len(names))
        rows = by_position()
    lone = len(rows.removed) + len(rows.added)
    common: int = good.num_rows - len(rows.removed)
    width = max(1, len(names))
    moved = float(lone * width)
    for name in names:
        if name in good.column_names and name in other.column_names:
            moved += _column(good[name], other[name], rows, (scale or {}).get(name))
        else:
            moved += common
    return min(1.0, moved / (width * (common + lone)))


def document_divergence(good: Any, other: Any, spec: OutputSpec | None = None) -> float:
    """Return the share of leaf values, of both documents together, that differ by more than `spec` tolerates.

    Raises CompareError: too deep, or a tolerance that is no number.
    """
    changed = [leaf for leaf in changed_leaves(NAME, good, other) if spec is None or matters(*leaf, spec)]
    differ = sum(max(leaves(before), leaves(after)) for _, before, after in changed)
    return min(1.0, differ / max(leaves(good), leaves(other), differ))


def bytes_divergence(good: bytes, other: bytes) -> float:
    """Return 0.0 for equal bytes, else 1.0: there is no way to be partly equal for what is not understood."""
    return 0.0 if good == other else 1.0


def scales(good: pa.Table) -> dict[str, float]:
    """Return the standard deviation of every number or instant column (seconds for instants), 1 where it is 0."""
    return {name: scale for name in good.column_names if (scale := _scale(good[name])) is not None}


def _column(good: pa.ChunkedArray, other: pa.ChunkedArray, rows: Alignment, scale: float | None) -> float:
    """Return the sum over the common rows of how far each cell moved, 0 to 1."""
    left, right = rows.pick(good, other)
    return moved_cells(left, right, scale or _scale(good) or 1.0)


def moved_cells(left: pa.ChunkedArray, right: pa.ChunkedArray, unit: float) -> float:
    """Return the sum of how far each cell moved, 0 to 1, numbers and instants in `unit`s."""
    import pyarrow.compute as pc

    nulls: int = pc.sum(pc.xor(pc.is_null(left), pc.is_null(right))).as_py() or 0
    pair = unify(left, right)
    changed = differing(pair)
    count: int = pc.sum(changed).as_py() or 0
    if pair.kind == "other" or not count:
        return float(nulls + count)
    moved = distance(Pair(pair.good.filter(changed), pair.bad.filter(changed), pair.kind, pair.tick))
    far = pc.if_else(pc.is_finite(moved), pc.min_element_wise(pc.divide(moved, unit), 1.0), 1.0)
    return float(nulls + pc.sum(far).as_py())


def _scale(column: pa.ChunkedArray) -> float | None:
    import pyarrow.compute as pc

    pair = unify(column, column)
    if pair.kind == "other":
        return None
    values = as_float(pair.good)
    deviation: float = pc.stddev(values.filter(pc.is_finite(values))).as_py() or 0.0
    return deviation * pair.tick if deviation > 0 else 1.0


def _of_multisets(good: pa.Table, other: pa.Table, common: list[str], width: int) -> float:
    """Return the share of cells in rows without an equal on the other side, or in columns that one side lacks."""
    if not common:
        return 1.0
    removed, added = as_multisets(good, other, common)
    matched: int = good.num_rows - len(removed)
    rows = matched + len(removed) + len(added)
    return 1 - matched * len(common) / (rows * width)
