"""What changed in one column between rows that belong together. Pure, on pyarrow arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from replay.compare.difference import Difference
from replay.compare.rows import SHOWN
from replay.compare.text import clean, count, figure, percent, ratio
from replay.compare.tolerance import Tolerance
from replay.compare.values import Pair, as_float, as_text, differing, distance, unify

if TYPE_CHECKING:
    import pyarrow as pa

FLIPS = 20
"""Kinds of flips kept in the figures; a sentence names the first five."""


@dataclass(frozen=True)
class Column:
    """One column of both tables on their common rows; `row_name` names the common row with a number."""

    name: str
    good: pa.ChunkedArray
    bad: pa.ChunkedArray
    row_name: Callable[[int], str]

    def example(self, row: int) -> dict[str, str]:
        """Return one row's name and both values as texts."""
        good, bad = (clean(side[row].as_py()) for side in (self.good, self.bad))
        return {"row": self.row_name(row), "good": good, "bad": bad}


def column_differences(column: Column, tolerance: Tolerance, *, decision: bool = False) -> list[Difference]:
    """Return the findings of one column: nulls apart, then changed cells (or flips, or noise). Empty for equal.

    Both sides hold the same rows in the same order. A `decision` is never forgiven by a declared tolerance.
    """
    import pyarrow.compute as pc

    if column.good.type == column.bad.type and column.good.equals(column.bad):
        return []
    pair = unify(column.good, column.bad)
    findings = _nulls(column)
    changed = pc.indices_nonzero(differing(pair).combine_chunks())
    if not len(changed):
        return findings
    if decision:
        return [*findings, _flips(column, changed, tolerance.exact())]
    if pair.kind == "other" or (pair.kind == "instant"):
        return [*findings, _values(column, pair, changed, tolerance)]
    return [*findings, *_figures(column, pair, changed, tolerance)]


def type_difference(name: str, good: str | None, bad: str | None, *, cells: int) -> Difference | None:
    """Return the change of a column's logical type; `cells` is how many values changed beside it."""
    if good is None or bad is None or good == bad:
        return None
    same = "" if cells else "; the values read the same"
    return Difference(name, "type", f"{clean(name)}: type {good} -> {bad}{same}", {"good": good, "bad": bad})


def _nulls(column: Column) -> list[Difference]:
    import pyarrow.compute as pc

    good, bad = (pc.is_null(side).combine_chunks() for side in (column.good, column.bad))
    became = pc.indices_nonzero(pc.and_not(bad, good))
    stopped = pc.indices_nonzero(pc.and_not(good, bad))
    if not len(became) and not len(stopped):
        return []
    parts = []
    for rows, words in ((became, "became null"), (stopped, "stopped being null")):
        if len(rows):
            parts.append(f"{count(len(rows), 'value')} {words} ({_listed(column, rows)})")
    numbers = {
        "rows": len(good),
        "became_null": len(became),
        "stopped_being_null": len(stopped),
        "examples": [column.example(row.as_py()) for rows in (became, stopped) for row in rows[:SHOWN]],
    }
    return [Difference(column.name, "nulls", f"{clean(column.name)}: {', '.join(parts)}", numbers)]


def _flips(column: Column, changed: pa.Array, tolerance: Tolerance) -> Difference:
    """Return the flips of the decision column, from which to which; noise where repeats flip as many."""
    import pyarrow as pa

    ways = pa.table({s: as_text(getattr(column, s).take(changed)) for s in ("good", "bad")})
    counted = ways.group_by(["good", "bad"]).aggregate([([], "count_all")]).to_pylist()
    counted.sort(key=lambda way: (-way["count_all"], way["good"], way["bad"]))
    flips = [{"from": clean(w["good"]), "to": clean(w["bad"]), "count": w["count_all"]} for w in counted]
    rows = len(column.good)
    numbers = _shared(column, changed, rows) | {"flips": flips[:FLIPS]}
    if numbers["spread"] <= tolerance.floor:
        return _within(column.name, len(changed), "decision", tolerance.words(False, True), numbers)
    shown = ", ".join(f"{f['from']} -> {f['to']} {f['count']:,}" for f in flips[:5])
    more = f", and {len(flips) - 5} other ways" if len(flips) > 5 else ""
    head = f"{len(changed):,} of {count(rows, 'decision')} flipped ({percent(len(changed), rows)})"
    return Difference(column.name, "decision", f"{clean(column.name)}: {head}: {shown}{more}", numbers)


def _values(column: Column, pair: Pair, changed: pa.Array, tolerance: Tolerance) -> Difference:
    """Return changed cells that are no numbers (instants say how far); noise where repeats change as many."""
    import pyarrow.compute as pc

    rows = len(column.good)
    numbers = _shared(column, changed, rows)
    if numbers["spread"] <= tolerance.floor:
        return _within(column.name, len(changed), "cell", tolerance.words(False, True), numbers)
    head = f"{clean(column.name)}: {len(changed):,} of {count(rows, 'cell')} changed ({percent(len(changed), rows)})"
    if pair.kind == "instant":
        moved = distance(Pair(pair.good.take(changed), pair.bad.take(changed), pair.kind, pair.tick))
        numbers["largest_seconds"] = pc.max(moved).as_py()
        head += f", by up to {figure(numbers['largest_seconds'])} s"
    return Difference(column.name, "cells", f"{head}: {_listed(column, changed)}", numbers)


def _figures(column: Column, pair: Pair, changed: pa.Array, tolerance: Tolerance) -> list[Difference]:
    """Return the changed cells of a number column: those beyond every tolerance, or all of them as noise."""
    import pyarrow as pa
    import pyarrow.compute as pc

    there = Pair(pair.good.take(changed), pair.bad.take(changed), pair.kind)
    size, moved = pc.abs(as_float(there.good)), distance(there)
    never = pa.chunked_array([pa.repeat(pa.scalar(False), len(changed))])
    declared, measured = never, never
    if tolerance.declared:
        allowed = pc.add(pc.multiply(size, tolerance.relative), tolerance.absolute)
        declared = pc.and_(pc.is_finite(moved), pc.less_equal(moved, allowed))
    if tolerance.floor:
        measured = pc.less_equal(moved, tolerance.floor)
    within = pc.or_(declared, measured)
    forgiven = pc.sum(within).as_py()
    words = tolerance.words(pc.any(declared).as_py(), pc.any(pc.and_not(measured, declared)).as_py())
    rows = len(column.good)
    if forgiven == len(changed):
        numbers = _largest(column, changed, moved, size, rows)
        return [_within(column.name, forgiven, "cell", words, numbers)]
    beyond = pc.invert(within)
    kept = pc.filter(changed, beyond.combine_chunks())
    numbers = _largest(column, kept, moved.filter(beyond), size.filter(beyond), rows)
    numbers["within_tolerance"] = forgiven
    also = f"; {forgiven:,} more differ within {words}" if forgiven else ""
    head = f"{clean(column.name)}: {len(kept):,} of {count(rows, 'cell')} changed ({percent(len(kept), rows)})"
    return [Difference(column.name, "cells", f"{head}{_words_of(numbers)}{also}", numbers)]


def _largest(column: Column, rows: pa.Array, moved: pa.ChunkedArray, size: pa.ChunkedArray, of: int) -> dict[str, Any]:
    """Return the figures of changed numbers at `rows`: `moved` is |bad - good|, `size` is |good|."""
    import pyarrow.compute as pc

    numbers = _shared(column, rows, of)
    finite = pc.is_finite(moved)
    numbers["not_finite"] = len(rows) - pc.sum(finite).as_py()
    relative = pc.if_else(pc.and_(finite, pc.greater(size, 0.0)), pc.divide(moved, size), None)
    for name, figures in (("absolute", pc.if_else(finite, moved, None)), ("relative", relative)):
        top = pc.max(figures).as_py()
        numbers[f"largest_{name}"] = top
        if top is not None:
            numbers[f"largest_{name}_at"] = column.example(rows[pc.index(figures, top).as_py()].as_py())
    numbers["spread"] = numbers["largest_absolute"] or 0.0
    return numbers


def _words_of(numbers: dict[str, Any]) -> str:
    parts = []
    for name in ("absolute", "relative"):
        top = numbers[f"largest_{name}"]
        if top is not None:
            by = figure(top) if name == "absolute" else ratio(top)
            where = numbers[f"largest_{name}_at"]
            same = name == "relative" and where == numbers["largest_absolute_at"]
            at = "there" if same else f"at {where['row']} ({where['good']} -> {where['bad']})"
            parts.append(f"largest {name} difference {by} {at}")
    if numbers["not_finite"]:
        first = next((e for e in numbers["examples"] if _odd(e)), numbers["examples"][0])
        parts.append(
            f"{numbers['not_finite']:,} to or from NaN or infinity ({first['row']}: {first['good']} -> {first['bad']})"
        )
    return "".join(f"; {part}" for part in parts)


def _odd(example: dict[str, str]) -> bool:
    return any(example[side] in ("nan", "inf", "-inf") for side in ("good", "bad"))


def _shared(column: Column, changed: pa.Array, rows: int) -> dict[str, Any]:
    share = len(changed) / rows
    examples = [column.example(row.as_py()) for row in changed[:SHOWN]]
    return {"rows": rows, "changed": len(changed), "share": share, "spread": share, "examples": examples}


def _within(name: str, cells: int, noun: str, words: str, numbers: dict[str, Any]) -> Difference:
    verb = "differs" if cells == 1 else "differ"
    top = numbers.get("largest_absolute")
    largest = f"; largest {figure(top)}" if top is not None else ""
    return Difference(
        name, "noise", f"{clean(name)}: {count(cells, noun)} {verb}, all within {words}{largest}", numbers
    )


def _listed(column: Column, rows: pa.Array) -> str:
    shown = [column.example(row.as_py()) for row in rows[:SHOWN]]
    text = ", ".join(f"{e['row']}: {e['good']} -> {e['bad']}" for e in shown)
    return text + (", …" if len(rows) > SHOWN else "")
