"""How far the outputs of two runs lie apart, in numbers: what a bisect asks of every probe."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from replay.compare.distribution import Shift, shifted_from, table_shifts
from replay.compare.divergence import bytes_divergence, divergence, document_divergence
from replay.compare.rows import by_key, check_columns
from replay.compare.text import clean, count
from replay.large.measures import divergence_large, measurable, overlap_large, shifts_large
from replay.large.source import Source
from replay.matches import Match, Outputs, as_document, contents_of, fitting, large_tables, recorded, tables_of
from replay.record import OutputSpec

if TYPE_CHECKING:
    from replay.store.base import Store

T = TypeVar("T")

REMEMBERED = 256
"""Answers about two files that are kept: the probes of a bisect write the same few files again and again."""

_answers: OrderedDict[tuple[object, ...], Any] = OrderedDict()


def divergence_of(good: Outputs, bad: Outputs, store: Store) -> float:
    """Return how far the outputs `bad` moved from `good`: 0 (equal) to 1, the mean over files (see `divergence`).

    A file on one side only counts 1. Raises as `replay.outputs.compare_outputs` does.
    """
    moved = [_once(_divergence, match) for match in recorded(good, bad, store)]
    return sum(moved) / len(moved) if moved else 0.0


def key_overlap(good: Outputs, bad: Outputs, store: Store) -> float | None:
    """Return which share of the smaller side's keys both sides have, over all tables with a key; None without any.

    Raises as `replay.outputs.compare_outputs` does.
    """
    matches = list(recorded(good, bad, store))
    if all(match.equal for match in matches):
        return 1.0 if any(match.spec.key for match in matches) else None
    counts = [found for match in matches if (found := _once(_overlap, match)) is not None]
    common, smaller = (sum(side) for side in zip(*counts, strict=True)) if counts else (0, 0)
    return (common / smaller if smaller else 1.0) if counts else None


def shift_of(good: Outputs, bad: Outputs, store: Store) -> dict[str, Shift]:
    """Return how the distribution of every column moved, whatever the keys: `output/column` -> shift.

    Columns of the key and outputs that are no tables are left out. Raises as `replay.outputs.compare_outputs` does.
    """
    shifts = {}
    for match in recorded(good, bad, store):
        found = {} if match.equal else _once(_shifted, match)
        for column, shift in found.items():
            place = f"{match.label}/{column}"
            shifts[place] = replace(shift, sentence=f"{clean(place, 120)}: {shift.sentence}")
    return shifts


def emptied(good: Outputs, bad: Outputs, store: Store) -> list[str]:
    """Return the tables that have rows in `good` and not one in `bad`: "scores (1,200 rows before)".

    Raises as `replay.outputs.compare_outputs` does.
    """
    told = []
    for match in recorded(good, bad, store):
        before, after = (0, 0) if match.equal or match.one_sided else _once(_rows, match)
        if before and not after:
            told.append(f"{clean(match.label, 120)} ({count(before, 'row')} before)")
    return told


def _once(ask: Callable[[Match], T], match: Match) -> T:
    """Return what `ask` says of two files, from memory where it was asked before of the same bytes."""
    sides = match.parts if match.parts[0] else tuple((f,) if f is not None else () for f in (match.good, match.bad))
    digests = [tuple((file.name, file.digest) for file in side) for side in sides]
    question = (ask, match.label, match.spec.model_dump_json(), match.several, *digests)
    with contextlib.suppress(KeyError):  # side by side with other probes: what is there may go any time
        known: T = _answers[question]
        return known
    found = ask(match)
    _answers[question] = found
    if len(_answers) > REMEMBERED:
        with contextlib.suppress(KeyError):
            _answers.popitem(last=False)
    return found


def _divergence(match: Match) -> float:
    if match.equal:
        return 0.0
    if match.one_sided:
        return 1.0
    large = _measurable(match)
    if large is not None:
        return divergence_large(match.label, *large)
    good, bad = contents_of(match)
    if good.data is not None and bad.data is not None:
        return bytes_divergence(good.data, bad.data)
    if good.table is None or bad.table is None:
        return document_divergence(as_document(good), as_document(bad), match.spec)
    return divergence(good.table, bad.table, fitting(match, good.table.column_names, bad.table.column_names))


def _rows(match: Match) -> tuple[int, int]:
    """Return how many rows a table has on both sides; none where it is no table."""
    large = large_tables(match)
    if large is not None:
        return large[0].total, large[1].total
    tables = tables_of(match)
    return (0, 0) if tables is None else (tables.good.num_rows, tables.bad.num_rows)


def _overlap(match: Match) -> tuple[int, int] | None:
    """Return how many keys both sides of a table have, and how many rows the smaller one; None without a key."""
    large = _measurable(match)
    if large is not None:
        return overlap_large(match.label, *large), min(large[0].total, large[1].total)
    tables = tables_of(match)
    if tables is None or not tables.spec.key:
        return None
    check_columns(match.label, tables.good.column_names, tables.spec.key, "good")
    check_columns(match.label, tables.bad.column_names, tables.spec.key, "bad")
    rows = by_key(match.label, tables.good, tables.bad, tables.spec.key)
    return tables.good.num_rows - len(rows.removed), min(tables.good.num_rows, tables.bad.num_rows)


def _shifted(match: Match) -> Mapping[str, Shift]:
    large = _measurable(match)
    if large is not None:
        good, bad, spec = large
        names = [name for name in good.schema.names if name in bad.schema.names and name not in spec.key]
        return shifts_large(match.label, good, bad, names, shifted_from(spec))
    tables = tables_of(match)
    if tables is None:
        return {}
    key, others = tables.spec.key, tables.bad.column_names
    names = [name for name in tables.good.column_names if name in others and name not in key]
    return table_shifts(tables.good, tables.bad, names, shifted_from(tables.spec))


def _measurable(match: Match) -> tuple[Source, Source, OutputSpec] | None:
    """Return both sides as tables on disk, and their declaration, where they are to be measured there."""
    large = large_tables(match)
    if large is None:
        return None
    spec = fitting(match, large[0].schema.names, large[1].schema.names)
    return (*large, spec) if measurable(*large, spec) else None
