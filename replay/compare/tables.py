"""What differs between two tables. Pure rules on pyarrow tables: nothing here opens a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from replay.compare.columns import column_differences, type_difference
from replay.compare.difference import Difference
from replay.compare.distribution import SHIFTED, Shift, can_shift, shifted_from, table_shifts
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
    settled,
)
from replay.compare.segments import Explain, Inputs, Segment, explain_in, explain_with
from replay.compare.tally import Column, Tally
from replay.compare.text import clean, count
from replay.compare.tolerance import Tolerance
from replay.compare.values import logical
from replay.errors import CompareError
from replay.record import OutputSpec

if TYPE_CHECKING:
    import pyarrow as pa

OTHER_ORDER = "the rows are in another order"
SHUFFLED = "the same rows are in another order"


@dataclass(frozen=True)
class Lone:
    """Rows that only one side has: how many, and the names of the first few."""

    count: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Matched:
    """What was counted while two tables were held against each other, whoever counted it.

    `common` rows have a partner; `order` says how their order differs, None for not at all. `tallies` hold the
    columns that both sides have, without the key; they are empty where no row could be told from another.
    `shifts` returns how the distributions of some columns moved, `explain` where some changed rows lie.
    `least` is the PSI from which a shift is told.
    """

    good: pa.Schema
    bad: pa.Schema
    rows: tuple[int, int]
    common: int
    removed: Lone
    added: Lone
    tallies: Sequence[Tally]
    shifts: Callable[[Sequence[str]], Mapping[str, Shift]]
    explain: Explain | None = None
    order: str | None = None
    least: float = SHIFTED


def compare_tables(
    name: str,
    good: pa.Table,
    bad: pa.Table,
    spec: OutputSpec,
    noise: Mapping[str, float] | None = None,
    *,
    common_rows: bool = False,
    inputs: Inputs | None = None,
) -> Difference | None:
    """Return what differs from `good` to `bad` as a group of findings, None where every value is equal.

    Rows are matched by `spec.key` (a null key equals a null key). Without a key they are matched by position
    where the counts agree, else compared as multisets of exact rows. NaN equals NaN (NaN against null does
    not), -0.0 equals 0.0, whole numbers and instants are compared exactly, text against number is a change of
    type. Values in nested columns are compared exactly. `noise` maps a column to its measured floor
    (`noise_floor`). With `common_rows` rows whose key is on one side only are left out. Where the changes lie is
    looked for among the table's columns, and with a key among those of the good run's `inputs`.

    Raises CompareError: a key that is missing or repeated, a column twice, a tolerance that is no number.
    """
    check_columns(name, good.column_names, spec.key, "good")
    check_columns(name, bad.column_names, spec.key, "bad")
    if spec.key and spec.on_duplicates != "error":
        good, bad, spec, left_out = settled(good, bad, spec)
        found = compare_tables(name, good, bad, spec, noise, common_rows=common_rows, inputs=inputs)
        return _with(name, found, left_out)
    if common_rows:
        good, bad = on_common_rows(name, good, bad, spec.key)
    tallies = tallies_of(good.schema, bad.schema, spec, noise)
    if spec.key:
        matched = _matched(good, bad, spec.key, by_key(name, good, bad, spec.key), tallies)
        if inputs is not None and matched.explain is not None:
            keys = good.select(spec.key)
            matched = replace(matched, explain=explain_with(matched.explain, keys.take, inputs))
    elif good.num_rows == bad.num_rows:
        matched = _by_position(good, bad, tallies)
    else:
        matched = _as_multisets(good, bad)
    least = shifted_from(spec)
    matched = replace(matched, shifts=partial(table_shifts, good, bad, least=least), least=least)
    return report(name, matched, spec.key)


def _with(name: str, found: Difference | None, left_out: Difference | None) -> Difference | None:
    """Put what was left out first."""
    if left_out is None:
        return found
    if found is None:
        return Difference(name, "group", f"{clean(name)}: {left_out.sentence}", children=(left_out,))
    return replace(found, children=(left_out, *found.children))


def tallies_of(good: pa.Schema, bad: pa.Schema, spec: OutputSpec, noise: Mapping[str, float] | None) -> list[Tally]:
    """Return an empty tally for every column that both sides have, without the key. Raises CompareError: tolerances."""
    tolerances = {name: Tolerance.of(spec, noise, name) for name in good.names}
    names = [name for name in good.names if name in bad.names and name not in spec.key]
    return [Tally(name, tolerances[name], decision=name == spec.decision) for name in names]


def report(name: str, matched: Matched, key: Sequence[str]) -> Difference | None:
    """Return the findings on two tables as one group; None where there is none."""
    findings = [*_columns(matched.good.names, matched.bad.names), *_rows(matched)]
    if matched.order:
        findings.append(Difference("rows", "order", matched.order))
    cells = {tally.name: column_differences(tally, matched.common) for tally in matched.tallies}
    _place(cells, matched)
    lone = matched.removed.count + matched.added.count
    for column in matched.good.names:
        if column in matched.bad.names:
            found = cells.get(column, [])
            retyped = _retyped(column, matched, cells=len(found) if column in cells else lone)
            findings += [*([retyped] if retyped else []), *found]
    noise = {column for column, found in cells.items() if not any(finding.matters for finding in found)}
    findings += _shifts(matched, {*key}, noise)
    if not findings:
        return None
    numbers = {"rows_good": matched.rows[0], "rows_bad": matched.rows[1]}
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


def _matched(good: pa.Table, bad: pa.Table, key: Sequence[str], rows: Alignment, tallies: Sequence[Tally]) -> Matched:
    """Hold two tables against each other under an alignment of their rows."""

    def row_name(common: int) -> str:
        return label(good, key, common if rows.good is None else rows.good[common].as_py())

    for tally in tallies:
        tally.add(Column(tally.name, *rows.pick(good[tally.name], bad[tally.name]), row_name, rows.good))
    shown = key or _common(good, bad)[:SHOWN]
    return Matched(
        good=good.schema,
        bad=bad.schema,
        rows=(good.num_rows, bad.num_rows),
        common=good.num_rows - len(rows.removed),
        removed=Lone(len(rows.removed), labels(good, shown, rows.removed)),
        added=Lone(len(rows.added), labels(bad, shown, rows.added)),
        tallies=tallies,
        shifts=partial(table_shifts, good, bad),
        explain=explain_in(good, {*key, *(tally.name for tally in tallies if tally.decision)}),
        order=None if rows.in_order else OTHER_ORDER,
    )


def _by_position(good: pa.Table, bad: pa.Table, tallies: Sequence[Tally]) -> Matched:
    """Compare row by row; where that differs but the rows are the same ones, only the order is a finding."""
    found = _matched(good, bad, (), by_position(), tallies)
    if any(tally.differs for tally in tallies) and same_rows(good, bad, _common(good, bad)):
        return replace(found, tallies=(), order=SHUFFLED)
    return found


def _as_multisets(good: pa.Table, bad: pa.Table) -> Matched:
    common = _common(good, bad)
    removed, added = as_multisets(good, bad, common) if common else ([], [])
    return _matched(good, bad, (), Alignment(None, None, removed, added), ())


def _retyped(name: str, matched: Matched, *, cells: int) -> Difference | None:
    before, after = (logical(side.field(name).type) for side in (matched.good, matched.bad))
    return type_difference(name, before, after, cells=cells)


def _rows(matched: Matched) -> list[Difference]:
    """Return the finding of rows on one side only, or nothing; without a key examples show whole rows."""
    lone = {"removed": matched.removed, "added": matched.added}
    good, bad = matched.rows
    if good == bad and not any(side.count for side in lone.values()):
        return []
    parts = [
        f"{count(side.count, 'row')} {way} ({'; '.join(side.examples)}{'; …' if side.count > SHOWN else ''})"
        for way, side in lone.items()
        if side.count
    ]
    sentence = f"{', '.join(parts) or 'rows'}: {good:,} -> {bad:,} rows"
    counts = {way: side.count for way, side in lone.items()}
    examples = {way: side.examples for way, side in lone.items()}
    return [Difference("rows", "rows", sentence, {**counts, "examples": examples})]


def _columns(before: Sequence[str], after: Sequence[str]) -> list[Difference]:
    findings = [Difference(n, "column", f"{clean(n)}: column removed") for n in before if n not in after]
    findings += [Difference(n, "column", f"{clean(n)}: column added") for n in after if n not in before]
    if [n for n in before if n in after] != [n for n in after if n in before]:
        findings.append(Difference("columns", "order", "the columns are in another order"))
    return findings


def _place(cells: dict[str, list[Difference]], matched: Matched) -> None:
    """Say where the flips lie, or the changes of the column that changed most where there is no decision."""
    telling = [tally for tally in matched.tallies if any(f.kind in ("decision", "cells") for f in cells[tally.name])]
    if not telling or matched.explain is None:
        return
    tally = max(telling, key=lambda each: (each.decision, each.changes))
    rows = tally.rows()
    segment = matched.explain(rows) if rows is not None else None
    if segment is not None and (segment.source or segment.column != tally.name):
        last = cells[tally.name][-1]
        numbers = last.numbers | {"segment": segment.as_json()}
        cells[tally.name][-1] = replace(last, sentence=f"{last.sentence}; {segment.words}", numbers=numbers)


def _shifts(matched: Matched, key: set[str], noise: set[str]) -> list[Difference]:
    """Return the columns whose distribution shifted; those that cannot have, by what changed in them, are not read."""
    lone = matched.removed.count + matched.added.count
    changed = {tally.name: tally.changes for tally in matched.tallies if tally.name not in noise}
    names = [
        name
        for name in matched.good.names
        if name in matched.bad.names
        and name not in key
        and can_shift(changed.get(name, 0) + lone, *matched.rows, matched.least)
    ]
    shifts = matched.shifts(names) if names else {}
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
        where = (Segment(**f.numbers["segment"]).words for f in findings if "segment" in f.numbers)
        parts.append(", ".join([f"{count(flips, 'decision')} flipped", *where]))
    if not any(f.matters for f in findings):
        parts.append("nothing that matters (" + ", ".join(sorted({f.kind for f in findings})) + " only)")
    return "; ".join(parts)
