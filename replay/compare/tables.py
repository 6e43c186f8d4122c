"""What differs between two tables. Pure rules on pyarrow tables: nothing here opens a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from replay.compare.columns import Column, column_differences, type_difference
from replay.compare.difference import Difference
from replay.compare.distribution import table_shifts
from replay.compare.rows import (
    SHOWN,
    Alignment,
    as_multisets,
    by_key,
    by_position,
    check_columns,
    label,
    labels,
    same_rows,
)
from replay.compare.text import clean, count
from replay.compare.tolerance import Tolerance
from replay.compare.values import logical
from replay.errors import CompareError
from replay.record import OutputSpec

if TYPE_CHECKING:
    import pyarrow as pa

_CELL_KINDS = frozenset({"cells", "nulls", "decision", "noise"})


def compare_tables(
    name: str,
    good: pa.Table,
    bad: pa.Table,
    spec: OutputSpec,
    noise: Mapping[str, float] | None = None,
    *,
    common_rows: bool = False,
) -> Difference | None:
    """Return what differs from `good` to `bad` as a group of findings, None where every value is equal.

    Rows are matched by `spec.key` (a null key equals a null key). Without a key they are matched by position
    where the counts agree, else compared as multisets of exact rows. NaN equals NaN (NaN against null does
    not), -0.0 equals 0.0, whole numbers and instants are compared exactly, text against number is a change of
    type. Values in nested columns are compared exactly. `noise` maps a column to its measured floor
    (`noise_floor`). With `common_rows` rows whose key is on one side only are left out.

    Raises CompareError: a key that is missing or repeated, a column twice, a tolerance that is no number.
    """
    check_columns(name, good, spec.key, "good")
    check_columns(name, bad, spec.key, "bad")
    tolerances = {column: Tolerance.of(spec, noise, column) for column in good.column_names}
    if common_rows:
        good, bad = on_common_rows(name, good, bad, spec.key)
    if spec.key:
        found = _matched(good, bad, spec, by_key(name, good, bad, spec.key), tolerances)
    elif good.num_rows == bad.num_rows:
        found = _by_position(good, bad, spec, tolerances)
    else:
        found = _as_multisets(good, bad)
    findings = [*_columns(good, bad), *found]
    findings += _shifts(good, bad, spec.key, found)
    if not findings:
        return None
    numbers = {"rows_good": good.num_rows, "rows_bad": bad.num_rows}
    return Difference(name, "group", f"{clean(name)}: {_summary(findings)}", numbers, tuple(findings))


def on_common_rows(name: str, good: pa.Table, bad: pa.Table, key: Sequence[str]) -> tuple[pa.Table, pa.Table]:
    """Return both tables without the rows whose key is on one side only, each in its own order.

    Raises CompareError without a key, or with a key that is repeated.
    """
    import pyarrow.compute as pc

    if not key:
        raise CompareError(
            f"{clean(name)} has no key, so its common rows are unknown",
            cause="the output is declared without a key",
            do='declare the columns that identify a row, for example key = "customer_id"',
        )
    rows = by_key(name, good, bad, key)
    if rows.good is None:
        return good, bad
    return good.take(rows.good), bad.take(pc.take(rows.bad, pc.array_sort_indices(rows.bad)))


def _matched(
    good: pa.Table, bad: pa.Table, spec: OutputSpec, rows: Alignment, tolerances: Mapping[str, Tolerance]
) -> list[Difference]:
    """Return the findings of rows, order, types and cells under an alignment."""
    findings = _rows(good, bad, spec.key, rows.removed, rows.added)
    if not rows.in_order:
        findings.append(Difference("rows", "order", "the rows are in another order"))

    def row_name(common: int) -> str:
        return label(good, spec.key, common if rows.good is None else rows.good[common].as_py())

    for name in good.column_names:
        if name not in bad.column_names:
            continue
        cells: list[Difference] = []
        if name not in spec.key:
            column = Column(name, *rows.pick(good[name], bad[name]), row_name)
            cells = column_differences(column, tolerances[name], decision=name == spec.decision)
        others = len(rows.removed) + len(rows.added) if name in spec.key else len(cells)
        retyped = _retyped(name, good, bad, cells=others)
        findings += [*([retyped] if retyped else []), *cells]
    return findings


def _by_position(
    good: pa.Table, bad: pa.Table, spec: OutputSpec, tolerances: Mapping[str, Tolerance]
) -> list[Difference]:
    """Compare row by row; where that differs but the rows are the same ones, only the order is a finding."""
    found = _matched(good, bad, spec, by_position(), tolerances)
    if any(finding.kind in _CELL_KINDS for finding in found) and same_rows(good, bad, _common(good, bad)):
        found = [finding for finding in found if finding.kind not in _CELL_KINDS]
        found.append(Difference("rows", "order", "the same rows are in another order"))
    return found


def _as_multisets(good: pa.Table, bad: pa.Table) -> list[Difference]:
    common = _common(good, bad)
    removed, added = as_multisets(good, bad, common) if common else ([], [])
    retyped = [_retyped(n, good, bad, cells=1) for n in common]
    return [*_rows(good, bad, (), removed, added), *(finding for finding in retyped if finding)]


def _retyped(name: str, good: pa.Table, bad: pa.Table, *, cells: int) -> Difference | None:
    before, after = (logical(side.schema.field(name).type) for side in (good, bad))
    return type_difference(name, before, after, cells=cells)


def _rows(good: pa.Table, bad: pa.Table, key: Sequence[str], removed: pa.Array, added: pa.Array) -> list[Difference]:
    """Return the finding of rows on one side only, or nothing; without a key examples show whole rows."""
    if good.num_rows == bad.num_rows and not len(removed) and not len(added):
        return []
    shown = key or _common(good, bad)[:SHOWN]
    examples = {"removed": labels(good, shown, removed), "added": labels(bad, shown, added)}
    rows = {"removed": len(removed), "added": len(added)}
    parts = [
        f"{count(rows[way], 'row')} {way} ({'; '.join(examples[way])}{'; …' if rows[way] > SHOWN else ''})"
        for way in ("removed", "added")
        if rows[way]
    ]
    sentence = f"{', '.join(parts) or 'rows'}: {good.num_rows:,} -> {bad.num_rows:,} rows"
    return [Difference("rows", "rows", sentence, {**rows, "examples": examples})]


def _columns(good: pa.Table, bad: pa.Table) -> list[Difference]:
    before, after = good.column_names, bad.column_names
    findings = [Difference(n, "column", f"{clean(n)}: column removed") for n in before if n not in after]
    findings += [Difference(n, "column", f"{clean(n)}: column added") for n in after if n not in before]
    if [n for n in before if n in after] != [n for n in after if n in before]:
        findings.append(Difference("columns", "order", "the columns are in another order"))
    return findings


def _shifts(good: pa.Table, bad: pa.Table, key: Sequence[str], found: Sequence[Difference]) -> list[Difference]:
    """Return the columns whose distribution shifted; only one with a finding can, unless rows came or went."""
    moved = {finding.name for finding in found if finding.kind not in ("order", "noise")}
    still = [] if any(finding.kind == "rows" for finding in found) else [n for n in good.column_names if n not in moved]
    shifts = table_shifts(good, bad, without=[*key, *still])
    return [
        Difference(name, "distribution", f"{clean(name)}: {shift.sentence}", dict(shift.numbers))
        for name, shift in shifts.items()
        if shift.shifted
    ]


def _common(good: pa.Table, bad: pa.Table) -> list[str]:
    return [name for name in good.column_names if name in bad.column_names]


def _summary(findings: Sequence[Difference]) -> str:
    """Return the few words that stand above the findings."""
    parts = []
    rows = next((f.numbers for f in findings if f.kind == "rows"), None)
    if rows:
        parts += [f"{count(rows[way], 'row')} {way}" for way in ("removed", "added") if rows[way]]
    changed = {f.name for f in findings if f.matters and f.kind != "rows"}
    if changed:
        parts.append(f"{count(len(changed), 'column')} changed ({clean(', '.join(sorted(changed)), 100)})")
    flips = sum(f.numbers["changed"] for f in findings if f.kind == "decision")
    if flips:
        parts.append(f"{count(flips, 'decision')} flipped")
    if not any(f.matters for f in findings):
        parts.append("nothing that matters (" + ", ".join(sorted({f.kind for f in findings})) + " only)")
    return "; ".join(parts)
